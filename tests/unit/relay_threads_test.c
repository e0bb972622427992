/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Guest, relay and back-end on three threads that really sleep: what only store
 * order can break. A wake-up that does not come within seconds is lost. The tsan
 * preset checks the orders themselves.
 */
#include "relay_rig.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define CHAINS  40000u
#define LOST_MS 60000

struct play {
	struct relay_rig *rig;
	int guest_kick, guest_call;     /* between guest and relay */
	int backend_kick, backend_call; /* between relay and back-end */
	int stop;                       /* the guest has all it wants */
	int lost;                       /* somebody was not woken */
};

static void raise_event(int fd)
{
	const uint64_t one = 1;

	if (write(fd, &one, sizeof(one)) != sizeof(one))
		abort();
}

/* Waits for either; false: nobody woke us. */
static bool sleep_on(int a, int b)
{
	struct pollfd fds[2] = {{.fd = a, .events = POLLIN}, {.fd = b, .events = POLLIN}};
	uint64_t value;
	bool woken = false;

	if (poll(fds, 2, LOST_MS) < 1)
		return false;
	for (unsigned int i = 0; i < 2; i++)
		if (fds[i].revents)
			woken |= read(fds[i].fd, &value, sizeof(value)) > 0;
	return woken;
}

static bool is_set(const int *flag)
{
	return __atomic_load_n(flag, __ATOMIC_ACQUIRE);
}

static void set(int *flag)
{
	__atomic_store_n(flag, 1, __ATOMIC_RELEASE);
}

static void *run_backend(void *context)
{
	struct play *play = context;
	struct relay_rig *rig = play->rig;
	struct diag diag;

	while (!is_set(&play->stop)) {
		unsigned int batch = 0;

		while (batch < 5 && device_pop(&rig->device, &rig->guest->memory,
					       &rig->shadow->chain, &diag) == RING_OK) {
			device_push(&rig->device, &rig->shadow->chain, rig->shadow->list[0].len);
			batch++;
		}
		device_publish(&rig->device);
		if (device_call_wanted(&rig->device))
			raise_event(play->backend_call);
		if (batch || device_kicks(&rig->device, true))
			continue;
		if (!sleep_on(play->backend_kick, play->backend_kick) && !is_set(&play->stop))
			set(&play->lost);
	}
	return NULL;
}

static void *run_relay(void *context)
{
	struct play *play = context;
	struct relay *relay = &play->rig->relay;
	struct diag diag;

	while (!is_set(&play->stop)) {
		int pulled, completed;

		relay_wake(relay);
		do {
			pulled = relay_pull(relay, 4, &diag);
			completed = relay_complete(relay, 4, &diag);
			if (relay->kick)
				raise_event(play->backend_kick);
			if (relay->call)
				raise_event(play->guest_call);
			relay->kick = false;
			relay->call = false;
		} while (pulled == RING_OK || completed == RING_OK);
		if (!relay_sleep(relay) && !sleep_on(play->guest_kick, play->backend_call) &&
		    !is_set(&play->stop))
			set(&play->lost);
	}
	return NULL;
}

/* Every chain comes back once with the length that is its own. */
static unsigned int take_all(struct relay_rig *rig)
{
	unsigned int taken = 0;
	struct ring_done done;

	while (driver_take(&rig->driver, &done, &rig->diag) == RING_OK) {
		assert_int_equal(done.length, done.token % 500 + 1);
		taken++;
	}
	return taken;
}

static void run_guest(struct play *play)
{
	struct relay_rig *rig = play->rig;
	unsigned int added = 0, done = 0;

	while (done < CHAINS && !is_set(&play->lost)) {
		unsigned int room = 1 + added % 7;

		done += take_all(rig);
		for (; room > 0 && added < CHAINS && driver_free(&rig->driver); room--, added++) {
			struct ring_buffer buffer = {
			    .addr = RIG_GPA, .len = added % 500 + 1, .writable = true};

			driver_add(&rig->driver, &buffer, 1, added);
		}
		driver_publish(&rig->driver);
		if (driver_kick_wanted(&rig->driver))
			raise_event(play->guest_kick);
		if (driver_calls(&rig->driver, true) ||
		    (driver_free(&rig->driver) && added < CHAINS))
			continue;
		if (done < CHAINS && !sleep_on(play->guest_call, play->guest_call))
			set(&play->lost);
	}
	assert_int_equal(done, CHAINS);
}

static void play_with(enum ring_format format, bool event_idx, bool record)
{
	struct play play = {
	    .rig = relay_rig_new(format, 2, (struct relay_config){.event_idx = event_idx}, record),
	    .guest_kick = eventfd(0, EFD_NONBLOCK),
	    .guest_call = eventfd(0, EFD_NONBLOCK),
	    .backend_kick = eventfd(0, EFD_NONBLOCK),
	    .backend_call = eventfd(0, EFD_NONBLOCK),
	};
	const int fds[] = {play.guest_kick, play.guest_call, play.backend_kick, play.backend_call};
	pthread_t relay, backend;

	assert_int_equal(pthread_create(&relay, NULL, run_relay, &play), 0);
	assert_int_equal(pthread_create(&backend, NULL, run_backend, &play), 0);
	run_guest(&play);
	set(&play.stop);
	for (unsigned int i = 0; i < 4; i++)
		raise_event(fds[i]);
	pthread_join(relay, NULL);
	pthread_join(backend, NULL);
	assert_false(is_set(&play.lost));
	assert_int_equal(play.rig->relay.counters.relayed, CHAINS);
	for (unsigned int i = 0; i < 4; i++)
		close(fds[i]);
	relay_rig_free(play.rig);
}

static void test_split_on_three_threads(void **state)
{
	play_with(RING_SPLIT, false, false);
	play_with(RING_SPLIT, true, true);
}

static void test_packed_on_three_threads(void **state)
{
	play_with(RING_PACKED, false, false);
	play_with(RING_PACKED, true, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_split_on_three_threads),
	    cmocka_unit_test(test_packed_on_three_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
