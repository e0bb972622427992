/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What uv_relay.c (sockets and effects) and uv_back.c (the back-end's coming and
 * going) share; nobody else includes it.
 */
#pragma once

#include "shell/rings.h"
#include "shell/uv_candidate.h"
#include "shell/uv_port.h"
#include "shell/uv_rate.h"
#include "shell/uv_relay.h"

#include <jansson.h>

struct uv_relay {
	uv_loop_t *loop;
	struct uv_relay_names names;
	const struct session_config *config;
	const struct rings_config *rings_config;
	const struct uv_relay_events *events;
	void *context;
	struct uv_port *ports[PORT_COUNT];
	struct session *session; /* NULL: not begun */
	struct rings *rings;     /* NULL: not begun */
	pid_t front_pid, back_pid;
	struct uv_candidate *candidate; /* NULL: none is asked */
	int swap_fd;                    /* of a candidate that waits for the rings, -1: none */
	char *swap_path;                /* where it was found; NULL: it is no swap */
	uint64_t opened_ns;
	uint64_t paused_ns; /* of an absence, when the guest was last seen paused */
	uint64_t told_s;    /* of an absence, the seconds last told */
	bool state_failed;  /* a line said that the state file can not be written */
	bool dispatching;   /* effects are being carried out */
	bool ended;         /* the session is over, the owner is told after that */
	struct uv_rate rate;
	uv_timer_t watchdog;
	uint64_t slow_told[2]; /* sent_ns of the request last told to be slow, by channel */
};

/* Tells the followers of the control socket; takes `data` over. */
void uv_relay_tell(struct uv_relay *relay, const char *event, json_t *data);
/* Ends the session: the owner hears of it once. */
void uv_relay_end(struct uv_relay *relay);
void uv_relay_fault(struct uv_relay *relay, enum session_port port, const char *text);
void uv_relay_carry_out(struct uv_relay *relay);
void uv_relay_update_reading(struct uv_relay *relay);
/* Both of its sockets. */
void uv_relay_close_channel(struct uv_relay *relay);
/* What the data path reports is for the session. */
extern const struct data_events uv_relay_data_events;
/* A port with this relay's events. */
struct uv_port *uv_relay_port(struct uv_relay *relay, int fd, enum wire_channel channel);

/* The connection to the back-end is over; `where` says at what point of a message. */
void uv_back_lost(struct uv_relay *relay, const char *where);
/* The front-end goes on where an earlier daemon left; false: not even that, the session ends. */
bool uv_back_resume(struct uv_relay *relay);
/* The front-end said this: what a daemon after this one needs of it is kept. */
void uv_back_remember(struct uv_relay *relay, uint32_t id);
/* EFFECT_SWAP. */
void uv_back_swap(struct uv_relay *relay);
/* Each second: how long it is away. */
void uv_back_tick(struct uv_relay *relay, uint64_t now);
/* Gives up what waits for a candidate. */
void uv_back_close(struct uv_relay *relay);
