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

static enum stage_verdict give(struct session *session, struct crossing *crossing)
{
	const uint8_t *payload = crossing->message->payload;
	uint64_t size;

	session->record_queues = bytes_load16(payload + QUEUES_AT);
	session->record_size = bytes_load16(payload + SIZE_AT);
	resubmit(session, false);
	if (session->record_size == 0 || session->record_size > RING_SIZE_MAX ||
	    session->record_queues == 0 || session->record_queues > WIRE_QUEUES_MAX)
		return stage_refuse(session, crossing,
				    "GET_INFLIGHT_FD for %u rings of %u: 1 to %u of 1 to %u can be",
				    session->record_queues, session->record_size, WIRE_QUEUES_MAX,
				    RING_SIZE_MAX);
	size = (uint64_t)session->record_queues *
	       inflight_bytes(format_of(session), session->record_size);
	effects_add(session, &(struct effect){.kind = EFFECT_RECORD_NEW, .size = size});
	return stage_answer(session, crossing, reply_of(crossing->message, size));
}

static enum stage_verdict take(struct session *session, struct crossing *crossing)
{
	const uint8_t *payload = crossing->message->payload;

	session->record_queues = bytes_load16(payload + QUEUES_AT);
	session->record_size = bytes_load16(payload + SIZE_AT);
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
