/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The data path of one session: its memory, its descriptors and its data threads,
 * put together as the session's effects ask. Control thread only; guest memory is
 * touched by the data threads alone.
 */
#pragma once

#include "logging/bitmap.h"
#include "session/session.h"
#include "shell/data.h"

struct rings;

struct rings_config {
	unsigned int threads;
	unsigned int poll_us;
	unsigned int backend_timeout_s; /* a lost back-end is waited for; 0: for ever */
};

/* The session outlives it, and hears of rings that were lost. NULL: no memory. */
struct rings *rings_new(uv_loop_t *loop, struct session *session, const struct rings_config *config,
			const struct data_events *events, void *context);
/* Ends the data threads and unmaps everything. NULL is allowed; returns NULL. */
struct rings *rings_free(struct rings *rings);

/* Whether this effect is for rings_carry_out(). */
bool rings_concerns(enum effect_kind kind);

/* 0, or -errno with a line: the ring of the effect, or the guest's memory, can not be used. */
int rings_carry_out(struct rings *rings, const struct effect *effect, struct diag *diag);

/* Puts copies of real descriptors in the place of those of enum session_fd. */
void rings_resolve(struct rings *rings, struct wire_message *message);

/* Chains completed to the guest, of all rings. */
uint64_t rings_completed(struct rings *rings);

/* Whether any ring is relayed. */
bool rings_relaying(const struct rings *rings);
/* Marks what is written in a log that no front-end reads, and no longer. */
int rings_rehearse(struct rings *rings, bool on, struct diag *diag);
/* What was marked since it was last asked. */
struct bitmap_taken rings_rehearsed(struct rings *rings);

void rings_counters(struct rings *rings, unsigned int queue, struct data_counters *counters);
