/* SPDX-License-Identifier: BSD-3-Clause */
#include "mem/regions.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <sys/stat.h>

#define MIB 0x100000ull

static struct regions regions;

static int clean(void **state)
{
	regions_clear(&regions);
	return 0;
}

static struct wire_region at(uint64_t gpa)
{
	return (struct wire_region){.gpa = gpa, .size = MIB, .uva = 0x7f0000000000 + gpa};
}

static struct fd_entry file(uint64_t inode)
{
	return (struct fd_entry){.fd = 1000, .mode = S_IFREG, .device = 1, .inode = inode};
}

static int add(uint64_t gpa, uint64_t inode)
{
	const struct wire_region region = at(gpa);
	const struct fd_entry entry = file(inode);

	return regions_add(&regions, &region, &entry);
}

static int rem(uint64_t gpa)
{
	const struct wire_region region = at(gpa);

	return regions_remove(&regions, &region);
}

static void test_regions_in_force_are_counted_and_their_bytes_summed(void **state)
{
	assert_int_equal(add(0, 1), REGIONS_NEW);
	assert_int_equal(add(MIB, 1), REGIONS_NEW);
	assert_int_equal(regions_live(&regions), 2);
	assert_int_equal(regions_bytes(&regions), 2 * MIB);
	assert_int_equal(rem(0), REGIONS_NEW);
	assert_int_equal(regions_live(&regions), 1);
	assert_int_equal(regions_bytes(&regions), MIB);
}

static void test_no_descriptor_is_kept(void **state)
{
	add(0, 1);
	assert_int_equal(regions.list[0].file.fd, -1);
}

static void test_the_same_place_and_file_again_is_a_repetition(void **state)
{
	assert_int_equal(add(0, 1), REGIONS_NEW);
	assert_int_equal(add(0, 1), REGIONS_REPEATED);
	assert_int_equal(regions_live(&regions), 1);
}

static void test_another_file_or_offset_at_the_same_place_is_none(void **state)
{
	struct wire_region moved = at(0);
	const struct fd_entry same = file(1);

	add(0, 1);
	assert_int_equal(add(0, 2), REGIONS_NEW);
	moved.mmap_offset = 4096;
	assert_int_equal(regions_add(&regions, &moved, &same), REGIONS_NEW);
}

static void test_files_nobody_looked_at_are_never_a_repetition(void **state)
{
	const struct wire_region region = at(0);
	const struct fd_entry blind = {.fd = 1000};

	assert_int_equal(regions_add(&regions, &region, &blind), REGIONS_NEW);
	assert_int_equal(regions_add(&regions, &region, &blind), REGIONS_NEW);
}

static void test_a_second_removal_is_a_repetition_until_the_place_is_taken_again(void **state)
{
	add(0, 1);
	assert_int_equal(rem(0), REGIONS_NEW);
	assert_int_equal(rem(0), REGIONS_REPEATED);
	assert_int_equal(add(0, 1), REGIONS_NEW);
	assert_int_equal(rem(0), REGIONS_NEW);
	assert_int_equal(rem(0), REGIONS_REPEATED);
	assert_int_equal(add(MIB / 2, 1), REGIONS_NEW);
	assert_int_equal(rem(0), REGIONS_UNKNOWN);
}

static void test_the_offset_is_no_part_of_a_removals_key(void **state)
{
	struct wire_region region = at(0);

	region.mmap_offset = 4096;
	regions_add(&regions, &region, &(struct fd_entry){.fd = 1000});
	assert_int_equal(rem(0), REGIONS_NEW);
}

static void test_the_address_the_size_and_the_user_address_are(void **state)
{
	struct wire_region region = at(0);

	add(0, 1);
	region.size++;
	assert_int_equal(regions_remove(&regions, &region), REGIONS_UNKNOWN);
	region = at(0);
	region.uva++;
	assert_int_equal(regions_remove(&regions, &region), REGIONS_UNKNOWN);
	region = at(0);
	region.gpa++;
	assert_int_equal(regions_remove(&regions, &region), REGIONS_UNKNOWN);
	assert_int_equal(rem(0), REGIONS_NEW);
}

static void test_two_files_at_one_place_are_removed_one_by_one(void **state)
{
	add(0, 1);
	add(0, 2);
	assert_int_equal(rem(0), REGIONS_NEW);
	assert_int_equal(rem(0), REGIONS_NEW);
	assert_int_equal(rem(0), REGIONS_REPEATED);
	assert_int_equal(regions_live(&regions), 0);
}

static void test_sizes_that_wrap_around_confuse_nothing(void **state)
{
	const struct wire_region whole = {.gpa = 4096, .size = UINT64_MAX};
	const struct wire_region empty = {.gpa = 0, .size = 0};
	const struct fd_entry entry = file(1);

	for (unsigned int i = 0; i < 3; i++) {
		assert_int_equal(regions_add(&regions, &whole, &entry), REGIONS_NEW);
		assert_int_equal(regions_add(&regions, &empty, &entry), REGIONS_NEW);
		assert_int_equal(regions_remove(&regions, &whole), REGIONS_NEW);
		assert_int_equal(regions_remove(&regions, &empty), REGIONS_NEW);
		assert_int_equal(regions_remove(&regions, &empty), REGIONS_REPEATED);
	}
}

static void test_removed_regions_make_room_and_live_ones_do_not(void **state)
{
	for (unsigned int i = 0; i < WIRE_SLOTS_MAX; i++)
		assert_int_equal(add(i * MIB, 1), REGIONS_NEW);
	assert_int_equal(add(WIRE_SLOTS_MAX * MIB, 1), REGIONS_FULL);
	assert_int_equal(rem(7 * MIB), REGIONS_NEW);
	assert_int_equal(add(WIRE_SLOTS_MAX * MIB, 1), REGIONS_NEW);
	assert_int_equal(regions_live(&regions), WIRE_SLOTS_MAX);
	assert_int_equal(add(7 * MIB, 1), REGIONS_FULL);
}

static void test_an_addition_that_was_refused_is_undone(void **state)
{
	add(0, 1);
	add(MIB, 1);
	add(2 * MIB, 1);
	regions_undo_add(&regions, MIB);
	assert_int_equal(regions_live(&regions), 2);
	assert_int_equal(rem(MIB), REGIONS_UNKNOWN);
	assert_int_equal(rem(2 * MIB), REGIONS_NEW);
	regions_undo_add(&regions, 2 * MIB);
	assert_int_equal(rem(2 * MIB), REGIONS_REPEATED);
	assert_int_equal(add(MIB, 1), REGIONS_NEW);
}

static void test_a_removal_that_was_refused_is_undone(void **state)
{
	add(0, 1);
	rem(0);
	regions_undo_remove(&regions, MIB);
	assert_int_equal(regions_live(&regions), 0);
	regions_undo_remove(&regions, 0);
	assert_int_equal(regions_live(&regions), 1);
	assert_int_equal(add(0, 1), REGIONS_REPEATED);
}

static void test_a_new_table_forgets_everything(void **state)
{
	add(0, 1);
	rem(0);
	regions_clear(&regions);
	assert_int_equal(rem(0), REGIONS_UNKNOWN);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup(name, clean)
	const struct CMUnitTest tests[] = {
	    T(test_regions_in_force_are_counted_and_their_bytes_summed),
	    T(test_no_descriptor_is_kept),
	    T(test_the_same_place_and_file_again_is_a_repetition),
	    T(test_another_file_or_offset_at_the_same_place_is_none),
	    T(test_files_nobody_looked_at_are_never_a_repetition),
	    T(test_a_second_removal_is_a_repetition_until_the_place_is_taken_again),
	    T(test_the_offset_is_no_part_of_a_removals_key),
	    T(test_the_address_the_size_and_the_user_address_are),
	    T(test_two_files_at_one_place_are_removed_one_by_one),
	    T(test_sizes_that_wrap_around_confuse_nothing),
	    T(test_removed_regions_make_room_and_live_ones_do_not),
	    T(test_an_addition_that_was_refused_is_undone),
	    T(test_a_removal_that_was_refused_is_undone),
	    T(test_a_new_table_forgets_everything),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
