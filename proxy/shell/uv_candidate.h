/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A connection to a back-end that may take a session over: carries the questions
 * of session/candidate.h, and gives up one that does not answer.
 *
 * Control thread only. The one callback may close the candidate.
 */
#pragma once

#include "session/candidate.h"

#include <uv.h>

/* An answer takes as long as the back-end's start (testpmd: 0.7 s); a silent one must end. */
#define UV_CANDIDATE_MS 10000

enum uv_candidate_result {
	UV_CANDIDATE_FIT,
	UV_CANDIDATE_UNFIT,
	UV_CANDIDATE_GONE, /* it ended, is silent, or the socket failed: another try may do better
			    */
};

struct uv_candidate;

typedef void (*uv_candidate_done)(void *context, enum uv_candidate_result result, const char *text);

/* Takes `fd` over. NULL: no memory, or it can not be polled; the descriptor is closed. */
struct uv_candidate *uv_candidate_open(uv_loop_t *loop, int fd, const struct session *session,
				       uv_candidate_done done, void *context);

/* FIT: its connection, the caller's from then on, -1: no descriptor is left. */
int uv_candidate_take(struct uv_candidate *candidate);

/* NULL is allowed; returns NULL. */
struct uv_candidate *uv_candidate_close(struct uv_candidate *candidate);
