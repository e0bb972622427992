/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The device's end of a packed ring (virtio 1.2, 2.8), any size up to 32768.
 *
 * Used as split_device.h. A batch of completions becomes visible at once, as in
 * packed_driver.h. A buffer id is the driver's own number and may be any 16-bit
 * value; it is accepted once until it is pushed back.
 */
#pragma once

#include "ring/ring.h"

struct packed_device {
	struct ring_packed_desc *desc;
	const struct ring_event *driver_event;
	struct ring_event *device_event;
	uint8_t *given; /* one byte a buffer id: popped and not pushed */
	uint16_t num;
	bool event_idx;
	bool indirect; /* RING_INDIRECT_DESC was agreed */
	bool pending;  /* there is a batch to publish */
	uint16_t pending_slot;
	uint16_t pending_flags;
	unsigned int taken; /* slots of chains popped and not pushed */
	unsigned int moved; /* slots since call_wanted() was last asked */
	struct ring_position avail;
	struct ring_position used;
};

/* Goes on at `base`: low half the avail position, high half the used one. -EINVAL, -ENOMEM. */
int packed_device_init(struct packed_device *device, const struct ring_areas *areas,
		       unsigned int num, bool event_idx, bool indirect, uint32_t base,
		       struct diag *diag);
/* Frees the private memory; safe twice. */
void packed_device_deinit(struct packed_device *device);

/* The same ring, mapped elsewhere from now on; the areas are aligned as before. */
void packed_device_move(struct packed_device *device, const struct ring_areas *areas);

/* As split_device_peek() and split_device_accept(). */
int packed_device_peek(const struct packed_device *device, const struct ring_memory *memory,
		       struct ring_chain *chain, struct diag *diag);
void packed_device_accept(struct packed_device *device, const struct ring_chain *chain);

/*
 * For a chain that an earlier device popped and did not push: claim() counts it
 * as popped; false: claimed already, or more slots than there are. Its
 * descriptors may have been overwritten in the ring, so whoever kept a copy gives
 * them to add(), first to last, after ring_chain_clear().
 */
bool packed_device_claim(struct packed_device *device, uint16_t id, uint16_t slots);
int packed_device_add(const struct packed_device *device, const struct ring_memory *memory,
		      const struct ring_packed_desc *desc, struct ring_chain *chain,
		      struct diag *diag);

/* RING_OK with the chain filled, RING_EMPTY, or a fault. */
int packed_device_pop(struct packed_device *device, const struct ring_memory *memory,
		      struct ring_chain *chain, struct diag *diag);

/* Gives a popped chain back by its id and its slots, `written` bytes filled. */
void packed_device_push(struct packed_device *device, uint16_t id, uint16_t slots,
			uint32_t written);
void packed_device_publish(struct packed_device *device);
bool packed_device_call_wanted(struct packed_device *device);

/* Whether there is a chain to pop. */
bool packed_device_waiting(const struct packed_device *device);

/* Asks for kicks or for none. True: something is there already, no kick may come for it. */
bool packed_device_kicks(struct packed_device *device, bool wanted);

/* As split_device_recall(): the slots before the avail position are those of the chains popped. */
int packed_device_recall(struct packed_device *device, struct diag *diag);
