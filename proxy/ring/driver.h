/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The driver's end of a ring of either format; the contracts are those of
 * split_driver.h and packed_driver.h.
 */
#pragma once

#include "ring/packed_driver.h"
#include "ring/split_driver.h"

struct driver {
	enum ring_format format;
	union {
		struct split_driver split;
		struct packed_driver packed;
	};
};

/* `base` as in SET_VRING_BASE: RING_PACKED_BASE or 0 for a fresh ring. */
int driver_init(struct driver *driver, enum ring_format format, const struct ring_areas *areas,
		unsigned int num, bool event_idx, uint32_t base, struct diag *diag);
void driver_deinit(struct driver *driver);

/* VIRTIO_F_IN_ORDER was agreed; before the first add(). */
void driver_in_order(struct driver *driver);

int driver_add(struct driver *driver, const struct ring_buffer *buffers, unsigned int count,
	       uint64_t token);
int driver_add_table(struct driver *driver, uint64_t addr, uint32_t len, uint32_t writable,
		     uint64_t token);
int driver_add_chain(struct driver *driver, const struct ring_chain *chain, uint64_t token);
uint32_t driver_table(const struct driver *driver, void *table, const struct ring_buffer *buffers,
		      unsigned int count);
void driver_publish(struct driver *driver);
bool driver_kick_wanted(struct driver *driver);
int driver_take(struct driver *driver, struct ring_done *done, struct diag *diag);
int driver_collect(struct driver *driver, struct ring_done *done, struct diag *diag);
bool driver_calls(struct driver *driver, bool wanted);

/* False for a packed ring: there a device says nothing of what it reads. */
bool driver_busy(const struct driver *driver);
int driver_recall(struct driver *driver, uint32_t base, struct diag *diag);

/* Chains added and not taken. */
unsigned int driver_chains(const struct driver *driver);

/* Descriptors of the ring. */
unsigned int driver_size(const struct driver *driver);

/* Whether a chain was added as number `at`, 0 to size - 1, and not taken; its token. */
bool driver_token(const struct driver *driver, unsigned int at, uint64_t *token);

/* Descriptors free for add(). */
unsigned int driver_free(const struct driver *driver);

/* What GET_VRING_BASE must answer once all that was added is taken. */
uint32_t driver_base(const struct driver *driver);
