/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Data threads: the only ones that touch guest memory.
 *
 * Theory of operation. Each relayed ring belongs to one thread, which relays
 * both directions, raises kicks and calls, and sleeps in an epoll set of its own
 * when no ring has work. (uv_poll_init() would set O_NONBLOCK on the guest's
 * eventfds for good, for the peer too: measured.) Kicks are never read: edge
 * triggered, each write to an eventfd is one event, whatever its counter is.
 *
 * A wake-up costs more than the relaying. Where work has lately come soon after
 * there was none, a thread therefore looks again for a while before it sleeps,
 * and gives the processor to whoever else can run on it between two looks; a
 * single long wait ends that. (docs/decisions/0006)
 *
 * The control thread changes something by a command that the thread carries out
 * between two rounds and acknowledges; the control thread waits for that. So
 * when a call below returns, every ring uses the new memory, call or log, and the
 * old may be freed: a reply to the front-end can mean just that. A round is
 * bounded (BUDGET chains a ring), hence so is the wait. Only a drain takes as long
 * as the back-end does, and is told by an event.
 *
 * Functions are for the control thread; events come on it, through the loop.
 */
#pragma once

#include "base/diag.h"
#include "mem/map.h"
#include "ring/relay.h"

#include <uv.h>

struct data;

struct data_events {
	/* A drain is complete; the ring is still attached. `base` answers GET_VRING_BASE. */
	void (*drained)(void *context, unsigned int queue, uint32_t base);
	/* A watched ring has nothing in flight at the back-end, or (false) still has after the
	 * time it was given; it is watched no longer. */
	void (*quiet)(void *context, unsigned int queue, bool quiet);
	/* The guest, or the back-end, broke the ring; it is relayed no longer. */
	void (*fault)(void *context, unsigned int queue, bool guest, const char *text);
};

/* Where what is written to guest memory is marked dirty. */
struct data_log {
	uint8_t *at; /* NULL: nothing is marked */
	uint64_t size;
	struct map_range areas[2]; /* what a device writes of a ring; of size 0: nothing */
	bool buffers;              /* the back-end does not mark what it writes: we do */
	bool used_len;             /* of a chain what it says it wrote, not all it may write */
	int raised;                /* copied; raised when pages were marked; -1: nobody asked */
};

struct data_attach {
	unsigned int queue;
	struct relay_config relay;     /* `guest` and `memory` are filled in from the map */
	uint64_t desc, driver, device; /* the front-end's user addresses of the guest's areas */
	int guest_kick, guest_call;    /* copied; -1: none */
	int back_kick, back_call;      /* copied */
	struct data_log log;
};

struct data_counters {
	uint64_t kicks;   /* raised towards the back-end */
	uint64_t calls;   /* raised towards the guest */
	uint64_t relayed; /* chains completed to the guest */
	uint64_t bytes_written;
	uint64_t pages_marked; /* that were not marked yet */
	unsigned int inflight;
};

/* 0 or -errno with the line. The map must outlive its use: see data_map(). */
int data_open(struct data **data, uv_loop_t *loop, unsigned int threads, unsigned int poll_us,
	      const struct map *map, const struct data_events *events, void *context,
	      struct diag *diag);
/* Ends the threads; rings are detached. No event comes after. NULL is allowed; returns NULL. */
struct data *data_close(struct data *data);

int data_attach(struct data *data, const struct data_attach *attach, struct diag *diag);
/* Relayed and watched no longer; what is still to be told of it is not told. */
void data_detach(struct data *data, unsigned int queue);
void data_drain(struct data *data, unsigned int queue);

/* Takes nothing more from the guest; quiet when the back-end is not seen at work. */
void data_hold(struct data *data, unsigned int queue);

/*
 * A held ring whose back-end has stopped at `base`: what it has read completes, within
 * `limit_ms` or the ring faults, the rest is handed back; drained then.
 */
void data_recall(struct data *data, unsigned int queue, uint32_t base, unsigned int limit_ms);

/* Another kick, call (-1: none) or log for an attached ring. */
void data_retarget(struct data *data, unsigned int queue, int guest_kick, int guest_call,
		   const struct data_log *log);

/* Every ring uses this map when it returns; a ring that is no longer mapped faults. */
void data_map(struct data *data, const struct map *map);

/*
 * Marks in one log what is marked in another: `pages` from `gpa` on. -EFAULT with the
 * line: one of them was made shorter by its owner.
 */
struct data_merge {
	const uint64_t *from;
	uint64_t *to;
	uint64_t words;        /* that both have */
	const struct map *map; /* of this memory */
};
int data_merge(struct data *data, const struct data_merge *merge, struct diag *diag);

/*
 * Watches a split ring with event index that is not attached: quiet when the
 * back-end's avail_event equals the used index, within `limit_ms` or not.
 */
void data_watch(struct data *data, unsigned int queue, uint64_t used, unsigned int num,
		unsigned int limit_ms);

/* As data_watch(), of a ring that the back-end has stopped: quiet at used index `base`. */
void data_await(struct data *data, unsigned int queue, uint64_t used, unsigned int num,
		uint16_t base, unsigned int limit_ms);

struct data_lost {
	uint32_t base;     /* where the guest's ring goes on */
	unsigned int left; /* chains in flight, for an attach with `resubmit` */
	bool guest;        /* on failure: it was the guest's fault */
};

/* The back-end of an attached ring is gone (data_ring_lose()); the ring is detached. */
int data_lose(struct data *data, unsigned int queue, bool resubmit, struct data_lost *lost,
	      struct diag *diag);

/* The used index of a split ring that is not attached. -EFAULT: it is not in the map. */
int data_stand(struct data *data, unsigned int queue, uint64_t used, uint16_t *index,
	       struct diag *diag);

/* As of now, without stopping anything: of all the times the ring was attached. */
void data_counters(struct data *data, unsigned int queue, struct data_counters *counters);
