/* SPDX-License-Identifier: BSD-3-Clause */
#include "session/path.h"

#include "base/bytes.h"
#include "session/effects.h"
#include "session/kinds.h"
#include "session/link.h"

#define PACKED_FRESH 0x80008000u

static const struct sm_state states[] = {
    [PATH_STOPPED] = {"stopped", SM_TO(PATH_DIRECT) | SM_TO(PATH_SHADOW)},
    [PATH_DIRECT] = {"direct", SM_TO(PATH_STOPPED) | SM_TO(PATH_QUIETING) | SM_TO(PATH_LEAVING)},
    [PATH_SHADOW] = {"shadow", SM_TO(PATH_STOPPED) | SM_TO(PATH_DRAINING)},
    [PATH_DRAINING] = {"draining", SM_TO(PATH_STOPPED) | SM_TO(PATH_LEAVING)},
    [PATH_QUIETING] = {"quieting", SM_TO(PATH_STOPPED) | SM_TO(PATH_LEAVING) | SM_TO(PATH_DIRECT)},
    /* From LEAVING on a ring is stopped for a moment, whatever it becomes. */
    [PATH_LEAVING] = {"leaving", SM_TO(PATH_STOPPED) | SM_TO(PATH_SETTLING)},
    [PATH_SETTLING] = {"settling", SM_TO(PATH_STOPPED)},
};

void path_init(struct session *session)
{
	for (unsigned int i = 0; i < WIRE_QUEUES_MAX; i++)
		session->queues[i].path = (struct sm){.table = states, .state = PATH_STOPPED};
}

bool path_possible(const struct session *session)
{
	return !session->config.offers.watch_only && !session->arena_refused;
}

/* Guest memory may not be touched while pages of it are still to come. */
static bool memory_whole(const struct session *session)
{
	return session->postcopy.sm.state == POSTCOPY_OFF ||
	       session->postcopy.sm.state == POSTCOPY_ENDED;
}

/* The back-end's own record would be of the wrong ring. */
bool path_record_kept(const struct session *session)
{
	return !session->record_ours &&
	       (session->protocol.passed & WIRE_BIT(WIRE_PF_INFLIGHT_SHMFD));
}

/* Without VERSION_1 ring fields are in the guest's byte order, with an IOMMU addresses are not
 * ours. */
bool path_able(const struct session *session)
{
	return path_possible(session) && session->arena_given && memory_whole(session) &&
	       !path_record_kept(session) && session_agreed(session, WIRE_F_VERSION_1) &&
	       !session_agreed(session, WIRE_F_ACCESS_PLATFORM);
}

/* While the log is on, and all the time where rings could not come in when it is turned on. */
static bool log_needs(const struct session *session)
{
	return session->log_ours && (dirty_ordered(&session->dirty) || !path_enters(session));
}

bool path_relays(const struct session *session, enum session_mode mode)
{
	return mode == MODE_SHADOW ||
	       (mode == MODE_AUTO && session->record_ours && kinds_shielded(session)) ||
	       log_needs(session);
}

bool path_wanted(const struct session *session)
{
	return session->features_set && path_able(session) && path_relays(session, session->mode);
}

static void ring_effect(struct session *session, enum effect_kind kind, unsigned int index)
{
	effects_add(session, &(struct effect){.kind = kind, .queue = index});
}

void path_ask_fd(struct session *session, uint32_t id, unsigned int index, bool given,
		 enum session_fd fd)
{
	struct wire_message *message =
	    wire_request_u64(id, 0, index | (given ? 0 : WIRE_RING_NOFD));

	stage_ask(session, given ? stage_with_fd(message, fd, index) : message);
}

void path_ask_enable(struct session *session, unsigned int index)
{
	/* Without bit 30 a started ring is enabled, and Rust back-ends take no such message. */
	if (session->queues[index].enabled &&
	    (session->virtio.passed & WIRE_BIT(WIRE_F_PROTOCOL_FEATURES)))
		stage_ask(session, wire_request_state(WIRE_SET_VRING_ENABLE, 0, index, 1));
}

/*
 * The call before the addresses: DPDK works on a further pair's ring from its addresses
 * on, and what it completes before it has a call, nobody is ever called for.
 */
static void configure_shadow(struct session *session, unsigned int index)
{
	const struct queue_state *queue = &session->queues[index];
	uint64_t slot = session->arena.uva + arena_offset(index);

	effects_add(
	    session,
	    &(struct effect){.kind = EFFECT_ATTACH, .queue = index, .resubmit = queue->resubmit});
	stage_ask(session, wire_request_state(WIRE_SET_VRING_NUM, 0, index, queue->size));
	/* Where the back-end is: vhost-device-scsi 0.1.0 goes on at its own used index. */
	stage_ask(session,
		  wire_request_state(WIRE_SET_VRING_BASE, 0, index,
				     session_packed(session) ? PACKED_FRESH : queue->back_base));
	path_ask_fd(session, WIRE_SET_VRING_CALL, index, true, SESSION_FD_RING_CALL);
	stage_ask(session, wire_request_addr(0, index, 0, slot + ARENA_DESC, slot + ARENA_DEVICE,
					     slot + ARENA_DRIVER, 0));
	path_ask_fd(session, WIRE_SET_VRING_KICK, index, true, SESSION_FD_RING_KICK);
	path_ask_enable(session, index);
}

static void configure_direct(struct session *session, unsigned int index)
{
	const struct queue_state *queue = &session->queues[index];

	stage_ask(session, wire_request_state(WIRE_SET_VRING_NUM, 0, index, queue->size));
	stage_ask(session, wire_request_state(WIRE_SET_VRING_BASE, 0, index, queue->base));
	path_ask_fd(session, WIRE_SET_VRING_CALL, index, queue->has_call, SESSION_FD_GUEST_CALL);
	stage_ask(session, wire_request_addr(0, index, queue->flags, queue->desc, queue->used,
					     queue->avail, queue->log));
	path_ask_fd(session, WIRE_SET_VRING_KICK, index, queue->has_kick, SESSION_FD_GUEST_KICK);
	path_ask_enable(session, index);
}

static void begin(struct session *session, unsigned int index, enum path_state state)
{
	struct queue_state *queue = &session->queues[index];

	queue->absorbed = false;
	sm_move(&queue->path, state);
	if (state == PATH_SHADOW)
		configure_shadow(session, index);
	else
		configure_direct(session, index);
	/* Once: from here on the record is ours, or nobody's while the ring is direct. */
	queue->resubmit = false;
}

void path_start(struct session *session, unsigned int index)
{
	begin(session, index, path_wanted(session) ? PATH_SHADOW : PATH_DIRECT);
}

static void leave(struct session *session, unsigned int index)
{
	struct queue_state *queue = &session->queues[index];

	queue->left_direct = queue->path.state == PATH_QUIETING || queue->path.state == PATH_DIRECT;
	sm_move(&queue->path, PATH_LEAVING);
	stage_ask(session, wire_request_state(WIRE_GET_VRING_BASE, 0, index, 0));
}

static void set_out(struct session *session, unsigned int index, enum path_goal goal)
{
	session->queues[index].goal = goal;
	session->queues[index].move_began_ns = session->now_ns;
	session->holding++;
}

void path_drain(struct session *session, unsigned int index, enum path_goal goal)
{
	bool idle = kinds_idle(session, index);

	set_out(session, index, goal);
	sm_move(&session->queues[index].path, PATH_DRAINING);
	ring_effect(session, idle ? EFFECT_HOLD : EFFECT_DRAIN, index);
	if (idle && kinds_synchronous(session))
		leave(session, index);
}

void path_step_out(struct session *session)
{
	for (unsigned int i = 0; i < WIRE_QUEUES_MAX; i++)
		if (session->queues[i].path.state == PATH_SHADOW)
			path_drain(session, i, GOAL_DIRECT);
}

void path_stop(struct session *session, unsigned int index)
{
	path_drain(session, index, GOAL_STOP);
}

void path_enter(struct session *session, unsigned int index)
{
	set_out(session, index, GOAL_SHADOW);
	if (session_device(session) != WIRE_DEVICE_BLK) {
		leave(session, index);
		return;
	}
	sm_move(&session->queues[index].path, PATH_QUIETING);
	path_ask_fd(session, WIRE_SET_VRING_KICK, index, true, SESSION_FD_SILENT);
}

void path_leave_direct(struct session *session, unsigned int index)
{
	struct queue_state *queue = &session->queues[index];

	queue->goal = GOAL_SWAP;
	session->holding++;
	leave(session, index);
}

void session_clock(struct session *session, uint64_t now_ns)
{
	session->now_ns = now_ns;
}

void session_ring_fault(struct session *session, unsigned int index, bool guest, const char *text)
{
	struct crossing crossing = {.from = guest ? PORT_FRONT_MAIN : PORT_BACK_MAIN};

	stage_refuse(session, &crossing, "ring %u: %s", index, text);
}

static void tell(struct session *session, const char *event, unsigned int index)
{
	struct queue_state *queue = &session->queues[index];
	uint64_t pause = (session->now_ns - queue->move_began_ns) / 1000;

	if (pause > queue->longest_pause_us)
		queue->longest_pause_us = pause;
	stage_event(session, event, "{\"queue\":%u,\"path\":\"%s\",\"pause_us\":%llu}", index,
		    sm_name(&queue->path), (unsigned long long)pause);
}

/* For a migration that waits for it longer: to go on without the ring would lose what it writes. */
static unsigned int quiet_ms(const struct session *session)
{
	return session->log_ours && dirty_ordered(&session->dirty) ? SESSION_LOG_QUIET_MS
								   : SESSION_QUIET_MS;
}

/* A ring that has not become quiet can not be logged. */
static bool refuse_log(struct session *session, unsigned int index)
{
	struct crossing crossing = {.from = PORT_BACK_MAIN};

	if (!session->log_ours || !dirty_ordered(&session->dirty))
		return false;
	stage_refuse(session, &crossing,
		     "LOG_ALL: ring %u can not be logged, it still had requests in flight after "
		     "%u ms",
		     index, quiet_ms(session));
	return true;
}

static void tell_stayed(struct session *session, unsigned int index)
{
	session->stayed++;
	stage_log(session, LEVEL_WARN,
		  "ring %u stays direct: the back-end still had requests of it in flight after "
		  "%u ms: ask again, or it moves when the guest starts it next",
		  index, SESSION_QUIET_MS);
	tell(session, "QUEUE_STAYED", index);
}

/* The back-end goes on where it is, with what the guest has asked for meanwhile. */
static void stay(struct session *session, unsigned int index)
{
	struct queue_state *queue = &session->queues[index];

	if (refuse_log(session, index))
		return;
	sm_move(&queue->path, PATH_DIRECT);
	session->holding--;
	path_ask_fd(session, WIRE_SET_VRING_KICK, index, queue->has_kick, SESSION_FD_GUEST_KICK);
	ring_effect(session, EFFECT_NUDGE, index);
	tell_stayed(session, index);
}

bool path_answer_stop(struct session *session, unsigned int index)
{
	uint32_t base = session->queues[index].base;
	struct wire_message *reply = wire_reply_state(WIRE_GET_VRING_BASE, index, base);

	if (!exchange_fill(&session->exchange[WIRE_MAIN], WIRE_GET_VRING_BASE, (int)index, reply)) {
		wire_message_free(reply);
		return false;
	}
	stage_rings_stopped(session, index, base);
	return true;
}

/* The ring is stopped at the back-end: what it was stopped for happens now. */
static void left(struct session *session, unsigned int index)
{
	struct queue_state *queue = &session->queues[index];

	sm_move(&queue->path, PATH_STOPPED);
	session->holding--;
	stage_dirty_arrived(session);
	stage_shadow_release(session, index);
	switch (queue->goal) {
	case GOAL_STOP:
		path_answer_stop(session, index);
		break;
	case GOAL_SWAP:
		/* It starts again at the next back-end, which has not had it yet. */
		queue->back_base = 0;
		break;
	case GOAL_DIRECT:
	case GOAL_STAY:
		begin(session, index, PATH_DIRECT);
		break;
	case GOAL_SHADOW:
		begin(session, index, PATH_SHADOW);
		break;
	}
	if (queue->goal == GOAL_STAY) {
		ring_effect(session, EFFECT_NUDGE, index);
		tell_stayed(session, index);
	} else if (queue->goal == GOAL_DIRECT || queue->goal == GOAL_SHADOW) {
		ring_effect(session, EFFECT_NUDGE, index);
		queue->moves++;
		tell(session, "QUEUE_MOVED", index);
	}
	link_ring_left(session);
}

void session_drained(struct session *session, unsigned int index, uint32_t base)
{
	struct queue_state *queue = &session->queues[index];
	unsigned int state = queue->path.state;

	if (state != PATH_DRAINING && state != PATH_SETTLING)
		return; /* a reset overtook it */
	queue->base = base;
	ring_effect(session, EFFECT_DETACH, index);
	if (state == PATH_DRAINING) {
		leave(session, index);
		return;
	}
	left(session, index);
	stage_send_due(session, WIRE_MAIN);
}

void session_quiet(struct session *session, unsigned int index, bool quiet)
{
	struct queue_state *queue = &session->queues[index];

	switch (queue->path.state) {
	case PATH_DRAINING:
		leave(session, index);
		break;
	case PATH_QUIETING:
		if (quiet)
			leave(session, index);
		else
			stay(session, index);
		break;
	case PATH_SETTLING:
		if (!queue->left_direct)
			break; /* of the hold before */
		/* It was stopped, and starts again where it was. */
		if (!quiet && refuse_log(session, index))
			break;
		if (!quiet)
			queue->goal = GOAL_STAY;
		left(session, index);
		break;
	default:
		break; /* a reset overtook it */
	}
}

/* The back-end has heard of the silent kicks: it takes nothing more from now on. */
static void silent(struct session *session)
{
	for (unsigned int i = 0; i < WIRE_QUEUES_MAX; i++)
		if (session->queues[i].path.state == PATH_QUIETING)
			effects_add(session, &(struct effect){.kind = EFFECT_WATCH,
							      .queue = i,
							      .size = quiet_ms(session)});
}

static void settle(struct session *session, unsigned int index, enum effect_kind how, uint32_t base)
{
	sm_move(&session->queues[index].path, PATH_SETTLING);
	effects_add(
	    session,
	    &(struct effect){.kind = how, .queue = index, .base = base, .size = quiet_ms(session)});
}

/* A disk was watched, and a network device has nothing in flight. */
static bool settled(const struct session *session)
{
	return session_device(session) == WIRE_DEVICE_BLK || kinds_synchronous(session);
}

/* The back-end has stopped the ring at `base`. */
static void stopped(struct session *session, unsigned int index, uint32_t base)
{
	struct queue_state *queue = &session->queues[index];

	if (queue->path.state != PATH_LEAVING)
		return; /* a reset overtook it */
	/* Coming from direct the back-end alone knows where the ring is to go on. */
	if (queue->left_direct)
		queue->base = stage_rings_base(session, base);
	if (queue->left_direct && !settled(session))
		settle(session, index, EFFECT_AWAIT, base);
	else if (!queue->left_direct && kinds_idle(session, index))
		settle(session, index, EFFECT_RECALL, base);
	else
		left(session, index);
}

void path_reply(struct session *session, const struct crossing *crossing)
{
	const struct wire_message *reply = crossing->message;
	unsigned int index;
	uint32_t base;

	switch (reply->header.id) {
	case WIRE_GET_FEATURES:
		silent(session);
		break;
	case WIRE_GET_VRING_BASE:
		index = (unsigned int)crossing->entry->queue;
		base = bytes_load32(reply->payload + 4);
		session->queues[index].back_base = (uint16_t)base;
		stopped(session, index, base);
		break;
	}
}

/* A ring on the move is where it was going: stopped, and who waits for that is answered. */
static void abandon(struct session *session, unsigned int index)
{
	struct queue_state *queue = &session->queues[index];

	session->holding--;
	stage_dirty_arrived(session);
	if (queue->goal == GOAL_STOP)
		exchange_fill(&session->exchange[WIRE_MAIN], WIRE_GET_VRING_BASE, (int)index,
			      wire_reply_state(WIRE_GET_VRING_BASE, index, queue->base));
}

void path_reset(struct session *session)
{
	for (unsigned int i = 0; i < WIRE_QUEUES_MAX; i++) {
		struct queue_state *queue = &session->queues[i];
		unsigned int state = queue->path.state;

		queue->absorbed = queue->disable_held = queue->resubmit = false;
		queue->parked = 0;
		if (state == PATH_STOPPED)
			continue;
		if (state != PATH_DIRECT && state != PATH_SHADOW)
			abandon(session, i);
		if (state != PATH_DIRECT)
			ring_effect(session, EFFECT_DETACH, i);
		sm_move(&queue->path, PATH_STOPPED);
	}
}
