/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The front-end's memory regions as this back-end has them mapped, and the dirty
 * log. One thread; every region owns its mapping.
 */
#pragma once

#include "ring/ring.h"
#include "wire/encode.h"

#define MEMORY_SLOTS 64u

struct memory_region {
	struct wire_region wire;
	uint8_t *map; /* of the whole file up to the region's end */
	size_t map_size;
};

struct memory {
	struct memory_region regions[MEMORY_SLOTS];
	unsigned int count;
	uint8_t *log; /* NULL: none */
	size_t log_size;
	bool logging; /* VHOST_F_LOG_ALL is acknowledged */
};

/*
 * Maps a region and keeps it; `fd` stays the caller's. -EINVAL, -EEXIST (it
 * overlaps another), -ENOSPC, or mmap()'s error, with the line.
 */
int memory_add(struct memory *memory, const struct wire_region *region, int fd, struct diag *diag);
/* -ENOENT: no region with this address, size and user address. */
int memory_remove(struct memory *memory, const struct wire_region *region, struct diag *diag);
/* Unmaps all regions and the log. */
void memory_clear(struct memory *memory);
void memory_clear_regions(struct memory *memory);

/* A ring_translate_fn for guest-physical addresses; the context is the memory. */
void *memory_by_gpa(void *memory, uint64_t gpa, uint64_t size);
/* The same for the front-end's own addresses, and from those to guest-physical ones. */
void *memory_by_uva(const struct memory *memory, uint64_t uva, uint64_t size);
bool memory_uva_to_gpa(const struct memory *memory, uint64_t uva, uint64_t *gpa);

/* Takes the log of `size` bytes at `offset` of `fd` in place of the old one. -errno. */
int memory_set_log(struct memory *memory, int fd, uint64_t offset, uint64_t size,
		   struct diag *diag);
/* Marks the pages of what was written, if there is a log and LOG_ALL. */
void memory_mark(const struct memory *memory, uint64_t gpa, uint64_t size);
