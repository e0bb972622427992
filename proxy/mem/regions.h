/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The guest memory regions of a device as the front-end described them.
 *
 * Beside the regions in force the table remembers those removed since, because
 * QEMU 7.2 multi-queue net sends ADD_MEM_REG and REM_MEM_REG once for each
 * queue pair: the second ADD of a region in force and the
 * second REM of a region just removed are repetitions, which a strict back-end
 * would take for errors.
 *
 * Pure; no descriptor is owned here. Addresses and sizes in bytes.
 */
#pragma once

#include "base/fdset.h"
#include "wire/encode.h"

#include <stdbool.h>

struct region {
	struct wire_region at;
	struct fd_entry file; /* what it was sent with; `fd` is -1 */
	bool removed;
};

struct regions {
	unsigned int count; /* entries used, removed ones included */
	struct region list[WIRE_SLOTS_MAX];
};

enum regions_result {
	REGIONS_NEW = 0,
	REGIONS_REPEATED = 1, /* the very same is in force (or removed) already */
	REGIONS_FULL = 2,
	REGIONS_UNKNOWN = 3, /* no such region to remove */
};

void regions_clear(struct regions *regions);

int regions_add(struct regions *regions, const struct wire_region *at, const struct fd_entry *file);

/* The key is address, size and user address; the offset is ignored (QEMU sends 0). */
int regions_remove(struct regions *regions, const struct wire_region *at);

/* The back-end refused what was added or removed last at this address: it is as it was before. */
void regions_undo_add(struct regions *regions, uint64_t gpa);
void regions_undo_remove(struct regions *regions, uint64_t gpa);

/* Regions in force. */
unsigned int regions_live(const struct regions *regions);

/* Bytes in force. */
uint64_t regions_bytes(const struct regions *regions);

/* The first guest address past all that is in force. */
uint64_t regions_end(const struct regions *regions);
