/* SPDX-License-Identifier: BSD-3-Clause */
#include "mem/regions.h"

void regions_clear(struct regions *regions)
{
	regions->count = 0;
}

static bool same_place(const struct wire_region *a, const struct wire_region *b)
{
	return a->gpa == b->gpa && a->size == b->size && a->uva == b->uva;
}

static struct region *find(struct regions *regions, const struct wire_region *at, bool removed)
{
	for (unsigned int i = 0; i < regions->count; i++)
		if (regions->list[i].removed == removed && same_place(&regions->list[i].at, at))
			return &regions->list[i];
	return NULL;
}

/* The last, should a front-end give several the same address. */
static struct region *find_address(struct regions *regions, uint64_t gpa, bool removed)
{
	for (unsigned int i = regions->count; i-- > 0;)
		if (regions->list[i].removed == removed && regions->list[i].at.gpa == gpa)
			return &regions->list[i];
	return NULL;
}

static bool overlap(const struct wire_region *a, const struct wire_region *b)
{
	return a->gpa < b->gpa + b->size && b->gpa < a->gpa + a->size;
}

/* What was removed is forgotten as soon as something else takes its place, or room is short. */
static void forget_removed(struct regions *regions, const struct wire_region *at, bool all)
{
	unsigned int kept = 0;

	for (unsigned int i = 0; i < regions->count; i++) {
		const struct region *region = &regions->list[i];

		if (region->removed && (all || overlap(&region->at, at)))
			continue;
		regions->list[kept++] = *region;
	}
	regions->count = kept;
}

int regions_add(struct regions *regions, const struct wire_region *at, const struct fd_entry *file)
{
	const struct region *known = find(regions, at, false);

	if (known && known->at.mmap_offset == at->mmap_offset &&
	    fd_entry_same_file(&known->file, file))
		return REGIONS_REPEATED;
	forget_removed(regions, at, regions->count == WIRE_SLOTS_MAX);
	if (regions->count == WIRE_SLOTS_MAX)
		return REGIONS_FULL;
	regions->list[regions->count] = (struct region){.at = *at, .file = *file};
	regions->list[regions->count].file.fd = -1;
	regions->count++;
	return REGIONS_NEW;
}

int regions_remove(struct regions *regions, const struct wire_region *at)
{
	struct region *known = find(regions, at, false);

	if (!known)
		return find(regions, at, true) ? REGIONS_REPEATED : REGIONS_UNKNOWN;
	known->removed = true;
	return REGIONS_NEW;
}

void regions_undo_add(struct regions *regions, uint64_t gpa)
{
	struct region *refused = find_address(regions, gpa, false);
	const struct region *end = &regions->list[regions->count];

	if (!refused)
		return;
	for (; refused + 1 < end; refused++)
		refused[0] = refused[1];
	regions->count--;
}

void regions_undo_remove(struct regions *regions, uint64_t gpa)
{
	struct region *refused = find_address(regions, gpa, true);

	if (refused)
		refused->removed = false;
}

unsigned int regions_live(const struct regions *regions)
{
	unsigned int live = 0;

	for (unsigned int i = 0; i < regions->count; i++)
		live += !regions->list[i].removed;
	return live;
}

uint64_t regions_bytes(const struct regions *regions)
{
	uint64_t bytes = 0;

	for (unsigned int i = 0; i < regions->count; i++)
		if (!regions->list[i].removed)
			bytes += regions->list[i].at.size;
	return bytes;
}

uint64_t regions_end(const struct regions *regions)
{
	uint64_t end = 0;

	for (unsigned int i = 0; i < regions->count; i++) {
		const struct wire_region *at = &regions->list[i].at;

		if (!regions->list[i].removed && at->gpa + at->size > end)
			end = at->gpa + at->size;
	}
	return end;
}
