/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One client of the control socket: lines in, answers and events out, each
 * within the bounds of shell/uv_control.h, whose only user this is.
 *
 * A client frees itself after it has left. Control thread only.
 */
#pragma once

#include "control/command.h"

#include <uv.h>

struct uv_control_client;

/* What the client needs of its server, which outlives it. */
struct uv_control_server {
	uv_loop_t *loop;
	command_fill fill;
	void *fill_context;
	/* The client is about to close: it is not to be used any more. */
	void (*left)(struct uv_control_client *client, void *context);
	/* Its last handle is closed, its memory is free. */
	void (*freed)(void *context);
	void *context;
};

/*
 * Takes `fd` over. NULL: no memory, the descriptor is still the caller's. The
 * server's `freed` is called once for each call of this, also for a failed one.
 */
struct uv_control_client *uv_control_client_open(const struct uv_control_server *server, int fd);

/* Sends a copy of an event's line; drops the client when it does not read. */
void uv_control_client_tell(struct uv_control_client *client, const char *line);

void uv_control_client_close(struct uv_control_client *client);
