/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One relayed ring on its data thread: rounds of work, notifications, sleep.
 * Only that thread calls these, except for data_ring_count().
 */
#pragma once

#include "logging/bitmap.h"
#include "shell/data.h"

/* On its way out: how it takes nothing more from the guest, and what is waited for. */
enum data_ring_way {
	DATA_RING_STAYS,
	DATA_RING_DRAINS,  /* until nothing is in flight */
	DATA_RING_HOLDS,   /* until the back-end is not seen at work */
	DATA_RING_RECALLS, /* until all that the back-end has read is complete */
};

struct data_ring {
	unsigned int queue;
	bool attached;
	enum data_ring_way way;
	uint32_t back_base; /* RECALLS: where the back-end stopped */
	uint64_t until_ns;  /* RECALLS: CLOCK_MONOTONIC */
	bool left;          /* drained: whoever goes on with the ring is not us */
	enum ring_format format;
	unsigned int num;
	struct relay relay;
	uint64_t desc, driver, device;                    /* user addresses of the guest's areas */
	int guest_kick, guest_call, back_kick, back_call; /* -1: none */
	struct data_log log;
	struct bitmap_burst burst;
	uint64_t told;             /* of burst.marked: whoever asked to hear of marks knows these */
	struct data_counters past; /* of this ring, before it was attached */
	void *record; /* of our own, where nobody else keeps one; outlives a lost back-end */
	size_t record_bytes;
	struct relay_config config;  /* as attached */
	struct data_counters counts; /* stored here, loaded by the control thread */
};

enum data_ring_result {
	DATA_RING_IDLE = 0,
	DATA_RING_WORKED = 1,
	DATA_RING_GUEST_FAULT = 2, /* the diag has the line */
	DATA_RING_BACK_FAULT = 3,
	DATA_RING_QUIET = 4,
	DATA_RING_LEFT = 5,
};

/* Copies the descriptors, maps the areas. 0 or -errno, nothing held. */
int data_ring_attach(struct data_ring *ring, const struct data_attach *attach,
		     const struct map *map, struct diag *diag);
void data_ring_detach(struct data_ring *ring);
/* Frees the record; the ring is not attached. */
void data_ring_free(struct data_ring *ring);

/* One bounded round in both directions. */
int data_ring_work(struct data_ring *ring, struct diag *diag);

/* Asks both sides for notifications. True: there is work already. */
bool data_ring_sleep(struct data_ring *ring);

/* Takes nothing more from the guest. */
void data_ring_leave(struct data_ring *ring, enum data_ring_way way);

/*
 * Whether what is waited for has come: DATA_RING_IDLE, a fault, and once
 * DATA_RING_QUIET (held) or DATA_RING_LEFT: the ring is left to whoever goes on with
 * it, from `base`, and does nothing more; the guest's call was raised.
 */
int data_ring_leaving(struct data_ring *ring, uint32_t *base, struct diag *diag);

/*
 * The back-end is gone: takes what it had completed, and leaves the rest in flight
 * in the record for an attach with `resubmit`, or gives it back empty. The chains
 * that are left; the ring is then only to be detached. `base` as above.
 */
int data_ring_lose(struct data_ring *ring, const struct map *map, bool resubmit, uint32_t *base,
		   unsigned int *left, struct diag *diag);

/* Raises the guest's call, whatever it asked for: one too many is harmless. */
void data_ring_nudge(struct data_ring *ring);

/* Moves to another map. -EFAULT: the ring is not in it. */
int data_ring_map(struct data_ring *ring, const struct map *map, struct diag *diag);

void data_ring_retarget(struct data_ring *ring, int guest_kick, int guest_call,
			const struct data_log *log);

/*
 * The ring is to be detached with chains in flight: what the back-end may have written
 * of them is marked, for nobody will hear of it any more.
 */
void data_ring_mark_in_flight(struct data_ring *ring);

void data_ring_count(const struct data_ring *ring, struct data_counters *counters);
