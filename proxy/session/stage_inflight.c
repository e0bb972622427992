/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The inflight record (specification "Inflight I/O tracking").
 *
 * Where the back-end keeps none, the same record, in the specified layout, is the
 * daemon's and served to the front-end, which gives it back after a restart of the
 * daemon. Where the back-end keeps its own, the daemon keeps the file, to give it to
 * the next back-end; if the front-end never asks for one, the daemon does before the
 * first ring starts.
 */
#include "session/stage.h"

#include "base/bytes.h"
#include "ring/inflight.h"
#include "session/effects.h"
#include "session/link.h"

#include <string.h>

#define QUEUES_AT 16u
#define SIZE_AT   18u

static enum ring_format format_of(const struct session *session)
{
	return session->agreement.virtio_acked & WIRE_BIT(WIRE_F_RING_PACKED) ? RING_PACKED
									      : RING_SPLIT;
}

static struct wire_message *reply_of(const struct wire_message *request, uint64_t size)
{
	struct fd_entry record = {.fd = SESSION_FD_RECORD};
	struct wire_message *reply =
	    wire_message_new(WIRE_GET_INFLIGHT_FD, WIRE_VERSION | WIRE_FLAG_REPLY,
			     wire_payload(WIRE_PAYLOAD_INFLIGHT)->most);

	if (!reply)
		return NULL;
	bytes_store64(reply->payload, size);
	memcpy(reply->payload + QUEUES_AT, request->payload + QUEUES_AT, 4);
	fdset_push(&reply->fds, &record);
	return reply;
}

static void resubmit(struct session *session, bool on)
{
	for (unsigned int i = 0; i < WIRE_QUEUES_MAX; i++)
		session->queues[i].resubmit = on;
}

/*
 * Of one queue. Before SET_FEATURES the format is not known: a new record has room
 * for either, and one that is given back is held to the shorter.
 */
static uint64_t queue_bytes(const struct session *session, unsigned int size, bool new)
{
	uint64_t split = inflight_bytes(RING_SPLIT, size);
	uint64_t packed = inflight_bytes(RING_PACKED, size);

	if (session->features_set)
		return format_of(session) == RING_SPLIT ? split : packed;
	return (split > packed) == new ? split : packed;
}

/* Bytes of a record for what the message names; 0: there can be none. */
static uint64_t size_of(struct session *session, const uint8_t *payload, bool new)
{
	uint16_t queues = bytes_load16(payload + QUEUES_AT), size = bytes_load16(payload + SIZE_AT);

	if (size == 0 || size > RING_SIZE_MAX || queues == 0 || queues > WIRE_QUEUES_MAX)
		return 0;
	session->record_queues = queues;
	session->record_size = size;
	return queues * queue_bytes(session, size, new);
}

static enum stage_verdict refuse(struct session *session, struct crossing *crossing)
{
	const uint8_t *payload = crossing->message->payload;

	return stage_refuse(session, crossing, "%s for %u rings of %u: 1 to %u of 1 to %u can be",
			    crossing->row->name, bytes_load16(payload + QUEUES_AT),
			    bytes_load16(payload + SIZE_AT), WIRE_QUEUES_MAX, RING_SIZE_MAX);
}

static enum stage_verdict give(struct session *session, struct crossing *crossing)
{
	uint64_t size = size_of(session, crossing->message->payload, true);

	if (size == 0)
		return refuse(session, crossing);
	resubmit(session, false);
	effects_add(session, &(struct effect){.kind = EFFECT_RECORD_NEW, .size = size});
	return stage_answer(session, crossing, reply_of(crossing->message, size));
}

static enum stage_verdict take(struct session *session, struct crossing *crossing)
{
	uint64_t size = size_of(session, crossing->message->payload, false);
	uint64_t given = bytes_load64(crossing->message->payload);

	if (size == 0)
		return refuse(session, crossing);
	/* What is in flight past its end would silently never complete. */
	if (given < size)
		return stage_refuse(session, crossing,
				    "SET_INFLIGHT_FD with %llu bytes for %u rings of %u: these "
				    "need %llu",
				    (unsigned long long)given, session->record_queues,
				    session->record_size, (unsigned long long)size);
	resubmit(session, true);
	effects_add(session,
		    &(struct effect){.kind = EFFECT_RECORD_MAP, .message = crossing->message});
	return stage_acknowledge(session, crossing);
}

static void keep(struct session *session, struct wire_message *message)
{
	struct kept *kept = &session->kept;
	uint32_t size = message->header.size;

	kept->record = message->fds.count == 1 && size >= SIZE_AT + 2;
	if (!kept->record)
		return;
	memset(kept->record_said, 0, sizeof(kept->record_said));
	memcpy(kept->record_said, message->payload,
	       size < KEPT_RECORD_BYTES ? size : KEPT_RECORD_BYTES);
	effects_add(session, &(struct effect){.kind = EFFECT_KEEP_RECORD, .message = message});
}

static bool acked(const struct session *session)
{
	return (session->protocol.agreed & WIRE_BIT(WIRE_PF_INFLIGHT_SHMFD)) != 0;
}

/* A record for the rings there are so far, of which the largest decides. */
static struct wire_message *request_for_all(const struct session *session)
{
	struct wire_message *message =
	    wire_message_new(WIRE_GET_INFLIGHT_FD, WIRE_VERSION, KEPT_RECORD_BYTES);
	unsigned int queues = session->agreement.rings, size = 0;

	for (unsigned int i = 0; i < WIRE_QUEUES_MAX; i++) {
		if (session->queues[i].seen && i >= queues)
			queues = i + 1;
		if (session->queues[i].size > size)
			size = session->queues[i].size;
	}
	if (message) {
		bytes_store16(message->payload + QUEUES_AT, (uint16_t)queues);
		bytes_store16(message->payload + SIZE_AT, (uint16_t)size);
	}
	return message;
}

/* A ring starts that the back-end has no record for, and the front-end does not know of any. */
static bool wants_record(const struct session *session)
{
	return (session->protocol.passed & WIRE_BIT(WIRE_PF_INFLIGHT_SHMFD)) && !acked(session) &&
	       !session->kept.record;
}

/* The ring has not started until there is one: no back-end may be given it before. */
static enum stage_verdict hold_kick(struct session *session, struct crossing *crossing)
{
	stage_queue(session, crossing)->started = false;
	session->record_waits = crossing->message;
	if (!link_away(session))
		stage_ask(session, request_for_all(session));
	return STAGE_TAKEN;
}

struct wire_message *stage_inflight_request(const struct session *session)
{
	const struct fd_entry record = {.fd = SESSION_FD_BACK_RECORD};
	struct wire_message *message =
	    wire_message_new(WIRE_SET_INFLIGHT_FD, WIRE_VERSION, KEPT_RECORD_BYTES);

	if (!message)
		return NULL;
	memcpy(message->payload, session->kept.record_said, KEPT_RECORD_BYTES);
	fdset_push(&message->fds, &record);
	return message;
}

void stage_inflight_reply(struct session *session, const struct crossing *crossing)
{
	struct wire_message *kick = session->record_waits;

	if (crossing->message->header.id != WIRE_GET_INFLIGHT_FD || !kick)
		return;
	session->record_waits = NULL;
	keep(session, crossing->message);
	if (session->kept.record)
		stage_ask(session, stage_inflight_request(session));
	else
		stage_log(session, LEVEL_WARN,
			  "the back-end offers INFLIGHT_SHMFD and gave no record: what is in "
			  "flight when it dies is lost");
	stage_again(session, kick);
}

static enum stage_verdict front_request_theirs(struct session *session, struct crossing *crossing)
{
	switch (crossing->message->header.id) {
	case WIRE_SET_VRING_KICK:
		return wants_record(session) ? hold_kick(session, crossing) : STAGE_PASS;
	case WIRE_SET_INFLIGHT_FD:
		keep(session, crossing->message);
		break;
	case WIRE_RESET_OWNER:
	case WIRE_RESET_DEVICE:
		/* The guest forgets its requests, and so must the next back-end. */
		session->kept.record = false;
		break;
	}
	return STAGE_PASS;
}

static enum stage_verdict front_request(struct session *session, struct crossing *crossing)
{
	if (!session->record_ours)
		return front_request_theirs(session, crossing);
	switch (crossing->message->header.id) {
	case WIRE_GET_INFLIGHT_FD:
		return give(session, crossing);
	case WIRE_SET_INFLIGHT_FD:
		return take(session, crossing);
	}
	return STAGE_PASS;
}

static enum stage_verdict back_reply(struct session *session, struct crossing *crossing)
{
	switch (crossing->message->header.id) {
	case WIRE_GET_INFLIGHT_FD:
		keep(session, crossing->message);
		break;
	}
	return STAGE_PASS;
}

const struct stage stage_inflight = {
    .name = "inflight",
    .front_request = front_request,
    .back_reply = back_reply,
};
