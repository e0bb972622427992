/* SPDX-License-Identifier: BSD-3-Clause */
#include "ring/ring.h"

#include <errno.h>

static const char *const names[] = {
    [RING_OK] = "ok",
    [RING_EMPTY] = "empty",
    [RING_FULL] = "full",
    [RING_BAD_INDEX] = "bad index",
    [RING_BAD_HEAD] = "bad head",
    [RING_TWICE] = "available twice",
    [RING_BAD_NEXT] = "bad next",
    [RING_LOOP] = "loop",
    [RING_NESTED] = "nested indirect",
    [RING_BAD_TABLE] = "bad indirect table",
    [RING_TOO_LONG] = "chain too long",
    [RING_ZERO] = "empty buffer",
    [RING_OVERFLOW] = "overflow",
    [RING_ORDER] = "bad order",
    [RING_BAD_ID] = "bad id",
    [RING_BAD_LENGTH] = "bad length",
    [RING_BAD_RECORD] = "bad inflight record",
};

static_assert(sizeof(names) / sizeof(names[0]) == RING_BAD_RECORD + 1, "an outcome has no name");
static_assert(sizeof(struct ring_desc) == RING_DESC_SIZE, "virtio 1.2, 2.7.5");
static_assert(sizeof(struct ring_packed_desc) == RING_DESC_SIZE, "virtio 1.2, 2.8.13");

const char *ring_outcome_name(int outcome)
{
	if (outcome < 0 || outcome > RING_BAD_RECORD)
		return strerror(outcome < 0 ? -outcome : EINVAL);
	return names[outcome];
}

size_t ring_desc_bytes(enum ring_format format, unsigned int num)
{
	return (size_t)num * RING_DESC_SIZE;
}

size_t ring_driver_bytes(enum ring_format format, unsigned int num)
{
	if (format == RING_PACKED)
		return sizeof(struct ring_event);
	return sizeof(struct ring_avail) + (num + 1) * sizeof(uint16_t);
}

size_t ring_device_bytes(enum ring_format format, unsigned int num)
{
	if (format == RING_PACKED)
		return sizeof(struct ring_event);
	return sizeof(struct ring_used) + num * sizeof(struct ring_used_elem) + sizeof(uint16_t);
}

static int check_alignment(const char *what, const void *area, unsigned int alignment,
			   struct diag *diag)
{
	if (!area)
		return diag_set(diag, -EINVAL, "%s area: not mapped", what);
	if ((uintptr_t)area % alignment)
		return diag_set(diag, -EINVAL, "%s area at %p: must be aligned to %u bytes", what,
				area, alignment);
	return 0;
}

int ring_check(enum ring_format format, unsigned int num, const struct ring_areas *areas,
	       struct diag *diag)
{
	int result;

	if (num < 1 || num > RING_SIZE_MAX)
		return diag_set(diag, -EINVAL, "ring size %u: must be 1 to %u", num, RING_SIZE_MAX);
	if (format == RING_SPLIT && (num & (num - 1)))
		return diag_set(diag, -EINVAL, "ring size %u: a split ring needs a power of two",
				num);
	result = check_alignment("descriptor", areas->desc, RING_DESC_SIZE, diag);
	if (!result)
		result =
		    check_alignment("driver", areas->driver, format == RING_SPLIT ? 2 : 4, diag);
	if (!result)
		result = check_alignment("device", areas->device, 4, diag);
	return result;
}

int ring_chain_add(struct ring_chain *chain, uint64_t addr, uint32_t len, bool writable,
		   struct diag *diag)
{
	if (len == 0)
		return diag_set(diag, RING_ZERO, "chain %u: buffer %u has no bytes", chain->id,
				chain->count);
	if (addr + (len - 1) < addr)
		return diag_set(diag, RING_OVERFLOW,
				"chain %u: buffer 0x%llx of %u bytes runs past 2^64", chain->id,
				(unsigned long long)addr, len);
	if (!writable && chain->writable)
		return diag_set(diag, RING_ORDER,
				"chain %u: readable buffer %u comes after a writable one",
				chain->id, chain->count);
	if (chain->readable + chain->writable + len > UINT32_MAX)
		return diag_set(diag, RING_OVERFLOW, "chain %u: 2^32 bytes or more", chain->id);
	if (chain->count == chain->capacity)
		return diag_set(diag, RING_TOO_LONG, "chain %u: more than %u buffers", chain->id,
				chain->capacity);
	chain->buffers[chain->count++] =
	    (struct ring_buffer){.addr = addr, .len = len, .writable = writable};
	*(writable ? &chain->writable : &chain->readable) += len;
	return RING_OK;
}

int ring_table_open(struct ring_table *table, const struct ring_memory *memory, uint64_t addr,
		    uint32_t len, struct diag *diag)
{
	if (len == 0 || len % RING_DESC_SIZE)
		return diag_set(diag, RING_BAD_TABLE,
				"indirect table of %u bytes: must be a multiple of %u", len,
				RING_DESC_SIZE);
	if (addr + (len - 1) < addr)
		return diag_set(diag, RING_BAD_TABLE,
				"indirect table 0x%llx of %u bytes runs past 2^64",
				(unsigned long long)addr, len);
	*table = (struct ring_table){
	    .memory = memory,
	    .base = memory->translate(memory->context, addr, len),
	    .addr = addr,
	    .count = len / RING_DESC_SIZE,
	};
	return RING_OK;
}

int ring_table_entry(const struct ring_table *table, unsigned int index, void *entry,
		     struct diag *diag)
{
	uint64_t offset = (uint64_t)index * RING_DESC_SIZE;
	const uint8_t *at = table->base
				? table->base + offset
				: table->memory->translate(table->memory->context,
							   table->addr + offset, RING_DESC_SIZE);

	if (!at)
		return diag_set(diag, RING_BAD_TABLE,
				"indirect table 0x%llx: entry %u is in no memory region",
				(unsigned long long)table->addr, index);
	ring_copy(entry, at, RING_DESC_SIZE);
	return RING_OK;
}

/* Slots from the start of a lap with wrap counter 1; a pair of laps is 2 * num long. */
static unsigned int lap_offset(struct ring_position position, unsigned int num)
{
	return position.slot + (position.wrap ? 0 : num);
}

bool ring_event_wanted(uint32_t event, struct ring_position now, unsigned int moved,
		       unsigned int num)
{
	struct ring_position at = ring_position_unpack((uint16_t)event);
	unsigned int back;

	if (moved == 0)
		return false;
	switch (event >> 16) {
	case RING_EVENT_DISABLE:
		return false;
	case RING_EVENT_DESC:
		break;
	default:
		return true;
	}
	if (at.slot >= num || moved > num)
		return true;
	back = (lap_offset(now, num) + 2 * num - lap_offset(at, num)) % (2 * num);
	return back >= 1 && back <= moved;
}
