/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Translations of I/O virtual addresses that a front-end gave (IOTLB_MSG), as far
 * as they are in force: to tell them to another back-end, and to find a ring.
 *
 * An entry that an invalidation or a newer entry touches goes as a whole, also
 * where it reaches further: who needs the rest misses it and is told again, while
 * half an entry that stayed by mistake would be the guest's memory in the wrong
 * place. When it is full the oldest goes, for the same reason.
 *
 * Pure; one thread. Addresses and sizes in bytes.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define IOTLB_MAX 2048u

struct iotlb_entry {
	uint64_t iova, size;
	uint64_t uva; /* the front-end's */
	uint8_t perm; /* 1 read, 2 write, as struct vhost_iotlb_msg has it */
};

struct iotlb {
	unsigned int count;
	struct iotlb_entry list[IOTLB_MAX]; /* oldest first */
};

void iotlb_update(struct iotlb *iotlb, const struct iotlb_entry *entry);

/* A range may reach beyond the end of the address space: to its end is meant. */
void iotlb_invalidate(struct iotlb *iotlb, uint64_t iova, uint64_t size);

/* The user address of a range that one entry has; false: none has it. */
bool iotlb_find(const struct iotlb *iotlb, uint64_t iova, uint64_t size, uint64_t *uva);
