/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which reply answers which request, on one channel.
 *
 * Goal: the requester receives the replies to its own requests, in the order it
 * asked, although the daemon puts requests of its own between them and answers
 * some of the requester's itself.
 *
 * A back-end answers in order, so a queue of what was sent is enough: the
 * protocol has no other tag than the message id. An answer of our own waits in
 * its place until everything before it is answered. What may or may not be
 * answered (EXPECT_PERHAPS) is passed over when the next reply is for
 * something later.
 *
 * Pure. Messages kept here are owned here.
 */
#pragma once

#include "wire/validate.h"

/* Requests unanswered at once. */
#define EXCHANGE_MAX 1024
/* Kept free of the peer's for the daemon's own: one for each ring and a few. */
#define EXCHANGE_RESERVE (WIRE_QUEUES_MAX + 8)

enum exchange_origin {
	EXCHANGE_PEER,     /* the requester at the other end: the reply is passed on */
	EXCHANGE_OURS,     /* the daemon: the reply is for the session */
	EXCHANGE_ANSWERED, /* the peer's, answered by the daemon: waits its turn */
	EXCHANGE_ORPHANED, /* the peer's, to be asked again of the next back-end */
	EXCHANGE_DISOWNED, /* of a back-end that is gone: its reply is for nobody */
};

struct exchange_entry {
	enum exchange_origin origin;
	enum wire_expect expect;
	uint32_t id;
	uint32_t flags;
	int queue;                    /* ring of the request, -1: none */
	uint64_t region;              /* guest address of the region it adds or removes */
	struct wire_agreement agreed; /* when it was sent: decides the reply's layout */
	uint64_t sent_ns;
	struct wire_message *answer; /* EXCHANGE_ANSWERED only; NULL: not known yet */
	/* What to ask again, where the back-end alone can answer and it has no descriptors. */
	struct wire_message *again;
};

struct exchange {
	unsigned int first;
	unsigned int count;
	struct exchange_entry ring[EXCHANGE_MAX];
};

/* Whether the peer may make no further request for now; more wait in its socket. */
bool exchange_full(const struct exchange *exchange);

/* Remembers a request that was sent; exchange_full() was asked before the peer's. */
void exchange_push(struct exchange *exchange, const struct exchange_entry *entry);

/*
 * Takes the entry that a reply with this id answers. False: nothing unanswered
 * could be meant; `oldest` (may be NULL) is then the entry that was due.
 */
bool exchange_match(struct exchange *exchange, uint32_t id, struct exchange_entry *entry,
		    const struct exchange_entry **oldest);

/*
 * Gives the answer to a request that was pushed as answered and had none yet.
 * False: there is no such request, the message is still the caller's.
 */
bool exchange_fill(struct exchange *exchange, uint32_t id, int queue, struct wire_message *answer);

/* The next answer of our own whose turn it is, NULL: none. The caller owns it. */
struct wire_message *exchange_due(struct exchange *exchange);

/* The replies due to the requester are for nobody any more. */
void exchange_disown(struct exchange *exchange);

/* The first orphan is the peer's again: what to ask, NULL: there is none. The caller owns it. */
struct wire_message *exchange_adopt(struct exchange *exchange);

/* The oldest request that a reply must come for, NULL: none. */
const struct exchange_entry *exchange_oldest(const struct exchange *exchange);
