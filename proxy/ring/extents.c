/* SPDX-License-Identifier: BSD-3-Clause */
#include "ring/extents.h"

#include <errno.h>
#include <stdlib.h>

/*
 * A disk of QEMU's takes 126 pieces a request: a ring of 128 never waits, and a
 * larger one only when it is full of requests that are scattered to the utmost.
 */
#define POOL_A_SLOT 128u
#define POOL_MAX    (EXTENTS_NONE - 1u)

int extents_init(struct extents *extents, unsigned int num, unsigned int longest, struct diag *diag)
{
	unsigned int size = num * POOL_A_SLOT;

	if (size > POOL_MAX)
		size = POOL_MAX;
	if (size < longest)
		size = longest;
	assert(size <= POOL_MAX);
	/* Links are made when a range is first taken: untouched pages cost nothing. */
	*extents = (struct extents){
	    .pool = malloc(size * sizeof(*extents->pool)), .size = size, .first = EXTENTS_NONE};
	if (!extents->pool)
		return diag_set(diag, -ENOMEM, "no memory for %u ranges of chains in flight", size);
	return 0;
}

void extents_deinit(struct extents *extents)
{
	free(extents->pool);
	extents->pool = NULL;
}

static uint16_t take(struct extents *extents)
{
	uint16_t at = extents->first;

	if (at != EXTENTS_NONE)
		extents->first = extents->pool[at].next;
	else if (extents->touched < extents->size)
		at = (uint16_t)extents->touched++;
	return at;
}

void extents_drop(struct extents *extents, uint16_t handle)
{
	uint16_t last = handle;

	if (handle == EXTENTS_NONE)
		return;
	while (extents->pool[last].next != EXTENTS_NONE)
		last = extents->pool[last].next;
	extents->pool[last].next = extents->first;
	extents->first = handle;
}

int extents_keep(struct extents *extents, const struct ring_chain *chain, uint16_t *handle)
{
	struct extent *last = NULL;

	*handle = EXTENTS_NONE;
	if (!chain->writable)
		return RING_OK;
	for (unsigned int i = 0; i < chain->count; i++) {
		const struct ring_buffer *buffer = &chain->buffers[i];
		uint16_t at;

		if (!buffer->writable)
			continue;
		/* A chain has less than 2^32 bytes, so the sum fits. */
		if (last && last->addr + last->len == buffer->addr) {
			last->len += buffer->len;
			continue;
		}
		at = take(extents);
		if (at == EXTENTS_NONE) {
			extents_drop(extents, *handle);
			return RING_FULL;
		}
		if (last)
			last->next = at;
		else
			*handle = at;
		last = &extents->pool[at];
		*last = (struct extent){buffer->addr, buffer->len, EXTENTS_NONE};
	}
	return RING_OK;
}

const struct extent *extents_at(const struct extents *extents, uint16_t handle)
{
	return &extents->pool[handle];
}
