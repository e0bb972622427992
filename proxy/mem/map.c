/* SPDX-License-Identifier: BSD-3-Clause */
#include "mem/map.h"

static bool within(uint64_t start, uint64_t length, uint64_t addr, uint64_t size)
{
	return addr >= start && size <= length && addr - start <= length - size;
}

void *map_gpa(const struct map *map, uint64_t gpa, uint64_t size)
{
	for (unsigned int i = 0; i < map->count; i++) {
		const struct map_region *region = &map->regions[i];

		if (within(region->gpa, region->size, gpa, size))
			return region->at + (gpa - region->gpa);
	}
	return NULL;
}

void *map_uva(const struct map *map, uint64_t uva, uint64_t size)
{
	for (unsigned int i = 0; i < map->count; i++) {
		const struct map_region *region = &map->regions[i];

		if (within(region->uva, region->size, uva, size))
			return region->at + (uva - region->uva);
	}
	return NULL;
}

struct map_range map_range(const struct map *map, uint64_t uva, uint64_t size)
{
	for (unsigned int i = 0; i < map->count; i++) {
		const struct map_region *region = &map->regions[i];

		if (within(region->uva, region->size, uva, size))
			return (struct map_range){region->gpa + (uva - region->uva), size};
	}
	return (struct map_range){.size = 0};
}
