/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The world of the ring simulator: a guest, a back-end, and their memory.
 *
 * The guest is a driver that never forgets; it checks what it gets back. The
 * back-end is a device on the guest's ring or on the shadow ring; it checks what it
 * is given, and forgets everything when its ring changes. Notifications are flags,
 * set by one end and cleared by the other when it wakes.
 */
#pragma once

#include "ring/relay.h"

#define WORLD_SLOTS   32768u
#define WORLD_ENTRIES 8u /* of an indirect table */
#define WORLD_TABLES  UINT64_C(0x4000000000000000)

/* What was negotiated and what the peers are like. */
struct world_kind {
	enum ring_format format;
	unsigned int num;
	unsigned int record_num;
	bool event_idx, indirect, in_order;
	bool careless; /* the back-end says that it wrote more than there is room for */
	bool batches;  /* in_order: it writes one used entry for several chains */
	bool filled;   /* it takes a chain only now and then: most lie there untaken */
};

/* A request of the guest. */
struct flight {
	uint64_t seq; /* 0: free; else its number, from 1, in the order of adding */
	unsigned int count;
	uint32_t writable;
	uint32_t expected; /* what the guest must be told, by its last completion */
};

struct held {
	struct ring_chain chain;
	uint32_t slot;
};

struct world {
	uint64_t seed;
	struct world_kind kind;
	struct ring_areas guest_areas, shadow_areas;
	struct ring_memory memory;
	uint8_t *tables;
	void *record;

	struct driver guest;
	unsigned int free_count;
	uint64_t added, done;
	bool guest_sleeps, call;
	bool kicked; /* it kicked */
	bool stops;  /* the guest adds nothing more */

	struct device backend;
	bool backend_open; /* there is a device */
	bool relayed;      /* on the shadow ring */
	bool pops;         /* it takes new chains */
	bool backend_sleeps, kick;
	bool raised; /* it called */
	uint64_t last_popped;
	unsigned int held_count;
	struct ring_buffer list[64];
	struct diag diag;

	/* Large, and only the first `num` of each are in use. */
	struct flight flights[WORLD_SLOTS];
	uint16_t free_slots[WORLD_SLOTS];
	struct held held[WORLD_SLOTS];
};

uint32_t world_pick(struct world *world, uint32_t below);
static inline bool world_once_in(struct world *world, uint32_t n)
{
	return world_pick(world, n) == 0;
}

/* Prints what, with the seed, and ends the program. */
void world_fail(const struct world *world, const char *format, ...)
    __attribute__((format(printf, 2, 3), noreturn));

/* A fresh world; world_close() frees what it holds. */
void world_open(struct world *world, const struct world_kind *kind, uint64_t seed);
void world_close(struct world *world);

void world_guest_step(struct world *world);

/* The back-end starts on these areas at `base`, knowing nothing of before. */
void world_backend_open(struct world *world, const struct ring_areas *areas, uint32_t base);
void world_backend_close(struct world *world);
/* Wakes, pops, completes, calls (`raised`), sleeps: some of it. */
void world_backend_step(struct world *world);
