/* SPDX-License-Identifier: BSD-3-Clause */
#include "ring/inflight_split.h"

#include "ring/inflight.h"

#include <stddef.h>

static_assert(sizeof(struct inflight_split_desc) == 16, "specification: DescStateSplit");
static_assert(offsetof(struct inflight_split_desc, next) == 6, "specification: DescStateSplit");
static_assert(offsetof(struct inflight_split_region, desc) == 16,
	      "specification: QueueRegionSplit");

void inflight_split_init(struct inflight_split *record, void *region, unsigned int num,
			 unsigned int desc_num, uint16_t *batch)
{
	*record = (struct inflight_split){
	    .region = region, .batch = batch, .num = num, .desc_num = desc_num};
}

/*
 * Version 0 first and version 1 last: whoever reads a half-written record takes
 * it for a fresh one, in which nothing is in flight, and that is what it says.
 */
void inflight_split_reset(struct inflight_split *record, uint16_t used)
{
	struct inflight_split_region *region = record->region;

	INFLIGHT_STORE(&region->version, 0);
	for (unsigned int i = 0; i < record->desc_num; i++)
		INFLIGHT_STORE(&region->desc[i].inflight, 0);
	INFLIGHT_STORE(&region->features, 0);
	INFLIGHT_STORE(&region->desc_num, (uint16_t)record->desc_num);
	INFLIGHT_STORE(&region->last_batch_head, 0);
	INFLIGHT_STORE(&region->used_idx, used);
	INFLIGHT_STORE(&region->version, INFLIGHT_VERSION);
	record->counter = 0;
	record->last = 0;
	record->size = 0;
}

/*
 * Dead between the two: a counter and no flag, so the chain is not in flight. Its
 * avail entry is at the index where the next process goes on, and it is fetched
 * again.
 */
void inflight_split_fetch(struct inflight_split *record, uint16_t head)
{
	struct inflight_split_desc *desc = &record->region->desc[head];

	INFLIGHT_STORE(&desc->counter, record->counter++);
	INFLIGHT_STORE(&desc->inflight, 1);
}

/*
 * The batch becomes a list whose newest member is last_batch_head. Dead between
 * the two, or anywhere before the used index is published: the record's used_idx
 * is still the ring's, so the list is not looked at and the chains of the batch
 * are in flight, as the driver sees them. What the list held before is of no use
 * any more: its batch was committed.
 */
void inflight_split_complete(struct inflight_split *record, uint16_t head)
{
	INFLIGHT_STORE(&record->region->desc[head].next, record->last);
	INFLIGHT_STORE(&record->region->last_batch_head, head);
	record->last = head;
	record->batch[record->size++] = head;
}

/*
 * The used index is published. Dead before or within the loop: used_idx differs
 * from the ring's by the size of the batch, and that many members of the list are
 * cleared by settle(). Dead after the loop and before used_idx: the same once
 * more, over flags that are 0 already; none of them can have been set again, as
 * nothing is fetched before used_idx is stored.
 */
void inflight_split_commit(struct inflight_split *record, uint16_t used)
{
	for (unsigned int i = 0; i < record->size; i++)
		INFLIGHT_STORE(&record->region->desc[record->batch[i]].inflight, 0);
	INFLIGHT_STORE(&record->region->used_idx, used);
	record->size = 0;
}

/* Clears the batch that was published and not committed. */
static int finish_batch(struct inflight_split *record, uint16_t used, struct diag *diag)
{
	struct inflight_split_region *region = record->region;
	uint16_t from = INFLIGHT_LOAD(&region->used_idx);
	unsigned int size = (uint16_t)(used - from);
	uint16_t at = record->last;

	if (size > record->num)
		return diag_set(diag, RING_BAD_RECORD,
				"inflight record: used index %u, the ring of %u has %u", from,
				record->num, used);
	for (unsigned int i = 0; i < size; i++) {
		if (at >= record->desc_num)
			return diag_set(diag, RING_BAD_RECORD,
					"inflight record: %u in the list of its last batch, of %u",
					at, record->desc_num);
		INFLIGHT_STORE(&region->desc[at].inflight, 0);
		at = INFLIGHT_LOAD(&region->desc[at].next);
	}
	INFLIGHT_STORE(&region->used_idx, used);
	return RING_OK;
}

static int collect(struct inflight_split *record, struct inflight_order *order, unsigned int *count,
		   struct diag *diag)
{
	unsigned int found = 0;

	for (unsigned int i = 0; i < record->desc_num; i++) {
		const struct inflight_split_desc *desc = &record->region->desc[i];

		if (!INFLIGHT_LOAD(&desc->inflight))
			continue;
		if (i >= record->num)
			return diag_set(diag, RING_BAD_RECORD,
					"inflight record: head %u in flight in a ring of %u", i,
					record->num);
		order[found++] = (struct inflight_order){
		    .counter = INFLIGHT_LOAD(&desc->counter),
		    .entry = (uint16_t)i,
		    .id = (uint16_t)i,
		};
	}
	*count = found;
	return RING_OK;
}

int inflight_split_settle(struct inflight_split *record, const struct ring_areas *guest,
			  uint32_t *base, struct inflight_order *order, unsigned int *count,
			  struct diag *diag)
{
	const struct ring_avail *avail = guest->driver;
	const struct ring_used *ring = guest->device;
	uint16_t used = __atomic_load_n(&ring->idx, __ATOMIC_ACQUIRE);
	unsigned int made;
	int result;

	record->last = INFLIGHT_LOAD(&record->region->last_batch_head);
	result = finish_batch(record, used, diag);
	if (!result)
		result = collect(record, order, count, diag);
	if (result)
		return result;
	made = (uint16_t)(__atomic_load_n(&avail->idx, __ATOMIC_ACQUIRE) - used);
	if (*count > made)
		return diag_set(
		    diag, RING_BAD_RECORD,
		    "inflight record: %u chains in flight, the driver made %u available", *count,
		    made);
	/* What is neither used nor in flight was never fetched. */
	*base = (uint16_t)(used + *count);
	return RING_OK;
}
