/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One queue of a disk under load: its ring, its slots (one for each request that
 * may be in flight) and what to do next.
 *
 * A request is done when the ring gives its slot back; the ring refuses an id
 * that is not in flight, so a completion can neither be doubled nor invented,
 * and a lost one shows by its age.
 */
#pragma once

#include "bench/blocks.h"
#include "bench/frontend.h"
#include "bench/stats.h"
#include "ring/driver.h"

#define QUEUE_BUFFERS_MAX 258u /* header, status, 1 MiB in segments of 4 KiB */

struct queue_slot {
	uint8_t *header; /* virtio_blk_req, in guest memory */
	uint8_t *status;
	uint8_t *data;
	uint8_t *table; /* indirect */
	uint64_t block;
	uint64_t started;  /* ns */
	uint32_t sequence; /* a write's */
	bool write;
	bool busy;
};

enum queue_work {
	QUEUE_LOAD,      /* what the options say */
	QUEUE_READ_BACK, /* every block that was written, once */
};

struct queue {
	unsigned int index;
	const struct options *options;
	struct blocks *blocks; /* of the whole disk; counts nothing without --verify */
	uint64_t first_block;  /* this queue's share of the disk */
	uint64_t block_count;
	struct driver driver;
	struct frontend_ring ring;
	struct queue_slot *slots;
	unsigned int *idle; /* stack of free slots */
	unsigned int idle_count;
	bool indirect;
	uint32_t segment; /* most bytes of one data buffer */
	enum queue_work work;
	uint64_t cursor; /* of the read-back */
	uint64_t random;
};

/* Guest memory that one queue takes, alignment included. */
size_t queue_memory(const struct options *options);

/* The eventfds, which frontend_open() needs before anything else exists. -errno. */
int queue_open(struct queue *queue, unsigned int index, const struct options *options,
	       struct diag *diag);
/* Ring and slots, once the features are settled. -errno. */
int queue_build(struct queue *queue, struct guest *guest, const struct frontend *frontend,
		struct diag *diag);
/* Safe twice, and on a zeroed queue whose descriptors are -1. */
void queue_close(struct queue *queue);

/* Most descriptors a request takes. */
unsigned int queue_descriptors(const struct queue *queue);

/*
 * Puts requests into the ring until `depth` are in flight, `*allowed` is used up
 * or there is nothing more to read back; publishes them and kicks.
 */
int queue_submit(struct queue *queue, const struct guest *guest, uint64_t *allowed, uint64_t now,
		 struct diag *diag);

/*
 * Takes what is done. The number goes to `*taken`, latencies to `stats`. A
 * positive ring outcome or -EIO is the end of the run, with the line.
 */
int queue_take(struct queue *queue, struct stats *stats, uint64_t *taken, struct diag *diag);

/* Requests in flight, and the oldest of them (NULL: none). */
unsigned int queue_in_flight(const struct queue *queue);
const struct queue_slot *queue_oldest(const struct queue *queue);

uint64_t queue_now(void);
