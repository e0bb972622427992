/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What of the configuration reaches the back-end of a relayed ring: none of it.
 * Size, base and addresses are kept, and at SET_VRING_KICK the back-end is given
 * those of the daemon's own ring (path.h). Memory passes, with the arena as one
 * more region.
 */
#include "session/stage.h"

#include "base/bytes.h"
#include "session/effects.h"
#include "session/kinds.h"
#include "session/link.h"
#include "session/path.h"

static void note(struct session *session, enum effect_kind kind, const struct crossing *crossing,
		 unsigned int queue)
{
	effects_add(session,
		    &(struct effect){.kind = kind, .message = crossing->message, .queue = queue});
}

static bool place_arena(struct session *session)
{
	if (session->arena.size == 0 &&
	    !arena_place(&session->arena, session->agreement.rings, &session->regions))
		session->arena_refused = true;
	return !session->arena_refused;
}

static bool any_relayed(const struct session *session)
{
	for (unsigned int i = 0; i < WIRE_QUEUES_MAX; i++)
		if (session->queues[i].path.state == PATH_SHADOW)
			return true;
	return false;
}

/* Rings that are relayed lie in the memory that is left out: they are the guest's before it goes.
 */
static enum stage_verdict refuse_arena(struct session *session, struct crossing *crossing,
				       const char *why)
{
	bool relayed = any_relayed(session);

	session->arena_refused = true;
	session->arena_given = false;
	stage_log(session, LEVEL_WARN, "%s: rings %sstay direct, the data path can not be moved",
		  why, relayed ? "leave the daemon and " : "");
	if (!relayed)
		return STAGE_PASS;
	path_step_out(session);
	session->link.waiting = crossing->message;
	return STAGE_TAKEN;
}

static struct wire_message *extended(const struct session *session, struct wire_message *table)
{
	struct fd_entry file = {.fd = SESSION_FD_ARENA};
	struct wire_region regions[WIRE_REGIONS_MAX];
	unsigned int count = table->fds.count;
	struct wire_message *message;

	for (unsigned int i = 0; i < count; i++)
		regions[i] = wire_table_region(table, i);
	regions[count] = arena_region(&session->arena);
	message =
	    wire_request_table(table->header.flags & WIRE_FLAG_NEED_REPLY, regions, count + 1);
	if (message) {
		fdset_move(&message->fds, &table->fds);
		fdset_push(&message->fds, &file);
	}
	return message;
}

static bool any_collides(const struct session *session)
{
	for (unsigned int i = 0; i < session->regions.count; i++)
		if (arena_collides(&session->arena, &session->regions.list[i].at))
			return true;
	return false;
}

static enum stage_verdict set_table(struct session *session, struct crossing *crossing)
{
	struct wire_message *table = crossing->message, *message;

	if (crossing->acknowledges || session->agreement.postcopy_listening)
		return STAGE_PASS;
	if (table->fds.count == WIRE_REGIONS_MAX)
		return refuse_arena(
		    session, crossing,
		    "SET_MEM_TABLE has 8 regions, which leaves no slot for our own");
	if (!place_arena(session) || any_collides(session))
		return refuse_arena(session, crossing,
				    "the guest's memory leaves no address for rings of our own");
	message = extended(session, table);
	if (!message) {
		session->out_of_memory = true;
		return STAGE_PASS;
	}
	effects_drop(session, table);
	crossing->message = message;
	session->arena_given = true;
	note(session, EFFECT_MAP, crossing, 0);
	return STAGE_PASS;
}

static enum stage_verdict add_region(struct session *session, struct crossing *crossing)
{
	struct fd_entry file = {.fd = SESSION_FD_ARENA};
	struct wire_message *ours;
	struct wire_region at;

	if (session->agreement.postcopy_listening)
		return STAGE_PASS;
	note(session, EFFECT_MAP, crossing, 0);
	if (session->arena_given && any_collides(session)) {
		stage_refuse(session, crossing,
			     "ADD_MEM_REG at user address 0x%llx, where rings of ours lie",
			     (unsigned long long)wire_slot_region(crossing->message).uva);
		return STAGE_TAKEN;
	}
	if (session->arena_given || !place_arena(session))
		return STAGE_PASS;
	at = arena_region(&session->arena);
	ours = wire_request_region(WIRE_ADD_MEM_REG, 0, &at);
	if (ours)
		fdset_push(&ours->fds, &file);
	stage_ask(session, ours);
	session->arena_given = true;
	return STAGE_PASS;
}

static bool relayed(const struct queue_state *queue)
{
	return queue->path.state == PATH_SHADOW;
}

static enum stage_verdict configure(struct session *session, struct crossing *crossing)
{
	struct queue_state *queue = stage_queue(session, crossing);

	if (relayed(queue)) {
		/* QEMU turns the logging of a running ring on and off by its addresses. */
		if (crossing->message->header.id == WIRE_SET_VRING_ADDR)
			note(session, EFFECT_RETARGET, crossing,
			     bytes_load32(crossing->message->payload));
		return stage_acknowledge(session, crossing);
	}
	if (queue->path.state != PATH_STOPPED || (!queue->absorbed && !path_wanted(session)))
		return STAGE_PASS;
	queue->absorbed = true;
	return stage_acknowledge(session, crossing);
}

static unsigned int ring_of(const struct crossing *crossing)
{
	return (unsigned int)wire_queue_index(crossing->row, crossing->message);
}

static enum stage_verdict set_call(struct session *session, struct crossing *crossing)
{
	struct queue_state *queue = stage_queue(session, crossing);

	note(session, EFFECT_KEEP_CALL, crossing, ring_of(crossing));
	if (!relayed(queue))
		return STAGE_PASS;
	note(session, EFFECT_RETARGET, crossing, ring_of(crossing));
	return stage_acknowledge(session, crossing);
}

static enum stage_verdict set_kick(struct session *session, struct crossing *crossing)
{
	struct queue_state *queue = stage_queue(session, crossing);
	unsigned int index = ring_of(crossing);
	enum stage_verdict verdict;

	note(session, EFFECT_KEEP_KICK, crossing, index);
	if (relayed(queue)) {
		note(session, EFFECT_RETARGET, crossing, index);
		return stage_acknowledge(session, crossing);
	}
	/* The replay starts it. */
	if (queue->path.state != PATH_STOPPED || link_away(session))
		return STAGE_PASS;
	if (!queue->absorbed) {
		sm_move(&queue->path, PATH_DIRECT);
		return STAGE_PASS;
	}
	/* The acknowledgement follows what the start sends: by its turn among replies. */
	verdict = stage_acknowledge(session, crossing);
	path_start(session, index);
	return verdict;
}

void stage_shadow_release(struct session *session, unsigned int index)
{
	struct queue_state *queue = &session->queues[index];

	if (queue->disable_held)
		stage_ask(session, wire_request_state(WIRE_SET_VRING_ENABLE, 0, index, 0));
	queue->disable_held = false;
}

static void release_all(struct session *session)
{
	for (unsigned int i = 0; i < WIRE_QUEUES_MAX; i++)
		stage_shadow_release(session, i);
}

/*
 * QEMU disables the rings of all but network devices before it stops them. A
 * disabled ring is not worked on: what the back-end has not taken yet would never
 * complete, and the drain of a ring of requests never end. So the message waits
 * until the ring is stopped, or anything but the stopping of rings comes.
 */
static enum stage_verdict enable(struct session *session, struct crossing *crossing)
{
	struct queue_state *queue = stage_queue(session, crossing);

	queue->disable_held = false;
	if (!relayed(queue) || queue->enabled || kinds_idle(session, ring_of(crossing)))
		return STAGE_PASS;
	queue->disable_held = true;
	return stage_acknowledge(session, crossing);
}

static enum stage_verdict get_base(struct session *session, struct crossing *crossing)
{
	struct queue_state *queue = stage_queue(session, crossing);
	unsigned int index = bytes_load32(crossing->message->payload);

	if (!relayed(queue)) {
		if (!queue->absorbed)
			return STAGE_PASS;
		/* Configured and never started: the back-end knows nothing of it. */
		queue->absorbed = false;
		return stage_answer(session, crossing,
				    wire_reply_state(WIRE_GET_VRING_BASE, index, queue->base));
	}
	stage_answer_later(session, crossing);
	path_stop(session, index);
	return STAGE_TAKEN;
}

static enum stage_verdict front_request(struct session *session, struct crossing *crossing)
{
	uint32_t id = crossing->message->header.id;

	if (!path_possible(session))
		return STAGE_PASS;
	if (id != WIRE_SET_VRING_ENABLE && id != WIRE_GET_VRING_BASE)
		release_all(session);
	switch (id) {
	case WIRE_SET_VRING_ENABLE:
		return enable(session, crossing);
	case WIRE_SET_MEM_TABLE:
		return set_table(session, crossing);
	case WIRE_ADD_MEM_REG:
		return add_region(session, crossing);
	case WIRE_REM_MEM_REG:
		note(session, EFFECT_UNMAP, crossing, 0);
		return STAGE_PASS;
	case WIRE_SET_LOG_BASE:
		note(session, EFFECT_MAP_LOG, crossing, 0);
		return STAGE_PASS;
	case WIRE_SET_VRING_NUM:
	case WIRE_SET_VRING_BASE:
	case WIRE_SET_VRING_ADDR:
		return configure(session, crossing);
	case WIRE_SET_VRING_CALL:
		return set_call(session, crossing);
	case WIRE_SET_VRING_KICK:
		return set_kick(session, crossing);
	case WIRE_GET_VRING_BASE:
		return get_base(session, crossing);
	case WIRE_RESET_DEVICE:
	case WIRE_RESET_OWNER:
		path_reset(session);
		return STAGE_PASS;
	}
	return STAGE_PASS;
}

uint64_t stage_shadow_slots(const struct session *session, uint64_t slots)
{
	/* One is ours. */
	return path_possible(session) && slots > 1 ? slots - 1 : slots;
}

static enum stage_verdict back_reply(struct session *session, struct crossing *crossing)
{
	struct queue_state *queue;
	uint64_t slots;

	switch (crossing->message->header.id) {
	case WIRE_GET_VRING_BASE:
		queue = stage_queue(session, crossing);
		queue->back_base = bytes_load16(crossing->message->payload + 4);
		if (queue->path.state == PATH_DIRECT)
			sm_move(&queue->path, PATH_STOPPED);
		break;
	case WIRE_GET_MAX_MEM_SLOTS:
		slots = bytes_load64(crossing->message->payload);
		bytes_store64(crossing->message->payload, stage_shadow_slots(session, slots));
		break;
	}
	return STAGE_PASS;
}

const struct stage stage_shadow = {
    .name = "shadow",
    .front_request = front_request,
    .back_reply = back_reply,
};
