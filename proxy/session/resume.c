/* SPDX-License-Identifier: BSD-3-Clause */
#include "session/resume.h"

#include "session/stage.h"

bool session_needs_resume(const struct session *session, const struct wire_message *first)
{
	/* One that only watches passes it: the back-end may know what to make of it. */
	return !session->virtio.known && !session->config.offers.watch_only &&
	       first->header.id == WIRE_SET_FEATURES;
}

struct resume session_remember(const struct session *session)
{
	return (struct resume){
	    .virtio_offered = session->virtio.offered,
	    .protocol_offered = session->protocol.offered,
	    .queue_num = session->queue_num,
	    .mem_slots = session->mem_slots,
	};
}

void session_resume(struct session *session, const struct resume *resume, uint64_t now_ns)
{
	session->now_ns = session->link.lost_ns = now_ns;
	sm_move(&session->link.sm, LINK_AWAY);
	stage_features_learn(session, WIRE_GET_FEATURES, resume->virtio_offered);
	stage_features_learn(session, WIRE_GET_PROTOCOL_FEATURES, resume->protocol_offered);
	stage_features_learn(session, WIRE_GET_QUEUE_NUM, resume->queue_num);
	stage_features_learn(session, WIRE_GET_MAX_MEM_SLOTS, resume->mem_slots);
}
