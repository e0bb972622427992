/* SPDX-License-Identifier: BSD-3-Clause */
#include "logging/bitmap.h"

/*
 * The data before the look at the bit: a bit seen set stands for the data only if
 * the reader, who clears it and reads the page after that, sees the data then. On
 * any processor a load may pass a store before it, so a release is not enough.
 */
static void fence(void)
{
#ifdef __SANITIZE_THREAD__
	/* gcc's TSan has no fences; a read-modify-write orders as much. */
	static int dummy;

	__atomic_fetch_add(&dummy, 0, __ATOMIC_SEQ_CST);
#else
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
#endif
}

void bitmap_mark(uint8_t *log, uint64_t size, uint64_t gpa, uint64_t length)
{
	uint64_t first = gpa >> BITMAP_PAGE_SHIFT, last, pages = size * 8;

	if (length == 0)
		return;
	fence();
	last = (gpa + (length - 1)) >> BITMAP_PAGE_SHIFT;
	for (uint64_t page = first; page <= last && page < pages; page++) {
		uint8_t *byte = &log[page >> 3];
		uint8_t bit = (uint8_t)(1u << (page & 7));

		if (!(__atomic_load_n(byte, __ATOMIC_RELAXED) & bit))
			__atomic_fetch_or(byte, bit, __ATOMIC_RELEASE);
	}
}
