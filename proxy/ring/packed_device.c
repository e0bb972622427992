/* SPDX-License-Identifier: BSD-3-Clause */
#include "ring/packed_device.h"

#include "base/fence.h"

#include <errno.h>
#include <stdlib.h>

#define IDS 65536u

int packed_device_init(struct packed_device *device, const struct ring_areas *areas,
		       unsigned int num, bool event_idx, bool indirect, uint32_t base,
		       struct diag *diag)
{
	struct ring_position avail = ring_position_unpack((uint16_t)base);
	struct ring_position used = ring_position_unpack((uint16_t)(base >> 16));
	int result = ring_check(RING_PACKED, num, areas, diag);
	uint8_t *given;

	if (result)
		return result;
	if (avail.slot >= num || used.slot >= num)
		return diag_set(diag, -EINVAL, "ring base 0x%x: slots %u and %u in a ring of %u",
				base, avail.slot, used.slot, num);
	given = calloc(IDS, sizeof(*given));
	if (!given)
		return diag_set(diag, -ENOMEM, "no memory for a ring of %u", num);
	*device = (struct packed_device){
	    .desc = areas->desc,
	    .driver_event = areas->driver,
	    .device_event = areas->device,
	    .given = given,
	    .num = (uint16_t)num,
	    .event_idx = event_idx,
	    .indirect = indirect,
	    .avail = avail,
	    .used = used,
	};
	return 0;
}

void packed_device_deinit(struct packed_device *device)
{
	free(device->given);
	device->given = NULL;
}

void packed_device_move(struct packed_device *device, const struct ring_areas *areas)
{
	device->desc = areas->desc;
	device->driver_event = areas->driver;
	device->device_event = areas->device;
}

/* In a packed ring's table the entries follow one another; NEXT and ids mean nothing there. */
static int pop_table(const struct packed_device *device, const struct ring_memory *memory,
		     const struct ring_packed_desc *head, struct ring_chain *chain,
		     struct diag *diag)
{
	struct ring_packed_desc desc;
	struct ring_table table;
	int result;

	chain->table = head->addr;
	chain->table_len = head->len;
	if (!device->indirect)
		return diag_set(diag, RING_BAD_TABLE,
				"slot %u: indirect, and RING_INDIRECT_DESC was not agreed",
				device->avail.slot);
	if ((head->flags & RING_DESC_NEXT) || chain->slots > 1)
		return diag_set(diag, RING_NESTED,
				"slot %u: INDIRECT within a chain of descriptors",
				device->avail.slot);
	result = ring_table_open(&table, memory, head->addr, head->len, diag);
	for (unsigned int i = 0; !result && i < table.count; i++) {
		result = ring_table_entry(&table, i, &desc, diag);
		if (!result && (desc.flags & RING_DESC_INDIRECT))
			result = diag_set(diag, RING_NESTED,
					  "slot %u: entry %u of its indirect table is indirect",
					  device->avail.slot, i);
		if (!result)
			result = ring_chain_add(chain, desc.addr, desc.len,
						desc.flags & RING_DESC_WRITE, diag);
	}
	return result;
}

int packed_device_add(const struct packed_device *device, const struct ring_memory *memory,
		      const struct ring_packed_desc *desc, struct ring_chain *chain,
		      struct diag *diag)
{
	int result;

	chain->slots++;
	chain->id = desc->id;
	if (desc->flags & RING_DESC_INDIRECT)
		return pop_table(device, memory, desc, chain, diag);
	result = ring_chain_add(chain, desc->addr, desc->len, desc->flags & RING_DESC_WRITE, diag);
	chain->direct = chain->count;
	return result;
}

/* Walks the chain at the avail position; its id is in its last descriptor (2.8.6). */
static int walk(const struct packed_device *device, const struct ring_memory *memory,
		struct ring_chain *chain, struct diag *diag)
{
	struct ring_position at = device->avail;
	struct ring_packed_desc desc;
	int result;

	for (;;) {
		if (chain->slots == device->num - device->taken)
			return diag_set(
			    diag, chain->slots == device->num ? RING_LOOP : RING_BAD_INDEX,
			    "slot %u: its chain takes more than the %u slots not in flight",
			    device->avail.slot, device->num - device->taken);
		ring_copy(&desc, &device->desc[at.slot], sizeof(desc));
		result = packed_device_add(device, memory, &desc, chain, diag);
		/* NEXT with INDIRECT was refused. */
		if (result || !(desc.flags & RING_DESC_NEXT))
			return result;
		ring_position_move(&at, 1, device->num);
	}
}

/* Acquire: flags that say "available" bring the whole chain. */
bool packed_device_waiting(const struct packed_device *device)
{
	uint16_t flags = __atomic_load_n(&device->desc[device->avail.slot].flags, __ATOMIC_ACQUIRE);

	return ring_flags_state(flags) == ring_flags_available(device->avail.wrap);
}

int packed_device_peek(const struct packed_device *device, const struct ring_memory *memory,
		       struct ring_chain *chain, struct diag *diag)
{
	int result;

	if (!packed_device_waiting(device))
		return RING_EMPTY;
	ring_chain_clear(chain, 0);
	result = walk(device, memory, chain, diag);
	if (result)
		return result;
	if (device->given[chain->id])
		return diag_set(diag, RING_TWICE,
				"buffer id %u is made available while it is in flight", chain->id);
	return RING_OK;
}

void packed_device_accept(struct packed_device *device, const struct ring_chain *chain)
{
	device->given[chain->id] = 1;
	device->taken += chain->slots;
	ring_position_move(&device->avail, chain->slots, device->num);
}

bool packed_device_claim(struct packed_device *device, uint16_t id, uint16_t slots)
{
	if (device->given[id] || slots > device->num - device->taken)
		return false;
	device->given[id] = 1;
	device->taken += slots;
	return true;
}

int packed_device_pop(struct packed_device *device, const struct ring_memory *memory,
		      struct ring_chain *chain, struct diag *diag)
{
	int result = packed_device_peek(device, memory, chain, diag);

	if (!result)
		packed_device_accept(device, chain);
	return result;
}

/*
 * The slot at the used position belongs to a chain that was popped, this one or
 * another: its content was copied then. The first of a batch keeps flags by
 * which the driver does not take it until publish().
 */
void packed_device_push(struct packed_device *device, uint16_t id, uint16_t slots, uint32_t written)
{
	struct ring_packed_desc *to = &device->desc[device->used.slot];
	uint16_t flags = ring_flags_used(device->used.wrap) | (written ? RING_DESC_WRITE : 0);

	assert(device->given[id] && slots <= device->taken);
	to->id = id;
	to->len = written;
	if (device->pending) {
		__atomic_store_n(&to->flags, flags, __ATOMIC_RELAXED);
	} else {
		device->pending = true;
		device->pending_slot = device->used.slot;
		device->pending_flags = flags;
	}
	ring_position_move(&device->used, slots, device->num);
	device->given[id] = 0;
	device->taken -= slots;
	device->moved += slots;
}

/* Before the store the driver sees none of the batch; after it all of it (release). */
void packed_device_publish(struct packed_device *device)
{
	if (!device->pending)
		return;
	__atomic_store_n(&device->desc[device->pending_slot].flags, device->pending_flags,
			 __ATOMIC_RELEASE);
	device->pending = false;
}

/* As split_driver_kick_wanted(), the other way round. */
bool packed_device_call_wanted(struct packed_device *device)
{
	unsigned int moved = device->moved;

	device->moved = 0;
	if (moved == 0)
		return false;
	fence_full();
	return ring_event_wanted(
	    __atomic_load_n(&device->driver_event->off_wrap_flags, __ATOMIC_RELAXED), device->used,
	    moved, device->num);
}

/* As packed_driver_calls(), the other way round. */
bool packed_device_kicks(struct packed_device *device, bool wanted)
{
	uint32_t event = (uint32_t)RING_EVENT_DISABLE << 16;

	if (wanted && device->event_idx)
		event = (uint32_t)RING_EVENT_DESC << 16 | ring_position_pack(device->avail);
	else if (wanted)
		event = (uint32_t)RING_EVENT_ENABLE << 16;
	__atomic_store_n(&device->device_event->off_wrap_flags, event, __ATOMIC_RELAXED);
	if (!wanted)
		return false;
	fence_full();
	return packed_device_waiting(device);
}

static struct ring_position position_before(struct ring_position at, unsigned int slots,
					    uint16_t num)
{
	if (at.slot < slots) {
		at.slot = (uint16_t)(at.slot + num);
		at.wrap = !at.wrap;
	}
	at.slot = (uint16_t)(at.slot - slots);
	return at;
}

/* A chain is what its NEXT flags make of it; its id is in the last descriptor. */
static bool recall_chain(struct packed_device *device, struct ring_position *at)
{
	struct ring_packed_desc desc = {.flags = RING_DESC_NEXT};

	while (device->taken > 0 && (desc.flags & RING_DESC_NEXT)) {
		ring_copy(&desc, &device->desc[at->slot], sizeof(desc));
		if (ring_flags_state(desc.flags) != ring_flags_available(at->wrap))
			return false;
		ring_position_move(at, 1, device->num);
		device->taken--;
	}
	if ((desc.flags & RING_DESC_NEXT) || !device->given[desc.id])
		return false;
	device->given[desc.id] = 0;
	return true;
}

/*
 * The descriptors are still there: used ones are written from the used position on,
 * and reach these slots only when their chains are pushed.
 */
int packed_device_recall(struct packed_device *device, struct diag *diag)
{
	unsigned int taken = device->taken;
	struct ring_position begin = position_before(device->avail, taken, device->num);
	struct ring_position at = begin;

	while (device->taken > 0)
		if (!recall_chain(device, &at))
			return diag_set(diag, RING_BAD_HEAD,
					"the %u slots before slot %u are not those of the chains "
					"taken last and not used",
					taken, device->avail.slot);
	device->avail = begin;
	return RING_OK;
}
