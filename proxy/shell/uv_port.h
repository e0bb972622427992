/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One connected socket on the loop: whole messages in, whole messages out.
 *
 * Bounds: a port that can not send keeps at most what its owner allows
 * (uv_port_queued()); the owner stops reading where the messages come from, so
 * that the peer's socket fills and the peer waits. uv_pipe_t with its own
 * descriptor passing knows only handles libuv can open, hence uv_poll_t.
 *
 * A port is freed by itself after uv_port_close(); no callback comes after
 * that call. Control thread only.
 */
#pragma once

#include "base/diag.h"
#include "wire/table.h"

#include <stdbool.h>
#include <uv.h>

struct uv_port;

struct uv_port_events {
	/* The owner has the message. */
	void (*message)(struct uv_port *port, struct wire_message *message, void *context);
	/* The peer closed; `partial`: in the middle of a message. */
	void (*closed)(struct uv_port *port, bool partial, void *context);
	/* The peer broke the framing, or the socket failed. */
	void (*fault)(struct uv_port *port, const char *text, void *context);
	/* Everything queued was sent. */
	void (*drained)(struct uv_port *port, void *context);
};

/* Takes over `fd`; `channel` says whose names faults use. NULL: it can not be polled (the
 * descriptor is closed), or no memory. */
struct uv_port *uv_port_open(uv_loop_t *loop, int fd, enum wire_channel channel,
			     const struct uv_port_events *events, void *context);

/* Sends or queues; takes the message over. */
void uv_port_send(struct uv_port *port, struct wire_message *message);

/* Whether the peer is there still; the event that says otherwise may be on its way. */
bool uv_port_peer_is_there(const struct uv_port *port);

/* Messages not sent yet. */
unsigned int uv_port_queued(const struct uv_port *port);

/* Whether messages are read; a port begins with reading off. */
void uv_port_read(struct uv_port *port, bool on);

/* NULL is allowed; returns NULL. What is queued is dropped. */
struct uv_port *uv_port_close(struct uv_port *port);
