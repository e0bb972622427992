/* SPDX-License-Identifier: BSD-3-Clause */
#include "logging/bitmap.h"

#include "base/fence.h"

#include <stddef.h>

#define WORD_SHIFT 6u /* pages a word */

/* The reader and other processes see bytes. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "a word is its bytes, lowest first");

void bitmap_aim(struct bitmap_burst *burst, void *log, uint64_t size)
{
	burst->words = log;
	burst->count = log ? size / sizeof(uint64_t) : 0;
}

/*
 * After a full barrier, the data before the look at the bit: a bit seen set stands
 * for the data only if the reader, who clears it and reads the page after that,
 * sees the data then.
 */
static void write_out(struct bitmap_burst *burst, unsigned int slot)
{
	uint64_t *word = &burst->words[burst->at[slot]];
	uint64_t fresh = burst->bits[slot] & ~__atomic_load_n(word, __ATOMIC_RELAXED);

	if (fresh)
		fresh &= ~__atomic_fetch_or(word, fresh, __ATOMIC_RELEASE);
	burst->marked += (uint64_t)__builtin_popcountll(fresh);
	burst->held &= ~(1u << slot);
}

static void put(struct bitmap_burst *burst, uint64_t word, uint64_t bits)
{
	unsigned int slot = (unsigned int)word % BITMAP_WORDS;

	if (burst->held & 1u << slot && burst->at[slot] != word) {
		fence_full();
		write_out(burst, slot);
	}
	if (!(burst->held & 1u << slot)) {
		burst->held |= 1u << slot;
		burst->at[slot] = word;
		burst->bits[slot] = 0;
	}
	burst->bits[slot] |= bits;
}

void bitmap_gather(struct bitmap_burst *burst, uint64_t gpa, uint64_t length)
{
	uint64_t end = gpa + (length - 1), page = gpa >> BITMAP_PAGE_SHIFT, last;

	/* A range that wraps is no guest's; nothing past the end of it exists. */
	last = (end < gpa ? UINT64_MAX : end) >> BITMAP_PAGE_SHIFT;
	while (length && page <= last && page >> WORD_SHIFT < burst->count) {
		unsigned int from = page & ((1u << WORD_SHIFT) - 1);
		uint64_t most = (1u << WORD_SHIFT) - from, left = last - page + 1;
		uint64_t pages = left < most ? left : most;

		put(burst, page >> WORD_SHIFT, (UINT64_MAX >> (64 - pages)) << from);
		page += pages;
	}
}

void bitmap_settle(struct bitmap_burst *burst)
{
	if (!burst->held)
		return;
	fence_full();
	while (burst->held)
		write_out(burst, (unsigned int)__builtin_ctz(burst->held));
}

void bitmap_merge(uint64_t *to, const uint64_t *from, uint64_t count, uint64_t gpa, uint64_t length)
{
	uint64_t end = bitmap_bytes(gpa + length) / sizeof(uint64_t);

	for (uint64_t i = gpa >> (BITMAP_PAGE_SHIFT + WORD_SHIFT); i < end && i < count; i++) {
		uint64_t bits = __atomic_load_n(&from[i], __ATOMIC_ACQUIRE);

		if (bits)
			__atomic_fetch_or(&to[i], bits, __ATOMIC_RELEASE);
	}
}

struct bitmap_taken bitmap_take(uint64_t *log, uint64_t *seen, uint64_t count, uint64_t gpa,
				uint64_t length)
{
	uint64_t end = bitmap_bytes(gpa + length) / sizeof(uint64_t);
	struct bitmap_taken taken = {0, 0};

	for (uint64_t i = gpa >> (BITMAP_PAGE_SHIFT + WORD_SHIFT); i < end && i < count; i++) {
		uint64_t bits;

		/* Untouched pages of a sparse log stay so. */
		if (!__atomic_load_n(&log[i], __ATOMIC_RELAXED))
			continue;
		bits = __atomic_exchange_n(&log[i], 0, __ATOMIC_ACQ_REL);
		taken.pages += (uint64_t)__builtin_popcountll(bits);
		taken.fresh += (uint64_t)__builtin_popcountll(bits & ~seen[i]);
		seen[i] |= bits;
	}
	return taken;
}

uint64_t bitmap_bytes(uint64_t end)
{
	uint64_t pages =
	    (end >> BITMAP_PAGE_SHIFT) + ((end & ((1u << BITMAP_PAGE_SHIFT) - 1)) != 0);

	return ((pages >> WORD_SHIFT) + ((pages & ((1u << WORD_SHIFT) - 1)) != 0)) *
	       sizeof(uint64_t);
}
