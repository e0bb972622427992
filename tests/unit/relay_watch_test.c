/* SPDX-License-Identifier: BSD-3-Clause */
/* What a dirty log hears of the chains that are relayed, and when. */
#include "relay_rig.h"

#define TOLD_MAX 8u

struct told {
	struct relay_rig *rig;
	unsigned int count, settled;
	struct {
		uint64_t gpa;
		uint32_t len, written;
	} list[TOLD_MAX];
};

static void wrote(void *context, uint64_t gpa, uint32_t len, uint32_t written)
{
	struct told *told = context;

	assert_true(told->count < TOLD_MAX);
	told->list[told->count].gpa = gpa;
	told->list[told->count].len = len;
	told->list[told->count++].written = written;
}

/* Whoever reads the log may look at any time: what was told must be there first. */
static void settle(void *context)
{
	struct told *told = context;

	told->settled++;
	assert_guest_gets_nothing(told->rig);
}

static struct relay_rig *watched(struct told *told, enum ring_format format,
				 struct relay_config with)
{
	const struct relay_watcher watcher = {wrote, settle, told};

	*told = (struct told){.rig = relay_rig_new(format, 8, with, false)};
	relay_watch(&told->rig->relay, &watcher);
	return told->rig;
}

static void assert_told(const struct told *told, unsigned int i, uint64_t gpa, uint32_t len,
			uint32_t written)
{
	assert_true(i < told->count);
	assert_true(told->list[i].gpa == gpa);
	assert_int_equal(told->list[i].len, len);
	assert_int_equal(told->list[i].written, written);
}

static void pull(struct relay_rig *rig)
{
	assert_outcome(relay_pull(&rig->relay, 9, &rig->diag), RING_OK);
}

static void complete(struct relay_rig *rig)
{
	assert_outcome(relay_complete(&rig->relay, 9, &rig->diag), RING_OK);
}

static void test_the_writable_part_is_told_before_the_guest_sees_the_completion(void **state)
{
	EACH_FORMAT(i)
	{
		struct told told;
		struct relay_rig *rig = watched(&told, formats[i], (struct relay_config){0});

		relay_rig_adds(rig, 3, 7);
		pull(rig);
		relay_rig_serves(rig, 1, 60);
		assert_int_equal(told.count, 0);
		complete(rig);
		assert_int_equal(told.count, 1);
		assert_int_equal(told.settled, 1);
		assert_told(&told, 0, 0x70200, 100, 60);
		assert_guest_gets(rig, 7, 60);
		relay_rig_free(rig);
	}
}

/* Adds a table of three: 10 bytes to read, 20 and 30 to write. */
static void add_table(struct relay_rig *rig)
{
	struct ring_buffer buffers[3] = {{.addr = 0x1000, .len = 10},
					 {.addr = 0x2000, .len = 20, .writable = true},
					 {.addr = 0x3000, .len = 30, .writable = true}};
	uint32_t len = driver_table(&rig->driver, rig->guest->guest, buffers, 3);

	assert_outcome(driver_add_table(&rig->driver, RIG_GPA, len, 50, 1), RING_OK);
	driver_publish(&rig->driver);
}

static void test_a_table_is_told_as_it_was_when_it_was_taken(void **state)
{
	EACH_FORMAT(i)
	{
		struct told told;
		struct relay_rig *rig =
		    watched(&told, formats[i], (struct relay_config){.indirect = true});

		add_table(rig);
		pull(rig);
		relay_rig_serves(rig, 1, 25);
		memset(rig->guest->guest, 0xff, 3 * RING_DESC_SIZE);
		complete(rig);
		assert_int_equal(told.count, 2);
		assert_told(&told, 0, 0x2000, 20, 20);
		assert_told(&told, 1, 0x3000, 30, 5);
		relay_rig_free(rig);
	}
}

static void test_a_chain_taken_before_anybody_watched_is_told(void **state)
{
	EACH_FORMAT(i)
	{
		struct told told;
		struct relay_rig *rig = watched(&told, formats[i], (struct relay_config){0});
		const struct relay_watcher watcher = rig->relay.watcher;

		relay_watch(&rig->relay, NULL);
		relay_rig_adds(rig, 1, 1);
		relay_rig_adds(rig, 1, 2);
		pull(rig);
		relay_rig_serves(rig, 1, 100);
		complete(rig);
		assert_int_equal(told.count, 0);
		relay_watch(&rig->relay, &watcher);
		relay_rig_serves(rig, 1, 100);
		assert_guest_gets(rig, 1, 100);
		complete(rig);
		assert_int_equal(told.count, 1);
		assert_told(&told, 0, 0x20000, 100, 100);
		relay_rig_free(rig);
	}
}

static void test_a_batch_is_settled_once(void **state)
{
	EACH_FORMAT(i)
	{
		struct told told;
		struct relay_rig *rig = watched(&told, formats[i], (struct relay_config){0});

		for (unsigned int n = 1; n <= 5; n++)
			relay_rig_adds(rig, 1, n);
		pull(rig);
		relay_rig_serves(rig, 5, 100);
		complete(rig);
		assert_int_equal(told.count, 5);
		assert_int_equal(told.settled, 1);
		relay_rig_free(rig);
	}
}

static void test_what_is_in_flight_is_told_whole(void **state)
{
	EACH_FORMAT(i)
	{
		struct told told;
		struct relay_rig *rig = watched(&told, formats[i], (struct relay_config){0});

		for (unsigned int n = 1; n <= 3; n++)
			relay_rig_adds(rig, 1, n);
		pull(rig);
		relay_rig_serves(rig, 1, 100);
		complete(rig);
		assert_guest_gets(rig, 1, 100);
		told.count = told.settled = 0;
		relay_tell_in_flight(&rig->relay);
		assert_int_equal(told.count, 2);
		assert_int_equal(told.settled, 1);
		assert_int_equal(told.list[0].gpa + told.list[1].gpa, 0x50000);
		assert_int_equal(told.list[0].written, 100);
		relay_rig_free(rig);
	}
}

/* A back-end that says more than there was room for has filled what there was. */
static void test_a_length_beyond_the_room_is_told_as_the_room(void **state)
{
	struct told told;
	struct relay_rig *rig = watched(&told, RING_SPLIT, (struct relay_config){0});

	relay_rig_adds(rig, 2, 4);
	pull(rig);
	relay_rig_serves(rig, 1, 5000);
	complete(rig);
	assert_int_equal(told.count, 1);
	assert_told(&told, 0, 0x40100, 100, 100);
	relay_rig_free(rig);
}

/* A table of 1024 pieces each: the pool takes as many of them as its bound says. */
static void test_chains_that_find_no_room_to_be_remembered_wait_in_the_guest_s_ring(void **state)
{
	struct told told;
	struct relay_rig *rig = watched(&told, RING_SPLIT, (struct relay_config){.indirect = true});
	struct ring_buffer buffers[1024], popped[1024];
	struct ring_chain chain = {.buffers = popped, .capacity = 1024};
	uint32_t len;

	for (unsigned int i = 0; i < 1024; i++)
		buffers[i] = (struct ring_buffer){.addr = i * 0x2000, .len = 1, .writable = true};
	len = driver_table(&rig->driver, rig->guest->guest, buffers, 1024);
	for (unsigned int n = 0; n < 2; n++)
		assert_outcome(driver_add_table(&rig->driver, RIG_GPA, len, 1024, n), RING_OK);
	driver_publish(&rig->driver);
	assert_outcome(relay_pull(&rig->relay, 9, &rig->diag), RING_FULL);
	assert_int_equal(relay_in_flight(&rig->relay), 1);
	relay_watch(&rig->relay, NULL);
	assert_outcome(device_pop(&rig->device, &rig->guest->memory, &chain, &rig->diag), RING_OK);
	relay_rig_pushes(rig, &chain, 1024);
	complete(rig);
	pull(rig);
	assert_int_equal(relay_in_flight(&rig->relay), 1);
	relay_rig_free(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_the_writable_part_is_told_before_the_guest_sees_the_completion),
	    cmocka_unit_test(test_a_table_is_told_as_it_was_when_it_was_taken),
	    cmocka_unit_test(test_a_chain_taken_before_anybody_watched_is_told),
	    cmocka_unit_test(test_a_batch_is_settled_once),
	    cmocka_unit_test(test_what_is_in_flight_is_told_whole),
	    cmocka_unit_test(test_a_length_beyond_the_room_is_told_as_the_room),
	    cmocka_unit_test(
		test_chains_that_find_no_room_to_be_remembered_wait_in_the_guest_s_ring),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
