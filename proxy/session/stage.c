/* SPDX-License-Identifier: BSD-3-Clause */
/* What every stage may do with a message: answer, refuse, ask on its own, tell. */
#include "session/stage.h"

#include "session/effects.h"

void stage_send_due(struct session *session, enum wire_channel channel)
{
	enum session_port requester = channel == WIRE_MAIN ? PORT_FRONT_MAIN : PORT_BACK_BACKEND;
	struct wire_message *answer;

	while ((answer = exchange_due(&session->exchange[channel])))
		effects_send(session, requester, answer);
}

static uint64_t region_address(const struct crossing *crossing)
{
	const struct wire_message *message = crossing->message;

	/* The 8-byte acknowledgement in postcopy has none. */
	if (!crossing->row || crossing->row->payload != WIRE_PAYLOAD_MEM_REG ||
	    message->header.size < wire_payload(WIRE_PAYLOAD_MEM_REG)->least)
		return 0;
	return wire_slot_region(message).gpa;
}

struct exchange_entry stage_entry(struct session *session, const struct crossing *crossing,
				  enum exchange_origin origin)
{
	enum wire_channel channel = session_port_channel(crossing->from);

	return (struct exchange_entry){
	    .origin = origin,
	    .expect = wire_reply_expected(channel, &session->agreement, crossing->message),
	    .id = crossing->message->header.id,
	    .flags = crossing->message->header.flags,
	    .queue = crossing->row ? wire_queue_index(crossing->row, crossing->message) : -1,
	    .region = region_address(crossing),
	    .agreed = session->agreement,
	    .sent_ns = session->now_ns,
	};
}

enum stage_verdict stage_answer(struct session *session, struct crossing *crossing,
				struct wire_message *reply)
{
	enum wire_channel channel = session_port_channel(crossing->from);
	struct exchange_entry entry = stage_entry(session, crossing, EXCHANGE_ANSWERED);

	effects_drop(session, crossing->message);
	if (!reply) {
		session->out_of_memory = true;
		return STAGE_TAKEN;
	}
	entry.expect = WIRE_EXPECT_REPLY;
	entry.answer = reply;
	exchange_push(&session->exchange[channel], &entry);
	stage_send_due(session, channel);
	return STAGE_TAKEN;
}

void stage_answer_later(struct session *session, struct crossing *crossing)
{
	struct exchange_entry entry = stage_entry(session, crossing, EXCHANGE_ANSWERED);

	effects_drop(session, crossing->message);
	entry.expect = WIRE_EXPECT_REPLY;
	exchange_push(&session->exchange[session_port_channel(crossing->from)], &entry);
}

enum stage_verdict stage_acknowledge(struct session *session, struct crossing *crossing)
{
	enum wire_channel channel = session_port_channel(crossing->from);

	if (wire_reply_expected(channel, &session->agreement, crossing->message) !=
	    WIRE_EXPECT_NOTHING)
		return stage_answer(session, crossing,
				    wire_reply_u64(crossing->message->header.id, 0));
	effects_drop(session, crossing->message);
	return STAGE_TAKEN;
}

enum stage_verdict stage_refuse(struct session *session, struct crossing *crossing,
				const char *format, ...)
{
	struct effect effect = {.kind = EFFECT_FAULT, .port = crossing->from, .level = LEVEL_ERROR};
	va_list args;

	effects_drop(session, crossing->message);
	if (session->faulted)
		return STAGE_TAKEN;
	session->faulted = true;
	va_start(args, format);
	effects_text(session, &effect, format, args);
	va_end(args);
	return STAGE_TAKEN;
}

void stage_ask(struct session *session, struct wire_message *request)
{
	struct crossing crossing = {.from = PORT_FRONT_MAIN, .message = request};
	struct exchange_entry entry;

	if (!request) {
		session->out_of_memory = true;
		return;
	}
	crossing.row = wire_row(WIRE_MAIN, request->header.id);
	session->link.last_sent = request->header.id;
	entry = stage_entry(session, &crossing, EXCHANGE_OURS);
	if (entry.expect != WIRE_EXPECT_NOTHING && session->link.sm.state != LINK_AWAY)
		exchange_push(&session->exchange[WIRE_MAIN], &entry);
	effects_send(session, PORT_BACK_MAIN, request);
}

struct wire_message *stage_with_fd(struct wire_message *message, enum session_fd fd, uint64_t key)
{
	struct fd_entry entry = {.fd = fd, .inode = key};

	if (message)
		fdset_push(&message->fds, &entry);
	return message;
}

void stage_log(struct session *session, enum level level, const char *format, ...)
{
	struct effect effect = {.kind = EFFECT_LOG, .level = level};
	va_list args;

	va_start(args, format);
	effects_text(session, &effect, format, args);
	va_end(args);
}

void stage_event(struct session *session, const char *event, const char *format, ...)
{
	struct effect effect = {.kind = EFFECT_EVENT, .event = event};
	va_list args;

	va_start(args, format);
	effects_text(session, &effect, format, args);
	va_end(args);
}

struct queue_state *stage_queue(struct session *session, const struct crossing *crossing)
{
	int index = crossing->entry ? crossing->entry->queue
				    : wire_queue_index(crossing->row, crossing->message);

	return index >= 0 && index < (int)WIRE_QUEUES_MAX ? &session->queues[index] : NULL;
}
