/* SPDX-License-Identifier: BSD-3-Clause */
#include "backend/memory.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define LOG_PAGE_BITS 12u

static bool overlap(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
	return a < b + b_size && b < a + a_size;
}

static int check(const struct memory *memory, const struct wire_region *region, struct diag *diag)
{
	if (memory->count == MEMORY_SLOTS)
		return diag_set(diag, -ENOSPC, "more than %u memory regions", MEMORY_SLOTS);
	if (region->size == 0 || region->gpa + region->size < region->gpa ||
	    region->uva + region->size < region->uva ||
	    region->mmap_offset + region->size < region->mmap_offset)
		return diag_set(diag, -EINVAL,
				"memory region of 0x%llx bytes at 0x%llx: no such range",
				(unsigned long long)region->size, (unsigned long long)region->gpa);
	for (unsigned int i = 0; i < memory->count; i++) {
		const struct wire_region *other = &memory->regions[i].wire;

		if (overlap(region->gpa, region->size, other->gpa, other->size) ||
		    overlap(region->uva, region->size, other->uva, other->size))
			return diag_set(
			    diag, -EEXIST, "memory region at 0x%llx overlaps the one at 0x%llx",
			    (unsigned long long)region->gpa, (unsigned long long)other->gpa);
	}
	return 0;
}

int memory_add(struct memory *memory, const struct wire_region *region, int fd, struct diag *diag)
{
	size_t size = region->mmap_offset + region->size;
	int result = check(memory, region, diag);
	void *map;

	if (result)
		return result;
	map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return diag_set(diag, -errno, "memory region at 0x%llx: can not map: %s",
				(unsigned long long)region->gpa, strerror(errno));
	memory->regions[memory->count++] =
	    (struct memory_region){.wire = *region, .map = map, .map_size = size};
	return 0;
}

int memory_remove(struct memory *memory, const struct wire_region *region, struct diag *diag)
{
	for (unsigned int i = 0; i < memory->count; i++) {
		struct memory_region *found = &memory->regions[i];

		if (found->wire.gpa != region->gpa || found->wire.size != region->size ||
		    found->wire.uva != region->uva)
			continue;
		munmap(found->map, found->map_size);
		*found = memory->regions[--memory->count];
		return 0;
	}
	return diag_set(diag, -ENOENT, "REM_MEM_REG: no region of 0x%llx bytes at 0x%llx",
			(unsigned long long)region->size, (unsigned long long)region->gpa);
}

void memory_clear_regions(struct memory *memory)
{
	while (memory->count > 0) {
		struct memory_region *region = &memory->regions[--memory->count];

		munmap(region->map, region->map_size);
	}
}

void memory_clear(struct memory *memory)
{
	memory_clear_regions(memory);
	if (memory->log)
		munmap(memory->log, memory->log_size);
	*memory = (struct memory){.count = 0};
}

static bool within(uint64_t start, uint64_t length, uint64_t at, uint64_t size)
{
	return at >= start && size <= length && at - start <= length - size;
}

void *memory_by_gpa(void *context, uint64_t gpa, uint64_t size)
{
	const struct memory *memory = context;

	for (unsigned int i = 0; i < memory->count; i++) {
		const struct memory_region *region = &memory->regions[i];

		if (within(region->wire.gpa, region->wire.size, gpa, size))
			return region->map + region->wire.mmap_offset + (gpa - region->wire.gpa);
	}
	return NULL;
}

void *memory_by_uva(const struct memory *memory, uint64_t uva, uint64_t size)
{
	for (unsigned int i = 0; i < memory->count; i++) {
		const struct memory_region *region = &memory->regions[i];

		if (within(region->wire.uva, region->wire.size, uva, size))
			return region->map + region->wire.mmap_offset + (uva - region->wire.uva);
	}
	return NULL;
}

bool memory_uva_to_gpa(const struct memory *memory, uint64_t uva, uint64_t *gpa)
{
	for (unsigned int i = 0; i < memory->count; i++) {
		const struct wire_region *wire = &memory->regions[i].wire;

		if (within(wire->uva, wire->size, uva, 1)) {
			*gpa = wire->gpa + (uva - wire->uva);
			return true;
		}
	}
	return false;
}

int memory_set_log(struct memory *memory, int fd, uint64_t offset, uint64_t size, struct diag *diag)
{
	void *log = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)offset);

	if (log == MAP_FAILED)
		return diag_set(diag, -errno, "SET_LOG_BASE of 0x%llx bytes: can not map: %s",
				(unsigned long long)size, strerror(errno));
	if (memory->log)
		munmap(memory->log, memory->log_size);
	memory->log = log;
	memory->log_size = size;
	return 0;
}

/* Release: whoever takes the bit out of the log then reads what was written before. */
void memory_mark(const struct memory *memory, uint64_t gpa, uint64_t size)
{
	uint64_t last = (gpa + size - 1) >> LOG_PAGE_BITS;

	if (!memory->log || !memory->logging || size == 0)
		return;
	for (uint64_t page = gpa >> LOG_PAGE_BITS; page <= last; page++)
		if (page / 8 < memory->log_size)
			__atomic_fetch_or(&memory->log[page / 8], (uint8_t)(1u << page % 8),
					  __ATOMIC_RELEASE);
}
