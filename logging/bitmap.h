/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The dirty bitmap (specification "Migration"): bit (addr >> 12) of the log, in
 * bytes from the lowest bit up, one for each 4 KiB page of guest-physical memory.
 *
 * Bits are gathered first and written in a burst, one atomic OR for each word that
 * has one to set: the completions of a round share words, and a bit that is set
 * already costs an eighth when it is left alone (measured).
 *
 * The reader exchanges whole words with 0 meanwhile, so a bit is set after the data
 * it stands for: one that came first could be read and cleared before the write,
 * which would then be lost. What is gathered must be in memory already.
 *
 * Pure over memory handed in; one thread a burst, any number of bursts a log.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define BITMAP_PAGE_SHIFT 12
#define BITMAP_WORDS      16u /* gathered at a time */

struct bitmap_burst {
	uint64_t *words; /* of the log; NULL: what is gathered goes nowhere */
	uint64_t count;  /* of words */
	uint64_t marked; /* pages of which the bit was not set, counted for the caller */
	unsigned int held;
	uint64_t at[BITMAP_WORDS]; /* bit i of `held`: word at[i] is to get bits[i] */
	uint64_t bits[BITMAP_WORDS];
};

/* Whether a log can be written here: words are aligned to their size, and whole. */
static inline bool bitmap_fits(uint64_t offset, uint64_t size)
{
	return offset % sizeof(uint64_t) == 0 && size % sizeof(uint64_t) == 0;
}

/* Where bits go from now on; nothing may be gathered. `log` is aligned to 8 bytes, or NULL. */
void bitmap_aim(struct bitmap_burst *burst, void *log, uint64_t size);

/* `length` bytes at `gpa` were written. Pages past the end of the log are left out. */
void bitmap_gather(struct bitmap_burst *burst, uint64_t gpa, uint64_t length);

/* All that was gathered is in the log when it returns. */
void bitmap_settle(struct bitmap_burst *burst);

/* Marks what is marked in `from` of this memory too; both logs have `count` words. */
void bitmap_merge(uint64_t *to, const uint64_t *from, uint64_t count, uint64_t gpa,
		  uint64_t length);

/*
 * Takes what is marked of this memory out of `log`, as a migration's reader, and puts
 * it into `seen`; both have `count` words. The pages it was, and how many of them were
 * not in `seen`.
 */
struct bitmap_taken {
	uint64_t pages, fresh;
};
struct bitmap_taken bitmap_take(uint64_t *log, uint64_t *seen, uint64_t count, uint64_t gpa,
				uint64_t length);

/* Bytes of a log that has a bit for each page below `end`, in whole words. */
uint64_t bitmap_bytes(uint64_t end);
