/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Three gaps in the specification's steps, and how they are closed:
 *
 * A batch as long as the ring leaves used_idx where it was, so "used_idx differs
 * from old_used_idx" does not show it: the wrap counters are compared too. And the
 * four numbers are stored at once, as the one aligned word they are in: with
 * separate stores a dead process may leave the index of one lap with the wrap
 * counter of another.
 *
 * A batch is published by the flags of its first descriptor; the flags of the
 * others are in the ring before. If it is taken back, the next process may
 * complete other chains first, and the driver, coming to one of those slots, would
 * take the dead process's completion. So settle() makes every slot that is in
 * flight available again.
 */
#include "ring/inflight_packed.h"

#include "ring/inflight.h"

#include <stddef.h>

static_assert(sizeof(struct inflight_packed_desc) == 32, "specification: DescStatePacked");
static_assert(offsetof(struct inflight_packed_desc, counter) == 8, "DescStatePacked");
static_assert(offsetof(struct inflight_packed_desc, len) == 20, "DescStatePacked");
static_assert(offsetof(struct inflight_packed_region, positions) == 16, "QueueRegionPacked");
static_assert(offsetof(struct inflight_packed_region, desc) == 32, "QueueRegionPacked");

static uint64_t positions_pack(struct ring_position now, struct ring_position old)
{
	return (uint64_t)now.slot | (uint64_t)old.slot << 16 | (uint64_t)now.wrap << 32 |
	       (uint64_t)old.wrap << 40;
}

static bool same(struct ring_position a, struct ring_position b)
{
	return a.slot == b.slot && a.wrap == b.wrap;
}

void inflight_packed_init(struct inflight_packed *record, void *region, unsigned int num,
			  unsigned int desc_num, uint16_t *numbers)
{
	*record = (struct inflight_packed){
	    .region = region,
	    .next = numbers,
	    .last = numbers + desc_num,
	    .seen = numbers + 2 * desc_num,
	    .batch = numbers + 3 * desc_num,
	    .desc_num = desc_num,
	    .num = (uint16_t)num,
	};
}

/* As inflight_split_reset(): version 0 while it is being written. */
void inflight_packed_reset(struct inflight_packed *record, uint16_t used)
{
	struct inflight_packed_region *region = record->region;

	record->counter = 0;
	record->size = 0;
	record->free_head = 0;
	record->used = ring_position_unpack(used);
	INFLIGHT_STORE(&region->version, 0);
	for (unsigned int i = 0; i < record->desc_num; i++) {
		record->next[i] = (uint16_t)(i + 1);
		INFLIGHT_STORE(&region->desc[i].inflight, 0);
		INFLIGHT_STORE(&region->desc[i].next, record->next[i]);
	}
	INFLIGHT_STORE(&region->features, 0);
	INFLIGHT_STORE(&region->desc_num, (uint16_t)record->desc_num);
	INFLIGHT_STORE(&region->free_head, 0);
	INFLIGHT_STORE(&region->old_free_head, 0);
	INFLIGHT_STORE(&region->positions, positions_pack(record->used, record->used));
	INFLIGHT_STORE(&region->version, INFLIGHT_VERSION);
}

static void copy_desc(struct inflight_packed *record, uint16_t at, const struct ring_chain *chain,
		      unsigned int i)
{
	struct inflight_packed_desc *to = &record->region->desc[at];
	bool table = i >= chain->direct;
	uint16_t flags = i + 1 < chain->slots ? RING_DESC_NEXT : 0;

	if (table)
		flags = RING_DESC_INDIRECT;
	else if (chain->buffers[i].writable)
		flags |= RING_DESC_WRITE;
	INFLIGHT_STORE(&to->addr, table ? chain->table : chain->buffers[i].addr);
	INFLIGHT_STORE(&to->len, table ? chain->table_len : chain->buffers[i].len);
	INFLIGHT_STORE(&to->flags, flags);
	INFLIGHT_STORE(&to->id, chain->id);
}

/*
 * All of it happens in entries that are free as long as old_free_head says so:
 * dead anywhere before the last store, free_head goes back to it, the flag of the
 * head is cleared with those of the whole list, and the chain is taken from the
 * ring again. The last store makes it in flight, complete.
 */
uint16_t inflight_packed_fetch(struct inflight_packed *record, const struct ring_chain *chain)
{
	struct inflight_packed_region *region = record->region;
	uint16_t head = record->free_head, at = head;

	for (unsigned int i = 0; i < chain->slots; i++) {
		copy_desc(record, record->free_head, chain, i);
		at = record->free_head;
		record->free_head = record->next[at];
	}
	record->last[head] = at;
	INFLIGHT_STORE(&region->desc[head].last, at);
	INFLIGHT_STORE(&region->desc[head].num, chain->slots);
	INFLIGHT_STORE(&region->desc[head].counter, record->counter++);
	INFLIGHT_STORE(&region->desc[head].inflight, 1);
	INFLIGHT_STORE(&region->free_head, record->free_head);
	INFLIGHT_STORE(&region->old_free_head, record->free_head);
	return head;
}

void inflight_packed_desc(const struct inflight_packed *record, uint16_t at,
			  struct ring_packed_desc *desc)
{
	const struct inflight_packed_desc *from = &record->region->desc[at];

	*desc = (struct ring_packed_desc){
	    .addr = INFLIGHT_LOAD(&from->addr),
	    .len = INFLIGHT_LOAD(&from->len),
	    .id = INFLIGHT_LOAD(&from->id),
	    .flags = INFLIGHT_LOAD(&from->flags),
	};
}

/*
 * Dead after either store: free_head goes back to old_free_head, whose list does
 * not lead through this chain, and the chain is in flight. Its own links are
 * whole, as the one that is overwritten lies behind its last entry.
 */
void inflight_packed_complete(struct inflight_packed *record, uint16_t head)
{
	uint16_t last = record->last[head];

	record->next[last] = record->free_head;
	INFLIGHT_STORE(&record->region->desc[last].next, record->free_head);
	record->free_head = head;
	INFLIGHT_STORE(&record->region->free_head, head);
	record->batch[record->size++] = head;
}

/*
 * Dead after this store: the positions differ, and the ring's descriptor at the
 * old one tells whether the publication that follows was made. Dead before it:
 * they are equal, and the batch is taken back.
 */
void inflight_packed_prepare(struct inflight_packed *record, uint16_t used)
{
	record->next_used = ring_position_unpack(used);
	INFLIGHT_STORE(&record->region->positions, positions_pack(record->next_used, record->used));
}

/*
 * The batch is published. Dead before the last store: the positions differ, the
 * ring says published, and settle() does all of this again from free_head. That
 * the driver may have made the old slot available again, one lap on, does not
 * look like an unpublished one: its wrap counter is the other.
 */
void inflight_packed_commit(struct inflight_packed *record)
{
	struct inflight_packed_region *region = record->region;

	for (unsigned int i = 0; i < record->size; i++)
		INFLIGHT_STORE(&region->desc[record->batch[i]].inflight, 0);
	INFLIGHT_STORE(&region->old_free_head, record->free_head);
	record->used = record->next_used;
	INFLIGHT_STORE(&region->positions, positions_pack(record->used, record->used));
	record->size = 0;
}

/* Two phases, settled: dead in between, the same is decided again. */
static int settle_batch(struct inflight_packed *record, const struct ring_packed_desc *ring,
			struct diag *diag)
{
	struct inflight_packed_region *region = record->region;
	uint64_t word = INFLIGHT_LOAD(&region->positions);
	struct ring_position now = {.slot = (uint16_t)word, .wrap = (word >> 32 & 0xff) != 0};
	struct ring_position old = {.slot = (uint16_t)(word >> 16),
				    .wrap = (word >> 40 & 0xff) != 0};
	bool published = false;

	if (now.slot >= record->num || old.slot >= record->num)
		return diag_set(diag, RING_BAD_RECORD,
				"inflight record: used slots %u and %u in a ring of %u", now.slot,
				old.slot, record->num);
	if (!same(now, old)) {
		uint16_t flags = __atomic_load_n(&ring[old.slot].flags, __ATOMIC_ACQUIRE);

		published = ring_flags_state(flags) != ring_flags_available(old.wrap);
	}
	if (published) {
		record->free_head = INFLIGHT_LOAD(&region->free_head);
		record->used = now;
		INFLIGHT_STORE(&region->old_free_head, record->free_head);
	} else {
		record->free_head = INFLIGHT_LOAD(&region->old_free_head);
		record->used = old;
		INFLIGHT_STORE(&region->free_head, record->free_head);
	}
	INFLIGHT_STORE(&region->positions, positions_pack(record->used, record->used));
	return RING_OK;
}

/* Follows links for at most `limit` entries to the end of the list, or just so many. */
static int follow(struct inflight_packed *record, uint16_t at, unsigned int limit,
		  unsigned int *length, struct diag *diag)
{
	unsigned int i;

	for (i = 0; i < limit && at < record->desc_num; i++) {
		if (record->seen[at])
			return diag_set(diag, RING_BAD_RECORD,
					"inflight record: entry %u is in two lists", at);
		record->seen[at] = 1;
		record->next[at] = INFLIGHT_LOAD(&record->region->desc[at].next);
		at = record->next[at];
	}
	*length = i;
	return RING_OK;
}

/* Only a list's flags are cleared; its end is a number past the last entry. */
static int read_free(struct inflight_packed *record, unsigned int *length, struct diag *diag)
{
	int result = follow(record, record->free_head, record->desc_num, length, diag);

	for (unsigned int i = 0; !result && i < record->desc_num; i++)
		if (record->seen[i])
			INFLIGHT_STORE(&record->region->desc[i].inflight, 0);
	return result;
}

static int read_chain(struct inflight_packed *record, uint16_t head, struct inflight_order *order,
		      struct diag *diag)
{
	const struct inflight_packed_desc *desc = &record->region->desc[head];
	unsigned int num = INFLIGHT_LOAD(&desc->num), length;
	uint16_t last = head;
	int result = follow(record, head, num, &length, diag);

	if (result)
		return result;
	if (num == 0 || num > record->num || length < num)
		return diag_set(diag, RING_BAD_RECORD,
				"inflight record: entry %u heads %u descriptors, %u of them there",
				head, num, length);
	for (unsigned int i = 1; i < num; i++)
		last = record->next[last];
	record->last[head] = last;
	*order = (struct inflight_order){
	    .counter = INFLIGHT_LOAD(&desc->counter),
	    .entry = head,
	    .id = INFLIGHT_LOAD(&record->region->desc[last].id),
	    .slots = (uint16_t)num,
	};
	return RING_OK;
}

static int read_chains(struct inflight_packed *record, struct inflight_order *order,
		       unsigned int *count, unsigned int *slots, struct diag *diag)
{
	unsigned int listed;
	int result = read_free(record, &listed, diag);

	for (unsigned int i = 0; !result && i < record->desc_num; i++) {
		if (!INFLIGHT_LOAD(&record->region->desc[i].inflight))
			continue;
		if (*slots >= record->num)
			return diag_set(diag, RING_BAD_RECORD,
					"inflight record: more descriptors than the ring's %u",
					record->num);
		result = read_chain(record, (uint16_t)i, &order[*count], diag);
		if (!result)
			*slots += order[(*count)++].slots;
	}
	if (!result && (*slots > record->num || listed + *slots != record->desc_num))
		result = diag_set(diag, RING_BAD_RECORD,
				  "inflight record: %u entries free and %u in flight, of %u",
				  listed, *slots, record->desc_num);
	return result;
}

/*
 * Dead in between: the next process does it again. The driver does not mind: it
 * looks at the slot of the used position, which is available as it was, and no
 * further. Returns the position past the last slot in flight.
 */
static struct ring_position mend_ring(const struct inflight_packed *record,
				      struct ring_packed_desc *ring, unsigned int slots)
{
	struct ring_position at = record->used;

	for (; slots > 0; slots--) {
		uint16_t flags = __atomic_load_n(&ring[at.slot].flags, __ATOMIC_RELAXED);

		if (ring_flags_state(flags) == ring_flags_used(at.wrap))
			__atomic_store_n(&ring[at.slot].flags, ring_flags_available(at.wrap),
					 __ATOMIC_RELAXED);
		ring_position_move(&at, 1, record->num);
	}
	return at;
}

int inflight_packed_settle(struct inflight_packed *record, const struct ring_areas *guest,
			   uint32_t *base, struct inflight_order *order, unsigned int *count,
			   struct diag *diag)
{
	unsigned int slots = 0;
	struct ring_position avail;
	int result;

	*count = 0;
	result = settle_batch(record, guest->desc, diag);
	if (!result)
		result = read_chains(record, order, count, &slots, diag);
	if (result)
		return result;
	avail = mend_ring(record, guest->desc, slots);
	*base = (uint32_t)ring_position_pack(avail) | (uint32_t)ring_position_pack(record->used)
							  << 16;
	return RING_OK;
}
