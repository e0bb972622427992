/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench/blocks.h"

#include "base/bytes.h"

#include <errno.h>
#include <stdlib.h>

#define WORD 8u

int blocks_open(struct blocks *blocks, uint64_t count, uint32_t bytes, struct diag *diag)
{
	*blocks = (struct blocks){
	    .count = count,
	    .bytes = bytes,
	    .sequence = calloc(count, sizeof(*blocks->sequence)),
	    .busy = calloc(count, sizeof(*blocks->busy)),
	};
	if (blocks->sequence && blocks->busy)
		return 0;
	blocks_close(blocks);
	return diag_set(diag, -ENOMEM, "no memory to keep track of %llu blocks",
			(unsigned long long)count);
}

void blocks_close(struct blocks *blocks)
{
	free(blocks->sequence);
	free(blocks->busy);
	*blocks = (struct blocks){.count = 0};
}

/* Word `index` of a block: a mix in which each input bit reaches every output bit (splitmix64). */
static uint64_t word(uint64_t block, uint32_t sequence, uint32_t index)
{
	uint64_t x = block * UINT64_C(0x9e3779b97f4a7c15) + ((uint64_t)sequence << 32 | index);

	if (index == 0)
		return block;
	if (index == 1)
		return sequence;
	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

void blocks_fill(const struct blocks *blocks, uint64_t block, uint32_t sequence, uint8_t *data)
{
	for (uint32_t i = 0; i < blocks->bytes / WORD; i++)
		bytes_store64(data + i * WORD, word(block, sequence, i));
}

int blocks_check(const struct blocks *blocks, uint64_t block, const uint8_t *data,
		 struct diag *diag)
{
	uint32_t sequence = blocks->sequence[block];

	if (sequence == 0)
		return 0;
	for (uint32_t i = 0; i < blocks->bytes / WORD; i++) {
		uint64_t want = word(block, sequence, i), got = bytes_load64(data + i * WORD);

		if (got == want)
			continue;
		return diag_set(
		    diag, -EIO,
		    "block %llu, write %u: byte %u holds 0x%016llx instead of 0x%016llx "
		    "(the block says it is block %llu, write %llu)",
		    (unsigned long long)block, sequence, i * WORD, (unsigned long long)got,
		    (unsigned long long)want, (unsigned long long)bytes_load64(data),
		    (unsigned long long)bytes_load64(data + WORD));
	}
	return 0;
}
