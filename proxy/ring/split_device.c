/* SPDX-License-Identifier: BSD-3-Clause */
#include "ring/split_device.h"

#include "base/fence.h"

#include <errno.h>
#include <stdlib.h>

static unsigned int size_of(const struct split_device *device)
{
	return device->mask + 1u;
}

static const uint16_t *used_event(const struct split_device *device)
{
	return &device->avail->ring[size_of(device)];
}

static uint16_t *avail_event(struct split_device *device)
{
	return (uint16_t *)&device->used->ring[size_of(device)];
}

int split_device_init(struct split_device *device, const struct ring_areas *areas, unsigned int num,
		      bool event_idx, bool indirect, uint16_t base, struct diag *diag)
{
	int result = ring_check(RING_SPLIT, num, areas, diag);
	struct ring_used *used = areas->device;
	uint16_t used_idx;
	uint8_t *given;

	if (result)
		return result;
	/* First: the caller may leave from this look if the guest's memory is gone. */
	used_idx = __atomic_load_n(&used->idx, __ATOMIC_ACQUIRE);
	given = calloc(num, sizeof(*given));
	if (!given)
		return diag_set(diag, -ENOMEM, "no memory for a ring of %u", num);
	*device = (struct split_device){
	    .desc = areas->desc,
	    .avail = areas->driver,
	    .used = used,
	    .given = given,
	    .mask = (uint16_t)(num - 1),
	    .event_idx = event_idx,
	    .indirect = indirect,
	    .avail_idx = base,
	    .seen_idx = base,
	    .used_idx = used_idx,
	    .called_idx = used_idx,
	};
	return 0;
}

void split_device_deinit(struct split_device *device)
{
	free(device->given);
	device->given = NULL;
}

void split_device_move(struct split_device *device, const struct ring_areas *areas)
{
	device->desc = areas->desc;
	device->avail = areas->driver;
	device->used = areas->device;
}

static int add_entry(struct ring_chain *chain, const struct ring_desc *desc, struct diag *diag)
{
	return ring_chain_add(chain, desc->addr, desc->len, desc->flags & RING_DESC_WRITE, diag);
}

static int pop_table(const struct ring_memory *memory, const struct ring_desc *head,
		     struct ring_chain *chain, struct diag *diag)
{
	struct ring_table table;
	struct ring_desc desc;
	unsigned int at = 0;
	int result = ring_table_open(&table, memory, head->addr, head->len, diag);

	for (unsigned int walked = 0; !result; walked++) {
		if (walked == table.count)
			return diag_set(diag, RING_LOOP,
					"chain %u: its indirect table of %u entries has a loop",
					chain->id, table.count);
		result = ring_table_entry(&table, at, &desc, diag);
		if (result)
			return result;
		if (desc.flags & RING_DESC_INDIRECT)
			return diag_set(diag, RING_NESTED,
					"chain %u: entry %u of its indirect table is indirect",
					chain->id, at);
		result = add_entry(chain, &desc, diag);
		if (result || !(desc.flags & RING_DESC_NEXT))
			return result;
		if (desc.next >= table.count)
			return diag_set(diag, RING_BAD_NEXT,
					"chain %u: next %u in an indirect table of %u entries",
					chain->id, desc.next, table.count);
		at = desc.next;
	}
	return result;
}

static int pop_indirect(const struct split_device *device, const struct ring_memory *memory,
			const struct ring_desc *desc, struct ring_chain *chain, struct diag *diag)
{
	chain->table = desc->addr;
	chain->table_len = desc->len;
	if (!device->indirect)
		return diag_set(diag, RING_BAD_TABLE,
				"chain %u: indirect, and RING_INDIRECT_DESC was not agreed",
				chain->id);
	if (desc->flags & RING_DESC_NEXT)
		return diag_set(diag, RING_NESTED, "chain %u: INDIRECT together with NEXT",
				chain->id);
	return pop_table(memory, desc, chain, diag);
}

static int walk(const struct split_device *device, const struct ring_memory *memory,
		struct ring_chain *chain, struct diag *diag)
{
	uint16_t at = chain->id;
	struct ring_desc desc;
	int result;

	for (;;) {
		if (chain->slots == size_of(device))
			return diag_set(diag, RING_LOOP,
					"chain %u: more descriptors than the table's %u", chain->id,
					size_of(device));
		ring_copy(&desc, &device->desc[at], sizeof(desc));
		chain->slots++;
		if (desc.flags & RING_DESC_INDIRECT)
			return pop_indirect(device, memory, &desc, chain, diag);
		result = add_entry(chain, &desc, diag);
		chain->direct = chain->count;
		if (result || !(desc.flags & RING_DESC_NEXT))
			return result;
		if (desc.next > device->mask)
			return diag_set(diag, RING_BAD_NEXT, "chain %u: next %u in a table of %u",
					chain->id, desc.next, size_of(device));
		at = desc.next;
	}
}

/* Acquire: an index that is seen brings the entries and descriptors published before it. */
static uint16_t shared_idx(const struct split_device *device)
{
	return __atomic_load_n(&device->avail->idx, __ATOMIC_ACQUIRE);
}

/*
 * Looks at the shared index only when all that was seen is taken: its cache line
 * is the one the driver writes all the time.
 */
static int look(struct split_device *device, struct diag *diag)
{
	uint16_t idx = shared_idx(device);
	unsigned int ready = (uint16_t)(idx - device->avail_idx);

	if (ready > size_of(device) - device->chains)
		return diag_set(diag, RING_BAD_INDEX,
				"avail index is %u past %u with %u of %u heads in flight", ready,
				device->avail_idx, device->chains, size_of(device));
	device->seen_idx = idx;
	return ready ? RING_OK : RING_EMPTY;
}

int split_device_peek(struct split_device *device, const struct ring_memory *memory,
		      struct ring_chain *chain, struct diag *diag)
{
	int result = RING_OK;
	uint16_t head;

	if (device->seen_idx == device->avail_idx)
		result = look(device, diag);
	if (result)
		return result;
	head = __atomic_load_n(&device->avail->ring[device->avail_idx & device->mask],
			       __ATOMIC_RELAXED);
	if (head > device->mask)
		return diag_set(diag, RING_BAD_HEAD, "head %u in a table of %u", head,
				size_of(device));
	if (device->given[head])
		return diag_set(diag, RING_TWICE, "head %u is made available while it is in flight",
				head);
	return split_device_again(device, memory, head, chain, diag);
}

void split_device_accept(struct split_device *device, const struct ring_chain *chain)
{
	device->given[chain->id] = 1;
	device->avail_idx++;
	device->chains++;
}

bool split_device_claim(struct split_device *device, uint16_t head)
{
	if (head > device->mask || device->given[head])
		return false;
	device->given[head] = 1;
	device->chains++;
	return true;
}

int split_device_again(const struct split_device *device, const struct ring_memory *memory,
		       uint16_t head, struct ring_chain *chain, struct diag *diag)
{
	ring_chain_clear(chain, head);
	return walk(device, memory, chain, diag);
}

int split_device_pop(struct split_device *device, const struct ring_memory *memory,
		     struct ring_chain *chain, struct diag *diag)
{
	int result = split_device_peek(device, memory, chain, diag);

	if (!result)
		split_device_accept(device, chain);
	return result;
}

void split_device_push(struct split_device *device, uint16_t head, uint32_t written)
{
	assert(head <= device->mask && device->given[head]);
	/* The driver looks at this entry only when the index has passed it. */
	device->used->ring[device->used_idx & device->mask] =
	    (struct ring_used_elem){.id = head, .len = written};
	device->used_idx++;
	device->given[head] = 0;
	device->chains--;
}

/* Release: who sees the index sees the entries, and in the buffers what we wrote. */
void split_device_publish(struct split_device *device)
{
	__atomic_store_n(&device->used->idx, device->used_idx, __ATOMIC_RELEASE);
}

/* As split_driver_kick_wanted(), the other way round. */
bool split_device_call_wanted(struct split_device *device)
{
	uint16_t old = device->called_idx, now = device->used_idx;

	device->called_idx = now;
	if (old == now)
		return false;
	fence_full();
	if (device->event_idx)
		return ring_event_passed(__atomic_load_n(used_event(device), __ATOMIC_RELAXED), old,
					 now);
	return !(__atomic_load_n(&device->avail->flags, __ATOMIC_RELAXED) & RING_AVAIL_NO_CALL);
}

bool split_device_waiting(const struct split_device *device)
{
	return shared_idx(device) != device->avail_idx;
}

/* As split_driver_calls(), the other way round. */
bool split_device_kicks(struct split_device *device, bool wanted)
{
	if (device->event_idx) {
		uint16_t event = (uint16_t)(device->avail_idx - (wanted ? 0 : 1));

		__atomic_store_n(avail_event(device), event, __ATOMIC_RELAXED);
	} else {
		__atomic_store_n(&device->used->flags, wanted ? 0 : RING_USED_NO_KICK,
				 __ATOMIC_RELAXED);
	}
	if (!wanted)
		return false;
	fence_full();
	return split_device_waiting(device);
}

/*
 * The entries are still there: each of `chains` heads takes a descriptor of the
 * driver's, so it can not have gone round to them.
 */
int split_device_recall(struct split_device *device, struct diag *diag)
{
	uint16_t end = device->avail_idx, at = (uint16_t)(end - device->chains);

	device->avail_idx = at;
	for (; at != end; at++) {
		uint16_t head =
		    __atomic_load_n(&device->avail->ring[at & device->mask], __ATOMIC_RELAXED);

		if (head > device->mask || !device->given[head])
			return diag_set(diag, RING_BAD_HEAD,
					"avail index %u has head %u, which is not among the %u "
					"taken last and not used",
					at, head, device->chains);
		device->given[head] = 0;
	}
	device->seen_idx = device->avail_idx;
	device->chains = 0;
	return RING_OK;
}
