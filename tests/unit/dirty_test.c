/* SPDX-License-Identifier: BSD-3-Clause */
#include "logging/dirty.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <sys/stat.h>

static struct dirty dirty;

static int clean(void **state)
{
	dirty_init(&dirty);
	return 0;
}

static struct fd_entry file(uint64_t inode)
{
	return (struct fd_entry){.fd = 1000, .mode = S_IFREG, .device = 1, .inode = inode};
}

static bool base(uint64_t size, uint64_t offset, uint64_t inode)
{
	const struct fd_entry entry = file(inode);

	return dirty_base(&dirty, size, offset, &entry);
}

static void test_memory_first_and_the_order_after_it_is_on(void **state)
{
	assert_false(base(8192, 0, 5));
	assert_int_equal(dirty.sm.state, DIRTY_BASED);
	dirty_order(&dirty, true);
	assert_int_equal(dirty.sm.state, DIRTY_ON);
}

static void test_the_order_first_is_wanted_until_memory_comes(void **state)
{
	dirty_order(&dirty, true);
	assert_int_equal(dirty.sm.state, DIRTY_WANTED);
	base(8192, 0, 5);
	assert_int_equal(dirty.sm.state, DIRTY_ON);
}

static void test_off_again_keeps_the_memory(void **state)
{
	base(8192, 0, 5);
	dirty_order(&dirty, true);
	dirty_order(&dirty, false);
	assert_int_equal(dirty.sm.state, DIRTY_BASED);
	assert_true(dirty.based);
	dirty_order(&dirty, true);
	assert_int_equal(dirty.sm.state, DIRTY_ON);
}

static void test_an_order_withdrawn_before_memory_came_is_off(void **state)
{
	dirty_order(&dirty, true);
	dirty_order(&dirty, false);
	assert_int_equal(dirty.sm.state, DIRTY_OFF);
}

static void test_orders_may_be_repeated_in_every_state(void **state)
{
	for (unsigned int round = 0; round < 2; round++) {
		dirty_order(&dirty, false);
		dirty_order(&dirty, false);
		dirty_order(&dirty, true);
		dirty_order(&dirty, true);
		base(8192, 0, 5);
		base(8192, 0, 6);
	}
	assert_int_equal(dirty.sm.state, DIRTY_ON);
}

static void test_the_memory_in_force_again_is_a_repetition(void **state)
{
	assert_false(base(8192, 0, 5));
	assert_true(base(8192, 0, 5));
	dirty_order(&dirty, true);
	assert_true(base(8192, 0, 5));
	assert_int_equal(dirty.sm.state, DIRTY_ON);
}

static void test_another_size_offset_or_file_is_new_memory(void **state)
{
	base(8192, 0, 5);
	assert_false(base(16384, 0, 5));
	assert_false(base(16384, 4096, 5));
	assert_false(base(16384, 4096, 6));
	assert_int_equal(dirty.size, 16384);
	assert_int_equal(dirty.offset, 4096);
	assert_int_equal(dirty.file.inode, 6);
	assert_int_equal(dirty.file.fd, -1);
}

static void test_memory_without_a_file_is_never_a_repetition(void **state)
{
	const struct fd_entry none = {.fd = -1};

	assert_false(dirty_base(&dirty, 8192, 0, &none));
	assert_false(dirty_base(&dirty, 8192, 0, &none));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup(name, clean)
	const struct CMUnitTest tests[] = {
	    T(test_memory_first_and_the_order_after_it_is_on),
	    T(test_the_order_first_is_wanted_until_memory_comes),
	    T(test_off_again_keeps_the_memory),
	    T(test_an_order_withdrawn_before_memory_came_is_off),
	    T(test_orders_may_be_repeated_in_every_state),
	    T(test_the_memory_in_force_again_is_a_repetition),
	    T(test_another_size_offset_or_file_is_new_memory),
	    T(test_memory_without_a_file_is_never_a_repetition),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
