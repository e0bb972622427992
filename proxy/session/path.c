/* SPDX-License-Identifier: BSD-3-Clause */
#include "session/path.h"

#include "base/bytes.h"
#include "session/effects.h"
#include "session/link.h"

#define PACKED_FRESH 0x80008000u

static const struct sm_state states[] = {
    [PATH_STOPPED] = {"stopped", SM_TO(PATH_DIRECT) | SM_TO(PATH_SHADOW)},
    [PATH_DIRECT] = {"direct", SM_TO(PATH_STOPPED) | SM_TO(PATH_QUIETING) | SM_TO(PATH_LEAVING)},
    [PATH_SHADOW] = {"shadow", SM_TO(PATH_STOPPED) | SM_TO(PATH_DRAINING)},
    [PATH_DRAINING] = {"draining", SM_TO(PATH_STOPPED) | SM_TO(PATH_LEAVING)},
    [PATH_QUIETING] = {"quieting", SM_TO(PATH_STOPPED) | SM_TO(PATH_LEAVING) | SM_TO(PATH_DIRECT)},
    /* From LEAVING a ring is stopped for a moment, whatever it becomes. */
    [PATH_LEAVING] = {"leaving", SM_TO(PATH_STOPPED)},
};

void path_init(struct session *session)
{
	for (unsigned int i = 0; i < WIRE_QUEUES_MAX; i++)
		session->queues[i].path = (struct sm){.table = states, .state = PATH_STOPPED};
}

static bool acked(const struct session *session, enum wire_virtio_bit bit)
{
	return (session->agreement.virtio_acked & WIRE_BIT(bit)) != 0;
}

static bool packed(const struct session *session)
{
	return acked(session, WIRE_F_RING_PACKED);
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
static bool record_kept(const struct session *session)
{
	return !session->record_ours &&
	       (session->protocol.passed & WIRE_BIT(WIRE_PF_INFLIGHT_SHMFD));
}

bool path_suits(const struct session *session)
{
	enum wire_device device = session_device(session);

	return device == WIRE_DEVICE_BLK || device == WIRE_DEVICE_FS;
}

/* Without VERSION_1 ring fields are in the guest's byte order, with an IOMMU addresses are not
 * ours. */
static bool can_relay(const struct session *session)
{
	return path_possible(session) && path_suits(session) && session->arena_given &&
	       memory_whole(session) && !record_kept(session) && acked(session, WIRE_F_VERSION_1) &&
	       !acked(session, WIRE_F_ACCESS_PLATFORM);
}

/* With the event index of a split ring the back-end says how far it has read. */
static bool watched(const struct session *session)
{
	return acked(session, WIRE_F_RING_EVENT_IDX) && !packed(session);
}

/* While the log is on, and all the time where rings could not come in when it is turned on. */
static bool log_needs(const struct session *session)
{
	bool enters = session_device(session) == WIRE_DEVICE_BLK && watched(session);

	return session->log_ours && (dirty_ordered(&session->dirty) || !enters);
}

/* Where rings belong, as far as it is ours to say. */
static bool shadow_due(const struct session *session, enum session_mode mode)
{
	return mode == MODE_SHADOW || (mode == MODE_AUTO && session->record_ours) ||
	       log_needs(session);
}

bool path_wanted(const struct session *session)
{
	return session->features_set && can_relay(session) && shadow_due(session, session->mode);
}

static void ring_effect(struct session *session, enum effect_kind kind, unsigned int index)
{
	effects_add(session, &(struct effect){.kind = kind, .queue = index});
}

static struct wire_message *with_fd(struct wire_message *message, enum session_fd fd,
				    unsigned int index)
{
	struct fd_entry entry = {.fd = fd, .inode = index};

	if (message)
		fdset_push(&message->fds, &entry);
	return message;
}

void path_ask_fd(struct session *session, uint32_t id, unsigned int index, bool given,
		 enum session_fd fd)
{
	struct wire_message *message =
	    wire_request_u64(id, 0, index | (given ? 0 : WIRE_RING_NOFD));

	stage_ask(session, given ? with_fd(message, fd, index) : message);
}

void path_ask_enable(struct session *session, unsigned int index)
{
	/* Without bit 30 a started ring is enabled, and Rust back-ends take no such message. */
	if (session->queues[index].enabled &&
	    (session->virtio.passed & WIRE_BIT(WIRE_F_PROTOCOL_FEATURES)))
		stage_ask(session, wire_request_state(WIRE_SET_VRING_ENABLE, 0, index, 1));
}

static void configure_shadow(struct session *session, unsigned int index)
{
	const struct queue_state *queue = &session->queues[index];
	uint64_t slot = session->arena.uva + arena_offset(index);

	effects_add(
	    session,
	    &(struct effect){.kind = EFFECT_ATTACH, .queue = index, .resubmit = queue->resubmit});
	stage_ask(session, wire_request_state(WIRE_SET_VRING_NUM, 0, index, queue->size));
	stage_ask(session, wire_request_state(WIRE_SET_VRING_BASE, 0, index,
					      packed(session) ? PACKED_FRESH : 0));
	stage_ask(session, wire_request_addr(0, index, 0, slot + ARENA_DESC, slot + ARENA_DEVICE,
					     slot + ARENA_DRIVER, 0));
	path_ask_fd(session, WIRE_SET_VRING_CALL, index, true, SESSION_FD_RING_CALL);
	path_ask_fd(session, WIRE_SET_VRING_KICK, index, true, SESSION_FD_RING_KICK);
	path_ask_enable(session, index);
}

static void configure_direct(struct session *session, unsigned int index)
{
	const struct queue_state *queue = &session->queues[index];

	stage_ask(session, wire_request_state(WIRE_SET_VRING_NUM, 0, index, queue->size));
	stage_ask(session, wire_request_state(WIRE_SET_VRING_BASE, 0, index, queue->base));
	stage_ask(session, wire_request_addr(0, index, queue->flags, queue->desc, queue->used,
					     queue->avail, queue->log));
	path_ask_fd(session, WIRE_SET_VRING_CALL, index, queue->has_call, SESSION_FD_GUEST_CALL);
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

void path_drain(struct session *session, unsigned int index, enum path_goal goal)
{
	struct queue_state *queue = &session->queues[index];

	queue->goal = goal;
	queue->move_began_ns = session->now_ns;
	session->holding++;
	sm_move(&queue->path, PATH_DRAINING);
	ring_effect(session, EFFECT_DRAIN, index);
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

static void leave(struct session *session, unsigned int index)
{
	struct queue_state *queue = &session->queues[index];

	queue->left_direct = queue->path.state == PATH_QUIETING || queue->path.state == PATH_DIRECT;
	sm_move(&queue->path, PATH_LEAVING);
	stage_ask(session, wire_request_state(WIRE_GET_VRING_BASE, 0, index, 0));
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

void session_drained(struct session *session, unsigned int index, uint32_t base)
{
	struct queue_state *queue = &session->queues[index];

	if (queue->path.state != PATH_DRAINING)
		return; /* a reset overtook it */
	queue->base = base;
	ring_effect(session, EFFECT_DETACH, index);
	leave(session, index);
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

/* The back-end goes on where it is, with what the guest has asked for meanwhile. */
static void stay(struct session *session, unsigned int index)
{
	struct queue_state *queue = &session->queues[index];
	struct crossing crossing = {.from = PORT_BACK_MAIN};

	if (session->log_ours && dirty_ordered(&session->dirty)) {
		stage_refuse(session, &crossing,
			     "LOG_ALL: ring %u can not be logged, it still had requests in flight "
			     "after %u ms",
			     index, quiet_ms(session));
		return;
	}
	sm_move(&queue->path, PATH_DIRECT);
	session->holding--;
	session->stayed++;
	path_ask_fd(session, WIRE_SET_VRING_KICK, index, queue->has_kick, SESSION_FD_GUEST_KICK);
	ring_effect(session, EFFECT_NUDGE, index);
	stage_log(session, LEVEL_WARN,
		  "ring %u stays direct: the back-end still had requests of it in flight after "
		  "%u ms: ask again, or it moves when the guest starts it next",
		  index, SESSION_QUIET_MS);
	tell(session, "QUEUE_STAYED", index);
}

void session_quiet(struct session *session, unsigned int index, bool quiet)
{
	if (session->queues[index].path.state != PATH_QUIETING)
		return; /* a reset overtook it */
	if (quiet)
		leave(session, index);
	else
		stay(session, index);
}

void path_answer_stop(struct session *session, unsigned int index)
{
	uint32_t base = session->queues[index].base;

	exchange_fill(&session->exchange[WIRE_MAIN], WIRE_GET_VRING_BASE, (int)index,
		      wire_reply_state(WIRE_GET_VRING_BASE, index, base));
	stage_rings_stopped(session, index, base);
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
		/* It starts again at the next back-end. */
		break;
	case GOAL_DIRECT:
		begin(session, index, PATH_DIRECT);
		ring_effect(session, EFFECT_NUDGE, index);
		break;
	case GOAL_SHADOW:
		begin(session, index, PATH_SHADOW);
		ring_effect(session, EFFECT_NUDGE, index);
		break;
	}
	if (queue->goal == GOAL_DIRECT || queue->goal == GOAL_SHADOW) {
		queue->moves++;
		tell(session, "QUEUE_MOVED", index);
	}
	link_ring_left(session);
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

void path_reply(struct session *session, const struct crossing *crossing)
{
	const struct wire_message *reply = crossing->message;
	struct queue_state *queue;

	switch (reply->header.id) {
	case WIRE_GET_FEATURES:
		silent(session);
		break;
	case WIRE_GET_VRING_BASE:
		queue = &session->queues[crossing->entry->queue];
		if (queue->path.state != PATH_LEAVING)
			break;
		/* Coming from direct the back-end alone knows where the ring is to go on. */
		if (queue->left_direct)
			queue->base = stage_rings_base(session, bytes_load32(reply->payload + 4));
		left(session, (unsigned int)crossing->entry->queue);
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
		if (state == PATH_DRAINING || state == PATH_QUIETING || state == PATH_LEAVING)
			abandon(session, i);
		if (state == PATH_SHADOW || state == PATH_DRAINING || state == PATH_QUIETING)
			ring_effect(session, EFFECT_DETACH, i);
		sm_move(&queue->path, PATH_STOPPED);
	}
}

/* What holds for this connection, whether a ring is started or not. */
static int may_relay(const struct session *session, struct diag *diag)
{
	if (session->config.offers.watch_only)
		return diag_set(diag, SESSION_REFUSED,
				"the daemon was started to watch only (--data-path=direct or "
				"--synthesize=none): start it with --data-path=auto");
	if (session->arena_refused)
		return diag_set(diag, SESSION_REFUSED,
				"the guest's memory leaves no room for rings of our own: it needs "
				"fewer than %u memory regions",
				WIRE_REGIONS_MAX);
	if (record_kept(session))
		return diag_set(
		    diag, SESSION_REFUSED,
		    "the back-end keeps an inflight record of the guest's ring: start the "
		    "daemon with --data-path=shadow");
	return SESSION_MOVED;
}

/* What a ring needs that is to be moved while it runs. */
static int may_enter(const struct session *session, struct diag *diag)
{
	if (session_device(session) != WIRE_DEVICE_BLK)
		return diag_set(
		    diag, SESSION_REFUSED,
		    "rings of a device other than a disk (--device=blk) can not enter the data "
		    "path while they run: virtiofsd breaks at a second kick, others have "
		    "buffers at the back-end that never complete");
	if (!can_relay(session))
		return diag_set(diag, SESSION_REFUSED,
				"rings of this guest can not be relayed: it needs VERSION_1, no "
				"ACCESS_PLATFORM and no postcopy");
	if (!watched(session))
		return diag_set(
		    diag, SESSION_REFUSED,
		    "without RING_EVENT_IDX on a split ring it can not be seen what the "
		    "back-end has in flight: rings move when the guest starts them next");
	return SESSION_MOVED;
}

static void enter(struct session *session, unsigned int index)
{
	struct queue_state *queue = &session->queues[index];

	queue->goal = GOAL_SHADOW;
	queue->move_began_ns = session->now_ns;
	session->holding++;
	sm_move(&queue->path, PATH_QUIETING);
	path_ask_fd(session, WIRE_SET_VRING_KICK, index, true, SESSION_FD_SILENT);
}

static int may_move(const struct session *session, bool shadow, struct diag *diag)
{
	if (session->link.sm.state != LINK_LIVE)
		return diag_set(diag, SESSION_REFUSED,
				"the back-end is %s: try again when it is back",
				sm_name(&session->link.sm));
	if (session->holding)
		return diag_set(diag, SESSION_REFUSED,
				"%u rings are on the move: try again when they have arrived",
				session->holding);
	/* The places kept for requests of ours may be taken by then. */
	if (exchange_full(&session->exchange[WIRE_MAIN]))
		return diag_set(diag, SESSION_REFUSED,
				"the back-end owes %u replies: try again when it has answered",
				session->exchange[WIRE_MAIN].count);
	return shadow ? may_relay(session, diag) : SESSION_MOVED;
}

static bool any(const struct session *session, enum path_state state)
{
	for (unsigned int i = 0; i < WIRE_QUEUES_MAX; i++)
		if (session->queues[i].path.state == state)
			return true;
	return false;
}

/* Sets the running rings on their way. */
static int follow(struct session *session, bool shadow, struct diag *diag)
{
	session->stayed = 0;
	if (shadow && any(session, PATH_DIRECT)) {
		int result = may_enter(session, diag);

		if (result)
			return result;
		for (unsigned int i = 0; i < WIRE_QUEUES_MAX; i++)
			if (session->queues[i].path.state == PATH_DIRECT)
				enter(session, i);
		stage_ask(session, wire_request(WIRE_GET_FEATURES, 0));
	}
	if (!shadow)
		path_step_out(session);
	return SESSION_MOVED;
}

int session_move(struct session *session, enum session_mode mode, struct diag *diag)
{
	bool shadow = shadow_due(session, mode);
	int result;

	if (mode == MODE_DIRECT && shadow)
		return diag_set(diag, SESSION_REFUSED,
				"the daemon keeps the dirty log of this device: rings stay relayed "
				"while a migration is under way, and where they could not come "
				"back for one");
	result = may_move(session, shadow, diag);
	if (result)
		return result;
	/* Rings started later go there, also where those that run can not. */
	session->mode = mode;
	return follow(session, shadow, diag);
}

int path_follow_log(struct session *session, struct diag *diag)
{
	bool shadow = shadow_due(session, session->mode);

	if (shadow && any(session, PATH_DIRECT) && may_relay(session, diag))
		return SESSION_REFUSED;
	return follow(session, shadow, diag);
}
