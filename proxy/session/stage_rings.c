/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The rings as the messages configure them.
 *
 * Three things are not passed on as they come:
 *  - SET_VRING_ENABLE before SET_FEATURES, which QEMU's net device sends and
 *    Rust back-ends answer by closing the connection, waits for SET_FEATURES;
 *  - GET_VRING_BASE for a ring the back-end never heard of, which crashed DPDK,
 *    is answered here;
 *  - DPDK's packed ring base, which lacks its upper half, gets one: QEMU would
 *    take the missing half for used index 0 with wrap counter 0.
 */
#include "session/stage.h"

#include "base/bytes.h"
#include "session/effects.h"

#define PACKED_FRESH 0x80008000u /* both wrap counters 1, both indices 0 */

static enum stage_verdict enable(struct session *session, struct crossing *crossing)
{
	struct queue_state *queue = stage_queue(session, crossing);
	uint32_t on = bytes_load32(crossing->message->payload + 4);

	queue->enabled = on != 0;
	if (session->features_set) {
		queue->seen = true;
		return STAGE_PASS;
	}
	queue->enable_held = true;
	queue->held_enable = on;
	return stage_acknowledge(session, crossing);
}

/* A reset disables every ring, also one whose enabling the back-end has not heard of yet. */
static void disable_all(struct session *session)
{
	for (unsigned int i = 0; i < WIRE_QUEUES_MAX; i++)
		session->queues[i].enabled = session->queues[i].enable_held = false;
}

/*
 * Without bit 30 rings are enabled at once (specification "Ring states"), which
 * overrides what was said before; Rust back-ends then take no SET_VRING_ENABLE.
 */
static void enable_all(struct session *session)
{
	for (unsigned int i = 0; i < WIRE_QUEUES_MAX; i++) {
		session->queues[i].enabled = true;
		session->queues[i].enable_held = false;
	}
}

static void send_held_enables(struct session *session)
{
	bool acks = (session->agreement.protocol_acked & WIRE_BIT(WIRE_PF_REPLY_ACK)) != 0;
	uint32_t flags = acks ? WIRE_FLAG_NEED_REPLY : 0;

	for (unsigned int i = 0; i < WIRE_QUEUES_MAX; i++) {
		struct queue_state *queue = &session->queues[i];

		if (!queue->enable_held)
			continue;
		queue->enable_held = false;
		queue->seen = true;
		stage_ask(session,
			  wire_request_state(WIRE_SET_VRING_ENABLE, flags, i, queue->held_enable));
	}
}

static enum stage_verdict get_base(struct session *session, struct crossing *crossing)
{
	struct queue_state *queue = stage_queue(session, crossing);
	uint32_t index = bytes_load32(crossing->message->payload);
	uint32_t base = queue->base ? queue->base : session_packed(session) ? PACKED_FRESH : 0;

	if (queue->seen)
		return STAGE_PASS;
	return stage_answer(session, crossing,
			    wire_reply_state(crossing->message->header.id, index, base));
}

/*
 * DPDK's virtio-user sends the position of reading alone. A ring that goes on
 * without a record has nothing in flight, so that of writing is the same.
 */
static uint32_t front_base(const struct session *session, uint32_t base)
{
	return session_packed(session) && base >> 16 == 0 ? base << 16 | base : base;
}

static void set_address(struct queue_state *queue, const uint8_t *payload)
{
	queue->flags = bytes_load32(payload + 4);
	queue->desc = bytes_load64(payload + 8);
	queue->used = bytes_load64(payload + 16);
	queue->avail = bytes_load64(payload + 24);
	queue->log = bytes_load64(payload + 32);
}

static void start(struct session *session, struct crossing *crossing, struct queue_state *queue)
{
	queue->has_kick = crossing->message->fds.count != 0;
	if (queue->started)
		return;
	queue->started = true;
	stage_event(session, "QUEUE_STARTED", "{\"queue\":%d}",
		    wire_queue_index(crossing->row, crossing->message));
}

/* The stage is last: what arrives here is passed on, but for what the cases say. */
static enum stage_verdict front_request(struct session *session, struct crossing *crossing)
{
	struct queue_state *queue = stage_queue(session, crossing);
	const uint8_t *payload = crossing->message->payload;

	switch (crossing->message->header.id) {
	case WIRE_SET_VRING_ENABLE:
		return enable(session, crossing);
	case WIRE_GET_VRING_BASE:
		return get_base(session, crossing);
	case WIRE_SET_VRING_NUM:
		queue->size = bytes_load32(payload + 4);
		break;
	case WIRE_SET_VRING_BASE:
		queue->base = front_base(session, bytes_load32(payload + 4));
		break;
	case WIRE_SET_VRING_ADDR:
		queue->addressed = true;
		set_address(queue, payload);
		break;
	case WIRE_SET_VRING_KICK:
		start(session, crossing, queue);
		break;
	case WIRE_SET_VRING_CALL:
		queue->has_call = crossing->message->fds.count != 0;
		break;
	case WIRE_SET_VRING_ERR:
		queue->has_err = crossing->message->fds.count != 0;
		break;
	case WIRE_SET_FEATURES:
		if (!(session->virtio.passed & WIRE_BIT(WIRE_F_PROTOCOL_FEATURES)))
			enable_all(session);
		break;
	case WIRE_RESET_DEVICE:
	case WIRE_RESET_OWNER:
		disable_all(session);
		break;
	}
	if (queue)
		queue->seen = true;
	return STAGE_PASS;
}

uint32_t stage_rings_base(struct session *session, uint32_t base)
{
	if (!session_packed(session))
		return base;
	if (base >> 16)
		session->full_base_seen = true;
	else if (!session->full_base_seen)
		return base << 16 | base;
	return base;
}

/* GET_VRING_BASE stops the ring and takes its descriptors away, in every back-end known. */
void stage_rings_stopped(struct session *session, unsigned int index, uint32_t base)
{
	struct queue_state *queue = &session->queues[index];

	queue->base = base;
	queue->has_kick = queue->has_call = false;
	if (queue->started)
		stage_event(session, "QUEUE_STOPPED", "{\"queue\":%u,\"base\":%u}", index, base);
	queue->started = false;
	stage_state_stopped(session);
}

static enum stage_verdict back_reply(struct session *session, struct crossing *crossing)
{
	uint32_t base;

	if (crossing->message->header.id != WIRE_GET_VRING_BASE)
		return STAGE_PASS;
	base = stage_rings_base(session, bytes_load32(crossing->message->payload + 4));
	bytes_store32(crossing->message->payload + 4, base);
	stage_rings_stopped(session, (unsigned int)crossing->entry->queue, base);
	return STAGE_PASS;
}

static void after(struct session *session, uint32_t id)
{
	if (id == WIRE_SET_FEATURES)
		send_held_enables(session);
}

const struct stage stage_rings = {
    .name = "rings",
    .front_request = front_request,
    .back_reply = back_reply,
    .after = after,
};
