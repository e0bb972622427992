/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where the daemon's own rings lie: one file that the back-end is given as one
 * more memory region, from the first memory table on, so that a ring can be
 * moved later without another table.
 *
 * Each ring has a slot that fits the largest size, so that nothing need be known
 * of the rings when the table is sent; untouched pages of the file cost nothing.
 * The guest-physical address lies past what any x86-64 or arm64 guest can have
 * as memory (52 bits), so no hotplug can collide with it; the user address is
 * only a name to the back-end and is chosen clear of the front-end's regions.
 * Both were accepted by qemu-storage-daemon (measured: 2^40 to 2^63). Pure.
 */
#pragma once

#include "mem/regions.h"

#define ARENA_SLOT      0x100000u /* bytes a ring */
#define ARENA_DESC      0x0u      /* 32768 * 16 */
#define ARENA_DRIVER    0x80000u  /* 6 + 2 * 32768 */
#define ARENA_DEVICE    0xa0000u  /* 6 + 8 * 32768 */
#define ARENA_RINGS_MIN 64u

struct arena {
	uint64_t gpa;
	uint64_t uva;
	uint64_t size; /* bytes; 0: not placed */
	unsigned int rings;
};

/*
 * Places an arena for `rings` rings (at least ARENA_RINGS_MIN are taken, in whole
 * huge pages of 2 MiB) clear of the user addresses in `regions`. False: there is no room in 46
 * bits.
 */
bool arena_place(struct arena *arena, unsigned int rings, const struct regions *regions);

/* Whether a user address range of the front-end runs into it, after a change of memory. */
bool arena_collides(const struct arena *arena, const struct wire_region *at);

/* The arena as a region of a memory table. */
struct wire_region arena_region(const struct arena *arena);

/* Offset of a ring's slot in the file. */
uint64_t arena_offset(unsigned int ring);
