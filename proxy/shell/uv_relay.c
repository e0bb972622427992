/* SPDX-License-Identifier: BSD-3-Clause */
#include "shell/uv_relay.h"

#include "shell/fds.h"
#include "shell/log.h"
#include "session/resume.h"
#include "shell/sock.h"
#include "shell/state.h"
#include "shell/uv_relay_private.h"
#include "wire/print.h"

#include <inttypes.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define QUEUED_MAX  64 /* messages waiting for one port before its sources are not read */
#define WATCHDOG_MS 1000
#define SLOW_NS     5000000000ull /* a request unanswered for so long is worth a line */
#define LINE_BYTES  2048

void uv_relay_tell(struct uv_relay *relay, const char *event, json_t *data)
{
	char *text = json_dumps(data, JSON_COMPACT);

	if (text)
		relay->events->event(relay->context, event, text);
	free(text);
	json_decref(data);
}

/* The owner hears of the end once, and not while effects are carried out. */
void uv_relay_end(struct uv_relay *relay)
{
	bool told = relay->ended;

	relay->ended = true;
	for (unsigned int i = 0; i < PORT_COUNT; i++)
		if (relay->ports[i])
			uv_port_read(relay->ports[i], false);
	if (!relay->dispatching && !told)
		relay->events->ended(relay->context);
}

static bool is_front(enum session_port port)
{
	return port == PORT_FRONT_MAIN || port == PORT_FRONT_BACKEND;
}

static const char *name_of(const struct uv_relay *relay, enum session_port port)
{
	return is_front(port) ? relay->names.front : relay->names.back;
}

static int pid_of(const struct uv_relay *relay, enum session_port port)
{
	return (int)(is_front(port) ? relay->front_pid : relay->back_pid);
}

void uv_relay_fault(struct uv_relay *relay, enum session_port port, const char *text)
{
	if (relay->ended)
		return;
	log_line(LEVEL_ERROR, "%s %s (pid %d): %s: the session is closed", session_port_name(port),
		 name_of(relay, port), pid_of(relay, port), text);
	uv_relay_tell(relay, "PEER_FAULT",
		      json_pack("{s:s, s:s*}", "peer", session_port_name(port), "reason", text));
	uv_relay_end(relay);
}

static enum session_port port_index(const struct uv_relay *relay, const struct uv_port *port)
{
	for (unsigned int i = 0; i < PORT_COUNT; i++)
		if (relay->ports[i] == port)
			return i;
	return PORT_COUNT;
}

/* A port is read while there is room for what its messages cause. */
void uv_relay_update_reading(struct uv_relay *relay)
{
	static const enum session_port across[PORT_COUNT] = {
	    [PORT_FRONT_MAIN] = PORT_BACK_MAIN,
	    [PORT_BACK_MAIN] = PORT_FRONT_MAIN,
	    [PORT_FRONT_BACKEND] = PORT_BACK_BACKEND,
	    [PORT_BACK_BACKEND] = PORT_FRONT_BACKEND,
	};

	for (unsigned int i = 0; i < PORT_COUNT && !relay->ended; i++) {
		struct uv_port *from = relay->ports[i], *to = relay->ports[across[i]];

		if (from)
			uv_port_read(from, session_wants(relay->session, i) &&
					       uv_port_queued(from) < QUEUED_MAX &&
					       (!to || uv_port_queued(to) < QUEUED_MAX));
	}
}

void uv_relay_close_channel(struct uv_relay *relay)
{
	relay->ports[PORT_FRONT_BACKEND] = uv_port_close(relay->ports[PORT_FRONT_BACKEND]);
	relay->ports[PORT_BACK_BACKEND] = uv_port_close(relay->ports[PORT_BACK_BACKEND]);
}

static void on_closed(struct uv_port *port, bool partial, void *context)
{
	struct uv_relay *relay = context;
	enum session_port index = port_index(relay, port);
	const char *where = partial ? " in the middle of a message" : "";

	switch (index) {
	case PORT_FRONT_BACKEND:
		/* QEMU closes it alone after an error there and goes on with the main one. */
		log_line(LEVEL_INFO, "%s closed its connection%s", session_port_name(index), where);
		uv_relay_close_channel(relay);
		return;
	case PORT_BACK_BACKEND:
		/*
		 * Of a back-end that dies it often goes first. The front-end would never
		 * open its end again, and the next back-end speaks to the same.
		 */
		log_line(LEVEL_INFO, "%s closed its connection%s", session_port_name(index), where);
		relay->ports[index] = uv_port_close(port);
		return;
	case PORT_FRONT_MAIN:
		log_line(partial ? LEVEL_WARN : LEVEL_INFO,
			 "front-end %s (pid %d) closed its connection%s", name_of(relay, index),
			 pid_of(relay, index), where);
		if (relay->names.state)
			state_remove(relay->names.state);
		break;
	default:
		uv_back_lost(relay, where);
		return;
	}
	uv_relay_end(relay);
}

static void on_fault(struct uv_port *port, const char *text, void *context)
{
	struct uv_relay *relay = context;

	uv_relay_fault(relay, port_index(relay, port), text);
}

static void on_sent(struct uv_port *port, void *context)
{
	uv_relay_update_reading(context);
}

static void on_message(struct uv_port *port, struct wire_message *message, void *context);

static const struct uv_port_events port_events = {
    .message = on_message,
    .closed = on_closed,
    .fault = on_fault,
    .drained = on_sent,
};

struct uv_port *uv_relay_port(struct uv_relay *relay, int fd, enum wire_channel channel)
{
	return uv_port_open(relay->loop, fd, channel, &port_events, relay);
}

static void log_message(const struct uv_relay *relay, enum session_port port,
			const struct wire_message *message)
{
	enum wire_channel channel =
	    port == PORT_FRONT_MAIN || port == PORT_BACK_MAIN ? WIRE_MAIN : WIRE_BACKEND;
	char text[LINE_BYTES];

	wire_print(channel, session_device(relay->session), message, text, sizeof(text));
	log_line(LEVEL_DEBUG, "from the %s: %s", session_port_name(port), text);
}

static void on_message(struct uv_port *port, struct wire_message *message, void *context)
{
	struct uv_relay *relay = context;
	enum session_port index = port_index(relay, port);
	uint32_t id;

	if (log_wants(LEVEL_DEBUG))
		log_message(relay, index, message);
	if (index == PORT_FRONT_MAIN && session_needs_resume(relay->session, message) &&
	    !uv_back_resume(relay)) {
		message_dispose(message);
		return;
	}
	id = message->header.id;
	session_receive(relay->session, index, message, uv_hrtime());
	if (index == PORT_FRONT_MAIN)
		uv_back_remember(relay, id);
	uv_relay_carry_out(relay);
}

/* A back-end that does not answer freezes the whole guest: say which message it is. */
static void on_watchdog(uv_timer_t *timer)
{
	struct uv_relay *relay = timer->data;
	uint64_t now = uv_hrtime();

	uv_back_tick(relay, now);
	if (!relay->session || relay->ended)
		return;
	uv_rate_tick(relay);
	for (unsigned int channel = WIRE_MAIN; channel <= WIRE_BACKEND; channel++) {
		const struct exchange_entry *oldest = session_oldest(relay->session, channel);
		enum session_port port = channel == WIRE_MAIN ? PORT_BACK_MAIN : PORT_FRONT_BACKEND;
		char name[WIRE_NAME_MAX];

		/* Of one that is away uv_back_tick() has told. */
		if (!relay->ports[port] || !oldest || now - oldest->sent_ns < SLOW_NS ||
		    relay->slow_told[channel] == oldest->sent_ns)
			continue;
		relay->slow_told[channel] = oldest->sent_ns;
		log_line(LEVEL_WARN, "%s has no reply since %" PRIu64 " s from the %s %s (pid %d)",
			 wire_name(channel, oldest->id, name),
			 (now - oldest->sent_ns) / 1000000000u, session_port_name(port),
			 name_of(relay, port), pid_of(relay, port));
	}
}

struct uv_relay *uv_relay_open(uv_loop_t *loop, int front_fd, const struct uv_relay_names *names,
			       const struct session_config *config,
			       const struct rings_config *rings_config,
			       const struct uv_relay_events *events, void *context)
{
	struct uv_relay *relay = calloc(1, sizeof(*relay));

	if (!relay) {
		close(front_fd);
		return NULL;
	}
	relay->loop = loop;
	relay->names = *names;
	relay->config = config;
	relay->rings_config = rings_config;
	relay->events = events;
	relay->context = context;
	relay->front_pid = sock_peer_pid(front_fd);
	relay->swap_fd = -1;
	relay->opened_ns = uv_hrtime();
	uv_timer_init(loop, &relay->watchdog);
	relay->watchdog.data = relay;
	uv_timer_start(&relay->watchdog, on_watchdog, WATCHDOG_MS, WATCHDOG_MS);
	relay->ports[PORT_FRONT_MAIN] =
	    uv_port_open(loop, front_fd, WIRE_MAIN, &port_events, relay);
	if (!relay->ports[PORT_FRONT_MAIN])
		return uv_relay_close(relay);
	uv_port_read(relay->ports[PORT_FRONT_MAIN], false);
	uv_relay_tell(relay, "FRONTEND_CONNECTED",
		      json_pack("{s:i}", "pid", (int)relay->front_pid));
	return relay;
}

void uv_relay_look(struct uv_relay *relay)
{
	struct uv_port *front = relay->ports[PORT_FRONT_MAIN];

	if (!uv_port_peer_is_there(front))
		on_closed(front, false, relay);
}

bool uv_relay_begin(struct uv_relay *relay, int back_fd)
{
	relay->back_pid = sock_peer_pid(back_fd);
	relay->ports[PORT_BACK_MAIN] =
	    uv_port_open(relay->loop, back_fd, WIRE_MAIN, &port_events, relay);
	relay->session = session_new(relay->config);
	if (relay->session)
		relay->rings = rings_new(relay->loop, relay->session, relay->rings_config,
					 &uv_relay_data_events, relay);
	if (!relay->rings || !relay->ports[PORT_BACK_MAIN]) {
		log_line(LEVEL_ERROR,
			 "no memory or descriptor to serve the front-end %s: it is let go",
			 relay->names.front);
		return false;
	}
	log_line(LEVEL_INFO, "front-end %s (pid %d) is connected to back-end %s (pid %d)",
		 relay->names.front, (int)relay->front_pid, relay->names.back,
		 (int)relay->back_pid);
	uv_relay_tell(relay, "BACKEND_CONNECTED", json_pack("{s:i}", "pid", (int)relay->back_pid));
	relay->session->link.adopted_ns = uv_hrtime();
	uv_relay_update_reading(relay);
	return true;
}

const struct session *uv_relay_session(const struct uv_relay *relay)
{
	return relay->session;
}

int uv_relay_move(struct uv_relay *relay, enum session_mode mode, struct diag *diag)
{
	int result;

	if (!relay->session || relay->ended)
		return SESSION_MOVED;
	session_clock(relay->session, uv_hrtime());
	result = session_move(relay->session, mode, diag);
	uv_relay_carry_out(relay);
	return result;
}

int uv_relay_rate(struct uv_relay *relay, unsigned int seconds, struct diag *diag)
{
	return uv_rate_start(relay, seconds, diag);
}

void uv_relay_counters(struct uv_relay *relay, unsigned int queue, struct data_counters *counters)
{
	rings_counters(relay->rings, queue, counters);
}

pid_t uv_relay_front_pid(const struct uv_relay *relay)
{
	return relay->front_pid;
}

pid_t uv_relay_back_pid(const struct uv_relay *relay)
{
	return relay->back_pid;
}

static void on_handle_closed(uv_handle_t *handle)
{
	free(handle->data);
}

struct uv_relay *uv_relay_close(struct uv_relay *relay)
{
	struct effect effect;

	if (!relay)
		return NULL;
	for (unsigned int i = 0; i < PORT_COUNT; i++)
		relay->ports[i] = uv_port_close(relay->ports[i]);
	uv_back_close(relay);
	uv_rate_close(relay);
	relay->rings = rings_free(relay->rings);
	if (relay->session) {
		session_end(relay->session);
		while (session_take_effect(relay->session, &effect)) {
			/* Those of the data path only look at a message another has. */
			if (!rings_concerns(effect.kind))
				message_dispose(effect.message);
			session_effect_free(&effect);
		}
		relay->session = session_free(relay->session);
	}
	uv_close((uv_handle_t *)&relay->watchdog, on_handle_closed);
	return NULL;
}
