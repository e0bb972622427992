/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The driver's end of a packed ring (virtio 1.2, 2.8), any size up to 32768.
 *
 * Used as split_driver.h. A batch becomes visible at once: the flags of its
 * first descriptor are kept back until publish(), and the device, which goes
 * through the ring in order, stops there.
 *
 * Invariant: the slots in flight are those of the chains that were added and
 * not taken. They need not be the ones between our two positions by content:
 * the device writes a used descriptor over slots of chains still in flight, so
 * nothing about a chain is ever read back from the ring.
 *
 * With RING_IN_ORDER ids go round in order, like the descriptors of
 * split_driver.h.
 */
#pragma once

#include "ring/ring.h"

struct packed_driver_id {
	uint64_t token;
	uint32_t writable; /* bytes of the chain the device may write */
	uint16_t next;     /* free list */
	uint16_t count;    /* slots of the chain; 0: not in flight */
};

struct packed_driver {
	struct ring_packed_desc *desc;
	struct ring_event *driver_event;
	struct ring_event *device_event;
	struct packed_driver_id *ids;
	uint16_t num;
	bool event_idx;
	bool in_order;
	bool batch;            /* `last` stands for more chains than were taken yet */
	uint16_t oldest;       /* in_order: id of the next chain to come back */
	bool pending;          /* there is a batch to publish */
	uint16_t pending_slot; /* its first descriptor */
	uint16_t pending_flags;
	uint16_t free_id;    /* valid while free > 0: there are as many ids as slots */
	unsigned int free;   /* slots */
	unsigned int moved;  /* slots since kick_wanted() was last asked */
	unsigned int chains; /* in flight, unpublished ones included */
	struct ring_position avail;
	struct ring_position used;
	struct ring_packed_desc last;
};

/* Starts an empty ring at the position `base` (bit 15: wrap counter). -EINVAL, -ENOMEM. */
int packed_driver_init(struct packed_driver *driver, const struct ring_areas *areas,
		       unsigned int num, bool event_idx, uint16_t base, struct diag *diag);
/* Frees the private memory; safe twice. */
void packed_driver_deinit(struct packed_driver *driver);

/* As split_driver_in_order() (virtio 1.2, 2.8.8). */
void packed_driver_in_order(struct packed_driver *driver);

/* RING_FULL, or RING_TOO_LONG when even the empty ring has too few. `count` is at least 1. */
int packed_driver_add(struct packed_driver *driver, const struct ring_buffer *buffers,
		      unsigned int count, uint64_t token);
/* A chain in one descriptor: a table at `addr`, written by packed_driver_table(). */
int packed_driver_add_table(struct packed_driver *driver, uint64_t addr, uint32_t len,
			    uint32_t writable, uint64_t token);
/* A chain as a device popped it: direct descriptors or one table. */
int packed_driver_add_chain(struct packed_driver *driver, const struct ring_chain *chain,
			    uint64_t token);
/* Writes an indirect table of `count` entries at `table`; returns its bytes. */
uint32_t packed_driver_table(void *table, const struct ring_buffer *buffers, unsigned int count);

void packed_driver_publish(struct packed_driver *driver);
bool packed_driver_kick_wanted(struct packed_driver *driver);

/* RING_OK with `done`, RING_EMPTY, RING_BAD_ID, or RING_BAD_LENGTH with `done`. */
int packed_driver_take(struct packed_driver *driver, struct ring_done *done, struct diag *diag);
/* As split_driver_collect(). */
int packed_driver_collect(struct packed_driver *driver, struct ring_done *done, struct diag *diag);

/* Asks for calls or for none. True: something is there already, no call may come for it. */
bool packed_driver_calls(struct packed_driver *driver, bool wanted);

/* As split_driver_recall(); of `base` the low half counts, the position of reading. */
int packed_driver_recall(struct packed_driver *driver, uint32_t base, struct diag *diag);
