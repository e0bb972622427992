/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What rings.c (the rings and their descriptors) and rings_memory.c (the memory they
 * lie in, and its dirty log) share; nobody else includes it.
 */
#pragma once

#include "shell/guest.h"
#include "shell/rings.h"

struct ring_fds {
	int guest_kick, guest_call, guest_err; /* copies of the front-end's; -1: none */
	int ring_kick, ring_call;              /* ours, while the ring is relayed */
};

struct rings {
	uv_loop_t *loop;
	struct session *session;
	struct rings_config config;
	const struct data_events *events;
	void *context;
	struct guest *guest;
	struct data *data; /* NULL: no ring was relayed yet */
	int silent;        /* -1: not needed yet */
	bool rehearsing;   /* what is written is marked in a log of ours */
	int log_call;      /* of SET_LOG_FD; -1: none */
	int back_record;   /* the back-end's inflight record; -1: none */
	struct ring_fds fds[WIRE_QUEUES_MAX];
};

/* What the front-end acknowledged. */
enum ring_format rings_format(const struct rings *rings);

/* Where and how what is written to a ring is marked; makes a log of ours where one is due. */
int rings_log_of(const struct rings *rings, const struct queue_state *queue, struct data_log *log,
		 struct diag *diag);
/* The ring's kick, call or log changed: its data thread has them when this returns. */
int rings_retarget(struct rings *rings, unsigned int index, struct diag *diag);

/* Every relayed ring's: the order to write a log changed, or the log. */
int rings_log_again(struct rings *rings, struct diag *diag);

int rings_map(struct rings *rings, const struct wire_message *message, struct diag *diag);
int rings_unmap(struct rings *rings, const struct wire_message *message, struct diag *diag);
int rings_map_log(struct rings *rings, const struct wire_message *message, struct diag *diag);
