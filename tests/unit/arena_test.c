/* SPDX-License-Identifier: BSD-3-Clause */
#include "mem/arena.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "ring/ring.h"

#define USER_FIRST (UINT64_C(1) << 44)
#define USER_STEP  (UINT64_C(1) << 40)
#define USER_LAST  (UINT64_C(1) << 46)

static struct regions regions;
static struct arena arena;

static int clean(void **state)
{
	regions_clear(&regions);
	arena = (struct arena){.size = 0};
	return 0;
}

static void add(uint64_t gpa, uint64_t uva, uint64_t size)
{
	struct wire_region at = {.gpa = gpa, .uva = uva, .size = size};
	struct fd_entry file = {.fd = 3};

	assert_int_equal(regions_add(&regions, &at, &file), REGIONS_NEW);
}

static void test_it_lies_past_any_guest_memory(void **state)
{
	assert_true(arena_place(&arena, 1, &regions));
	assert_true(arena.gpa >= UINT64_C(1) << 52);
	assert_true(arena.gpa + arena.size > arena.gpa);
}

static void test_it_is_whole_huge_pages(void **state)
{
	for (unsigned int rings = 1; rings <= WIRE_QUEUES_MAX; rings += 2) {
		assert_true(arena_place(&arena, rings, &regions));
		assert_int_equal(arena.size % 0x200000, 0);
		assert_int_equal(arena.gpa % 0x200000, 0);
		assert_int_equal(arena.uva % 0x200000, 0);
	}
}

static void test_it_has_a_slot_for_each_ring_and_never_fewer_than_the_least(void **state)
{
	assert_true(arena_place(&arena, 0, &regions));
	assert_int_equal(arena.rings, ARENA_RINGS_MIN);
	assert_true(arena_place(&arena, 200, &regions));
	assert_int_equal(arena.rings, 200);
	assert_int_equal(arena.size, 200ull * ARENA_SLOT);
	assert_true(arena_offset(199) + ARENA_SLOT <= arena.size);
}

static void test_the_largest_ring_of_either_format_fits_its_slot(void **state)
{
	static const enum ring_format formats[] = {RING_SPLIT, RING_PACKED};

	for (unsigned int i = 0; i < 2; i++) {
		assert_true(ARENA_DESC + ring_desc_bytes(formats[i], RING_SIZE_MAX) <=
			    ARENA_DRIVER);
		assert_true(ARENA_DRIVER + ring_driver_bytes(formats[i], RING_SIZE_MAX) <=
			    ARENA_DEVICE);
		assert_true(ARENA_DEVICE + ring_device_bytes(formats[i], RING_SIZE_MAX) <=
			    ARENA_SLOT);
	}
	assert_int_equal(ARENA_DESC % 16, 0);
	assert_int_equal(ARENA_DRIVER % 4096, 0);
	assert_int_equal(ARENA_DEVICE % 4096, 0);
}

static void test_it_keeps_clear_of_the_front_ends_addresses(void **state)
{
	uint64_t size = (uint64_t)ARENA_RINGS_MIN * ARENA_SLOT;

	/* One page of either end is enough to be in the way. */
	add(0, USER_FIRST - 4096, 8192);
	add(1 << 20, USER_FIRST + USER_STEP + size - 4096, 8192);
	assert_true(arena_place(&arena, 1, &regions));
	assert_int_equal(arena.uva, USER_FIRST + 2 * USER_STEP);
}

static void test_what_only_touches_it_does_not_collide(void **state)
{
	struct wire_region before, after, within, around;

	assert_true(arena_place(&arena, 1, &regions));
	before = (struct wire_region){.uva = arena.uva - 4096, .size = 4096};
	after = (struct wire_region){.uva = arena.uva + arena.size, .size = 4096};
	within = (struct wire_region){.uva = arena.uva + 4096, .size = 4096};
	around = (struct wire_region){.uva = arena.uva - 4096, .size = arena.size + 8192};
	assert_false(arena_collides(&arena, &before));
	assert_false(arena_collides(&arena, &after));
	assert_true(arena_collides(&arena, &within));
	assert_true(arena_collides(&arena, &around));
}

static void test_without_an_address_it_is_not_placed(void **state)
{
	add(0, USER_FIRST, USER_LAST - USER_FIRST);
	assert_false(arena_place(&arena, 1, &regions));
	assert_int_equal(arena.size, 0);
}

static void test_as_a_region_it_starts_at_the_start_of_its_file(void **state)
{
	struct wire_region at;

	assert_true(arena_place(&arena, 70, &regions));
	at = arena_region(&arena);
	assert_int_equal(at.gpa, arena.gpa);
	assert_int_equal(at.uva, arena.uva);
	assert_int_equal(at.size, arena.size);
	assert_int_equal(at.mmap_offset, 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup(name, clean)
	const struct CMUnitTest tests[] = {
	    T(test_it_lies_past_any_guest_memory),
	    T(test_it_is_whole_huge_pages),
	    T(test_it_has_a_slot_for_each_ring_and_never_fewer_than_the_least),
	    T(test_the_largest_ring_of_either_format_fits_its_slot),
	    T(test_it_keeps_clear_of_the_front_ends_addresses),
	    T(test_what_only_touches_it_does_not_collide),
	    T(test_without_an_address_it_is_not_placed),
	    T(test_as_a_region_it_starts_at_the_start_of_its_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
