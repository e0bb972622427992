/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The inflight record: which chains were taken from the guest and not yet given
 * back, in memory that outlives the process.
 *
 * Goal: a process that dies at any instruction leaves a record from which the
 * next one takes up so that the guest sees every chain completed exactly once.
 * The layout is that of the vhost-user specification ("Inflight I/O tracking"),
 * one queue's region; where its step list leaves a gap, the .c files say which and
 * what is done.
 *
 * Invariant: everything that steers us is in private memory. The region is only
 * written, except by settle(), which takes nothing in it on trust: a front-end
 * may hold the same memory.
 *
 * Refused: a log of operations. It would need room that grows with time, and the
 * specified layout is the one a front-end can carry for us.
 *
 * Use: init(); reset() for a ring that starts afresh or settle() for one that an
 * earlier process left; then fetch() for every chain before the other end can see
 * it, and for a batch of completions complete() for each, before_publish(), the
 * publication, after_publish(). Nothing is fetched between the first complete()
 * and after_publish().
 *
 * Results: RING_OK, RING_BAD_RECORD (a peer's fault); init() -ENOMEM, -EINVAL.
 * Threads: the one that works the ring. Sizes in bytes.
 */
#pragma once

#include "ring/inflight_packed.h"
#include "ring/inflight_split.h"

#define INFLIGHT_VERSION 1u

/*
 * Stores to the record keep their order among each other and with the ring's
 * publication: a process that dies has made a first part of them. The processor
 * keeps a dead process's finished stores; it is the compiler that must not move
 * them, and on machines with weak ordering another process that reads.
 */
#define INFLIGHT_STORE(to, value) __atomic_store_n((to), (value), __ATOMIC_RELEASE)
#define INFLIGHT_LOAD(from)       __atomic_load_n((from), __ATOMIC_ACQUIRE)

/* A chain in flight, as settle() finds it. */
struct inflight_order {
	uint64_t counter;
	uint16_t entry; /* what complete() is told */
	uint16_t id;    /* split: head, packed: buffer id */
	uint16_t slots; /* packed; split: 0, the guest's table knows */
};

struct inflight {
	enum ring_format format;
	unsigned int desc_num; /* entries of the record, at least the ring's size */
	union {
		struct inflight_split split;
		struct inflight_packed packed;
	};
	struct inflight_order *order; /* to resubmit, in the order of fetching */
	unsigned int count;
	uint16_t *numbers; /* private memory of the two formats */
};

/* One queue's region, a multiple of 64: the stride in a file with several. */
size_t inflight_bytes(enum ring_format format, unsigned int desc_num);

/*
 * `region` has inflight_bytes(format, desc_num), aligned to 8, and stays the
 * caller's; desc_num is the queue size that GET_INFLIGHT_FD agreed on, `num` the
 * ring's, not larger. Nothing is written.
 */
int inflight_init(struct inflight *record, enum ring_format format, unsigned int num, void *region,
		  unsigned int desc_num, struct diag *diag);
/* Frees the private memory; safe twice. The region stays as it is. */
void inflight_deinit(struct inflight *record);

/* False: version 0, never written or forgotten; settle() would refuse, reset() is right. */
bool inflight_written(const struct inflight *record);

/* Nothing is in flight; `used`: used index, packed: the used position with its wrap bit. */
void inflight_reset(struct inflight *record, uint16_t used);

/*
 * The ring goes to somebody who does not keep the record: from now on it says
 * nothing, as one that nobody ever wrote.
 */
void inflight_forget(struct inflight *record);

/*
 * Takes up what an earlier process left: finishes or takes back its last batch,
 * mends the guest's ring where it had written completions that nobody saw, fills
 * `order`, and sets where the ring goes on, as SET_VRING_BASE has it.
 */
int inflight_settle(struct inflight *record, const struct ring_areas *guest, uint32_t *base,
		    struct diag *diag);

/* Packed: a descriptor of a chain in flight; *at, the chain's entry at first, moves on. */
void inflight_desc(const struct inflight *record, uint16_t *at, struct ring_packed_desc *desc);

/* The entry that complete() is to be told. */
static inline uint16_t inflight_fetch(struct inflight *record, const struct ring_chain *chain)
{
	if (record->format == RING_PACKED)
		return inflight_packed_fetch(&record->packed, chain);
	inflight_split_fetch(&record->split, chain->id);
	return chain->id;
}

static inline void inflight_complete(struct inflight *record, uint16_t entry)
{
	if (record->format == RING_SPLIT)
		inflight_split_complete(&record->split, entry);
	else
		inflight_packed_complete(&record->packed, entry);
}

/* `used` as in inflight_reset(), past the batch. */
static inline void inflight_before_publish(struct inflight *record, uint16_t used)
{
	if (record->format == RING_PACKED)
		inflight_packed_prepare(&record->packed, used);
}

static inline void inflight_after_publish(struct inflight *record, uint16_t used)
{
	if (record->format == RING_SPLIT)
		inflight_split_commit(&record->split, used);
	else
		inflight_packed_commit(&record->packed);
}
