/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The daemon in the data path, between our own bench as the guest and our own
 * disk as the back-end: every block read is compared with what was written.
 */
#include "daemon_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define AT_ONCE_MS 1000
#define WORDS      24
#define MOVING_MS  2500
#define REQUESTS   (RIG_SANITIZED ? 400 : 2000)

struct shadow {
	struct rig rig;
	pid_t back_end;
};

/* A program of the build with these options, split at spaces; its output in `out`. */
static pid_t run(const char *name, int out, const char *options)
{
	char program[512], text[1024], *words[WORDS] = {program}, *rest = text;
	const char *folder = getenv("FERRY_BIN");
	unsigned int n = 1;
	pid_t pid;

	assert_non_null(folder);
	snprintf(program, sizeof(program), "%s/%s", folder, name);
	snprintf(text, sizeof(text), "%s", options);
	while (n < WORDS - 1 && (words[n] = strsep(&rest, " ")))
		n++;
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(out, STDOUT_FILENO);
		dup2(out, STDERR_FILENO);
		execv(program, words);
		_exit(127);
	}
	return pid;
}

static void end(pid_t pid)
{
	if (pid <= 0)
		return;
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void wait_for_listener(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int64_t until = rig_now_ms() + RIG_MS;
	int fd, result;

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	do {
		fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		result = connect(fd, (struct sockaddr *)&address, sizeof(address));
		close(fd);
		if (result)
			usleep(1000);
	} while (result && rig_now_ms() < until);
	assert_int_equal(result, 0);
}

static void set_up(struct shadow *shadow, const char *disk, const char *daemon)
{
	char options[512];

	snprintf(options, sizeof(options), "--socket-path=%s --queues=4%s%s", shadow->rig.back,
		 *disk ? " " : "", disk);
	shadow->back_end = run("ferry-test-backend", STDERR_FILENO, options);
	wait_for_listener(shadow->rig.back);
	rig_start(&shadow->rig, daemon);
}

static int begin(void **state)
{
	struct shadow *shadow = calloc(1, sizeof(*shadow));

	*state = shadow;
	rig_open(&shadow->rig, false);
	return 0;
}

static int finish(void **state)
{
	struct shadow *shadow = *state;

	rig_close(&shadow->rig);
	end(shadow->back_end);
	free(shadow);
	return 0;
}

static pid_t bench(const struct shadow *shadow, int out, const char *options)
{
	char all[768];

	snprintf(all, sizeof(all), "--socket-path=%s --verify %s", shadow->rig.front, options);
	return run("vhost-ferry-bench", out, all);
}

/* The bench says so itself where a block is not what was written, and ends with 1. */
static void assert_verified(pid_t pid, int out, const char *options)
{
	char text[8192] = "";
	size_t size = 0;
	ssize_t got;
	int status;

	while (size < sizeof(text) - 1 &&
	       (got = read(out, text + size, sizeof(text) - 1 - size)) > 0)
		size += (size_t)got;
	close(out);
	waitpid(pid, &status, 0);
	text[size] = '\0';
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0 || !strstr(text, "verified"))
		fail_msg("bench %s: status 0x%x:\n%s", options, status, text);
}

static pid_t start_bench(const struct shadow *shadow, int *out, const char *options)
{
	char more[512];
	int pair[2];
	pid_t pid;

	assert_return_code(pipe2(pair, O_CLOEXEC), errno);
	snprintf(more, sizeof(more), "--rounds=1 --timeout=%u %s", RIG_MS / 1000, options);
	pid = bench(shadow, pair[1], more);
	close(pair[1]);
	*out = pair[0];
	return pid;
}

static void verifies(const struct shadow *shadow, const char *options)
{
	char all[512];
	pid_t pid;
	int out;

	snprintf(all, sizeof(all), "--requests=%u %s", REQUESTS, options);
	pid = start_bench(shadow, &out, all);
	assert_verified(pid, out, options);
}

/* Rings that stayed direct would pass every other test here. */
static void assert_relayed(struct shadow *shadow)
{
	assert_int_not_equal(daemon_count(&shadow->rig.daemon, 0, "synthesised: INFLIGHT_SHMFD"),
			     0);
	assert_int_equal(daemon_count(&shadow->rig.daemon, 0, "stay direct"), 0);
	assert_int_equal(daemon_count(&shadow->rig.daemon, 0, " error: "), 0);
}

static void all_formats(struct shadow *shadow)
{
	static const char *const runs[] = {
	    "--format=split --depth=1",
	    "--format=packed --depth=1",
	    "--format=split --queues=4 --depth=32",
	    "--format=packed --queues=4 --depth=32",
	    "--format=split --queues=2 --depth=16 --event-idx=off",
	    "--format=packed --queues=2 --depth=16 --event-idx=off",
	    "--format=split --queues=2 --depth=16 --indirect=off",
	    "--format=packed --queues=2 --depth=16 --indirect=off",
	    "--format=split --depth=4 --queue-size=16 --event-idx=off --indirect=off",
	    "--format=packed --depth=8 --queue-size=24 --event-idx=off --indirect=off",
	    "--format=split --depth=64 --queue-size=1024 --size=65536 --requests=200",
	};

	for (size_t i = 0; i < sizeof(runs) / sizeof(runs[0]); i++)
		verifies(shadow, runs[i]);
	assert_relayed(shadow);
}

static void what_is_relayed_is_what_was_written(void **state)
{
	set_up(*state, "", "--data-path=shadow");
	all_formats(*state);
}

static void completions_out_of_order_find_their_requests(void **state)
{
	set_up(*state, "--shuffle --delay-us=200", "--data-path=shadow");
	all_formats(*state);
}

static void threads_share_the_queues(void **state)
{
	set_up(*state, "--shuffle", "--data-path=shadow --data-threads=2");
	all_formats(*state);
}

static void threads_that_spin_miss_nothing(void **state)
{
	set_up(*state, "", "--data-path=shadow --data-threads=2 --poll-us=50");
	all_formats(*state);
}

/* Its exit code: 0 done, 1 refused. */
static int control(const struct shadow *shadow, const char *command)
{
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC), status;
	char path[RIG_PATH], options[256];
	pid_t pid;

	rig_path(&shadow->rig, path, "control");
	snprintf(options, sizeof(options), "--control=%s %s", path, command);
	pid = run("vhost-ferryctl", null, options);
	close(null);
	waitpid(pid, &status, 0);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* Refused while the rings of the last move are still on their way. */
static void moves(const struct shadow *shadow, const char *path)
{
	int64_t until = rig_now_ms() + RIG_MS;
	char command[64];
	int code;

	snprintf(command, sizeof(command), "data-path %s", path);
	do {
		code = control(shadow, command);
	} while (code != 0 && rig_now_ms() < until);
	assert_int_equal(code, 0);
}

static void moved_under_load(struct shadow *shadow, const char *disk, const char *threads)
{
	char path[RIG_PATH], options[256];
	unsigned int round = 0;
	size_t from;
	pid_t guest;
	int out;

	rig_path(&shadow->rig, path, "control");
	snprintf(options, sizeof(options), "--data-path=shadow --control=%s%s", path, threads);
	set_up(shadow, disk, options);
	from = daemon_log_size(&shadow->rig.daemon);
	guest = start_bench(shadow, &out, "--queues=3 --depth=16 --seconds=3 --event-idx=on");
	daemon_wait_log(&shadow->rig.daemon, from, "negotiated", NULL);
	for (int64_t until = rig_now_ms() + MOVING_MS; rig_now_ms() < until; round++) {
		moves(shadow, round % 2 ? "shadow" : "direct");
		assert_int_equal(control(shadow, "status"), 0);
	}
	assert_verified(guest, out, "moved under load");
	/* Out and in again at least; in waits for the back-end to be idle for a moment. */
	assert_in_range(round, 2, UINT32_MAX);
	assert_relayed(shadow);
}

static void rings_move_in_and_out_under_load(void **state)
{
	moved_under_load(*state, "", " --data-threads=2");
}

static void rings_move_while_requests_take_long_and_end_out_of_order(void **state)
{
	moved_under_load(*state, "--delay-us=3000 --shuffle", "");
}

static void every_session_gives_its_descriptors_back(void **state)
{
	struct shadow *shadow = *state;
	unsigned int idle;

	set_up(shadow, "", "--data-path=shadow --data-threads=3");
	/* The first session opens what the process keeps. */
	verifies(shadow, "--queues=4 --depth=4");
	daemon_wait_log(&shadow->rig.daemon, 0, "closed its connection", NULL);
	for (unsigned int i = 0; i < 20; i++)
		usleep(10000);
	idle = daemon_fds(&shadow->rig.daemon);
	for (unsigned int i = 0; i < 5; i++) {
		verifies(shadow, i % 2 ? "--queues=4 --format=packed --depth=4" : "--queues=2");
		daemon_wait_fds(&shadow->rig.daemon, idle);
	}
}

static void sigterm_ends_it_at_once_with_requests_in_flight(void **state)
{
	struct shadow *shadow = *state;
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	int64_t begun;
	pid_t guest;

	/* Each takes two seconds: when the signal comes all are in flight. */
	set_up(shadow, "--delay-us=2000000", "--data-path=shadow");
	guest = bench(shadow, null, "--queues=4 --depth=32 --seconds=20 --rounds=1");
	close(null);
	daemon_wait_log(&shadow->rig.daemon, 0, "negotiated", NULL);
	usleep(300000);
	begun = rig_now_ms();
	assert_int_equal(daemon_end(&shadow->rig.daemon, SIGTERM), 0);
	assert_in_range(rig_now_ms() - begun, 0, AT_ONCE_MS);
	end(guest);
}

static void a_guest_that_dies_with_requests_in_flight_leaves_the_daemon_to_the_next(void **state)
{
	struct shadow *shadow = *state;
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	set_up(shadow, "--delay-us=20000", "--data-path=shadow --data-threads=2");
	for (unsigned int i = 0; i < 3; i++) {
		size_t from = daemon_log_size(&shadow->rig.daemon);
		pid_t guest = bench(shadow, null, "--queues=4 --depth=32 --seconds=20 --rounds=1");

		daemon_wait_log(&shadow->rig.daemon, from, "negotiated", NULL);
		usleep(100000);
		end(guest);
		daemon_wait_log(&shadow->rig.daemon, from, "closed its connection", NULL);
	}
	close(null);
	verifies(shadow, "--queues=4 --depth=8 --requests=100");
	assert_relayed(shadow);
}

static void a_back_end_that_dies_with_requests_in_flight_ends_the_session_alone(void **state)
{
	struct shadow *shadow = *state;
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	pid_t guest;

	set_up(shadow, "--delay-us=2000000", "--data-path=shadow");
	guest = bench(shadow, null, "--queues=4 --depth=32 --seconds=20 --rounds=1");
	close(null);
	daemon_wait_log(&shadow->rig.daemon, 0, "negotiated", NULL);
	usleep(100000);
	end(shadow->back_end);
	shadow->back_end = 0;
	daemon_wait_log(&shadow->rig.daemon, 0, "the front-end is let go", NULL);
	end(guest);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, finish)
	const struct CMUnitTest tests[] = {
	    CASE(what_is_relayed_is_what_was_written),
	    CASE(completions_out_of_order_find_their_requests),
	    CASE(threads_share_the_queues),
	    CASE(threads_that_spin_miss_nothing),
	    CASE(rings_move_in_and_out_under_load),
	    CASE(rings_move_while_requests_take_long_and_end_out_of_order),
	    CASE(every_session_gives_its_descriptors_back),
	    CASE(sigterm_ends_it_at_once_with_requests_in_flight),
	    CASE(a_guest_that_dies_with_requests_in_flight_leaves_the_daemon_to_the_next),
	    CASE(a_back_end_that_dies_with_requests_in_flight_ends_the_session_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
