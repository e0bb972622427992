/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How fast a device writes guest memory, measured as a migration would see it and
 * without one: relayed rings are logged to memory of ours, which is read each second.
 * The followers of the control socket are told by the event DIRTY_RATE, the last time
 * with `done`. A migration that begins meanwhile ends it. Control thread only.
 */
#pragma once

#include "base/diag.h"

#include <stdbool.h>
#include <stdint.h>

struct uv_relay;

struct uv_rate_queue {
	uint64_t pages, bytes; /* when it began */
};

struct uv_rate {
	unsigned int seconds, passed; /* seconds 0: none runs */
	uint64_t pages, distinct;     /* so far */
	struct uv_rate_queue *queues; /* WIRE_QUEUES_MAX of them */
};

/* 1: the diag says why not. */
int uv_rate_start(struct uv_relay *relay, unsigned int seconds, struct diag *diag);
/* Each second. */
void uv_rate_tick(struct uv_relay *relay);
/* Whatever runs ends without a word. */
void uv_rate_close(struct uv_relay *relay);
