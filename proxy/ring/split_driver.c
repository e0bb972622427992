/* SPDX-License-Identifier: BSD-3-Clause */
#include "ring/split_driver.h"

#include "base/fence.h"

#include <errno.h>
#include <stdlib.h>

static unsigned int size_of(const struct split_driver *driver)
{
	return driver->mask + 1u;
}

static uint16_t *used_event(struct split_driver *driver)
{
	return &driver->avail->ring[size_of(driver)];
}

static uint16_t *avail_event(const struct split_driver *driver)
{
	return (uint16_t *)&driver->used->ring[size_of(driver)];
}

int split_driver_init(struct split_driver *driver, const struct ring_areas *areas, unsigned int num,
		      bool event_idx, uint16_t base, struct diag *diag)
{
	struct split_driver_slot *slots;
	int result = ring_check(RING_SPLIT, num, areas, diag);

	if (result)
		return result;
	slots = calloc(num, sizeof(*slots));
	if (!slots)
		return diag_set(diag, -ENOMEM, "no memory for a ring of %u", num);
	for (unsigned int i = 0; i < num; i++)
		slots[i].next = (uint16_t)(i + 1);
	*driver = (struct split_driver){
	    .desc = areas->desc,
	    .avail = areas->driver,
	    .used = areas->device,
	    .slots = slots,
	    .mask = (uint16_t)(num - 1),
	    .event_idx = event_idx,
	    .free = num,
	    .avail_idx = base,
	    .kicked_idx = base,
	    .used_idx = base,
	    .seen_idx = base,
	};
	__atomic_store_n(&driver->avail->idx, base, __ATOMIC_RELAXED);
	__atomic_store_n(&driver->used->idx, base, __ATOMIC_RELAXED);
	/* A device that has said nothing yet wants to be kicked, and has read nothing. */
	if (event_idx)
		__atomic_store_n(avail_event(driver), base, __ATOMIC_RELAXED);
	split_driver_calls(driver, true);
	return 0;
}

void split_driver_in_order(struct split_driver *driver)
{
	driver->in_order = true;
	driver->slots[driver->mask].next = 0;
}

void split_driver_deinit(struct split_driver *driver)
{
	free(driver->slots);
	driver->slots = NULL;
}

static void make_available(struct split_driver *driver, uint16_t head)
{
	__atomic_store_n(&driver->avail->ring[driver->avail_idx & driver->mask], head,
			 __ATOMIC_RELAXED);
	driver->avail_idx++;
	driver->chains++;
}

/* What a chain is made of: buffers, then perhaps a table. */
struct parts {
	const struct ring_buffer *buffers;
	unsigned int count;
	uint64_t table;
	uint32_t table_len; /* 0: no table */
	uint32_t writable;
	unsigned int slots;
};

/*
 * Nothing written here is looked at by the device before publish(): it reads
 * descriptors only through an avail entry below avail->idx.
 */
static int add(struct split_driver *driver, const struct parts *parts, uint64_t token)
{
	uint16_t head = driver->free_head, at = head;

	if (parts->slots > size_of(driver))
		return RING_TOO_LONG;
	if (parts->slots > driver->free)
		return RING_FULL;
	for (unsigned int i = 0; i < parts->count; i++) {
		uint16_t next = driver->slots[at].next;
		bool last = i + 1 == parts->slots;

		driver->desc[at] = (struct ring_desc){
		    .addr = parts->buffers[i].addr,
		    .len = parts->buffers[i].len,
		    .flags = (uint16_t)((parts->buffers[i].writable ? RING_DESC_WRITE : 0) |
					(last ? 0 : RING_DESC_NEXT)),
		    .next = last ? 0 : next,
		};
		at = next;
	}
	if (parts->table_len) {
		driver->desc[at] = (struct ring_desc){
		    .addr = parts->table, .len = parts->table_len, .flags = RING_DESC_INDIRECT};
		at = driver->slots[at].next;
	}
	driver->free_head = at;
	driver->free -= parts->slots;
	driver->slots[head].token = token;
	driver->slots[head].writable = parts->writable;
	driver->slots[head].count = (uint16_t)parts->slots;
	make_available(driver, head);
	return RING_OK;
}

int split_driver_add(struct split_driver *driver, const struct ring_buffer *buffers,
		     unsigned int count, uint64_t token)
{
	struct parts parts = {.buffers = buffers, .count = count, .slots = count};

	assert(count > 0);
	for (unsigned int i = 0; i < count; i++)
		if (buffers[i].writable)
			parts.writable += buffers[i].len;
	return add(driver, &parts, token);
}

int split_driver_add_table(struct split_driver *driver, uint64_t addr, uint32_t len,
			   uint32_t writable, uint64_t token)
{
	struct parts parts = {.table = addr, .table_len = len, .writable = writable, .slots = 1};

	return add(driver, &parts, token);
}

int split_driver_add_chain(struct split_driver *driver, const struct ring_chain *chain,
			   uint64_t token)
{
	struct parts parts = {
	    .buffers = chain->buffers,
	    .count = chain->direct,
	    .table = chain->table,
	    .table_len = chain->table_len,
	    .writable = (uint32_t)chain->writable,
	    .slots = chain->slots,
	};

	return add(driver, &parts, token);
}

uint32_t split_driver_table(void *table, const struct ring_buffer *buffers, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) {
		bool last = i + 1 == count;
		struct ring_desc desc = {
		    .addr = buffers[i].addr,
		    .len = buffers[i].len,
		    .flags = (uint16_t)((buffers[i].writable ? RING_DESC_WRITE : 0) |
					(last ? 0 : RING_DESC_NEXT)),
		    .next = (uint16_t)(last ? 0 : i + 1),
		};

		memcpy((uint8_t *)table + (size_t)i * RING_DESC_SIZE, &desc, sizeof(desc));
	}
	return count * RING_DESC_SIZE;
}

/*
 * Before the store the device sees none of the batch; after it all of it, with
 * descriptors and avail entries complete (release, paired with its acquire).
 */
void split_driver_publish(struct split_driver *driver)
{
	__atomic_store_n(&driver->avail->idx, driver->avail_idx, __ATOMIC_RELEASE);
}

/*
 * The device stores its wish, then looks at avail->idx; we stored avail->idx and
 * now look at its wish. The fence keeps one of the two looks from being early.
 */
bool split_driver_kick_wanted(struct split_driver *driver)
{
	uint16_t old = driver->kicked_idx, now = driver->avail_idx;

	driver->kicked_idx = now;
	if (old == now)
		return false;
	fence_full();
	if (driver->event_idx)
		return ring_event_passed(__atomic_load_n(avail_event(driver), __ATOMIC_RELAXED),
					 old, now);
	return !(__atomic_load_n(&driver->used->flags, __ATOMIC_RELAXED) & RING_USED_NO_KICK);
}

static void free_chain(struct split_driver *driver, uint16_t head)
{
	unsigned int count = driver->slots[head].count;
	uint16_t tail = head;

	driver->free += count;
	driver->slots[head].count = 0;
	driver->chains--;
	if (driver->in_order) {
		driver->oldest = (uint16_t)((head + count) & driver->mask);
		return;
	}
	for (unsigned int i = 1; i < count; i++)
		tail = driver->slots[tail].next;
	driver->slots[tail].next = driver->free_head;
	driver->free_head = head;
}

/* As split_device.c's look(). */
static int look(struct split_driver *driver, struct diag *diag)
{
	uint16_t idx = __atomic_load_n(&driver->used->idx, __ATOMIC_ACQUIRE);
	unsigned int ready = (uint16_t)(idx - driver->used_idx);

	if (ready > driver->chains)
		return diag_set(diag, RING_BAD_INDEX,
				"used index went from %u to %u with %u chains in flight",
				driver->used_idx, idx, driver->chains);
	if (ready == 0 && driver->batch)
		return diag_set(diag, RING_BAD_INDEX,
				"used id %u stands for more chains than used index %u has",
				driver->last.id, idx);
	driver->seen_idx = idx;
	return ready ? RING_OK : RING_EMPTY;
}

/*
 * The completion at used_idx. An entry that is not the oldest chain's stands for
 * all up to its own, and is kept until they are given out.
 */
static int next_used(struct split_driver *driver, struct ring_used_elem *elem, struct diag *diag)
{
	if (!driver->batch) {
		ring_copy(elem, &driver->used->ring[driver->used_idx & driver->mask],
			  sizeof(*elem));
		if (elem->id > driver->mask || driver->slots[elem->id].count == 0)
			return diag_set(diag, RING_BAD_ID,
					"used id %u at index %u: no chain in flight has it",
					elem->id, driver->used_idx);
		if (!driver->in_order)
			return RING_OK;
		driver->last = *elem;
	}
	*elem = driver->last;
	driver->batch = elem->id != driver->oldest;
	if (driver->batch)
		*elem = (struct ring_used_elem){.id = driver->oldest,
						.len = driver->slots[driver->oldest].writable};
	return RING_OK;
}

int split_driver_collect(struct split_driver *driver, struct ring_done *done, struct diag *diag)
{
	struct ring_used_elem elem;
	int result = RING_OK;

	if (driver->seen_idx == driver->used_idx)
		result = look(driver, diag);
	if (!result)
		result = next_used(driver, &elem, diag);
	if (result)
		return result;
	*done = (struct ring_done){
	    .token = driver->slots[elem.id].token,
	    .length = elem.len,
	    .writable = driver->slots[elem.id].writable,
	};
	driver->used_idx++;
	free_chain(driver, (uint16_t)elem.id);
	return RING_OK;
}

int split_driver_take(struct split_driver *driver, struct ring_done *done, struct diag *diag)
{
	int result = split_driver_collect(driver, done, diag);

	if (!result && done->length > done->writable)
		return diag_set(diag, RING_BAD_LENGTH,
				"used index %u: %u bytes written, the chain had room for %u",
				(uint16_t)(driver->used_idx - 1), done->length, done->writable);
	return result;
}

/*
 * Wanted: the device calls for the next completion. It publishes and then looks
 * at what we store here; the fence makes sure that if it looked too early we see
 * what it published. Not wanted, with event index: an index just behind, which
 * comes round again after 65536 completions, when a needless call does no harm.
 */
bool split_driver_calls(struct split_driver *driver, bool wanted)
{
	if (driver->event_idx) {
		uint16_t event = (uint16_t)(driver->used_idx - (wanted ? 0 : 1));

		__atomic_store_n(used_event(driver), event, __ATOMIC_RELAXED);
	} else {
		__atomic_store_n(&driver->avail->flags, wanted ? 0 : RING_AVAIL_NO_CALL,
				 __ATOMIC_RELAXED);
	}
	if (!wanted)
		return false;
	fence_full();
	return __atomic_load_n(&driver->used->idx, __ATOMIC_ACQUIRE) != driver->used_idx;
}

/* A wish that lies behind, or further on than what was added, is an old one. */
bool split_driver_busy(const struct split_driver *driver)
{
	unsigned int read;

	if (!driver->event_idx)
		return false;
	read =
	    (uint16_t)(__atomic_load_n(avail_event(driver), __ATOMIC_ACQUIRE) - driver->used_idx);
	return read > 0 && read <= driver->chains;
}

int split_driver_recall(struct split_driver *driver, uint32_t base, struct diag *diag)
{
	unsigned int read = (uint16_t)(base - driver->used_idx);

	if (base > UINT16_MAX || read > driver->chains)
		return diag_set(diag, RING_BAD_INDEX,
				"base %u, where used index %u and %u chains in flight allow up to "
				"%u",
				base, driver->used_idx, driver->chains,
				(uint16_t)(driver->used_idx + driver->chains));
	if (read > 0)
		return RING_EMPTY;
	driver->chains = 0;
	return RING_OK;
}
