/* SPDX-License-Identifier: BSD-3-Clause */
#include "session/session.h"

#include "base/bytes.h"
#include "session/effects.h"
#include "session/link.h"
#include "session/path.h"
#include "session/stage.h"

#include <stdlib.h>
#include <string.h>

#define STAGE_COUNT (sizeof(stages) / sizeof(stages[0]))

/*
 * The order matters where two stages care for one message: features decides
 * what is passed before others read it, and postcopy and state keep back what
 * no back-end may see before memory and rings take note of it. A ring that has to
 * wait for the record of its back-end waits before it counts as started.
 */
static const struct stage *const stages[] = {
    &stage_features, &stage_postcopy, &stage_state, &stage_backreq, &stage_memory, &stage_dirty,
    &stage_iotlb,    &stage_inflight, &stage_rings, &stage_keep,    &stage_shadow,
};

static const struct {
	const char *name;
	enum wire_channel channel;
	enum wire_direction direction;
	enum session_port across;
	bool requests; /* requests come from here, else replies */
} ports[PORT_COUNT] = {
    [PORT_FRONT_MAIN] = {"front-end", WIRE_MAIN, WIRE_FRONT_TO_BACK, PORT_BACK_MAIN, true},
    [PORT_BACK_MAIN] = {"back-end", WIRE_MAIN, WIRE_BACK_TO_FRONT, PORT_FRONT_MAIN, false},
    [PORT_FRONT_BACKEND] = {"front-end on the back-end channel", WIRE_BACKEND, WIRE_FRONT_TO_BACK,
			    PORT_BACK_BACKEND, false},
    [PORT_BACK_BACKEND] = {"back-end on the back-end channel", WIRE_BACKEND, WIRE_BACK_TO_FRONT,
			   PORT_FRONT_BACKEND, true},
};

const char *session_port_name(enum session_port port)
{
	return ports[port].name;
}

enum wire_channel session_port_channel(enum session_port port)
{
	return ports[port].channel;
}

struct session *session_new(const struct session_config *config)
{
	struct session *session = calloc(1, sizeof(*session));

	if (!session)
		return NULL;
	if (!effects_reserve(session))
		return session_free(session);
	session->config = *config;
	session->mode = config->mode;
	path_init(session);
	link_init(session);
	dirty_init(&session->dirty);
	postcopy_init(&session->postcopy);
	return session;
}

static void forget_exchange(struct session *session, enum wire_channel channel)
{
	struct exchange *exchange = &session->exchange[channel];

	for (unsigned int i = 0; i < exchange->count; i++) {
		const struct exchange_entry *entry =
		    &exchange->ring[(exchange->first + i) % EXCHANGE_MAX];

		effects_drop(session, entry->answer);
		effects_drop(session, entry->again);
	}
	exchange->count = 0;
}

void session_end(struct session *session)
{
	session->faulted = true;
	effects_drop(session, session->held_status);
	session->held_status = NULL;
	effects_drop(session, session->postcopy_table);
	session->postcopy_table = NULL;
	link_end(session);
	effects_drop(session, session->record_waits);
	session->record_waits = NULL;
	forget_exchange(session, WIRE_MAIN);
	forget_exchange(session, WIRE_BACKEND);
}

struct session *session_free(struct session *session)
{
	if (session)
		free(session->effects);
	free(session);
	return NULL;
}

enum wire_device session_device(const struct session *session)
{
	if (session->config.device != WIRE_DEVICE_UNKNOWN)
		return session->config.device;
	return wire_device_guess(session->virtio.offered, session->protocol.offered);
}

bool session_running(const struct session *session)
{
	for (unsigned int i = 0; i < WIRE_QUEUES_MAX; i++)
		if (session->queues[i].started)
			return true;
	return false;
}

bool session_wants(const struct session *session, enum session_port port)
{
	if (port == PORT_FRONT_MAIN &&
	    (session->holding || session->record_waits || link_holds(session)))
		return false;
	return !ports[port].requests || !exchange_full(&session->exchange[ports[port].channel]);
}

const struct exchange_entry *session_oldest(const struct session *session,
					    enum wire_channel channel)
{
	return exchange_oldest(&session->exchange[channel]);
}

static void count(struct session *session, enum session_port port,
		  const struct wire_message *message)
{
	uint32_t id = message->header.id;

	if (!wire_row(ports[port].channel, id))
		id = WIRE_FRONT_COUNT;
	session->counts[ports[port].channel][ports[port].direction][id]++;
}

static void warn_unknown(struct session *session, enum session_port port,
			 const struct wire_message *message)
{
	enum wire_channel channel = ports[port].channel;

	if (session->warned_unknown[channel])
		return;
	session->warned_unknown[channel] = true;
	stage_log(session, LEVEL_WARN,
		  "message id %u (%u bytes, %u descriptors) from the %s is in no specification "
		  "this version knows: it and others like it are passed on untouched",
		  message->header.id, message->header.size, message->fds.count, ports[port].name);
}

/* What a message nobody knows does to memory or rings, the daemon in their path can not follow. */
static void refuse_unknown(struct session *session, struct crossing *crossing)
{
	stage_refuse(
	    session, crossing,
	    "message id %u is in no specification this version knows, and may not pass while "
	    "rings are relayed: start with --synthesize=none to let it",
	    crossing->message->header.id);
}

/* What only the back-end can answer may have to be asked again of the next one. */
static struct wire_message *to_ask_again(struct session *session, const struct wire_row *row,
					 const struct wire_message *message)
{
	struct wire_message *copy;

	if (!row || row->reply != WIRE_REPLY_ALWAYS || message->fds.count)
		return NULL;
	copy = wire_message_copy(message);
	session->out_of_memory |= !copy;
	return copy;
}

static void send_across(struct session *session, struct crossing *crossing,
			struct exchange_entry *entry)
{
	struct effect effect = {.kind = EFFECT_SEND,
				.port = ports[crossing->from].across,
				.message = crossing->message};

	if (crossing->splice) {
		/* A new socket in place of the old: what was asked there is answered nowhere. */
		effect.kind = EFFECT_SPLICE;
		forget_exchange(session, WIRE_BACKEND);
	}
	if (crossing->from == PORT_FRONT_MAIN) {
		session->link.last_sent = entry->id;
		entry->again = to_ask_again(session, crossing->row, crossing->message);
	}
	if (entry->expect != WIRE_EXPECT_NOTHING)
		exchange_push(&session->exchange[ports[crossing->from].channel], entry);
	effects_add(session, &effect);
}

void stage_pass(struct session *session, struct crossing *crossing)
{
	struct exchange_entry entry = stage_entry(session, crossing, EXCHANGE_PEER);

	send_across(session, crossing, &entry);
}

/* A request no stage kept goes to the other side, its reply remembered as due. */
static void pass_request(struct session *session, struct crossing *crossing,
			 struct exchange_entry *entry)
{
	uint32_t id = crossing->message->header.id;

	if (crossing->from == PORT_FRONT_MAIN && link_away(session))
		link_request(session, crossing);
	else
		send_across(session, crossing, entry);
	for (size_t i = 0; crossing->row && i < STAGE_COUNT; i++)
		if (crossing->from == PORT_FRONT_MAIN && stages[i]->after)
			stages[i]->after(session, id);
	/* A reset answers who waits for a ring to stop. */
	stage_send_due(session, ports[crossing->from].channel);
}

static void receive_request(struct session *session, struct crossing *crossing)
{
	enum wire_channel channel = ports[crossing->from].channel;
	struct exchange_entry entry;
	struct diag diag;
	int result = wire_check_request(channel, &session->agreement, crossing->message, &diag);

	if (result == WIRE_FAULT) {
		stage_refuse(session, crossing, "%s", diag.text);
		return;
	}
	/* Before any stage: whether REPLY_ACK was agreed when the request was made decides. */
	entry = stage_entry(session, crossing, EXCHANGE_PEER);
	if (result == WIRE_UNKNOWN && (session->record_ours || session->log_ours)) {
		refuse_unknown(session, crossing);
		return;
	}
	if (result == WIRE_UNKNOWN) {
		warn_unknown(session, crossing->from, crossing->message);
		entry.expect = WIRE_EXPECT_PERHAPS;
		if (crossing->from == PORT_FRONT_MAIN)
			stage_state_release(session);
	}
	for (size_t i = 0; crossing->row && i < STAGE_COUNT; i++) {
		stage_hook hook = crossing->from == PORT_FRONT_MAIN ? stages[i]->front_request
								    : stages[i]->back_request;

		if (hook && hook(session, crossing) == STAGE_TAKEN)
			return;
	}
	pass_request(session, crossing, &entry);
}

void stage_again(struct session *session, struct wire_message *request)
{
	struct crossing crossing = {.from = PORT_FRONT_MAIN,
				    .row = wire_row(WIRE_MAIN, request->header.id),
				    .message = request};

	receive_request(session, &crossing);
}

/*
 * What any front-end can read: QEMU refuses a reply that still has NEED_REPLY,
 * and takes an acknowledgement without payload for whatever was on its stack.
 */
static void normalise(struct session *session, struct crossing *crossing)
{
	struct wire_header *header = &crossing->message->header;
	bool plain = crossing->row && crossing->row->reply == WIRE_REPLY_ACK;

	header->flags &= ~WIRE_FLAG_NEED_REPLY;
	if (!plain || header->size != 0)
		return;
	effects_drop(session, crossing->message);
	crossing->message = wire_reply_u64(header->id, 0);
	if (!crossing->message)
		session->out_of_memory = true;
}

static void receive_ours(struct session *session, struct crossing *crossing)
{
	const struct wire_message *reply = crossing->message;

	path_reply(session, crossing);
	link_reply(session, crossing);
	stage_inflight_reply(session, crossing);
	if (reply->header.size == 8 && crossing->row->reply == WIRE_REPLY_ACK &&
	    bytes_load64(reply->payload) != 0)
		stage_log(session, LEVEL_WARN,
			  "the back-end refused %s for ring %d with %llu: the ring may not work",
			  crossing->row->name, crossing->entry->queue,
			  (unsigned long long)bytes_load64(reply->payload));
	effects_drop(session, crossing->message);
}

static void refuse_unmatched(struct session *session, struct crossing *crossing,
			     const struct exchange_entry *oldest)
{
	enum wire_channel channel = ports[crossing->from].channel;
	char name[WIRE_NAME_MAX], due[WIRE_NAME_MAX];

	wire_name(channel, crossing->message->header.id, name);
	if (oldest)
		stage_refuse(session, crossing,
			     "a reply to %s, and the oldest request without one is %s",
			     wire_name(channel, crossing->message->header.id, name),
			     wire_name(channel, oldest->id, due));
	else
		stage_refuse(session, crossing, "a reply to %s, and no request is without one",
			     wire_name(channel, crossing->message->header.id, name));
}

static void receive_reply(struct session *session, struct crossing *crossing)
{
	enum wire_channel channel = ports[crossing->from].channel;
	const struct exchange_entry *oldest;
	struct exchange_entry entry;
	struct diag diag;

	if (!exchange_match(&session->exchange[channel], crossing->message->header.id, &entry,
			    &oldest)) {
		refuse_unmatched(session, crossing, oldest);
		return;
	}
	crossing->entry = &entry;
	effects_drop(session, entry.again);
	if (entry.origin == EXCHANGE_DISOWNED) {
		effects_drop(session, crossing->message);
		return;
	}
	if (wire_check_reply(channel, &entry.agreed, entry.flags, crossing->message, &diag) ==
	    WIRE_FAULT) {
		stage_refuse(session, crossing, "%s", diag.text);
		return;
	}
	normalise(session, crossing);
	if (!crossing->message)
		return;
	if (entry.origin == EXCHANGE_OURS) {
		receive_ours(session, crossing);
		stage_send_due(session, channel);
		return;
	}
	for (size_t i = 0; crossing->row && i < STAGE_COUNT; i++) {
		stage_hook hook = crossing->from == PORT_BACK_MAIN ? stages[i]->back_reply
								   : stages[i]->front_reply;

		if (hook && hook(session, crossing) == STAGE_TAKEN)
			return;
	}
	effects_send(session, ports[crossing->from].across, crossing->message);
	stage_send_due(session, channel);
}

void session_receive(struct session *session, enum session_port port, struct wire_message *message,
		     uint64_t now_ns)
{
	struct crossing crossing = {.from = port, .message = message};

	session->now_ns = now_ns;
	if (session->faulted) {
		effects_drop(session, message);
		return;
	}
	count(session, port, message);
	crossing.row = wire_row(ports[port].channel, message->header.id);
	if (wire_is_reply(message) == ports[port].requests) {
		stage_refuse(session, &crossing,
			     "message id %u has flags 0x%x: only %s come from this side",
			     message->header.id, message->header.flags,
			     ports[port].requests ? "requests" : "replies");
		return;
	}
	if (ports[port].requests)
		receive_request(session, &crossing);
	else
		receive_reply(session, &crossing);
}
