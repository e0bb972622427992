/* SPDX-License-Identifier: BSD-3-Clause */
#include "session/replay.h"

#include "base/bytes.h"
#include "session/effects.h"
#include "session/path.h"

/* The back-end's word that it could: it may be short of something the last one had. */
static uint32_t need_reply(const struct session *session)
{
	return session->protocol.passed & WIRE_BIT(WIRE_PF_REPLY_ACK) ? WIRE_FLAG_NEED_REPLY : 0;
}

static void say_channel(struct session *session)
{
	if (session->kept.channel)
		stage_ask(session, stage_with_fd(wire_request(WIRE_SET_BACKEND_REQ_FD, 0),
						 SESSION_FD_CHANNEL, 0));
}

static void say_features(struct session *session)
{
	if (session->features_set)
		stage_ask(session, wire_request_u64(WIRE_SET_FEATURES, 0, session->virtio.passed));
}

static void say_slots(struct session *session)
{
	for (unsigned int i = 0; i < session->regions.count; i++) {
		const struct region *region = &session->regions.list[i];

		if (!region->removed)
			stage_ask(session, stage_with_fd(wire_request_region(WIRE_ADD_MEM_REG,
									     need_reply(session),
									     &region->at),
							 SESSION_FD_REGION, region->at.gpa));
	}
	if (session->arena_given) {
		struct wire_region at = arena_region(&session->arena);

		stage_ask(session, stage_with_fd(wire_request_region(WIRE_ADD_MEM_REG,
								     need_reply(session), &at),
						 SESSION_FD_ARENA, 0));
	}
}

static void say_table(struct session *session)
{
	struct wire_region list[WIRE_REGIONS_MAX];
	struct wire_message *message;
	unsigned int count = 0;

	for (unsigned int i = 0; i < session->regions.count && count < WIRE_REGIONS_MAX - 1; i++)
		if (!session->regions.list[i].removed)
			list[count++] = session->regions.list[i].at;
	if (session->arena_given)
		list[count++] = arena_region(&session->arena);
	message = wire_request_table(need_reply(session), list, count);
	for (unsigned int i = 0; message && i < count; i++)
		stage_with_fd(message,
			      session->arena_given && i == count - 1 ? SESSION_FD_ARENA
								     : SESSION_FD_REGION,
			      list[i].gpa);
	stage_ask(session, message);
}

static void say_memory(struct session *session)
{
	if (regions_live(&session->regions) == 0)
		return;
	if (session->protocol.passed & WIRE_BIT(WIRE_PF_CONFIGURE_MEM_SLOTS))
		say_slots(session);
	else
		say_table(session);
}

static void say_log(struct session *session)
{
	const struct dirty *dirty = &session->dirty;
	struct wire_message *message;

	if (session->log_ours || !dirty->based ||
	    !(session->protocol.passed & WIRE_BIT(WIRE_PF_LOG_SHMFD)))
		return;
	message = wire_message_new(WIRE_SET_LOG_BASE, WIRE_VERSION | need_reply(session), 16);
	if (message) {
		bytes_store64(message->payload, dirty->size);
		bytes_store64(message->payload + 8, dirty->offset);
	}
	stage_ask(session, stage_with_fd(message, SESSION_FD_LOG, 0));
}

static void say_log_call(struct session *session)
{
	if (session->kept.log_call && !session->log_ours)
		stage_ask(session,
			  stage_with_fd(wire_request(WIRE_SET_LOG_FD, 0), SESSION_FD_LOG_CALL, 0));
}

static void say_mtu(struct session *session)
{
	if (session->kept.mtu_given)
		stage_ask(session, wire_request_u64(WIRE_NET_SET_MTU, 0, session->kept.mtu));
}

/* Each run of bytes that the front-end wrote. */
static void say_config(struct session *session)
{
	const struct kept *kept = &session->kept;

	for (uint32_t at = 0; at < WIRE_CONFIG_MAX; at++) {
		uint32_t from = at;

		while (at < WIRE_CONFIG_MAX && kept->is_written[at])
			at++;
		if (at > from)
			stage_ask(session,
				  wire_request_config(WIRE_SET_CONFIG, 0, from, at - from,
						      kept->written_flags, kept->written + from));
	}
}

static void say_iotlb(struct session *session)
{
	for (unsigned int i = 0; i < session->translations.count; i++) {
		const struct iotlb_entry *entry = &session->translations.list[i];

		stage_ask(session,
			  wire_request_iotlb(entry->iova, entry->size, entry->uva, entry->perm));
	}
}

static void say_status(struct session *session)
{
	/* A status that waits for the rings to stop goes to the new back-end when they have. */
	if (session->kept.status && !session->held_status)
		stage_ask(session, wire_request_u64(WIRE_SET_STATUS, 0, session->status));
}

typedef void (*say)(struct session *session);

static void say_record(struct session *session)
{
	if (session->kept.record)
		stage_ask(session, stage_inflight_request(session));
}

static const say before_rings[] = {
    say_channel, say_features, say_memory, say_log,    say_log_call,
    say_mtu,     say_config,   say_iotlb,  say_record,
};

static const say after_rings[] = {say_status};

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

/*
 * A GET_VRING_BASE waits for what the lost back-end had: the ring runs for just
 * that, enabled although it was disabled since, and is stopped as before.
 */
static void finish(struct session *session, unsigned int index)
{
	struct queue_state *queue = &session->queues[index];
	bool disabled = !queue->enabled;

	queue->stop_due = false;
	queue->enabled = true;
	path_start(session, index);
	queue->enabled = !disabled;
	queue->disable_held = disabled;
	path_stop(session, index);
}

static void say_ring(struct session *session, unsigned int index)
{
	struct queue_state *queue = &session->queues[index];

	if (queue->endian_given)
		stage_ask(session,
			  wire_request_state(WIRE_SET_VRING_ENDIAN, 0, index, queue->endian));
	if (queue->has_err)
		path_ask_fd(session, WIRE_SET_VRING_ERR, index, true, SESSION_FD_GUEST_ERR);
	queue->parked = 0;
	if (queue->stop_due)
		finish(session, index);
	else if (queue->started)
		path_start(session, index);
	else if (!queue->absorbed)
		path_configure(session, index);
}

void replay(struct session *session)
{
	for (size_t i = 0; i < COUNT(before_rings); i++)
		before_rings[i](session);
	for (unsigned int i = 0; i < WIRE_QUEUES_MAX; i++)
		if (session->queues[i].seen)
			say_ring(session, i);
	for (size_t i = 0; i < COUNT(after_rings); i++)
		after_rings[i](session);
}
