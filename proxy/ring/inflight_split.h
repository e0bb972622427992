/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The inflight record of a split ring, as the vhost-user specification lays it
 * out ("Inflight I/O tracking"). Used through inflight.h.
 *
 * Invariant between two calls: `inflight` is 1 for exactly the heads that were
 * fetched and not completed, and used_idx is the ring's used index.
 */
#pragma once

#include "ring/ring.h"

struct inflight_split_desc {
	uint8_t inflight;
	uint8_t padding[5];
	uint16_t next;    /* list of the last batch */
	uint64_t counter; /* order of fetching */
};

struct inflight_split_region {
	uint64_t features;
	uint16_t version;
	uint16_t desc_num;
	uint16_t last_batch_head;
	uint16_t used_idx;
	struct inflight_split_desc desc[];
};

struct inflight_split {
	struct inflight_split_region *region;
	uint64_t counter;      /* of the next fetch */
	uint16_t *batch;       /* heads completed and not committed */
	uint16_t last;         /* last_batch_head, as we wrote it */
	unsigned int size;     /* of the batch */
	unsigned int num;      /* heads of the ring */
	unsigned int desc_num; /* of the record, not fewer */
};

struct inflight_order;

/* Takes `num` numbers of private memory. */
void inflight_split_init(struct inflight_split *record, void *region, unsigned int num,
			 unsigned int desc_num, uint16_t *batch);
/* Nothing is in flight at used index `used`. */
void inflight_split_reset(struct inflight_split *record, uint16_t used);
int inflight_split_settle(struct inflight_split *record, const struct ring_areas *guest,
			  uint32_t *base, struct inflight_order *order, unsigned int *count,
			  struct diag *diag);
void inflight_split_fetch(struct inflight_split *record, uint16_t head);
void inflight_split_complete(struct inflight_split *record, uint16_t head);
void inflight_split_commit(struct inflight_split *record, uint16_t used);
