/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Relaying one queue: the guest's ring on one side, where we are the device, and
 * a ring of our own on the other, which the back-end works as if it were the
 * guest's. Buffers stay where they are; only descriptors are copied.
 *
 * Invariant: a chain is in the guest's ring, or in flight here, or given back;
 * it leaves the guest's ring only when the shadow ring has taken it. Hence there
 * is nothing parked in between, and a relay that is drained, stopped or dead
 * leaves the guest's ring as any device would.
 *
 * Both rings have the same format and size, and each its own suppression of
 * notifications: the guest is called and the back-end kicked by the wish of each.
 * A chain is handed on as it was said, descriptor by descriptor and an indirect
 * table as that table, so it always fits in an empty shadow ring.
 *
 * Refused: rewriting chains into tables of our own (would need memory for each
 * chain, and one more look-up by the back-end), and parking a chain that does not
 * fit (a third place where a crash could lose it).
 *
 * What the other ends may do: anything. From RING_FAULTS on, an outcome says that
 * the end named in the diag ("guest ring: ...", "back-end ring: ...", "inflight
 * record: ...") broke a rule; the relay is then to be ended. What was relayed
 * before in the same call is published.
 *
 * Use, on the ring's data thread:
 *
 *	relay_init(); kick the back-end once, call the guest once
 *	for (;;) {
 *		relay_wake();
 *		do relay_pull(), relay_complete();
 *		while either returned RING_OK;
 *		if (relay->kick) ... if (relay->call) ...    (clear, write the eventfd)
 *		if (!relay_sleep()) wait for the guest's kick or the back-end's call;
 *	}
 *
 * Leaving: relay_hold(true), go on as above until relay_in_flight() is 0, then
 * relay_leave() says where the back-end goes on in the guest's ring; it has to be
 * kicked once, the guest called once.
 *
 * Leaving a ring that is filled in advance, at which the back-end holds buffers it
 * may never take: relay_hold(true), go on while relay_busy(), stop the back-end, go
 * on until relay_recall() is RING_OK, then relay_leave().
 *
 * With a record, `resubmit` may always be set but after a reset of the device, when
 * the guest has forgotten its requests too: a relay that left has emptied it.
 * A lost back-end with a record: relay_deinit(), then relay_init() with `resubmit`
 * on a zeroed shadow ring, as after a crash of our own.
 *
 * Threads: one at a time, the one that may touch guest memory; relay_init() reads
 * the guest's ring too. Memory: of the order of 100 bytes a descriptor of the
 * ring and extents.h's pool, taken by relay_init() only.
 */
#pragma once

#include "ring/device.h"
#include "ring/driver.h"
#include "ring/extents.h"
#include "ring/inflight.h"

struct relay_config {
	enum ring_format format;
	unsigned int num;
	bool event_idx;       /* VIRTIO_F_EVENT_IDX, on both sides */
	bool indirect;        /* VIRTIO_F_INDIRECT_DESC, on both sides */
	bool in_order;        /* VIRTIO_F_IN_ORDER, with the back-end; the guest may have it too */
	bool notify_on_empty; /* VIRTIO_F_NOTIFY_ON_EMPTY, with the guest */
	bool resubmit;        /* take up what the record says; else it is written afresh */
	uint32_t base;        /* of the guest's ring, as SET_VRING_BASE; see `record` */
	uint16_t shadow_base; /* of ours, if it is split; a packed one starts afresh */
	struct ring_areas guest;
	struct ring_areas shadow; /* ours */
	struct ring_memory memory;
	/*
	 * The inflight record of this queue, inflight_bytes(format, record_num) of it,
	 * or NULL. With `resubmit`, and unless it was never written, it decides where
	 * the guest's ring goes on: a front-end that lost its back-end can not know.
	 */
	void *record;
	unsigned int record_num;
};

/*
 * Who is told what was written, for a dirty log. The ranges of a completed chain
 * come in order, each `len` bytes a device may write, of which it says it wrote
 * `written`; settle() ends a batch: after the back-end's bytes are in memory, before
 * the guest can see the completions.
 */
struct relay_watcher {
	void (*wrote)(void *context, uint64_t gpa, uint32_t len, uint32_t written);
	void (*settle)(void *context);
	void *context;
};

struct relay_counters {
	uint64_t relayed;       /* chains given back to the guest */
	uint64_t bytes_written; /* into them, as the guest was told */
	uint64_t resubmitted;   /* chains of an earlier process, submitted again */
	uint64_t clamped;       /* completions with a length beyond the chain's room */
	uint64_t kicks, calls;  /* counted by whoever writes the eventfds */
};

struct relay {
	/* What the caller has to do; set here, cleared by the caller. */
	bool kick; /* the back-end wants to be kicked */
	bool call; /* the guest wants to be called */

	bool held;    /* nothing new is taken from the guest */
	bool blocked; /* the shadow ring is full; a completion ends it */
	bool quiet;   /* notifications are turned off */
	bool notify_on_empty;
	bool recorded;
	unsigned int again;     /* of inflight.order: submitted */
	unsigned int left_over; /* of inflight.order: not given back */
	struct device device;
	struct driver driver;
	struct ring_memory memory;
	struct ring_chain chain;
	struct inflight inflight;
	struct extents extents;
	struct relay_watcher watcher; /* wrote NULL: none */
	struct relay_counters counters;
};

/* 0, -EINVAL, -ENOMEM, RING_BAD_RECORD. On failure nothing is held. */
int relay_init(struct relay *relay, const struct relay_config *config, struct diag *diag);
/* Frees the private memory; touches neither ring nor the record. Safe twice. */
void relay_deinit(struct relay *relay);

/* SET_VRING_BASE for the back-end, with a `shadow_base` of 0. */
static inline uint32_t relay_shadow_base(enum ring_format format)
{
	return format == RING_SPLIT ? 0 : RING_PACKED_BASE;
}

/*
 * Hands on at most `budget` chains: what is to be resubmitted, then what the guest
 * made available. They are recorded as in flight and published to the back-end at
 * once, at the end; `kick` is set if it wants to know.
 *
 * RING_OK: at least one, and there may be more; RING_EMPTY: none; RING_FULL: the
 * shadow ring has no room for the next one (some may have been handed on), and
 * there is no point in trying before relay_complete() gave something back; or a
 * fault of the guest.
 */
int relay_pull(struct relay *relay, unsigned int budget, struct diag *diag);

/*
 * Gives at most `budget` completions to the guest, published at once, and sets
 * `call` if it wants to know. A length beyond the chain's writable part is cut to
 * it and counted: there are careless back-ends, their data is right, and the guest
 * must not be told of more than it gave.
 *
 * RING_OK: at least one, and there may be more; RING_EMPTY: none; or a fault of
 * the back-end.
 */
int relay_complete(struct relay *relay, unsigned int budget, struct diag *diag);

/* Asks both sides for notifications. True: there is work already, do not wait. */
bool relay_sleep(struct relay *relay);
/* Turns notifications off while we look ourselves, where that costs less than they do. */
void relay_wake(struct relay *relay);

/*
 * Held: nothing new is taken from the guest, what is to be resubmitted still is,
 * and the guest's kicks are not asked for. Let go: call relay_pull() once without
 * waiting for a kick.
 */
void relay_hold(struct relay *relay, bool held);

/* Chains taken from the guest, by us or whom we follow, and not given back. */
unsigned int relay_in_flight(const struct relay *relay);

/*
 * Held: whether the back-end is seen to be at work on chains, so that it is too
 * early to stop it. Where nothing can be seen, false.
 */
bool relay_busy(const struct relay *relay);

/*
 * Held, and the back-end has stopped its ring with `base` as its answer to
 * GET_VRING_BASE, which says how far it has read. What it has read completes; what
 * it has not is handed back: the guest made it available, and in its ring it still
 * is, from where we go back to.
 *
 * RING_OK: relay_in_flight() is 0, only relay_leave() may follow. RING_EMPTY: call
 * relay_complete(), then again. A fault of the back-end: it can not stand at `base`.
 * A fault of the guest: the chains in flight are not the last of its ring. That may
 * also be the back-end's doing, which used chains that it says it has not read. Or
 * an earlier process died with chains completed out of order, and older ones it
 * left are among the untaken: only the record knows them, and a relay that starts
 * anew from it is all that can be done. In a packed ring a dead process may also have
 * written over descriptors: those it left must be as the record has them, else
 * RING_BAD_RECORD.
 *
 * No store is made: dead before relay_leave() has emptied the record, all of them
 * are in flight and taken up by the next process; dead after, the used index, which
 * no record overrides any more, is where the guest's ring goes on.
 */
int relay_recall(struct relay *relay, uint32_t base, struct diag *diag);

/* Where the guest's ring goes on: GET_VRING_BASE's answer when relay_in_flight() is 0. */
uint32_t relay_base(const struct relay *relay);

/*
 * Nothing is in flight, and the ring goes to another device or is stopped: asks
 * the guest for kicks, empties the record, and returns relay_base(). After it only
 * relay_deinit() may be called. A crash that comes between it and whoever keeps the
 * position loses the position of a packed ring, and that only.
 */
uint32_t relay_leave(struct relay *relay);

/*
 * After relay_init() with `resubmit`: what is to be submitted again is given back
 * empty instead, for devices where a repeated request does harm.
 */
void relay_give_up(struct relay *relay);

/* The same guest memory, mapped elsewhere from now on. */
void relay_move(struct relay *relay, const struct ring_areas *guest,
		const struct ring_memory *memory);

/*
 * From now on, and for what is in flight already; NULL: nobody. What was written
 * before belongs to whoever asked before.
 */
void relay_watch(struct relay *relay, const struct relay_watcher *watcher);

/*
 * Tells the watcher of everything in flight, as if it were written whole: the ring
 * stops, or its back-end is lost, with chains it may have worked on.
 */
void relay_tell_in_flight(struct relay *relay);
