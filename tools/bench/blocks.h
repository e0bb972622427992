/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What each block of the disk must hold.
 *
 * A block is as big as a request. Each write of it gets the next sequence
 * number, and every byte of the data follows from block and sequence; so a read
 * shows not only that something is wrong but which write it got instead.
 *
 * Invariant: at most one request on a block is in flight, since the order of two
 * is the back-end's choice and nothing could be said about the content.
 */
#pragma once

#include "base/diag.h"

#include <stdbool.h>
#include <stdint.h>

struct blocks {
	uint64_t count;
	uint32_t bytes;     /* a block */
	uint32_t *sequence; /* of the last completed write; 0: never written */
	uint8_t *busy;
};

/* -ENOMEM. */
int blocks_open(struct blocks *blocks, uint64_t count, uint32_t bytes, struct diag *diag);
void blocks_close(struct blocks *blocks);

void blocks_fill(const struct blocks *blocks, uint64_t block, uint32_t sequence, uint8_t *data);

/* -EIO with the line: what was found where. A block never written may hold anything. */
int blocks_check(const struct blocks *blocks, uint64_t block, const uint8_t *data,
		 struct diag *diag);
