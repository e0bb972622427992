/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The device's end of a split ring (virtio 1.2, 2.7).
 *
 * Use: pop() until RING_EMPTY; push() what is done, in any order, publish(), and
 * raise the call when call_wanted() says so. Before sleeping call kicks(true)
 * and pop again if it returns true.
 *
 * Everything in the areas may be hostile: an outcome from RING_FAULTS on ends
 * the device. A head is accepted once until it is pushed back.
 */
#pragma once

#include "ring/ring.h"

struct split_device {
	const struct ring_desc *desc;
	struct ring_avail *avail;
	struct ring_used *used;
	uint8_t *given; /* one byte a head: popped and not pushed */
	uint16_t mask;  /* num - 1 */
	bool event_idx;
	bool indirect;       /* RING_INDIRECT_DESC was agreed */
	uint16_t avail_idx;  /* of the next chain */
	uint16_t seen_idx;   /* avail->idx when it was last looked at */
	uint16_t used_idx;   /* of the next completion, perhaps not published */
	uint16_t called_idx; /* used_idx when call_wanted() was last asked */
	unsigned int chains; /* popped and not pushed */
};

/*
 * Goes on at avail index `base`; the used index is taken from the ring, where
 * the last device left it. -EINVAL, -ENOMEM.
 */
int split_device_init(struct split_device *device, const struct ring_areas *areas, unsigned int num,
		      bool event_idx, bool indirect, uint16_t base, struct diag *diag);
/* Frees the private memory; safe twice. */
void split_device_deinit(struct split_device *device);

/* The same ring, mapped elsewhere from now on; the areas are aligned as before. */
void split_device_move(struct split_device *device, const struct ring_areas *areas);

/*
 * The next chain, which stays where it is until accept(): for a caller that may
 * have no room for it. RING_OK with the chain filled, RING_EMPTY, or a fault.
 */
int split_device_peek(struct split_device *device, const struct ring_memory *memory,
		      struct ring_chain *chain, struct diag *diag);
void split_device_accept(struct split_device *device, const struct ring_chain *chain);

/*
 * For a head that an earlier device popped and did not push: claim() counts it
 * as popped, again() reads its chain, as often as wanted. False: no such head,
 * or claimed already.
 */
bool split_device_claim(struct split_device *device, uint16_t head);
int split_device_again(const struct split_device *device, const struct ring_memory *memory,
		       uint16_t head, struct ring_chain *chain, struct diag *diag);

/* peek() and accept() in one. */
int split_device_pop(struct split_device *device, const struct ring_memory *memory,
		     struct ring_chain *chain, struct diag *diag);

/* Gives a popped head back, `written` bytes of its writable part filled. */
void split_device_push(struct split_device *device, uint16_t head, uint32_t written);
void split_device_publish(struct split_device *device);
bool split_device_call_wanted(struct split_device *device);

/* Whether there is a chain to pop, or a fault to find. */
bool split_device_waiting(const struct split_device *device);

/* Asks for kicks or for none. True: something is there already, no kick may come for it. */
bool split_device_kicks(struct split_device *device, bool wanted);

/*
 * Gives up all that was popped and not pushed: whoever goes on at avail_idx finds
 * it there again. That is so if the last avail entries that were taken are those of
 * just these heads, which is looked up in the ring; RING_BAD_HEAD: they are not, and
 * nothing but deinit() may follow. Writes nothing.
 */
int split_device_recall(struct split_device *device, struct diag *diag);
