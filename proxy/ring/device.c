/* SPDX-License-Identifier: BSD-3-Clause */
#include "ring/device.h"

int device_init(struct device *device, enum ring_format format, const struct ring_areas *areas,
		unsigned int num, bool event_idx, bool indirect, uint32_t base, struct diag *diag)
{
	device->format = format;
	if (format == RING_SPLIT)
		return split_device_init(&device->split, areas, num, event_idx, indirect,
					 (uint16_t)base, diag);
	return packed_device_init(&device->packed, areas, num, event_idx, indirect, base, diag);
}

void device_deinit(struct device *device)
{
	if (device->format == RING_SPLIT)
		split_device_deinit(&device->split);
	else
		packed_device_deinit(&device->packed);
}

void device_move(struct device *device, const struct ring_areas *areas)
{
	if (device->format == RING_SPLIT)
		split_device_move(&device->split, areas);
	else
		packed_device_move(&device->packed, areas);
}

int device_pop(struct device *device, const struct ring_memory *memory, struct ring_chain *chain,
	       struct diag *diag)
{
	if (device->format == RING_SPLIT)
		return split_device_pop(&device->split, memory, chain, diag);
	return packed_device_pop(&device->packed, memory, chain, diag);
}

int device_peek(struct device *device, const struct ring_memory *memory, struct ring_chain *chain,
		struct diag *diag)
{
	if (device->format == RING_SPLIT)
		return split_device_peek(&device->split, memory, chain, diag);
	return packed_device_peek(&device->packed, memory, chain, diag);
}

void device_accept(struct device *device, const struct ring_chain *chain)
{
	if (device->format == RING_SPLIT)
		split_device_accept(&device->split, chain);
	else
		packed_device_accept(&device->packed, chain);
}

bool device_claim(struct device *device, uint16_t id, uint16_t slots)
{
	if (device->format == RING_SPLIT)
		return split_device_claim(&device->split, id);
	return packed_device_claim(&device->packed, id, slots);
}

void device_push(struct device *device, const struct ring_chain *chain, uint32_t written)
{
	if (device->format == RING_SPLIT)
		split_device_push(&device->split, chain->id, written);
	else
		packed_device_push(&device->packed, chain->id, chain->slots, written);
}

void device_publish(struct device *device)
{
	if (device->format == RING_SPLIT)
		split_device_publish(&device->split);
	else
		packed_device_publish(&device->packed);
}

bool device_call_wanted(struct device *device)
{
	if (device->format == RING_SPLIT)
		return split_device_call_wanted(&device->split);
	return packed_device_call_wanted(&device->packed);
}

bool device_waiting(const struct device *device)
{
	if (device->format == RING_SPLIT)
		return split_device_waiting(&device->split);
	return packed_device_waiting(&device->packed);
}

bool device_kicks(struct device *device, bool wanted)
{
	if (device->format == RING_SPLIT)
		return split_device_kicks(&device->split, wanted);
	return packed_device_kicks(&device->packed, wanted);
}

int device_recall(struct device *device, struct diag *diag)
{
	if (device->format == RING_SPLIT)
		return split_device_recall(&device->split, diag);
	return packed_device_recall(&device->packed, diag);
}

void device_next_used(const struct device *device, size_t *offset, size_t *size)
{
	if (device->format == RING_SPLIT) {
		const struct split_device *split = &device->split;

		*offset = sizeof(struct ring_used) +
			  (split->used_idx & split->mask) * sizeof(struct ring_used_elem);
		*size = sizeof(struct ring_used_elem);
	} else {
		*offset = (size_t)device->packed.used.slot * RING_DESC_SIZE;
		*size = RING_DESC_SIZE;
	}
}

uint32_t device_base(const struct device *device)
{
	if (device->format == RING_SPLIT)
		return device->split.avail_idx;
	return (uint32_t)ring_position_pack(device->packed.avail) |
	       (uint32_t)ring_position_pack(device->packed.used) << 16;
}
