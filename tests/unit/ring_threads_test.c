/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Driver and device on two threads that really sleep: what only store order can
 * break. A wake-up that does not come within seconds is lost. The tsan preset
 * checks the orders themselves.
 */
#include "ring_rig.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define CHAINS  60000u
#define LOST_MS 60000

struct play {
	struct rig *rig;
	struct driver driver;
	struct device device;
	int kick, call;
	bool lost;
};

static void raise_event(int fd)
{
	const uint64_t one = 1;

	if (write(fd, &one, sizeof(one)) != sizeof(one))
		abort();
}

/* False: nobody woke us. */
static bool sleep_on(int fd)
{
	struct pollfd pollfd = {.fd = fd, .events = POLLIN};
	uint64_t value;

	return poll(&pollfd, 1, LOST_MS) == 1 && read(fd, &value, sizeof(value)) > 0;
}

/* Writes into each chain what its token says, and gives it back. */
static void *run_device(void *context)
{
	struct play *play = context;
	unsigned int done = 0;

	while (done < CHAINS) {
		device_kicks(&play->device, false);
		while (device_pop(&play->device, &play->rig->memory, &play->rig->chain,
				  &play->rig->diag) == RING_OK) {
			const struct ring_buffer *buffer = &play->rig->list[0];
			uint8_t *at = rig_translate(play->rig, buffer->addr, buffer->len);

			memset(at, (int)(buffer->len & 0xff), buffer->len);
			device_push(&play->device, &play->rig->chain, buffer->len);
			if (++done % 3 == 0)
				break;
		}
		device_publish(&play->device);
		if (device_call_wanted(&play->device))
			raise_event(play->call);
		if (!device_kicks(&play->device, true) && done < CHAINS && !sleep_on(play->kick)) {
			play->lost = true;
			break;
		}
	}
	return NULL;
}

static unsigned int take_all(struct play *play)
{
	unsigned int taken = 0;
	struct ring_done done;

	while (driver_take(&play->driver, &done, &play->rig->diag) == RING_OK) {
		const uint8_t *at = play->rig->guest + done.token % 256 * 64;

		assert_int_equal(done.length, done.token % 63 + 1);
		assert_int_equal(at[0], done.length);
		assert_int_equal(at[done.length - 1], done.length);
		taken++;
	}
	return taken;
}

/* 256 places are more than the ring has slots, so no two chains in flight share one. */
static void run_driver(struct play *play)
{
	unsigned int taken = 0, now;
	uint64_t token = 0;

	while (taken < CHAINS) {
		driver_calls(&play->driver, false);
		for (; token < CHAINS; token++) {
			struct ring_buffer buffer = {
			    .addr = RIG_GPA + token % 256 * 64,
			    .len = (uint32_t)(token % 63 + 1),
			    .writable = true,
			};

			if (driver_add(&play->driver, &buffer, 1, token) != RING_OK)
				break;
		}
		driver_publish(&play->driver);
		if (driver_kick_wanted(&play->driver))
			raise_event(play->kick);
		/* Whoever took something has room for more and must not sleep. */
		now = take_all(play);
		taken += now;
		if (now == 0 && taken < CHAINS && !driver_calls(&play->driver, true))
			assert_true(sleep_on(play->call));
	}
	assert_int_equal(taken, CHAINS);
}

static void play(enum ring_format format, unsigned int num, bool event_idx)
{
	uint32_t base = format == RING_PACKED ? RING_PACKED_BASE : 0;
	struct play play = {.rig = rig_new(format, num)};
	pthread_t thread;

	play.kick = eventfd(0, EFD_NONBLOCK);
	play.call = eventfd(0, EFD_NONBLOCK);
	assert_int_equal(driver_init(&play.driver, format, &play.rig->areas, num, event_idx, base,
				     &play.rig->diag),
			 0);
	assert_int_equal(device_init(&play.device, format, &play.rig->areas, num, event_idx, true,
				     base, &play.rig->diag),
			 0);
	assert_int_equal(pthread_create(&thread, NULL, run_device, &play), 0);
	run_driver(&play);
	pthread_join(thread, NULL);
	assert_false(play.lost);
	close(play.kick);
	close(play.call);
	driver_deinit(&play.driver);
	device_deinit(&play.device);
	rig_free(play.rig);
}

static void test_split_on_two_threads(void **state)
{
	play(RING_SPLIT, 1, true);
	play(RING_SPLIT, 8, false);
	play(RING_SPLIT, 128, true);
}

static void test_packed_on_two_threads(void **state)
{
	play(RING_PACKED, 1, true);
	play(RING_PACKED, 7, false);
	play(RING_PACKED, 125, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_split_on_two_threads),
	    cmocka_unit_test(test_packed_on_two_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
