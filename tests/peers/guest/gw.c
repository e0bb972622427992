// SPDX-License-Identifier: BSD-3-Clause
//
// gw KIND ARGUMENT...: works on a virtio device of the guest and checks it.
//
// Printed on the console, for a program to read:
//   READY kind                      the work has begun
//   TICK t=S requests=N verified=M bytes=B lost=L bad=E rate=R longest_us=U
//   STALL ms=N                      nothing completed for that long
//   BADBLOCK/BADPAGE/BADKEPT/BADFRAME/IOERROR ...
//   VERIFY-OK requests=N verified=M bytes=B lost=L longest_us=U
//   VERIFY-FAIL reason
// Keys read from the console:
//   q  stop, verify everything, power off     r  the same, but reboot
//   b  reboot at once, with all that is in flight
#include "gw.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/reboot.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include <poll.h>

enum {
	STALL_MS = 500,
	// A thread that is stuck in a request never comes back; a guest that is
	// merely slow under TCG on a busy machine was seen to need 2 s.
	END_TIMEOUT_MS = 15000,
	THREADS_MAX = 64,
	// The first few of a kind say what is wrong; more would only fill the log.
	WRONG_LINES_MAX = 20,
};

atomic_bool gw_stop;
atomic_ulong gw_done, gw_verified, gw_bytes, gw_lost, gw_longest, gw_bad;

static const struct gw_work *const works[] = {
    &gw_blk, &gw_blkread, &gw_fs, &gw_net, &gw_vsock,
};

static atomic_int threads_running;

static void say_list(const char *format, va_list list)
{
	char line[512];
	int length = vsnprintf(line, sizeof(line) - 1, format, list);

	if (length > (int)sizeof(line) - 2)
		length = sizeof(line) - 2;
	line[length] = '\n';
	if (write(STDOUT_FILENO, line, (size_t)length + 1) < 0)
		_exit(1);
}

void gw_say(const char *format, ...)
{
	va_list list;

	va_start(list, format);
	say_list(format, list);
	va_end(list);
}

void gw_wrong(const char *format, ...)
{
	va_list list;

	if (atomic_fetch_add(&gw_bad, 1) >= WRONG_LINES_MAX)
		return;
	va_start(list, format);
	say_list(format, list);
	va_end(list);
}

uint64_t gw_now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static uint64_t mix(uint64_t value)
{
	value += 0x9e3779b97f4a7c15;
	value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
	value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
	return value ^ (value >> 31);
}

// Words 0 and 1 name the block in clear, so that a wrong one can say whose
// data it has; rig.py makes and reads the same content.
static uint64_t word(uint64_t which, uint64_t sequence, size_t index)
{
	if (index == 0)
		return which;
	if (index == 1)
		return sequence;
	return mix(mix(which) ^ mix(sequence << 32) ^ index);
}

void gw_fill(void *block, size_t bytes, uint64_t which, uint64_t sequence)
{
	uint64_t *words = block;

	for (size_t i = 0; i < bytes / sizeof(*words); i++)
		words[i] = word(which, sequence, i);
}

bool gw_check(const void *block, size_t bytes, uint64_t which, uint64_t sequence)
{
	const uint64_t *words = block;

	for (size_t i = 0; i < bytes / sizeof(*words); i++)
		if (words[i] != word(which, sequence, i))
			return false;
	return true;
}

uint64_t gw_sequence(const void *block)
{
	return ((const uint64_t *)block)[1];
}

struct start {
	void *(*run)(void *);
	void *argument;
};

static void *thread_main(void *pointer)
{
	struct start start = *(struct start *)pointer;

	free(pointer);
	start.run(start.argument);
	atomic_fetch_sub(&threads_running, 1);
	return NULL;
}

bool gw_thread(void *(*run)(void *), void *argument)
{
	struct start *start = malloc(sizeof(*start));
	pthread_t thread;

	if (!start)
		return false;
	*start = (struct start){run, argument};
	atomic_fetch_add(&threads_running, 1);
	if (pthread_create(&thread, NULL, thread_main, start) != 0) {
		atomic_fetch_sub(&threads_running, 1);
		free(start);
		return false;
	}
	pthread_detach(thread);
	return true;
}

// Waits until all threads have ended; false if one is stuck, that is if
// nothing completes for the whole timeout.
static bool threads_ended(void)
{
	unsigned long seen = 0, now;
	uint64_t since = gw_now_us();

	while (atomic_load(&threads_running) > 0) {
		now = atomic_load(&gw_done) + atomic_load(&gw_verified);
		if (now != seen) {
			seen = now;
			since = gw_now_us();
		}
		if (gw_now_us() - since > END_TIMEOUT_MS * 1000ull)
			return false;
		usleep(10000);
	}
	return true;
}

static const struct gw_work *work;
static atomic_bool verified_ok;

static void *verify_main(void *unused)
{
	(void)unused;
	atomic_store(&verified_ok, work->verify());
	return NULL;
}

static void verify_all(void)
{
	int stuck;

	atomic_store(&gw_stop, true);
	if (!threads_ended()) {
		stuck = atomic_load(&threads_running);
		gw_say("VERIFY-FAIL %d threads hang in a request", stuck);
		return;
	}
	// In a thread of its own, as a read may hang for ever too.
	if (!gw_thread(verify_main, NULL)) {
		gw_say("VERIFY-FAIL no thread for the verification");
		return;
	}
	if (!threads_ended())
		gw_say("VERIFY-FAIL the verification hangs in a request");
	else if (atomic_load(&gw_bad) > 0)
		gw_say("VERIFY-FAIL %lu errors, see the lines before", atomic_load(&gw_bad));
	else if (!atomic_load(&verified_ok))
		gw_say("VERIFY-FAIL see the line before");
	else if (atomic_load(&gw_done) == 0)
		gw_say("VERIFY-FAIL no request was completed");
	else
		gw_say("VERIFY-OK requests=%lu verified=%lu bytes=%lu lost=%lu longest_us=%lu",
		       atomic_load(&gw_done), atomic_load(&gw_verified), atomic_load(&gw_bytes),
		       atomic_load(&gw_lost), atomic_load(&gw_longest));
}

static void tick(uint64_t start)
{
	static unsigned long before;
	unsigned long now = atomic_load(&gw_done);

	gw_say("TICK t=%lu requests=%lu verified=%lu bytes=%lu lost=%lu bad=%lu rate=%lu "
	       "longest_us=%lu",
	       (unsigned long)((gw_now_us() - start + 500000) / 1000000), now,
	       atomic_load(&gw_verified), atomic_load(&gw_bytes), atomic_load(&gw_lost),
	       atomic_load(&gw_bad), now - before, atomic_load(&gw_longest));
	before = now;
}

// Says how long nothing has completed: once at STALL_MS, then each second,
// and once more when it is over.
static void watch(void)
{
	static unsigned long seen;
	static uint64_t since, said;
	unsigned long now = atomic_load(&gw_done);
	uint64_t time = gw_now_us(), quiet_ms;

	if (since == 0)
		since = time;
	quiet_ms = (time - since) / 1000;
	if (now != seen) {
		if (said > 0)
			gw_say("STALL-END ms=%lu", (unsigned long)quiet_ms);
		seen = now;
		since = time;
		said = 0;
	} else if (quiet_ms >= STALL_MS && quiet_ms >= said + (said ? 1000 : 0)) {
		gw_say("STALL ms=%lu", (unsigned long)quiet_ms);
		said = quiet_ms;
	}
}

// Runs until a key asks for the end; returns the key.
static char report(void)
{
	struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
	uint64_t start = gw_now_us(), next = start + 1000000;
	char key;

	for (;;) {
		if (poll(&input, 1, 50) > 0 && read(STDIN_FILENO, &key, 1) == 1) {
			if (key == 'b')
				reboot(RB_AUTOBOOT);
			if (key == 'q' || key == 'r')
				return key;
		}
		watch();
		if (gw_now_us() >= next) {
			tick(start);
			next += 1000000;
		}
	}
}

static void raw_console(void)
{
	struct termios mode;

	if (tcgetattr(STDIN_FILENO, &mode) != 0)
		return;
	mode.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	tcsetattr(STDIN_FILENO, TCSANOW, &mode);
}

static int usage(void)
{
	for (size_t i = 0; i < sizeof(works) / sizeof(works[0]); i++)
		gw_say("usage: gw %s %s", works[i]->name, works[i]->usage);
	return 2;
}

int main(int argc, char **argv)
{
	char key;

	for (size_t i = 0; argc > 1 && i < sizeof(works) / sizeof(works[0]); i++)
		if (strcmp(argv[1], works[i]->name) == 0)
			work = works[i];
	if (!work)
		return usage();
	raw_console();
	if (!work->start(argc - 2, argv + 2)) {
		gw_say("VERIFY-FAIL the work %s did not start", work->name);
		key = 'q';
	} else {
		gw_say("READY %s", work->name);
		key = report();
		verify_all();
	}
	// The console is slow: what was said must be out before the power is.
	tcdrain(STDOUT_FILENO);
	sync();
	reboot(key == 'r' ? RB_AUTOBOOT : RB_POWER_OFF);
	gw_say("reboot: %s", strerror(errno));
	return 1;
}
