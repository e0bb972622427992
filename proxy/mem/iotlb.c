/* SPDX-License-Identifier: BSD-3-Clause */
#include "mem/iotlb.h"

#include <string.h>

/* The last address of a range; an empty range has its first alone. */
static uint64_t last_of(uint64_t iova, uint64_t size)
{
	uint64_t beyond = size ? size - 1 : 0;

	return beyond > UINT64_MAX - iova ? UINT64_MAX : iova + beyond;
}

static bool touches(const struct iotlb_entry *entry, uint64_t first, uint64_t last)
{
	return entry->iova <= last && first <= last_of(entry->iova, entry->size);
}

void iotlb_invalidate(struct iotlb *iotlb, uint64_t iova, uint64_t size)
{
	uint64_t last = last_of(iova, size);
	unsigned int kept = 0;

	for (unsigned int i = 0; i < iotlb->count; i++)
		if (!touches(&iotlb->list[i], iova, last))
			iotlb->list[kept++] = iotlb->list[i];
	iotlb->count = kept;
}

void iotlb_update(struct iotlb *iotlb, const struct iotlb_entry *entry)
{
	if (entry->size == 0)
		return;
	iotlb_invalidate(iotlb, entry->iova, entry->size);
	if (iotlb->count == IOTLB_MAX) {
		iotlb->count--;
		memmove(&iotlb->list[0], &iotlb->list[1], iotlb->count * sizeof(*entry));
	}
	iotlb->list[iotlb->count++] = *entry;
}

bool iotlb_find(const struct iotlb *iotlb, uint64_t iova, uint64_t size, uint64_t *uva)
{
	for (unsigned int i = 0; i < iotlb->count; i++) {
		const struct iotlb_entry *entry = &iotlb->list[i];

		if (iova < entry->iova || iova - entry->iova >= entry->size ||
		    size > entry->size - (iova - entry->iova))
			continue;
		*uva = entry->uva + (iova - entry->iova);
		return true;
	}
	return false;
}
