/* SPDX-License-Identifier: BSD-3-Clause */
/* What a session decided, carried out: on its sockets, in the log, on the data path. */
#include "shell/fds.h"
#include "shell/log.h"
#include "shell/uv_relay_private.h"

#include <sys/socket.h>
#include <unistd.h>

/* SESSION_FD_CHANNEL: the front-end's socket goes on, with another back-end behind it. */
static void channel_anew(struct uv_relay *relay, struct fd_entry *entry)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0) {
		uv_relay_fault(relay, PORT_FRONT_MAIN,
			       "no socket is to be had for the back-end channel");
		return;
	}
	fds_look(entry, pair[1]);
	uv_port_close(relay->ports[PORT_BACK_BACKEND]);
	relay->ports[PORT_BACK_BACKEND] = NULL;
	/* The front-end may have closed its end: this one finds it as the last one did. */
	if (relay->ports[PORT_FRONT_BACKEND])
		relay->ports[PORT_BACK_BACKEND] = uv_relay_port(relay, pair[0], WIRE_BACKEND);
	else
		close(pair[0]);
}

static void send_to(struct uv_relay *relay, enum session_port port, struct wire_message *message)
{
	for (unsigned int i = 0; i < message->fds.count; i++)
		if (message->fds.entries[i].fd == SESSION_FD_CHANNEL)
			channel_anew(relay, &message->fds.entries[i]);
	rings_resolve(relay->rings, message);
	if (relay->ports[port])
		uv_port_send(relay->ports[port], message);
	else
		message_dispose(message); /* the back-end channel closed meanwhile */
}

/* EFFECT_SPLICE: the message goes on with a socket of ours in the place of the front-end's. */
static void splice_channel(struct uv_relay *relay, struct wire_message *message)
{
	struct fd_entry *entry = &message->fds.entries[0];
	struct uv_port *front, *back;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0) {
		uv_relay_fault(relay, PORT_FRONT_MAIN,
			       "no socket is to be had for the back-end channel");
		return;
	}
	front = uv_relay_port(relay, entry->fd, WIRE_BACKEND);
	back = uv_relay_port(relay, pair[0], WIRE_BACKEND);
	fds_look(entry, pair[1]);
	uv_relay_close_channel(relay);
	relay->ports[PORT_FRONT_BACKEND] = front;
	relay->ports[PORT_BACK_BACKEND] = back;
	if (!front || !back)
		uv_relay_fault(relay, PORT_FRONT_MAIN,
			       "the socket of SET_BACKEND_REQ_FD can not be polled");
}

static void carry_out(struct uv_relay *relay, struct effect *effect)
{
	struct diag diag;

	switch (effect->kind) {
	case EFFECT_SPLICE:
		splice_channel(relay, effect->message);
		send_to(relay, effect->port, effect->message);
		break;
	case EFFECT_SEND:
		send_to(relay, effect->port, effect->message);
		break;
	case EFFECT_DROP:
		message_dispose(effect->message);
		break;
	case EFFECT_SWAP:
		uv_back_swap(relay);
		break;
	case EFFECT_LOG:
		log_line(effect->level, "%s", effect->text);
		break;
	case EFFECT_EVENT:
		relay->events->event(relay->context, effect->event, effect->text);
		break;
	case EFFECT_FAULT:
		uv_relay_fault(relay, effect->port, effect->text);
		break;
	default:
		if (rings_carry_out(relay->rings, effect, &diag))
			session_ring_fault(relay->session, effect->queue, true, diag.text);
		break;
	}
	session_effect_free(effect);
}

void uv_relay_carry_out(struct uv_relay *relay)
{
	struct effect effect;

	relay->dispatching = true;
	while (session_take_effect(relay->session, &effect))
		carry_out(relay, &effect);
	if (relay->session->out_of_memory)
		uv_relay_fault(relay, PORT_FRONT_MAIN, "no memory to serve it further");
	relay->dispatching = false;
	if (relay->ended)
		relay->events->ended(relay->context);
	else
		uv_relay_update_reading(relay);
}

static void on_drained(void *context, unsigned int queue, uint32_t base)
{
	struct uv_relay *relay = context;

	session_clock(relay->session, uv_hrtime());
	session_drained(relay->session, queue, base);
	uv_relay_carry_out(relay);
}

static void on_quiet(void *context, unsigned int queue, bool quiet)
{
	struct uv_relay *relay = context;

	session_clock(relay->session, uv_hrtime());
	session_quiet(relay->session, queue, quiet);
	uv_relay_carry_out(relay);
}

static void on_ring_fault(void *context, unsigned int queue, bool guest, const char *text)
{
	struct uv_relay *relay = context;

	session_ring_fault(relay->session, queue, guest, text);
	uv_relay_carry_out(relay);
}

const struct data_events uv_relay_data_events = {
    .drained = on_drained,
    .quiet = on_quiet,
    .fault = on_ring_fault,
};
