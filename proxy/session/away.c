/* SPDX-License-Identifier: BSD-3-Clause */
#include "session/away.h"

#include "base/bytes.h"
#include "session/effects.h"
#include "session/path.h"

#include <string.h>

#define CONFIG_HEAD 12u

static struct wire_message *config_reply(const struct session *session,
					 const struct wire_message *request)
{
	const struct kept *kept = &session->kept;
	struct wire_message *reply;

	if (kept->config_size == 0 || request->header.size != CONFIG_HEAD + kept->config_size ||
	    bytes_load32(request->payload) != kept->config_offset)
		return NULL;
	reply =
	    wire_message_new(WIRE_GET_CONFIG, WIRE_VERSION | WIRE_FLAG_REPLY, request->header.size);
	if (!reply)
		return NULL;
	memcpy(reply->payload, request->payload, CONFIG_HEAD);
	for (uint32_t i = 0; i < kept->config_size; i++) {
		uint32_t at = kept->config_offset + i;

		reply->payload[CONFIG_HEAD + i] =
		    kept->is_written[at] ? kept->written[at] : kept->config[i];
	}
	return reply;
}

static struct wire_message *log_reply(const struct session *session)
{
	/* None was ever seen. */
	if (session->log_reply_size == 0)
		return wire_reply_u64(WIRE_SET_LOG_BASE, 0);
	return stage_dirty_reply(session);
}

struct wire_message *away_answer(const struct session *session, const struct wire_message *request)
{
	uint32_t id = request->header.id;

	switch (id) {
	case WIRE_GET_FEATURES:
		return session->virtio.known ? wire_reply_u64(id, session->virtio.shown) : NULL;
	case WIRE_GET_PROTOCOL_FEATURES:
		return session->protocol.known ? wire_reply_u64(id, session->protocol.shown) : NULL;
	case WIRE_GET_QUEUE_NUM:
		return session->queue_num ? wire_reply_u64(id, session->queue_num) : NULL;
	case WIRE_GET_MAX_MEM_SLOTS:
		return session->mem_slots
			   ? wire_reply_u64(id, stage_shadow_slots(session, session->mem_slots))
			   : NULL;
	case WIRE_GET_STATUS:
		return session->kept.status ? wire_reply_u64(id, session->status) : NULL;
	case WIRE_GET_CONFIG:
		return config_reply(session, request);
	case WIRE_SET_LOG_BASE:
		return session->agreement.protocol_acked & WIRE_BIT(WIRE_PF_LOG_SHMFD)
			   ? log_reply(session)
			   : NULL;
	}
	return NULL;
}

/*
 * What is set is in the session, and the next back-end will hear it. What is not
 * replayed, and is more than the end of something, must be done by somebody.
 */
bool away_needs_back(const struct wire_row *row)
{
	if (!row)
		return true;
	switch (row->id) {
	case WIRE_RESET_OWNER:
	case WIRE_RESET_DEVICE:
	case WIRE_REM_MEM_REG:
	case WIRE_SEND_RARP: /* an announcement, and nobody to announce it */
		return false;
	case WIRE_SET_BACKEND_REQ_FD: /* its socket has to be replaced on the way */
	case WIRE_CREATE_CRYPTO_SESSION:
	case WIRE_GPU_SET_SOCKET:
		return true;
	}
	return row->replay == WIRE_REPLAY_NONE || row->replay == WIRE_REPLAY_FRESH;
}

void away_settle(struct session *session, struct exchange_entry *entry)
{
	const struct wire_row *row = wire_row(WIRE_MAIN, entry->id);

	entry->origin = EXCHANGE_ANSWERED;
	/* session_ring_stood() or the drain of the next back-end answers it. */
	if (entry->id == WIRE_GET_VRING_BASE)
		return;
	if (entry->again)
		entry->answer = away_answer(session, entry->again);
	else if (entry->id == WIRE_SET_LOG_BASE)
		entry->answer = log_reply(session);
	else if (row && row->reply != WIRE_REPLY_ALWAYS)
		entry->answer = wire_reply_u64(entry->id, 0);
	if (!entry->answer && entry->again)
		entry->origin = EXCHANGE_ORPHANED;
	else
		effects_drop(session, entry->again);
	if (entry->origin == EXCHANGE_ANSWERED) {
		entry->again = NULL;
		session->out_of_memory |= !entry->answer;
	}
}

void away_stop(struct session *session, struct crossing *crossing)
{
	unsigned int index = (unsigned int)wire_queue_index(crossing->row, crossing->message);
	struct queue_state *queue = &session->queues[index];

	if (queue->parked) {
		queue->stop_due = true;
		stage_answer_later(session, crossing);
		return;
	}
	stage_answer(session, crossing, wire_reply_state(WIRE_GET_VRING_BASE, index, queue->base));
	stage_rings_stopped(session, index, queue->base);
}

void away_pass(struct session *session, struct wire_message *request)
{
	struct crossing crossing = {.from = PORT_FRONT_MAIN,
				    .row = wire_row(WIRE_MAIN, request->header.id),
				    .message = request};

	/* It has been through the stages. */
	stage_pass(session, &crossing);
}
