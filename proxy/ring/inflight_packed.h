/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The inflight record of a packed ring, as the vhost-user specification lays it
 * out. Used through inflight.h.
 *
 * A packed ring forgets: a completion is written over descriptors of chains that
 * may still be in flight. So the record keeps a copy of every descriptor, in
 * entries that are chained from a free list, and two of everything that moves,
 * the new and the `old_` one, as a commit in two phases.
 *
 * Invariant between two calls: new and old are equal; an entry is in the free
 * list or in the chain of one head whose `inflight` is 1.
 */
#pragma once

#include "ring/ring.h"

struct inflight_packed_desc {
	uint8_t inflight; /* this and the next three of a head only, next of all */
	uint8_t padding;
	uint16_t next;
	uint16_t last;
	uint16_t num;
	uint64_t counter; /* order of fetching */
	uint16_t id;
	uint16_t flags; /* without the bits AVAIL and USED, which mean nothing here */
	uint32_t len;
	uint64_t addr;
};

struct inflight_packed_region {
	uint64_t features;
	uint16_t version;
	uint16_t desc_num;
	uint16_t free_head;
	uint16_t old_free_head;
	/*
	 * used_idx, old_used_idx (16 bits each), used_wrap_counter and
	 * old_used_wrap_counter (8 bits each): one word, see inflight_packed.c.
	 */
	uint64_t positions;
	uint64_t padding;
	struct inflight_packed_desc desc[];
};

struct inflight_packed {
	struct inflight_packed_region *region;
	uint64_t counter; /* of the next fetch */
	uint16_t *next;   /* by entry, as we wrote it */
	uint16_t *last;   /* by head */
	uint16_t *seen;   /* by entry, for settle() */
	uint16_t *batch;  /* heads completed and not committed */
	unsigned int size;
	unsigned int desc_num;
	uint16_t num; /* slots of the ring */
	uint16_t free_head;
	struct ring_position used; /* committed */
	struct ring_position next_used;
};

struct inflight_order;

/* Takes 3 * desc_num + num numbers of private memory, all 0. */
void inflight_packed_init(struct inflight_packed *record, void *region, unsigned int num,
			  unsigned int desc_num, uint16_t *numbers);
/* Nothing is in flight at the used position `used`. */
void inflight_packed_reset(struct inflight_packed *record, uint16_t used);
int inflight_packed_settle(struct inflight_packed *record, const struct ring_areas *guest,
			   uint32_t *base, struct inflight_order *order, unsigned int *count,
			   struct diag *diag);
uint16_t inflight_packed_fetch(struct inflight_packed *record, const struct ring_chain *chain);
void inflight_packed_desc(const struct inflight_packed *record, uint16_t at,
			  struct ring_packed_desc *desc);
void inflight_packed_complete(struct inflight_packed *record, uint16_t head);
void inflight_packed_prepare(struct inflight_packed *record, uint16_t used);
void inflight_packed_commit(struct inflight_packed *record);
