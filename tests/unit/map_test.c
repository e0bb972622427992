/* SPDX-License-Identifier: BSD-3-Clause */
#include "mem/map.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

static uint8_t low[0x3000], high[0x2000], top[0x1000];

#define TOP_GPA (UINT64_MAX - 0xfff) /* ends at the very end of the address space */

/* Two that follow each other in guest-physical memory, and one at the end of it. */
static const struct map map = {
    .count = 3,
    .regions =
	{
	    {.gpa = 0x10000, .uva = 0x7f0000000000, .size = sizeof(low), .at = low},
	    {.gpa = 0x13000, .uva = 0x7e0000000000, .size = sizeof(high), .at = high},
	    {.gpa = TOP_GPA, .uva = TOP_GPA, .size = sizeof(top), .at = top},
	},
};

static void test_an_address_is_found_in_its_region(void **state)
{
	assert_ptr_equal(map_gpa(&map, 0x10000, 1), low);
	assert_ptr_equal(map_gpa(&map, 0x12fff, 1), low + 0x2fff);
	assert_ptr_equal(map_gpa(&map, 0x13000, 0x2000), high);
	assert_ptr_equal(map_uva(&map, 0x7f0000001234, 0x10), low + 0x1234);
	assert_ptr_equal(map_uva(&map, 0x7e0000000000, 0x2000), high);
}

static void test_a_piece_must_lie_in_one_region(void **state)
{
	assert_null(map_gpa(&map, 0x12fff, 2));
	assert_null(map_gpa(&map, 0x13000, 0x2001));
	assert_null(map_uva(&map, 0x7f0000002fff, 2));
	assert_null(map_gpa(&map, 0x10000, sizeof(low) + sizeof(high)));
}

static void test_what_is_outside_is_not_found(void **state)
{
	assert_null(map_gpa(&map, 0xffff, 1));
	assert_null(map_gpa(&map, 0x15000, 1));
	assert_null(map_gpa(&map, 0x7f0000000000, 1));
	assert_null(map_uva(&map, 0x10000, 1));
	assert_null(map_uva(&map, 0, 1));
}

static void test_a_length_that_wraps_is_refused(void **state)
{
	assert_null(map_gpa(&map, 0x10000, UINT64_MAX));
	assert_null(map_gpa(&map, 0x10001, UINT64_MAX - 0x10000));
	assert_null(map_gpa(&map, TOP_GPA, 0x1001));
	assert_null(map_uva(&map, 0x7f0000000001, UINT64_MAX));
	assert_ptr_equal(map_gpa(&map, TOP_GPA, 0x1000), top);
	assert_ptr_equal(map_gpa(&map, UINT64_MAX, 1), top + 0xfff);
}

static void test_no_memory_holds_nothing(void **state)
{
	static const struct map none = {.count = 0};

	assert_null(map_gpa(&none, 0, 0));
	assert_null(map_uva(&none, 0, 1));
	assert_int_equal(map_range(&none, 0, 1).size, 0);
}

static void test_a_range_is_the_guest_physical_place_of_a_user_address(void **state)
{
	struct map_range range = map_range(&map, 0x7e0000000800, 0x100);

	assert_int_equal(range.gpa, 0x13800);
	assert_int_equal(range.size, 0x100);
	assert_int_equal(map_range(&map, 0x7e0000001fff, 2).size, 0);
	assert_int_equal(map_range(&map, 0x10000, 1).size, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_an_address_is_found_in_its_region),
	    cmocka_unit_test(test_a_piece_must_lie_in_one_region),
	    cmocka_unit_test(test_what_is_outside_is_not_found),
	    cmocka_unit_test(test_a_length_that_wraps_is_refused),
	    cmocka_unit_test(test_no_memory_holds_nothing),
	    cmocka_unit_test(test_a_range_is_the_guest_physical_place_of_a_user_address),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
