/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/fdset.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>

static struct fdset set_of(unsigned int count, int first)
{
	struct fdset set = {.count = 0};

	for (unsigned int i = 0; i < count; i++) {
		struct fd_entry entry = {.fd = first + (int)i};

		assert_int_equal(fdset_push(&set, &entry), 0);
	}
	return set;
}

static void test_a_full_set_refuses_and_leaves_the_descriptor_to_the_caller(void **state)
{
	struct fdset set = set_of(FDSET_MAX, 100);
	struct fd_entry entry = {.fd = 7};

	assert_int_equal(fdset_push(&set, &entry), -ENOSPC);
	assert_int_equal(set.count, FDSET_MAX);
	for (unsigned int i = 0; i < FDSET_MAX; i++)
		assert_int_equal(set.entries[i].fd, 100 + (int)i);
}

static void test_a_descriptor_can_be_stolen_once(void **state)
{
	struct fdset set = set_of(3, 100);

	assert_int_equal(fdset_steal(&set, 1), 101);
	assert_int_equal(fdset_steal(&set, 1), -1);
	assert_int_equal(fdset_held(&set), 2);
	assert_int_equal(fdset_steal(&set, 0), 100);
	assert_int_equal(fdset_steal(&set, 2), 102);
	assert_int_equal(fdset_held(&set), 0);
}

static void test_stealing_beyond_the_end_gives_nothing(void **state)
{
	struct fdset set = set_of(2, 100);

	assert_int_equal(fdset_steal(&set, 2), -1);
	assert_int_equal(fdset_steal(&set, FDSET_MAX), -1);
	assert_int_equal(fdset_steal(&set, ~0u), -1);
	assert_int_equal(fdset_held(&set), 2);
}

static void test_moving_appends_in_order_and_empties_the_source(void **state)
{
	struct fdset to = set_of(2, 100);
	struct fdset from = set_of(3, 200);

	assert_int_equal(fdset_move(&to, &from), 0);
	assert_int_equal(from.count, 0);
	assert_int_equal(to.count, 5);
	assert_int_equal(to.entries[1].fd, 101);
	assert_int_equal(to.entries[2].fd, 200);
	assert_int_equal(to.entries[4].fd, 202);
}

static void test_a_move_that_does_not_fit_moves_nothing(void **state)
{
	struct fdset to = set_of(FDSET_MAX - 1, 100);
	struct fdset from = set_of(2, 200);

	assert_int_equal(fdset_move(&to, &from), -ENOSPC);
	assert_int_equal(to.count, FDSET_MAX - 1);
	assert_int_equal(from.count, 2);
	from.count = 1;
	assert_int_equal(fdset_move(&to, &from), 0);
	assert_int_equal(to.count, FDSET_MAX);
}

static void test_a_file_sent_twice_is_told_by_device_and_inode(void **state)
{
	struct fd_entry a = {.fd = 5, .mode = 0100600, .device = 1, .inode = 77, .size = 4096};
	struct fd_entry b = a;

	b.fd = 9;
	assert_true(fd_entry_same_file(&a, &b));
	b.inode = 78;
	assert_false(fd_entry_same_file(&a, &b));
	b = a;
	b.device = 2;
	assert_false(fd_entry_same_file(&a, &b));
}

static void test_entries_nobody_looked_at_are_never_the_same_file(void **state)
{
	struct fd_entry a = {.fd = 5};
	struct fd_entry b = {.fd = 6};

	assert_false(fd_entry_same_file(&a, &b));
	a.mode = 0100600;
	assert_false(fd_entry_same_file(&a, &b));
	assert_false(fd_entry_same_file(&b, &a));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_a_full_set_refuses_and_leaves_the_descriptor_to_the_caller),
	    cmocka_unit_test(test_a_descriptor_can_be_stolen_once),
	    cmocka_unit_test(test_stealing_beyond_the_end_gives_nothing),
	    cmocka_unit_test(test_moving_appends_in_order_and_empties_the_source),
	    cmocka_unit_test(test_a_move_that_does_not_fit_moves_nothing),
	    cmocka_unit_test(test_a_file_sent_twice_is_told_by_device_and_inode),
	    cmocka_unit_test(test_entries_nobody_looked_at_are_never_the_same_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
