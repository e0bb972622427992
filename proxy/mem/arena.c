/* SPDX-License-Identifier: BSD-3-Clause */
#include "mem/arena.h"

#define GPA       (UINT64_C(1) << 52)
#define UVA_FIRST (UINT64_C(1) << 44)
#define UVA_STEP  (UINT64_C(1) << 40)
#define UVA_LAST  (UINT64_C(1) << 46)

bool arena_collides(const struct arena *arena, const struct wire_region *at)
{
	return at->uva < arena->uva + arena->size && arena->uva < at->uva + at->size;
}

static bool is_clear(const struct arena *arena, const struct regions *regions)
{
	for (unsigned int i = 0; i < regions->count; i++)
		if (arena_collides(arena, &regions->list[i].at))
			return false;
	return true;
}

bool arena_place(struct arena *arena, unsigned int rings, const struct regions *regions)
{
	if (rings < ARENA_RINGS_MIN)
		rings = ARENA_RINGS_MIN;
	rings += rings & 1; /* two slots are a huge page */
	*arena = (struct arena){
	    .gpa = GPA,
	    .uva = UVA_FIRST,
	    .size = (uint64_t)rings * ARENA_SLOT,
	    .rings = rings,
	};
	while (!is_clear(arena, regions)) {
		arena->uva += UVA_STEP;
		if (arena->uva >= UVA_LAST) {
			arena->size = 0;
			return false;
		}
	}
	return true;
}

struct wire_region arena_region(const struct arena *arena)
{
	return (struct wire_region){.gpa = arena->gpa, .size = arena->size, .uva = arena->uva};
}

uint64_t arena_offset(unsigned int ring)
{
	return (uint64_t)ring * ARENA_SLOT;
}
