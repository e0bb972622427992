/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "mem/iotlb.h"

static struct iotlb iotlb;

static void add(uint64_t iova, uint64_t size, uint64_t uva)
{
	iotlb_update(&iotlb, &(struct iotlb_entry){iova, size, uva, 3});
}

static void assert_at(uint64_t iova, uint64_t size, uint64_t uva)
{
	uint64_t found = 0;

	assert_true(iotlb_find(&iotlb, iova, size, &found));
	assert_int_equal(found, uva);
}

static void assert_none(uint64_t iova, uint64_t size)
{
	uint64_t found;

	assert_false(iotlb_find(&iotlb, iova, size, &found));
}

static int clear(void **state)
{
	iotlb.count = 0;
	return 0;
}

static void test_a_range_is_found_within_one_entry_alone(void **state)
{
	add(0x1000, 0x1000, 0x71000);
	add(0x2000, 0x1000, 0x92000);
	assert_at(0x1000, 0x1000, 0x71000);
	assert_at(0x1ff0, 0x10, 0x71ff0);
	assert_at(0x2000, 1, 0x92000);
	assert_none(0x1ff0, 0x11);
	assert_none(0x3000, 1);
	assert_none(0xfff, 1);
}

static void test_a_newer_entry_replaces_what_it_touches(void **state)
{
	add(0x1000, 0x3000, 0x71000);
	add(0x2000, 0x1000, 0x92000);
	assert_int_equal(iotlb.count, 1);
	assert_at(0x2000, 0x1000, 0x92000);
	assert_none(0x1000, 1);
}

static void test_an_invalidation_takes_all_it_touches_and_nothing_else(void **state)
{
	add(0x1000, 0x1000, 0x71000);
	add(0x2000, 0x2000, 0x72000);
	add(0x4000, 0x1000, 0x74000);
	iotlb_invalidate(&iotlb, 0x3fff, 1);
	assert_none(0x2000, 1);
	assert_at(0x1000, 0x1000, 0x71000);
	assert_at(0x4000, 0x1000, 0x74000);
	iotlb_invalidate(&iotlb, 0x5000, 0x1000);
	assert_int_equal(iotlb.count, 2);
}

static void test_a_range_beyond_the_end_means_to_the_end(void **state)
{
	add(0x1000, 0x1000, 0x71000);
	add(0xfffffffffffff000, 0x1000, 0x72000);
	iotlb_invalidate(&iotlb, 0x2000, UINT64_MAX);
	assert_int_equal(iotlb.count, 1);
	assert_at(0x1000, 1, 0x71000);
	iotlb_invalidate(&iotlb, 0, UINT64_MAX);
	assert_int_equal(iotlb.count, 0);
}

static void test_an_empty_entry_is_none(void **state)
{
	add(0x1000, 0, 0x71000);
	assert_int_equal(iotlb.count, 0);
}

static void test_full_the_oldest_goes(void **state)
{
	for (uint64_t i = 0; i <= IOTLB_MAX; i++)
		add(i << 12, 0x1000, i << 20);
	assert_int_equal(iotlb.count, IOTLB_MAX);
	assert_none(0, 1);
	assert_at(0x1000, 1, 1 << 20);
	assert_at((uint64_t)IOTLB_MAX << 12, 1, (uint64_t)IOTLB_MAX << 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(test_a_range_is_found_within_one_entry_alone, clear),
	    cmocka_unit_test_setup(test_a_newer_entry_replaces_what_it_touches, clear),
	    cmocka_unit_test_setup(test_an_invalidation_takes_all_it_touches_and_nothing_else,
				   clear),
	    cmocka_unit_test_setup(test_a_range_beyond_the_end_means_to_the_end, clear),
	    cmocka_unit_test_setup(test_an_empty_entry_is_none, clear),
	    cmocka_unit_test_setup(test_full_the_oldest_goes, clear),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
