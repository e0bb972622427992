/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The disk: blk requests (virtio 1.2, 5.2.6) executed on a file or on memory.
 */
#pragma once

#include "backend/memory.h"

#define BLK_CONFIG_BYTES 60u

struct blk {
	int fd;
	uint64_t size; /* bytes */
};

/* A file, or with NULL `size` bytes of memory. -errno. */
int blk_open(struct blk *blk, const char *file, uint64_t size, struct diag *diag);

/* The config space, as far as virtio 1.2, 5.2.4 has it for the features offered here. */
void blk_config(const struct blk *blk, unsigned int queues, uint8_t config[BLK_CONFIG_BYTES]);

/*
 * Executes the request in a chain and sets its status; `*written` is what goes
 * into the used length. -EINVAL: no request can be made out of the chain, or it
 * lies outside all regions.
 */
int blk_execute(const struct blk *blk, struct memory *memory, const struct ring_chain *chain,
		uint32_t *written, struct diag *diag);
