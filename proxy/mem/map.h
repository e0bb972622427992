/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Guest memory as this process has it mapped: addresses to pointers. Pure: the
 * shell maps, this looks up. Immutable once it is published to a data thread;
 * a change is a new map (design: publish new, wait for the readers, free old).
 */
#pragma once

#include "wire/message.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct map_region {
	uint64_t gpa;
	uint64_t uva; /* the front-end's user address of the same bytes */
	uint64_t size;
	uint8_t *at;
};

struct map {
	unsigned int count;
	struct map_region regions[WIRE_SLOTS_MAX];
};

/* `size` bytes at a guest-physical address, within one region; NULL: they are not. */
void *map_gpa(const struct map *map, uint64_t gpa, uint64_t size);

/* The same by the front-end's user address, as SET_VRING_ADDR gives it. */
void *map_uva(const struct map *map, uint64_t uva, uint64_t size);

/* A piece of guest-physical memory. */
struct map_range {
	uint64_t gpa;
	uint64_t size; /* bytes; 0: nothing */
};

/* Where bytes at a user address are in guest-physical memory; size 0: in no region. */
struct map_range map_range(const struct map *map, uint64_t uva, uint64_t size);
