/* SPDX-License-Identifier: BSD-3-Clause */
#include "relay_rig.h"

#define LONGEST 1024u

static struct extents extents;
static struct ring_buffer list[LONGEST];
static struct ring_chain chain;
static struct diag diag;

static int begin(void **state)
{
	chain = (struct ring_chain){.buffers = list, .capacity = LONGEST};
	return extents_init(&extents, 8, LONGEST, &diag);
}

static int finish(void **state)
{
	extents_deinit(&extents);
	extents_deinit(&extents);
	return 0;
}

static void add(uint64_t addr, uint32_t len, bool writable)
{
	assert_int_equal(ring_chain_add(&chain, addr, len, writable, &diag), RING_OK);
}

/* A chain of `count` writable pieces that do not touch. */
static int keep_scattered(unsigned int count, uint16_t *handle)
{
	ring_chain_clear(&chain, 0);
	for (unsigned int i = 0; i < count; i++)
		add(i * 0x1000, 16, true);
	return extents_keep(&extents, &chain, handle);
}

static void assert_extent(uint16_t handle, uint64_t addr, uint32_t len)
{
	assert_int_not_equal(handle, EXTENTS_NONE);
	assert_true(extents_at(&extents, handle)->addr == addr);
	assert_int_equal(extents_at(&extents, handle)->len, len);
}

static void test_only_what_the_device_may_write_is_kept(void **state)
{
	uint16_t handle;

	add(0x1000, 100, false);
	add(0x5000, 200, true);
	add(0x9000, 1, true);
	assert_int_equal(extents_keep(&extents, &chain, &handle), RING_OK);
	assert_extent(handle, 0x5000, 200);
	assert_extent(extents_at(&extents, handle)->next, 0x9000, 1);
	assert_int_equal(extents_at(&extents, extents_at(&extents, handle)->next)->next,
			 EXTENTS_NONE);
}

static void test_a_chain_the_device_only_reads_keeps_nothing(void **state)
{
	uint16_t handle;

	add(0x1000, 100, false);
	assert_int_equal(extents_keep(&extents, &chain, &handle), RING_OK);
	assert_int_equal(handle, EXTENTS_NONE);
	extents_drop(&extents, handle);
}

static void test_pieces_that_touch_are_one(void **state)
{
	uint16_t handle;

	add(0x1000, 0x1000, true);
	add(0x2000, 0x1000, true);
	add(0x3001, 1, true);
	assert_int_equal(extents_keep(&extents, &chain, &handle), RING_OK);
	assert_extent(handle, 0x1000, 0x2000);
	assert_extent(extents_at(&extents, handle)->next, 0x3001, 1);
}

static void test_a_chain_that_finds_no_room_waits_for_a_completion_and_holds_nothing(void **state)
{
	uint16_t handles[8], one;

	assert_int_equal(keep_scattered(LONGEST - 24, &handles[0]), RING_OK);
	assert_int_equal(keep_scattered(20, &handles[1]), RING_OK);
	assert_int_equal(keep_scattered(5, &one), RING_FULL);
	/* What it had taken before it found none is back. */
	assert_int_equal(keep_scattered(4, &handles[2]), RING_OK);
	assert_int_equal(keep_scattered(1, &one), RING_FULL);
	extents_drop(&extents, handles[1]);
	assert_int_equal(keep_scattered(20, &handles[1]), RING_OK);
	assert_int_equal(keep_scattered(1, &one), RING_FULL);
}

static void test_alone_the_longest_chain_fits_again_and_again(void **state)
{
	uint16_t handle;

	for (unsigned int i = 0; i < 5; i++) {
		assert_int_equal(keep_scattered(LONGEST, &handle), RING_OK);
		extents_drop(&extents, handle);
	}
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, begin, finish)
	const struct CMUnitTest tests[] = {
	    T(test_only_what_the_device_may_write_is_kept),
	    T(test_a_chain_the_device_only_reads_keeps_nothing),
	    T(test_pieces_that_touch_are_one),
	    T(test_a_chain_that_finds_no_room_waits_for_a_completion_and_holds_nothing),
	    T(test_alone_the_longest_chain_fits_again_and_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
