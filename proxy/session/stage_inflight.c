/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The inflight record, where the back-end keeps none: the same record, in the
 * specified layout, is the daemon's and served to the front-end, which gives it
 * back after a restart of the daemon (specification "Inflight I/O tracking").
 */
#include "session/stage.h"

#include "base/bytes.h"
#include "ring/inflight.h"
#include "session/effects.h"

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

static enum stage_verdict front_request(struct session *session, struct crossing *crossing)
{
	if (!session->record_ours)
		return STAGE_PASS;
	switch (crossing->message->header.id) {
	case WIRE_GET_INFLIGHT_FD:
		return give(session, crossing);
	case WIRE_SET_INFLIGHT_FD:
		return take(session, crossing);
	}
	return STAGE_PASS;
}

const struct stage stage_inflight = {
    .name = "inflight",
    .front_request = front_request,
};
