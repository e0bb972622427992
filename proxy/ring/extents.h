/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a device may write of each chain in flight, kept until its completion: a
 * dirty log needs it then, and by then the guest's descriptors may say something
 * else (a packed ring overwrites them, a hostile guest does what it likes).
 *
 * Lists of ranges from one pool. Pieces that touch become one, so that most chains
 * need one or two. The pool has a bound, and a chain that finds it empty waits in
 * the guest's ring as if the shadow ring were full; a chain that is alone always
 * fits.
 *
 * Pure; one thread. Memory: 16 bytes a range, touched as it is used.
 */
#pragma once

#include "ring/ring.h"

#define EXTENTS_NONE UINT16_MAX

struct extent {
	uint64_t addr; /* guest-physical */
	uint32_t len;
	uint16_t next; /* of the chain, or of the free ones; EXTENTS_NONE: the last */
};

struct extents {
	struct extent *pool;
	unsigned int size, touched; /* ranges from `touched` on were never used */
	uint16_t first;             /* given back */
};

/* For chains of up to `longest` ranges. -ENOMEM. */
int extents_init(struct extents *extents, unsigned int num, unsigned int longest,
		 struct diag *diag);
/* Safe twice. */
void extents_deinit(struct extents *extents);

/* Keeps the writable part of a chain: RING_OK and its handle (EXTENTS_NONE: it has none),
 * RING_FULL. */
int extents_keep(struct extents *extents, const struct ring_chain *chain, uint16_t *handle);
/* The range at `handle`, and the handle of the next. */
const struct extent *extents_at(const struct extents *extents, uint16_t handle);
/* Gives a chain's ranges back to the pool. */
void extents_drop(struct extents *extents, uint16_t handle);
