/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the control socket may see of the daemon: filled by the shell for one
 * command, borrowed by the one who makes the answer. Pure.
 */
#pragma once

#include "session/session.h"

#include <sys/types.h>

struct view_peer {
	bool connected;
	const char *path; /* NULL: came as a descriptor */
	pid_t pid;        /* 0: not known */
};

/* Counts since the daemon began, those of the running session included. */
struct view_counts {
	uint64_t messages[2][2][WIRE_FRONT_COUNT + 1]; /* as struct session */
};

/* What the daemon itself relayed of a ring; zeros while it is direct. */
struct view_ring {
	uint64_t kicks, calls, relayed, bytes_written;
	uint64_t pages_marked; /* in a dirty log, that were not marked yet */
	unsigned int inflight;
};

struct view {
	const char *state;             /* a name of the interface: "listening", "connected", ... */
	const struct session *session; /* NULL: no front-end */
	double uptime_s;
	struct view_peer frontend, backend;
	uint64_t reconnects;     /* front-end connections after the first */
	uint64_t replays;        /* of the state to a new back-end */
	uint64_t last_outage_us; /* of the back-end */
	uint64_t rss_kb;
	const struct view_counts *counts;
	const struct view_ring *rings; /* WIRE_QUEUES_MAX of them; NULL without a session */
	/* Moves the rings, those of sessions to come too; 0, or 1 with the line. */
	int (*move)(void *context, enum session_mode mode, struct diag *diag);
	/* Moves the device to the back-end at this path; the same. */
	int (*swap)(void *context, const char *path, struct diag *diag);
	/* Begins to measure how fast guest memory is written; the same. */
	int (*rate)(void *context, unsigned int seconds, struct diag *diag);
	void *context;
};
