/* SPDX-License-Identifier: BSD-3-Clause */
#include "ring/inflight.h"

#include <errno.h>
#include <stdlib.h>

#define STRIDE 64u

size_t inflight_bytes(enum ring_format format, unsigned int desc_num)
{
	size_t bytes = format == RING_SPLIT ? sizeof(struct inflight_split_region) +
						  desc_num * sizeof(struct inflight_split_desc)
					    : sizeof(struct inflight_packed_region) +
						  desc_num * sizeof(struct inflight_packed_desc);

	return (bytes + STRIDE - 1) / STRIDE * STRIDE;
}

/* Version and desc_num are at the same place in both layouts. */
static struct inflight_split_region *head_of(const struct inflight *record)
{
	return record->split.region;
}

static_assert(offsetof(struct inflight_split_region, desc_num) ==
		  offsetof(struct inflight_packed_region, desc_num),
	      "read through either");
static_assert(offsetof(struct inflight_split, region) == offsetof(struct inflight_packed, region),
	      "read through either");

int inflight_init(struct inflight *record, enum ring_format format, unsigned int num, void *region,
		  unsigned int desc_num, struct diag *diag)
{
	if ((uintptr_t)region % sizeof(uint64_t))
		return diag_set(diag, -EINVAL, "inflight record at %p: must be aligned to 8 bytes",
				region);
	if (desc_num < num || desc_num > RING_SIZE_MAX)
		return diag_set(diag, -EINVAL, "inflight record of %u for a ring of %u", desc_num,
				num);
	*record = (struct inflight){
	    .format = format,
	    .desc_num = desc_num,
	    .order = calloc(num, sizeof(*record->order)),
	    .numbers = calloc(3 * (size_t)desc_num + num, sizeof(*record->numbers)),
	};
	if (!record->order || !record->numbers) {
		inflight_deinit(record);
		return diag_set(diag, -ENOMEM, "no memory for an inflight record of %u", desc_num);
	}
	if (format == RING_SPLIT)
		inflight_split_init(&record->split, region, num, desc_num, record->numbers);
	else
		inflight_packed_init(&record->packed, region, num, desc_num, record->numbers);
	return 0;
}

void inflight_deinit(struct inflight *record)
{
	free(record->order);
	free(record->numbers);
	record->order = NULL;
	record->numbers = NULL;
	record->count = 0;
}

bool inflight_written(const struct inflight *record)
{
	return INFLIGHT_LOAD(&head_of(record)->version) != 0;
}

void inflight_reset(struct inflight *record, uint16_t used)
{
	record->count = 0;
	if (record->format == RING_SPLIT)
		inflight_split_reset(&record->split, used);
	else
		inflight_packed_reset(&record->packed, used);
}

void inflight_forget(struct inflight *record)
{
	INFLIGHT_STORE(&head_of(record)->version, 0);
}

/* Equal counters are a writer's fault; the entry makes the order one all the same. */
static int compare(const void *a, const void *b)
{
	const struct inflight_order *left = a, *right = b;

	if (left->counter != right->counter)
		return left->counter < right->counter ? -1 : 1;
	return (int)left->entry - (int)right->entry;
}

static int check_head(const struct inflight *record, struct diag *diag)
{
	unsigned int version = INFLIGHT_LOAD(&head_of(record)->version);
	unsigned int desc_num = INFLIGHT_LOAD(&head_of(record)->desc_num);

	if (version != INFLIGHT_VERSION)
		return diag_set(diag, RING_BAD_RECORD,
				"inflight record: version %u, only %u is known", version,
				INFLIGHT_VERSION);
	if (desc_num != record->desc_num)
		return diag_set(diag, RING_BAD_RECORD,
				"inflight record: %u descriptors, the queue size was %u", desc_num,
				record->desc_num);
	return RING_OK;
}

/* Goes on counting after the last; a counter that is at its end would start over. */
static int set_counter(struct inflight *record, struct diag *diag)
{
	uint64_t next = record->count ? record->order[record->count - 1].counter + 1 : 0;

	if (record->count && next == 0)
		return diag_set(diag, RING_BAD_RECORD, "inflight record: a counter of 2^64 - 1");
	*(record->format == RING_SPLIT ? &record->split.counter : &record->packed.counter) = next;
	return RING_OK;
}

int inflight_settle(struct inflight *record, const struct ring_areas *guest, uint32_t *base,
		    struct diag *diag)
{
	unsigned int count = 0;
	int result = check_head(record, diag);

	if (result)
		return result;
	if (record->format == RING_SPLIT)
		result =
		    inflight_split_settle(&record->split, guest, base, record->order, &count, diag);
	else
		result = inflight_packed_settle(&record->packed, guest, base, record->order, &count,
						diag);
	if (result)
		return result;
	record->count = count;
	qsort(record->order, count, sizeof(*record->order), compare);
	return set_counter(record, diag);
}

void inflight_desc(const struct inflight *record, uint16_t *at, struct ring_packed_desc *desc)
{
	inflight_packed_desc(&record->packed, *at, desc);
	*at = record->packed.next[*at];
}
