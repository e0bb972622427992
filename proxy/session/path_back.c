/* SPDX-License-Identifier: BSD-3-Clause */
/* The rings when the back-end goes: lost (link.h), or left for another. */
#include "session/path.h"

#include "session/effects.h"
#include "session/kinds.h"
#include "session/link.h"

#define USED_HEAD 4u /* flags and index */

/* The user address of the used ring; behind an IOMMU the front-end may have given none. */
static bool used_at(const struct session *session, unsigned int index, uint64_t *address)
{
	*address = session->queues[index].used;
	return !session_agreed(session, WIRE_F_ACCESS_PLATFORM) ||
	       iotlb_find(&session->translations, *address, USED_HEAD, address);
}

static void effect_on(struct session *session, enum effect_kind kind, unsigned int index)
{
	uint64_t address = 0;

	used_at(session, index, &address);
	effects_add(session, &(struct effect){.kind = kind,
					      .queue = index,
					      .size = address,
					      .resubmit = !session->config.drop_inflight});
}

/*
 * A back-end that keeps an inflight record finds there what is to be done again,
 * beyond where the ring is used. A network device may lose or repeat packets, so its
 * ring goes on where the last was used. Of a packed one nobody but the back-end knows
 * where that is.
 */
static int direct_survivable(const struct session *session, unsigned int index, struct diag *diag)
{
	bool recorded = session->kept.record;
	uint64_t address;

	if (session_device(session) != WIRE_DEVICE_NET && !recorded)
		return diag_set(diag, 1,
				"what it had in flight of ring %u, which is direct, is known to "
				"nobody: have it relayed (--data-path, --device)",
				index);
	if (session_packed(session))
		return diag_set(diag, 1,
				"where it stood in ring %u, which is direct and packed, is known "
				"to nobody: use --data-path=shadow",
				index);
	if (!used_at(session, index, &address))
		return diag_set(diag, 1,
				"ring %u has its used ring at I/O address 0x%llx, which no "
				"translation in force has",
				index, (unsigned long long)session->queues[index].used);
	return 0;
}

/* A disk's ring that leaves direct has been watched: nothing of it is in flight. */
static bool direct_at_work(const struct session *session, const struct queue_state *queue)
{
	unsigned int state = queue->path.state;
	bool stopped = state == PATH_LEAVING || state == PATH_SETTLING;

	return state == PATH_DIRECT || state == PATH_QUIETING ||
	       (stopped && queue->left_direct && session_device(session) != WIRE_DEVICE_BLK);
}

int path_survivable(const struct session *session, struct diag *diag)
{
	int result = 0;

	if (session->arena_refused)
		return diag_set(diag, 1, "nothing was kept of a guest with %u memory regions",
				WIRE_REGIONS_MAX);
	for (unsigned int i = 0; !result && i < WIRE_QUEUES_MAX; i++) {
		if (direct_at_work(session, &session->queues[i]))
			result = direct_survivable(session, i, diag);
	}
	return result;
}

static void lose_relayed(struct session *session, unsigned int index)
{
	struct queue_state *queue = &session->queues[index];

	queue->stop_due = queue->goal == GOAL_STOP;
	effect_on(session, EFFECT_LOSE, index);
}

/*
 * A ring of requests was drained, and the base is known: it is where it was going.
 * One of idle buffers is still attached.
 */
static void lose_leaving(struct session *session, unsigned int index)
{
	struct queue_state *queue = &session->queues[index];

	if (queue->left_direct)
		effect_on(session, EFFECT_STAND, index);
	else if (kinds_idle(session, index))
		lose_relayed(session, index);
	else if (queue->goal == GOAL_STOP)
		path_answer_stop(session, index);
}

static void lose(struct session *session, unsigned int index)
{
	struct queue_state *queue = &session->queues[index];
	unsigned int state = queue->path.state;

	sm_move(&queue->path, PATH_STOPPED);
	switch (state) {
	case PATH_DRAINING:
		lose_relayed(session, index);
		break;
	case PATH_SHADOW:
		effect_on(session, EFFECT_LOSE, index);
		break;
	case PATH_QUIETING:
		effect_on(session, EFFECT_DETACH, index);
		effect_on(session, EFFECT_STAND, index);
		break;
	case PATH_DIRECT:
		effect_on(session, EFFECT_STAND, index);
		break;
	case PATH_SETTLING:
		if (queue->left_direct)
			effect_on(session, EFFECT_DETACH, index);
		lose_leaving(session, index);
		break;
	case PATH_LEAVING:
		lose_leaving(session, index);
		break;
	}
	queue->disable_held = false;
}

void path_lost(struct session *session)
{
	for (unsigned int i = 0; i < WIRE_QUEUES_MAX; i++) {
		session->queues[i].back_base = 0; /* the next one has not had it yet */
		if (session->queues[i].path.state != PATH_STOPPED)
			lose(session, i);
	}
	session->holding = 0;
	/* The rings start again at the next back-end, where the log needs them. */
	stage_dirty_arrived(session);
}

int path_may_leave(const struct session *session, struct diag *diag)
{
	if (session->link.sm.state != LINK_LIVE || session->holding)
		return diag_set(diag, SESSION_REFUSED,
				"the back-end or its rings are on the move: try again");
	for (unsigned int i = 0; i < WIRE_QUEUES_MAX; i++)
		if (session->queues[i].path.state == PATH_DIRECT &&
		    session_device(session) != WIRE_DEVICE_NET)
			return diag_set(diag, SESSION_REFUSED,
					"ring %u is direct, and what is in flight is the "
					"back-end's: say data-path shadow first",
					i);
	return SESSION_MOVED;
}

void path_leave(struct session *session)
{
	for (unsigned int i = 0; i < WIRE_QUEUES_MAX; i++) {
		unsigned int state = session->queues[i].path.state;

		if (state == PATH_SHADOW)
			path_drain(session, i, GOAL_SWAP);
		else if (state == PATH_DIRECT)
			path_leave_direct(session, i);
	}
}

void path_configure(struct session *session, unsigned int index)
{
	const struct queue_state *queue = &session->queues[index];

	if (queue->size)
		stage_ask(session, wire_request_state(WIRE_SET_VRING_NUM, 0, index, queue->size));
	if (queue->addressed)
		stage_ask(session, wire_request_state(WIRE_SET_VRING_BASE, 0, index, queue->base));
	if (queue->has_call)
		path_ask_fd(session, WIRE_SET_VRING_CALL, index, true, SESSION_FD_GUEST_CALL);
	if (queue->addressed)
		stage_ask(session, wire_request_addr(0, index, queue->flags, queue->desc,
						     queue->used, queue->avail, queue->log));
	path_ask_enable(session, index);
}
