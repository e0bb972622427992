/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The driver's end of a split ring (virtio 1.2, 2.7).
 *
 * Use: add() any number of chains, publish(), and raise the kick when
 * kick_wanted() says so. take() until RING_EMPTY; before sleeping call
 * calls(true) and take again if it returns true.
 *
 * Invariant: a descriptor is either on the private free list or in one chain
 * that was added and not taken; only private memory says which.
 *
 * With RING_IN_ORDER the list is the ring of descriptors itself: chains are
 * added and come back in order, so that the free ones are always one run, and
 * `next` never changes, as virtio 1.2, 2.7.5 wants it.
 */
#pragma once

#include "ring/ring.h"

struct split_driver_slot {
	uint64_t token;
	uint32_t writable; /* bytes of the chain the device may write */
	uint16_t next;     /* in the chain, or in the free list */
	uint16_t count;    /* descriptors of the chain; 0: no chain starts here */
};

struct split_driver {
	struct ring_desc *desc;
	struct ring_avail *avail;
	struct ring_used *used;
	struct split_driver_slot *slots;
	uint16_t mask; /* num - 1 */
	bool event_idx;
	bool in_order;
	bool batch;      /* `last` stands for more chains than were taken yet */
	uint16_t oldest; /* in_order: head of the next chain to come back */
	uint16_t free_head;
	unsigned int free;   /* descriptors */
	uint16_t avail_idx;  /* of the next chain, perhaps not published */
	uint16_t kicked_idx; /* avail_idx when kick_wanted() was last asked */
	uint16_t used_idx;   /* of the next completion */
	uint16_t seen_idx;   /* used->idx when it was last looked at */
	unsigned int chains; /* in flight, unpublished ones included */
	struct ring_used_elem last;
};

/*
 * Starts an empty ring at index `base`; both shared indices are written, as
 * whoever starts a ring owns them until the device is told. -EINVAL, -ENOMEM.
 */
int split_driver_init(struct split_driver *driver, const struct ring_areas *areas, unsigned int num,
		      bool event_idx, uint16_t base, struct diag *diag);
/* Frees the private memory; safe twice. */
void split_driver_deinit(struct split_driver *driver);

/*
 * VIRTIO_F_IN_ORDER was agreed; before the first add(). The device may then write
 * one used entry for a batch, that of its last chain: take() gives back every
 * chain before it too, as one whose writable part was filled, since nothing says
 * how much of it was (virtio 1.2, 2.7.9).
 */
void split_driver_in_order(struct split_driver *driver);

/* RING_FULL, or RING_TOO_LONG when even the empty ring has too few. `count` is at least 1. */
int split_driver_add(struct split_driver *driver, const struct ring_buffer *buffers,
		     unsigned int count, uint64_t token);
/* A chain in one descriptor: a table at `addr`, written by split_driver_table(). */
int split_driver_add_table(struct split_driver *driver, uint64_t addr, uint32_t len,
			   uint32_t writable, uint64_t token);
/* A chain as a device popped it: direct descriptors, then the table if it has one. */
int split_driver_add_chain(struct split_driver *driver, const struct ring_chain *chain,
			   uint64_t token);
/* Writes an indirect table of `count` entries at `table`; returns its bytes. */
uint32_t split_driver_table(void *table, const struct ring_buffer *buffers, unsigned int count);

void split_driver_publish(struct split_driver *driver);
bool split_driver_kick_wanted(struct split_driver *driver);

/*
 * RING_OK with `done`, RING_EMPTY, RING_BAD_INDEX, RING_BAD_ID, or
 * RING_BAD_LENGTH with `done`: the chain is back, whether to trust it is the
 * caller's choice (careless back-ends report wrong lengths).
 */
int split_driver_take(struct split_driver *driver, struct ring_done *done, struct diag *diag);
/* The same without a word about the length: compare it with done->writable. */
int split_driver_collect(struct split_driver *driver, struct ring_done *done, struct diag *diag);

/* Asks for calls or for none. True: something is there already, no call may come for it. */
bool split_driver_calls(struct split_driver *driver, bool wanted);

/*
 * Whether the device is seen to have read chains that it has not used: with the
 * event index it says how far it has read, if only when it asks for kicks. False
 * means nothing.
 */
bool split_driver_busy(const struct split_driver *driver);

/*
 * The device has stopped, and says in `base` how far it has read, as GET_VRING_BASE
 * has it. RING_OK: all it read was taken, and what it never read is not in flight
 * any more; only deinit() may follow. RING_EMPTY: something it read is still to be
 * taken. RING_BAD_INDEX: it can not be there.
 */
int split_driver_recall(struct split_driver *driver, uint32_t base, struct diag *diag);
