/* SPDX-License-Identifier: BSD-3-Clause */
#include "ring/packed_driver.h"

#include "base/fence.h"

#include <errno.h>
#include <stdlib.h>

/*
 * Makes every slot neither available nor used, as the position reaches it: a
 * slot from `at` on is met in this lap, one before it in the next, with the
 * other wrap counter. The neutral pattern is "used in the lap before".
 */
static void clear_ring(struct packed_driver *driver, struct ring_position at)
{
	for (unsigned int i = 0; i < driver->num; i++) {
		bool met_at = i >= at.slot ? at.wrap : !at.wrap;

		driver->desc[i] = (struct ring_packed_desc){.flags = ring_flags_used(!met_at)};
	}
}

int packed_driver_init(struct packed_driver *driver, const struct ring_areas *areas,
		       unsigned int num, bool event_idx, uint16_t base, struct diag *diag)
{
	struct ring_position at = ring_position_unpack(base);
	int result = ring_check(RING_PACKED, num, areas, diag);
	struct packed_driver_id *ids;

	if (result)
		return result;
	if (at.slot >= num)
		return diag_set(diag, -EINVAL, "ring base 0x%x: slot %u in a ring of %u", base,
				at.slot, num);
	ids = calloc(num, sizeof(*ids));
	if (!ids)
		return diag_set(diag, -ENOMEM, "no memory for a ring of %u", num);
	for (unsigned int i = 0; i < num; i++)
		ids[i].next = (uint16_t)(i + 1);
	*driver = (struct packed_driver){
	    .desc = areas->desc,
	    .driver_event = areas->driver,
	    .device_event = areas->device,
	    .ids = ids,
	    .num = (uint16_t)num,
	    .event_idx = event_idx,
	    .free = num,
	    .avail = at,
	    .used = at,
	};
	clear_ring(driver, at);
	packed_driver_calls(driver, true);
	return 0;
}

void packed_driver_in_order(struct packed_driver *driver)
{
	driver->in_order = true;
	driver->ids[driver->num - 1].next = 0;
}

void packed_driver_deinit(struct packed_driver *driver)
{
	free(driver->ids);
	driver->ids = NULL;
}

/*
 * Writes one slot. The first of a batch keeps its old flags, by which it is not
 * available, until publish(); the others may look available at once, since the
 * device does not get past the first.
 */
static void put(struct packed_driver *driver, const struct ring_packed_desc *from)
{
	struct ring_packed_desc *to = &driver->desc[driver->avail.slot];
	uint16_t flags = from->flags | ring_flags_available(driver->avail.wrap);

	to->addr = from->addr;
	to->len = from->len;
	to->id = from->id;
	if (driver->pending) {
		__atomic_store_n(&to->flags, flags, __ATOMIC_RELAXED);
	} else {
		driver->pending = true;
		driver->pending_slot = driver->avail.slot;
		driver->pending_flags = flags;
	}
	ring_position_move(&driver->avail, 1, driver->num);
}

static uint16_t claim_id(struct packed_driver *driver, unsigned int count, uint32_t writable,
			 uint64_t token)
{
	uint16_t id = driver->free_id;
	struct packed_driver_id *entry = &driver->ids[id];

	driver->free_id = entry->next;
	entry->token = token;
	entry->writable = writable;
	entry->count = (uint16_t)count;
	driver->free -= count;
	driver->moved += count;
	driver->chains++;
	return id;
}

static int add(struct packed_driver *driver, const struct ring_buffer *buffers, unsigned int count,
	       uint32_t writable, uint64_t token)
{
	uint16_t id;

	if (count > driver->num)
		return RING_TOO_LONG;
	if (count > driver->free)
		return RING_FULL;
	id = claim_id(driver, count, writable, token);
	for (unsigned int i = 0; i < count; i++) {
		struct ring_packed_desc desc = {
		    .addr = buffers[i].addr,
		    .len = buffers[i].len,
		    .id = id,
		    .flags = (uint16_t)((buffers[i].writable ? RING_DESC_WRITE : 0) |
					(i + 1 == count ? 0 : RING_DESC_NEXT)),
		};

		put(driver, &desc);
	}
	return RING_OK;
}

int packed_driver_add(struct packed_driver *driver, const struct ring_buffer *buffers,
		      unsigned int count, uint64_t token)
{
	uint32_t writable = 0;

	assert(count > 0);
	for (unsigned int i = 0; i < count; i++)
		if (buffers[i].writable)
			writable += buffers[i].len;
	return add(driver, buffers, count, writable, token);
}

int packed_driver_add_chain(struct packed_driver *driver, const struct ring_chain *chain,
			    uint64_t token)
{
	if (chain->table_len)
		return packed_driver_add_table(driver, chain->table, chain->table_len,
					       (uint32_t)chain->writable, token);
	return add(driver, chain->buffers, chain->count, (uint32_t)chain->writable, token);
}

int packed_driver_add_table(struct packed_driver *driver, uint64_t addr, uint32_t len,
			    uint32_t writable, uint64_t token)
{
	struct ring_packed_desc desc = {.addr = addr, .len = len, .flags = RING_DESC_INDIRECT};

	if (driver->free == 0)
		return RING_FULL;
	desc.id = claim_id(driver, 1, writable, token);
	put(driver, &desc);
	return RING_OK;
}

uint32_t packed_driver_table(void *table, const struct ring_buffer *buffers, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) {
		struct ring_packed_desc desc = {
		    .addr = buffers[i].addr,
		    .len = buffers[i].len,
		    .flags = buffers[i].writable ? RING_DESC_WRITE : 0,
		};

		memcpy((uint8_t *)table + (size_t)i * RING_DESC_SIZE, &desc, sizeof(desc));
	}
	return count * RING_DESC_SIZE;
}

/* Before the store the device sees none of the batch; after it all of it (release). */
void packed_driver_publish(struct packed_driver *driver)
{
	if (!driver->pending)
		return;
	__atomic_store_n(&driver->desc[driver->pending_slot].flags, driver->pending_flags,
			 __ATOMIC_RELEASE);
	driver->pending = false;
}

/* As split_driver_kick_wanted(). */
bool packed_driver_kick_wanted(struct packed_driver *driver)
{
	unsigned int moved = driver->moved;

	driver->moved = 0;
	if (moved == 0)
		return false;
	fence_full();
	return ring_event_wanted(
	    __atomic_load_n(&driver->device_event->off_wrap_flags, __ATOMIC_RELAXED), driver->avail,
	    moved, driver->num);
}

/* Acquire: flags that say "used" bring the id, the length and the data. */
static bool is_used(const struct packed_driver *driver, uint16_t *flags)
{
	*flags = __atomic_load_n(&driver->desc[driver->used.slot].flags, __ATOMIC_ACQUIRE);
	return ring_flags_state(*flags) == ring_flags_used(driver->used.wrap);
}

/*
 * The completion at the used position, `count` of its slots. As next_used() in
 * split_driver.c; within a batch the ring is not looked at.
 */
static int next_used(struct packed_driver *driver, struct ring_packed_desc *desc, struct diag *diag)
{
	uint16_t flags;

	if (!driver->batch) {
		if (!is_used(driver, &flags))
			return RING_EMPTY;
		ring_copy(desc, &driver->desc[driver->used.slot], sizeof(*desc));
		if (desc->id >= driver->num || driver->ids[desc->id].count == 0)
			return diag_set(diag, RING_BAD_ID,
					"used id %u at slot %u: no chain in flight has it",
					desc->id, driver->used.slot);
		/* The length counts only where WRITE says that something was written (2.8.9). */
		if (!(flags & RING_DESC_WRITE))
			desc->len = 0;
		if (!driver->in_order)
			return RING_OK;
		driver->last = *desc;
	}
	*desc = driver->last;
	driver->batch = desc->id != driver->oldest;
	if (driver->batch) {
		desc->id = driver->oldest;
		desc->len = driver->ids[driver->oldest].writable;
	}
	return RING_OK;
}

static void free_id(struct packed_driver *driver, uint16_t id)
{
	struct packed_driver_id *entry = &driver->ids[id];

	driver->free += entry->count;
	driver->chains--;
	entry->count = 0;
	if (driver->in_order) {
		driver->oldest = entry->next;
		return;
	}
	entry->next = driver->free_id;
	driver->free_id = id;
}

int packed_driver_collect(struct packed_driver *driver, struct ring_done *done, struct diag *diag)
{
	const struct packed_driver_id *entry;
	struct ring_packed_desc desc;
	int result = next_used(driver, &desc, diag);

	if (result)
		return result;
	entry = &driver->ids[desc.id];
	*done = (struct ring_done){
	    .token = entry->token, .length = desc.len, .writable = entry->writable};
	ring_position_move(&driver->used, entry->count, driver->num);
	free_id(driver, desc.id);
	return RING_OK;
}

int packed_driver_take(struct packed_driver *driver, struct ring_done *done, struct diag *diag)
{
	uint16_t slot = driver->used.slot;
	int result = packed_driver_collect(driver, done, diag);

	if (!result && done->length > done->writable)
		return diag_set(diag, RING_BAD_LENGTH,
				"slot %u: %u bytes written, the chain had room for %u", slot,
				done->length, done->writable);
	return result;
}

/*
 * As split_driver_calls(). Position and flags are one store: a device that read
 * the flags of one wish with the position of another would miss its call.
 */
bool packed_driver_calls(struct packed_driver *driver, bool wanted)
{
	uint32_t event = (uint32_t)RING_EVENT_DISABLE << 16;
	uint16_t flags;

	if (wanted && driver->event_idx)
		event = (uint32_t)RING_EVENT_DESC << 16 | ring_position_pack(driver->used);
	else if (wanted)
		event = (uint32_t)RING_EVENT_ENABLE << 16;
	__atomic_store_n(&driver->driver_event->off_wrap_flags, event, __ATOMIC_RELAXED);
	if (!wanted)
		return false;
	fence_full();
	return driver->batch || is_used(driver, &flags);
}

int packed_driver_recall(struct packed_driver *driver, uint32_t base, struct diag *diag)
{
	struct ring_position at = ring_position_unpack((uint16_t)base);
	int read = at.slot - driver->used.slot + (at.wrap == driver->used.wrap ? 0 : driver->num);
	unsigned int taken = driver->num - driver->free;

	if (at.slot >= driver->num || read < 0 || (unsigned int)read > taken)
		return diag_set(diag, RING_BAD_INDEX,
				"base 0x%x, where used position 0x%x and %u slots in flight allow "
				"no such",
				base, ring_position_pack(driver->used), taken);
	if (read > 0)
		return RING_EMPTY;
	driver->chains = 0;
	return RING_OK;
}
