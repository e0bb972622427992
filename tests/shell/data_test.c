/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Data threads on memory of the test's own: what ends a ring and never the
 * process.
 */
#include "shell/data.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#define NUM    8u
#define SIZE   0x10000u
#define UVA    0x7f0000000000u
#define DRIVER 0x1000u
#define DEVICE 0x2000u

#define WATCHED  4u
#define NEVER_MS 3600000u

struct rig {
	uv_loop_t loop;
	struct data *data;
	struct map map;
	int memory, kick, call;
	uint8_t *guest;
	uint8_t shadow[SIZE] __attribute__((aligned(4096)));
	unsigned int drains, faults, quiet, busy;
	uint32_t base;
	bool guest_fault;
	char text[DIAG_TEXT_MAX];
};

static void on_drained(void *context, unsigned int queue, uint32_t base)
{
	struct rig *rig = context;

	rig->drains++;
	rig->base = base;
}

static void on_quiet(void *context, unsigned int queue, bool quiet)
{
	struct rig *rig = context;

	assert_in_range(queue, 3, WATCHED);
	rig->quiet += quiet;
	rig->busy += !quiet;
}

static void on_fault(void *context, unsigned int queue, bool guest, const char *text)
{
	struct rig *rig = context;

	rig->faults++;
	rig->guest_fault = guest;
	snprintf(rig->text, sizeof(rig->text), "%s", text);
}

static const struct data_events events = {
    .drained = on_drained, .quiet = on_quiet, .fault = on_fault};

static int set_up(void **state)
{
	static struct rig rig;

	memset(&rig, 0, sizeof(rig));
	rig.memory = memfd_create("guest", MFD_CLOEXEC);
	rig.kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	rig.call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (ftruncate(rig.memory, SIZE) < 0)
		return -1;
	rig.guest = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, rig.memory, 0);
	rig.map.count = 1;
	rig.map.regions[0] = (struct map_region){.uva = UVA, .size = SIZE, .at = rig.guest};
	uv_loop_init(&rig.loop);
	*state = &rig;
	return 0;
}

/* In the test's body: cmocka takes SIGBUS for itself before each of its functions. */
static struct rig *begin(void **state)
{
	struct rig *rig = *state;
	struct diag diag;

	assert_int_equal(data_open(&rig->data, &rig->loop, 2, 0, &rig->map, &events, rig, &diag),
			 0);
	return rig;
}

static int tear_down(void **state)
{
	struct rig *rig = *state;

	data_close(rig->data);
	uv_run(&rig->loop, UV_RUN_DEFAULT);
	munmap(rig->guest, SIZE);
	close(rig->memory);
	close(rig->kick);
	close(rig->call);
	return uv_loop_close(&rig->loop);
}

static int attach(struct rig *rig, uint64_t desc, struct diag *diag)
{
	struct data_attach attach = {
	    .queue = 3,
	    .relay = {.format = RING_SPLIT,
		      .num = NUM,
		      .base = rig->base,
		      .shadow = {rig->shadow, rig->shadow + DRIVER, rig->shadow + DEVICE}},
	    .desc = desc,
	    .driver = UVA + DRIVER,
	    .device = UVA + DEVICE,
	    .guest_kick = rig->kick,
	    .guest_call = -1,
	    .back_kick = -1,
	    .back_call = rig->call,
	    .log.raised = -1,
	};

	return data_attach(rig->data, &attach, diag);
}

static void raise_fd(int fd)
{
	const uint64_t one = 1;

	assert_int_equal(write(fd, &one, sizeof(one)), sizeof(one));
}

static void kick(struct rig *rig)
{
	raise_fd(rig->kick);
}

static void wait_for(struct rig *rig, const unsigned int *count)
{
	while (*count == 0)
		uv_run(&rig->loop, UV_RUN_ONCE);
}

static void test_a_drain_of_a_ring_with_nothing_in_flight_is_told_with_its_base(void **state)
{
	struct rig *rig = begin(state);
	struct diag diag;

	assert_int_equal(attach(rig, UVA, &diag), 0);
	data_drain(rig->data, 3);
	wait_for(rig, &rig->drains);
	assert_int_equal(rig->base, 0);
	data_detach(rig->data, 3);
}

static void test_a_ring_outside_the_guests_memory_is_not_attached(void **state)
{
	struct rig *rig = begin(state);
	struct diag diag = {""};

	assert_true(attach(rig, UVA + SIZE, &diag) < 0);
	assert_non_null(strstr(diag.text, "in no memory region"));
}

static void test_a_ring_the_guest_breaks_is_its_fault(void **state)
{
	struct rig *rig = begin(state);
	struct diag diag;

	assert_int_equal(attach(rig, UVA, &diag), 0);
	((struct ring_avail *)(rig->guest + DRIVER))->ring[0] = NUM;
	__atomic_store_n(&((struct ring_avail *)(rig->guest + DRIVER))->idx, 1, __ATOMIC_RELEASE);
	kick(rig);
	wait_for(rig, &rig->faults);
	assert_true(rig->guest_fault);
	assert_non_null(strstr(rig->text, "head 8"));
}

static void test_memory_that_vanishes_under_a_ring_is_the_guests_fault(void **state)
{
	struct rig *rig = begin(state);
	struct diag diag;

	assert_int_equal(attach(rig, UVA, &diag), 0);
	assert_int_equal(ftruncate(rig->memory, 0), 0);
	kick(rig);
	wait_for(rig, &rig->faults);
	assert_true(rig->guest_fault);
	assert_non_null(strstr(rig->text, "SIGBUS"));
}

static void test_memory_that_vanished_before_a_ring_is_attached_is_refused(void **state)
{
	struct rig *rig = begin(state);
	struct diag diag = {""};

	assert_int_equal(ftruncate(rig->memory, 0), 0);
	assert_true(attach(rig, UVA, &diag) < 0);
	assert_non_null(strstr(diag.text, "SIGBUS"));
	/* The thread is none the worse for it. */
	assert_int_equal(ftruncate(rig->memory, SIZE), 0);
	assert_int_equal(attach(rig, UVA, &diag), 0);
}

static void wait_for_index(const uint16_t *index, uint16_t value)
{
	while (__atomic_load_n(index, __ATOMIC_ACQUIRE) != value)
		usleep(100);
}

/* The guest's request number `count` passes to the back-end, which is done with it at once. */
static void relays(struct rig *rig, uint16_t count)
{
	struct ring_avail *given = (struct ring_avail *)(rig->guest + DRIVER);
	struct ring_avail *taken = (struct ring_avail *)(rig->shadow + DRIVER);
	struct ring_used *done = (struct ring_used *)(rig->shadow + DEVICE);
	uint16_t at = (uint16_t)(done->idx % NUM);

	((struct ring_desc *)rig->guest)->len = 16;
	((struct ring_desc *)rig->guest)->flags = RING_DESC_WRITE;
	__atomic_store_n(&given->idx, count, __ATOMIC_RELEASE);
	kick(rig);
	wait_for_index(&taken->idx, (uint16_t)(done->idx + 1));
	done->ring[at] = (struct ring_used_elem){.id = taken->ring[at], .len = 16};
	__atomic_store_n(&done->idx, (uint16_t)(done->idx + 1), __ATOMIC_RELEASE);
	raise_fd(rig->call);
	wait_for_index(&((struct ring_used *)(rig->guest + DEVICE))->idx, count);
}

static void test_the_figures_of_a_ring_go_on_where_they_were_when_it_is_attached_again(void **state)
{
	struct rig *rig = begin(state);
	struct data_counters counters;
	struct diag diag;

	for (uint16_t i = 1; i <= 3; i++) {
		memset(rig->shadow, 0, sizeof(rig->shadow));
		assert_int_equal(attach(rig, UVA, &diag), 0);
		relays(rig, i);
		rig->drains = 0;
		data_drain(rig->data, 3);
		wait_for(rig, &rig->drains);
		data_detach(rig->data, 3);
		data_counters(rig->data, 3, &counters);
		assert_int_equal(counters.relayed, i);
		assert_int_equal(counters.bytes_written, 16 * i);
		assert_int_equal(counters.kicks, i);
		assert_int_equal(counters.inflight, 0);
	}
}

/* The back-end has read so many of the guest's chains, and used so many. */
static void back_end_is_at(struct rig *rig, uint16_t read, uint16_t used)
{
	struct ring_used *ring = (struct ring_used *)(rig->guest + DEVICE);

	__atomic_store_n((uint16_t *)&ring->ring[NUM], read, __ATOMIC_RELEASE);
	__atomic_store_n(&ring->idx, used, __ATOMIC_RELEASE);
}

static void test_a_watched_ring_is_quiet_when_the_last_request_is_used(void **state)
{
	struct rig *rig = begin(state);

	back_end_is_at(rig, 5, 4);
	data_watch(rig->data, WATCHED, UVA + DEVICE, NUM, NEVER_MS);
	assert_int_equal(rig->quiet, 0);
	back_end_is_at(rig, 5, 5);
	wait_for(rig, &rig->quiet);
	assert_int_equal(rig->busy, 0);
}

static void test_a_watched_ring_that_stays_busy_is_told_after_its_time(void **state)
{
	struct rig *rig = begin(state);

	back_end_is_at(rig, 5, 4);
	data_watch(rig->data, WATCHED, UVA + DEVICE, NUM, 20);
	wait_for(rig, &rig->busy);
	/* It is watched no longer: what it does now is nobody's business. */
	back_end_is_at(rig, 5, 5);
	data_detach(rig->data, WATCHED);
	uv_run(&rig->loop, UV_RUN_NOWAIT);
	assert_int_equal(rig->quiet, 0);
}

/* Found quiet at once, mostly before it is detached, while the loop does not run. */
static void test_nothing_is_told_of_a_ring_after_it_was_detached(void **state)
{
	struct rig *rig = begin(state);

	for (unsigned int i = 0; i < 50; i++) {
		data_watch(rig->data, WATCHED, UVA + DEVICE, NUM, NEVER_MS);
		data_detach(rig->data, WATCHED);
		uv_run(&rig->loop, UV_RUN_NOWAIT);
	}
	assert_int_equal(rig->quiet, 0);
}

/* Two buffers that wait at the back-end, which is seen to have read `read` of them. */
static void waits_with_two(struct rig *rig, uint16_t read)
{
	struct ring_avail *given = (struct ring_avail *)(rig->guest + DRIVER);
	struct ring_desc *desc = (struct ring_desc *)rig->guest;
	struct diag diag;

	assert_int_equal(attach(rig, UVA, &diag), 0);
	for (uint16_t i = 0; i < 2; i++) {
		desc[i] = (struct ring_desc){.len = 16, .flags = RING_DESC_WRITE};
		given->ring[i] = i;
	}
	__atomic_store_n(&given->idx, 2, __ATOMIC_RELEASE);
	kick(rig);
	wait_for_index(&((struct ring_avail *)(rig->shadow + DRIVER))->idx, 2);
	data_hold(rig->data, 3);
	wait_for(rig, &rig->quiet);
	data_recall(rig->data, 3, read, read > 1 ? 20 : NEVER_MS);
}

static void test_buffers_that_were_never_read_are_handed_back(void **state)
{
	struct rig *rig = begin(state);
	struct data_counters counters;

	waits_with_two(rig, 0);
	wait_for(rig, &rig->drains);
	assert_int_equal(rig->base, 0);
	data_counters(rig->data, 3, &counters);
	assert_int_equal(counters.inflight, 0);
	data_detach(rig->data, 3);
}

/* A stopped back-end has no call to raise. */
static void test_what_was_read_is_completed_without_a_call(void **state)
{
	struct rig *rig = begin(state);
	struct ring_used *done = (struct ring_used *)(rig->shadow + DEVICE);

	waits_with_two(rig, 1);
	done->ring[0] = (struct ring_used_elem){.id = 0, .len = 16};
	__atomic_store_n(&done->idx, 1, __ATOMIC_RELEASE);
	wait_for(rig, &rig->drains);
	assert_int_equal(rig->base, 1);
	assert_int_equal(((struct ring_used *)(rig->guest + DEVICE))->idx, 1);
	data_detach(rig->data, 3);
}

static void test_what_was_read_and_never_completes_is_the_back_ends_fault(void **state)
{
	struct rig *rig = begin(state);

	waits_with_two(rig, 2);
	wait_for(rig, &rig->faults);
	assert_false(rig->guest_fault);
	assert_non_null(strstr(rig->text, "GET_VRING_BASE with 2"));
	assert_int_equal(rig->drains, 0);
}

static void test_an_awaited_ring_is_quiet_at_the_index_the_back_end_named(void **state)
{
	struct rig *rig = begin(state);

	back_end_is_at(rig, 0, 4);
	data_await(rig->data, WATCHED, UVA + DEVICE, NUM, 5, NEVER_MS);
	assert_int_equal(rig->quiet, 0);
	back_end_is_at(rig, 0, 5);
	wait_for(rig, &rig->quiet);
	data_await(rig->data, WATCHED, UVA + DEVICE, NUM, 6, 20);
	wait_for(rig, &rig->busy);
	assert_int_equal(rig->quiet, 1);
}

static void test_a_vanished_watched_ring_is_the_guests_fault(void **state)
{
	struct rig *rig = begin(state);

	back_end_is_at(rig, 0, 5);
	data_watch(rig->data, WATCHED, UVA + DEVICE, NUM, NEVER_MS);
	assert_int_equal(ftruncate(rig->memory, 0), 0);
	wait_for(rig, &rig->faults);
	assert_true(rig->guest_fault);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
	    T(test_a_drain_of_a_ring_with_nothing_in_flight_is_told_with_its_base),
	    T(test_a_ring_outside_the_guests_memory_is_not_attached),
	    T(test_a_ring_the_guest_breaks_is_its_fault),
	    T(test_memory_that_vanishes_under_a_ring_is_the_guests_fault),
	    T(test_memory_that_vanished_before_a_ring_is_attached_is_refused),
	    T(test_the_figures_of_a_ring_go_on_where_they_were_when_it_is_attached_again),
	    T(test_a_watched_ring_is_quiet_when_the_last_request_is_used),
	    T(test_a_watched_ring_that_stays_busy_is_told_after_its_time),
	    T(test_nothing_is_told_of_a_ring_after_it_was_detached),
	    T(test_buffers_that_were_never_read_are_handed_back),
	    T(test_what_was_read_is_completed_without_a_call),
	    T(test_what_was_read_and_never_completes_is_the_back_ends_fault),
	    T(test_an_awaited_ring_is_quiet_at_the_index_the_back_end_named),
	    T(test_a_vanished_watched_ring_is_the_guests_fault),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
