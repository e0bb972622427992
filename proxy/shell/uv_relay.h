/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One session on the loop: the four sockets, and what the session decides.
 *
 * The relay carries out the effects of session/session.h. It begins with the
 * front-end alone (nothing is read then, its end is noticed) and relays from
 * uv_relay_begin() on.
 *
 * Bounds: a port is read only while whoever it talks to keeps up, so memory is
 * bounded by a few messages a direction, and a peer that does not read makes
 * only its own other end wait.
 *
 * The loop sleeps between messages. Spinning after each was tried and refused:
 * docs/decisions/0002-no-spinning-for-control-messages.md.
 *
 * Control thread only.
 */
#pragma once

#include "session/session.h"
#include "shell/rings.h"

#include <sys/types.h>
#include <uv.h>

struct uv_relay;

struct uv_relay_events {
	/* The session is over; the relay is to be closed, which may be done here. */
	void (*ended)(void *context);
	/* The back-end is gone, or the one offered was: another is to be offered. */
	void (*away)(void *context);
	/* From now on the back-end is the one at this path (uv_relay_swap()). */
	void (*moved)(void *context, const char *path);
	/* For the followers of the control socket; `json` is an object. */
	void (*event)(void *context, const char *name, const char *json);
};

struct uv_relay_names {
	const char *front, *back; /* for the log: a path or "descriptor 5" */
	const char *state;        /* the state file (state.h), NULL: none */
};

/* Takes over the front-end's socket. NULL: no memory, or it can not be polled. */
struct uv_relay *uv_relay_open(uv_loop_t *loop, int front_fd, const struct uv_relay_names *names,
			       const struct session_config *config,
			       const struct rings_config *rings_config,
			       const struct uv_relay_events *events, void *context);

/*
 * Before uv_relay_begin(): ends the relay if its front-end gave up waiting. A
 * back-end that came in the same round of the loop must not be spent on it.
 */
void uv_relay_look(struct uv_relay *relay);

/* Takes over the back-end's socket and relays; false: the relay ends (it has said why). */
bool uv_relay_begin(struct uv_relay *relay, int back_fd);

/* After `away`: a connection to what may be the next back-end; the relay's from then on. */
void uv_relay_offer(struct uv_relay *relay, int back_fd);
/* Whether `away` was said and nobody is offered. */
bool uv_relay_wants_back(const struct uv_relay *relay);

/*
 * Asks the back-end at `path`, and moves the device to it if it is fit: the events
 * BACKEND_BACK and BACKEND_UNFIT tell. 1: the diag says why not even asked.
 */
int uv_relay_swap(struct uv_relay *relay, const char *path, struct diag *diag);

/* NULL before uv_relay_begin(). */
const struct session *uv_relay_session(const struct uv_relay *relay);
/* Moves the rings; nothing to do without a session. Not from within an event. */
int uv_relay_move(struct uv_relay *relay, enum session_mode mode, struct diag *diag);
/* Measures how fast guest memory is written (uv_rate.h); only with a session. */
int uv_relay_rate(struct uv_relay *relay, unsigned int seconds, struct diag *diag);
/* Only with a session. */
void uv_relay_counters(struct uv_relay *relay, unsigned int queue, struct data_counters *counters);

pid_t uv_relay_front_pid(const struct uv_relay *relay);
pid_t uv_relay_back_pid(const struct uv_relay *relay);

/* Closes the sockets; frees itself when the loop has run on. No callback comes after. */
struct uv_relay *uv_relay_close(struct uv_relay *relay);
