/* SPDX-License-Identifier: BSD-3-Clause */
#include "session/link.h"

#include "base/bytes.h"
#include "session/away.h"
#include "session/effects.h"
#include "session/path.h"
#include "session/replay.h"

/* A back-end that lives for less, completes nothing, and that so often in a row, is hopeless. */
#define MOMENT_NS  1000000000ull
#define DEATHS_MAX 5u

static const struct sm_state states[] = {
    [LINK_LIVE] = {"live", SM_TO(LINK_AWAY) | SM_TO(LINK_LEAVING)},
    [LINK_AWAY] = {"away", SM_TO(LINK_REPLAYING)},
    [LINK_REPLAYING] = {"replaying", SM_TO(LINK_LIVE) | SM_TO(LINK_AWAY)},
    [LINK_LEAVING] = {"leaving", SM_TO(LINK_REPLAYING) | SM_TO(LINK_AWAY) | SM_TO(LINK_LIVE)},
};

void link_init(struct session *session)
{
	session->link.sm = (struct sm){.table = states, .state = LINK_LIVE};
}

bool link_away(const struct session *session)
{
	return session->link.sm.state == LINK_AWAY;
}

bool link_holds(const struct session *session)
{
	return session->link.waiting || session->link.sm.state == LINK_REPLAYING ||
	       session->link.sm.state == LINK_LEAVING;
}

static bool mid_postcopy(const struct session *session)
{
	return session->postcopy.sm.state != POSTCOPY_OFF &&
	       session->postcopy.sm.state != POSTCOPY_ENDED;
}

/* A request with descriptors that only its one receiver has: it can not be made again. */
static bool owes_device_state(const struct session *session)
{
	const struct exchange *exchange = &session->exchange[WIRE_MAIN];

	for (unsigned int i = 0; i < exchange->count; i++)
		if (exchange->ring[(exchange->first + i) % EXCHANGE_MAX].id ==
		    WIRE_SET_DEVICE_STATE_FD)
			return true;
	return false;
}

static int too_many_deaths(struct session *session, uint64_t completed, struct diag *diag)
{
	struct link *link = &session->link;
	char name[WIRE_NAME_MAX];

	if (session->now_ns - link->adopted_ns < MOMENT_NS && completed == link->completed)
		link->deaths++;
	else
		link->deaths = 0;
	if (link->deaths < DEATHS_MAX)
		return 0;
	return diag_set(diag, 1,
			"it ended %u times in a row within a second and with nothing completed, "
			"at last after %s with %u requests resubmitted",
			link->deaths, wire_name(WIRE_MAIN, link->last_sent, name), link->parked);
}

static int survivable(const struct session *session, struct diag *diag)
{
	if (session->config.offers.watch_only)
		return diag_set(diag, 1,
				"the daemon only watches (--data-path=direct or "
				"--synthesize=none)");
	if (mid_postcopy(session))
		return diag_set(diag, 1,
				"its memory was to come by postcopy, and it alone had "
				"the userfaultfd");
	if (session->kept.private_one)
		return diag_set(diag, 1,
				"it had a crypto session or a display socket that no "
				"other back-end can be given");
	if (owes_device_state(session))
		return diag_set(diag, 1, "it was moving its internal state");
	return path_survivable(session, diag);
}

/*
 * What the lost back-end owed the front-end is answered from state, or keeps its
 * place to be asked again; what it owed the daemon is computed anew.
 */
static void settle_requests(struct session *session)
{
	struct exchange *exchange = &session->exchange[WIRE_MAIN];
	unsigned int count = exchange->count;

	for (unsigned int i = 0; i < count; i++) {
		struct exchange_entry entry = exchange->ring[exchange->first];

		exchange->first = (exchange->first + 1) % EXCHANGE_MAX;
		exchange->count--;
		if (entry.origin == EXCHANGE_OURS ||
		    (entry.origin == EXCHANGE_PEER && entry.expect != WIRE_EXPECT_REPLY))
			continue;
		if (entry.origin == EXCHANGE_PEER)
			away_settle(session, &entry);
		exchange->ring[(exchange->first + exchange->count) % EXCHANGE_MAX] = entry;
		exchange->count++;
	}
	exchange_disown(&session->exchange[WIRE_BACKEND]);
}

int session_back_lost(struct session *session, uint64_t now_ns, uint64_t completed,
		      struct diag *diag)
{
	struct link *link = &session->link;
	int result;

	session->now_ns = now_ns;
	result = survivable(session, diag);
	if (!result)
		result = too_many_deaths(session, completed, diag);
	if (result)
		return result;
	/* One that dies in the replay prolongs the outage that there is. */
	if (link->sm.state != LINK_REPLAYING) {
		link->lost_ns = now_ns;
		link->parked = 0;
	}
	sm_move(&link->sm, LINK_AWAY);
	settle_requests(session);
	path_lost(session);
	stage_send_due(session, WIRE_MAIN);
	return 0;
}

bool session_paused(const struct session *session)
{
	bool ran = false;

	for (unsigned int i = 0; i < WIRE_QUEUES_MAX; i++) {
		const struct queue_state *queue = &session->queues[i];

		if (queue->started || queue->stop_due)
			return false;
		ran |= queue->addressed;
	}
	return ran && !session->link.waiting;
}

void session_ring_lost(struct session *session, unsigned int index, uint32_t base,
		       unsigned int parked)
{
	struct queue_state *queue = &session->queues[index];

	queue->base = base;
	queue->parked = parked;
	queue->resubmit = parked != 0;
	session->link.parked += parked;
	if (!queue->stop_due || parked)
		return;
	queue->stop_due = false;
	path_answer_stop(session, index);
	stage_send_due(session, WIRE_MAIN);
}

void session_ring_stood(struct session *session, unsigned int index, uint32_t base)
{
	/* Of a direct ring nobody counts completions: that it went on says as much. */
	if (session->queues[index].base != base)
		session->link.deaths = 0;
	session->queues[index].base = base;
	if (!path_answer_stop(session, index))
		return;
	stage_send_due(session, WIRE_MAIN);
}

void session_back_adopted(struct session *session, uint64_t now_ns, uint64_t completed)
{
	struct link *link = &session->link;

	session->now_ns = link->adopted_ns = now_ns;
	link->completed = completed;
	if (link->sm.state == LINK_LEAVING)
		settle_requests(session);
	sm_move(&link->sm, LINK_REPLAYING);
	replay(session);
	stage_ask(session, wire_request(WIRE_GET_FEATURES, 0));
}

static void pass_waiting(struct session *session)
{
	struct wire_message *request = session->link.waiting;

	session->link.waiting = NULL;
	if (request)
		away_pass(session, request);
}

/* Questions the last one did not answer, in the order they were asked. */
static void ask_again(struct session *session)
{
	struct exchange *exchange = &session->exchange[WIRE_MAIN];
	struct wire_message *request;

	while ((request = exchange_adopt(exchange)))
		effects_send(session, PORT_BACK_MAIN, request);
	pass_waiting(session);
	/* A ring whose start waited for the record of the last one. */
	request = session->record_waits;
	session->record_waits = NULL;
	if (request)
		stage_again(session, request);
}

/*
 * The guest may be waiting for a notification that the last one owed it. A Rust
 * back-end, kicked for what was submitted again before it has taken the ring's
 * SET_VRING_ENABLE, forgets that it was; by now it has.
 */
static void nudge_all(struct session *session)
{
	for (unsigned int i = 0; i < WIRE_QUEUES_MAX; i++)
		if (session->queues[i].path.state != PATH_STOPPED)
			effects_add(session, &(struct effect){.kind = EFFECT_NUDGE, .queue = i});
}

static void back(struct session *session)
{
	struct link *link = &session->link;

	sm_move(&link->sm, LINK_LIVE);
	link->replays++;
	link->last_outage_us = (session->now_ns - link->lost_ns) / 1000;
	nudge_all(session);
	stage_log(session, LEVEL_INFO,
		  "the back-end is back after %llu.%03llu ms, %u requests were submitted again",
		  (unsigned long long)link->last_outage_us / 1000,
		  (unsigned long long)link->last_outage_us % 1000, link->parked);
	stage_event(session, "BACKEND_BACK", "{\"outage_us\":%llu,\"resubmitted\":%u}",
		    (unsigned long long)link->last_outage_us, link->parked);
	ask_again(session);
	stage_send_due(session, WIRE_MAIN);
}

void link_reply(struct session *session, const struct crossing *crossing)
{
	if (crossing->message->header.id == WIRE_GET_FEATURES &&
	    session->link.sm.state == LINK_REPLAYING)
		back(session);
}

void link_request(struct session *session, struct crossing *crossing)
{
	struct wire_message *reply;

	if (crossing->message->header.id == WIRE_GET_VRING_BASE) {
		away_stop(session, crossing);
		return;
	}
	reply = away_answer(session, crossing->message);
	if (reply)
		stage_answer(session, crossing, reply);
	else if (away_needs_back(crossing->row))
		session->link.waiting = crossing->message;
	else
		stage_acknowledge(session, crossing);
}

/* What a lost back-end takes with it can not be helped; nobody is to ask for it. */
static int swappable(const struct session *session, struct diag *diag)
{
	if (session->kept.private_one)
		return diag_set(diag, SESSION_REFUSED,
				"the old one has a crypto session or a display socket that no "
				"other back-end can be given");
	if (session_device(session) == WIRE_DEVICE_FS && session_running(session))
		return diag_set(diag, SESSION_REFUSED,
				"mounts and open files of a file system are known to the old one "
				"alone: the guest has to unload its driver first");
	return path_may_leave(session, diag);
}

int session_swap(struct session *session, struct diag *diag)
{
	struct link *link = &session->link;
	int result = swappable(session, diag);

	if (result)
		return result;
	link->lost_ns = session->now_ns;
	link->parked = 0;
	sm_move(&link->sm, LINK_LEAVING);
	path_leave(session);
	link_ring_left(session);
	return SESSION_MOVED;
}

void link_ring_left(struct session *session)
{
	if (session->holding)
		return;
	if (session->link.sm.state == LINK_LEAVING)
		effects_add(session, &(struct effect){.kind = EFFECT_SWAP});
	else
		pass_waiting(session);
}

void link_end(struct session *session)
{
	effects_drop(session, session->link.waiting);
	session->link.waiting = NULL;
}
