/* SPDX-License-Identifier: BSD-3-Clause */
#include "shell/uv_port.h"

#include "shell/fds.h"
#include "shell/sock.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* One port may not keep the others waiting: the rest is read in the next round. */
#define MESSAGES_A_ROUND 64

struct outgoing {
	struct outgoing *next;
	struct wire_message *message;
};

struct uv_port {
	uv_poll_t poll;
	int fd;
	int polled; /* events asked for */
	bool reading;
	bool closing;
	struct frame frame;
	struct outgoing *first, **last;
	unsigned int queued;
	size_t sent; /* bytes of the first */
	const struct uv_port_events *events;
	void *context;
};

static void on_poll(uv_poll_t *poll, int status, int events);

static void update_poll(struct uv_port *port)
{
	/* While it is not read, the end of the peer is still noticed. */
	int wanted =
	    (port->reading ? UV_READABLE : UV_DISCONNECT) | (port->first ? UV_WRITABLE : 0);

	if (port->closing || wanted == port->polled)
		return;
	port->polled = wanted;
	uv_poll_start(&port->poll, wanted, on_poll);
}

static void fail(struct uv_port *port, const char *text)
{
	port->events->fault(port, text, port->context);
}

/* False: the port has nothing more to read for now, or is closed. */
static bool read_one(struct uv_port *port)
{
	struct diag diag;
	int result = sock_receive(port->fd, &port->frame, &diag);

	switch (result) {
	case SOCK_WHOLE:
		port->events->message(port, frame_take(&port->frame), port->context);
		return !port->closing && port->reading;
	case SOCK_AGAIN:
		return false;
	case SOCK_CLOSED:
		port->events->closed(port, frame_partial(&port->frame), port->context);
		return false;
	case SOCK_FAULT:
		fail(port, diag.text);
		return false;
	}
	fail(port, strerror(-result));
	return false;
}

static void pop(struct uv_port *port)
{
	struct outgoing *first = port->first;

	port->first = first->next;
	if (!port->first)
		port->last = &port->first;
	port->queued--;
	port->sent = 0;
	message_dispose(first->message);
	free(first);
}

/* A peer that is gone while we send is left to the reading side, which has its last words first. */
static void send_queued(struct uv_port *port)
{
	while (port->first) {
		int result = sock_send(port->fd, port->first->message, &port->sent);

		if (result == SOCK_AGAIN)
			break;
		if (result < 0) {
			fail(port, strerror(-result));
			return;
		}
		pop(port);
	}
	if (!port->first)
		port->events->drained(port, port->context);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct uv_port *port = poll->data;

	/*
	 * The peer ended with something of ours unread: the socket has an error, at which
	 * libuv stops polling. What the peer said before is still there to be read.
	 */
	if (status < 0) {
		port->polled = 0;
		events = port->reading ? UV_READABLE : UV_DISCONNECT;
	}
	if (events & UV_WRITABLE)
		send_queued(port);
	if (events & UV_READABLE)
		for (int i = 0; i < MESSAGES_A_ROUND && !port->closing && port->reading; i++)
			if (!read_one(port))
				break;
	if ((events & UV_DISCONNECT) && !port->closing && !port->reading) {
		port->events->closed(port, frame_partial(&port->frame), port->context);
		return;
	}
	update_poll(port);
}

struct uv_port *uv_port_open(uv_loop_t *loop, int fd, enum wire_channel channel,
			     const struct uv_port_events *events, void *context)
{
	struct uv_port *port = calloc(1, sizeof(*port));

	if (!port || uv_poll_init(loop, &port->poll, fd) < 0) {
		free(port);
		close(fd);
		return NULL;
	}
	port->poll.data = port;
	port->fd = fd;
	port->frame.channel = channel;
	port->last = &port->first;
	port->events = events;
	port->context = context;
	return port;
}

static bool enqueue(struct uv_port *port, struct wire_message *message)
{
	struct outgoing *outgoing = malloc(sizeof(*outgoing));

	if (!outgoing)
		return false;
	*outgoing = (struct outgoing){.message = message};
	*port->last = outgoing;
	port->last = &outgoing->next;
	port->queued++;
	return true;
}

void uv_port_send(struct uv_port *port, struct wire_message *message)
{
	size_t sent = 0;
	int result = SOCK_AGAIN;

	if (!port->first)
		result = sock_send(port->fd, message, &sent);
	if (result == SOCK_AGAIN) {
		if (!enqueue(port, message)) {
			message_dispose(message);
			fail(port, strerror(ENOMEM));
			return;
		}
		if (sent)
			port->sent = sent;
		update_poll(port);
		return;
	}
	message_dispose(message);
	if (result < 0)
		fail(port, strerror(-result));
}

bool uv_port_peer_is_there(const struct uv_port *port)
{
	return sock_peer_is_there(port->fd);
}

unsigned int uv_port_queued(const struct uv_port *port)
{
	return port->queued;
}

void uv_port_read(struct uv_port *port, bool on)
{
	port->reading = on;
	update_poll(port);
}

static void on_closed(uv_handle_t *handle)
{
	struct uv_port *port = handle->data;

	close(port->fd);
	free(port);
}

struct uv_port *uv_port_close(struct uv_port *port)
{
	struct fdset fds;

	if (!port || port->closing)
		return NULL;
	port->closing = true;
	frame_abandon(&port->frame, &fds);
	fds_close(&fds);
	while (port->first)
		pop(port);
	uv_poll_stop(&port->poll);
	uv_close((uv_handle_t *)&port->poll, on_closed);
	return NULL;
}
