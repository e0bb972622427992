/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The dirty log's life, as the messages tell it (specification "Migration").
 *
 * The log's memory (SET_LOG_BASE) and the order to write it (LOG_ALL in
 * SET_FEATURES) come in either order: QEMU sends the memory first when it
 * begins a migration, and last when a device starts during one. ON means both are
 * there. Pure.
 */
#pragma once

#include "base/fdset.h"
#include "base/sm.h"

#include <stdbool.h>
#include <stdint.h>

enum dirty_state {
	DIRTY_OFF,    /* neither */
	DIRTY_BASED,  /* memory, and no order */
	DIRTY_WANTED, /* an order, and no memory yet: what is written must be remembered */
	DIRTY_ON,
};

struct dirty {
	struct sm sm;
	bool based;           /* SET_LOG_BASE was seen; the rest describes it */
	uint64_t size;        /* bytes of the log */
	uint64_t offset;      /* bytes into its descriptor */
	struct fd_entry file; /* what it came with */
};

void dirty_init(struct dirty *dirty);

/* SET_LOG_BASE. True: a repetition of the memory in force (QEMU 7.2 sends it once a queue pair). */
bool dirty_base(struct dirty *dirty, uint64_t size, uint64_t offset, const struct fd_entry *file);

/* Whether LOG_ALL is acknowledged. */
bool dirty_ordered(const struct dirty *dirty);

/* LOG_ALL as acknowledged. */
void dirty_order(struct dirty *dirty, bool on);
