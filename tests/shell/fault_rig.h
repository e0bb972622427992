/* SPDX-License-Identifier: BSD-3-Clause */
/* A session in which one end breaks a rule, and what must follow. */
#pragma once

#include "daemon_rig.h"
#include "session/session.h"

/* What one end sends, as it goes on the wire. */
struct bad {
	enum session_port from; /* who sends it: the socket named by its other end */
	uint32_t pending;       /* a request of the other end that is unanswered then; 0: none */
	uint32_t id, flags, size;
	uint64_t payload[2]; /* the first 16 bytes, the rest is 0 */
	unsigned int fds;
	const char *rule; /* what the line must say */
};

struct world {
	struct rig rig;
	struct ends ends;
	unsigned int idle;
	size_t from; /* the log before the session */
};

int fault_open(void **state);
int fault_close(void **state);

/* A negotiated session with both channels: rings 0 and 1, everything but MTU agreed. */
void fault_begin(struct world *world);
struct client *fault_sender(struct world *world, enum session_port from);

/* Sends bytes as they are, the descriptors with the first. */
void fault_send(struct client *client, const void *bytes, size_t size, unsigned int fds);
void fault_send_bad(struct world *world, const struct bad *bad);

/*
 * Both connections are closed, exactly one error line names `peer` and `rule`,
 * no descriptor is left, and the next front-end is served.
 */
void fault_ends(struct world *world, const char *peer, const char *rule);
/* The whole of a case. */
void fault_case(struct world *world, const struct bad *bad);
