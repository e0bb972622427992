/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The device's end of a ring of either format; the contracts are those of
 * split_device.h and packed_device.h.
 */
#pragma once

#include "ring/packed_device.h"
#include "ring/split_device.h"

struct device {
	enum ring_format format;
	union {
		struct split_device split;
		struct packed_device packed;
	};
};

/* `base` as in SET_VRING_BASE. */
int device_init(struct device *device, enum ring_format format, const struct ring_areas *areas,
		unsigned int num, bool event_idx, bool indirect, uint32_t base, struct diag *diag);
void device_deinit(struct device *device);

void device_move(struct device *device, const struct ring_areas *areas);
int device_pop(struct device *device, const struct ring_memory *memory, struct ring_chain *chain,
	       struct diag *diag);
int device_peek(struct device *device, const struct ring_memory *memory, struct ring_chain *chain,
		struct diag *diag);
void device_accept(struct device *device, const struct ring_chain *chain);
/* `slots` is looked at for a packed ring only. */
bool device_claim(struct device *device, uint16_t id, uint16_t slots);
/* Of the chain only `id` and `slots` are looked at. */
void device_push(struct device *device, const struct ring_chain *chain, uint32_t written);
void device_publish(struct device *device);
bool device_call_wanted(struct device *device);
bool device_waiting(const struct device *device);
bool device_kicks(struct device *device, bool wanted);

int device_recall(struct device *device, struct diag *diag);

/*
 * Where the next push() writes, as an offset into the area that holds used
 * entries (split: the device area, packed: the descriptor area), and its size.
 * For marking the page dirty.
 */
void device_next_used(const struct device *device, size_t *offset, size_t *size);

/* What GET_VRING_BASE answers. */
uint32_t device_base(const struct device *device);
