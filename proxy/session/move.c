/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Moving every ring at the user's wish: what allows it, and what refuses it.
 */
#include "session/kinds.h"
#include "session/link.h"
#include "session/path.h"

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
	if (path_record_kept(session))
		return diag_set(
		    diag, SESSION_REFUSED,
		    "the back-end keeps an inflight record of the guest's ring: start the "
		    "daemon with --data-path=shadow");
	return SESSION_MOVED;
}

/* Whether it can be seen when the back-end has nothing of a running ring in flight. */
static int may_await(const struct session *session, struct diag *diag)
{
	bool disk = session_device(session) == WIRE_DEVICE_BLK;

	if (session_packed(session) || (disk && !session_agreed(session, WIRE_F_RING_EVENT_IDX)))
		return diag_set(
		    diag, SESSION_REFUSED,
		    "without %s it can not be seen what the back-end has in flight: rings move "
		    "when the guest starts them next",
		    disk ? "RING_EVENT_IDX on a split ring" : "a split ring");
	if (!disk && (session->protocol.offered & WIRE_BIT(WIRE_PF_HOST_NOTIFIER)))
		return diag_set(
		    diag, SESSION_REFUSED,
		    "a back-end that offers HOST_NOTIFIER, as those with libvhost-user do, may "
		    "break if it is stopped at work: rings move when the guest starts them next");
	return SESSION_MOVED;
}

bool path_enters(const struct session *session)
{
	struct diag ignored;

	return kinds_movable(session) &&
	       (kinds_synchronous(session) || may_await(session, &ignored) == SESSION_MOVED);
}

/* What a ring needs that is to be moved while it runs. */
static int may_run_on(const struct session *session, bool shadow, struct diag *diag)
{
	if (!kinds_movable(session))
		return diag_set(
		    diag, SESSION_REFUSED,
		    "the back-end of this device (%s) may not bear that a ring stops while others "
		    "run: rings move when the guest starts them next (a file system's move at "
		    "once with --device=fs)",
		    wire_device_name(session_device(session)));
	if (!shadow)
		return SESSION_MOVED;
	if (!path_able(session))
		return diag_set(diag, SESSION_REFUSED,
				"rings of this guest can not be relayed: it needs VERSION_1, no "
				"ACCESS_PLATFORM and no postcopy");
	return kinds_synchronous(session) ? SESSION_MOVED : may_await(session, diag);
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
	int result = SESSION_MOVED;

	session->stayed = 0;
	if (any(session, shadow ? PATH_DIRECT : PATH_SHADOW))
		result = may_run_on(session, shadow, diag);

	if (result)
		return result;
	if (!shadow) {
		path_step_out(session);
		return SESSION_MOVED;
	}
	for (unsigned int i = 0; i < WIRE_QUEUES_MAX; i++)
		if (session->queues[i].path.state == PATH_DIRECT)
			path_enter(session, i);
	if (any(session, PATH_QUIETING))
		stage_ask(session, wire_request(WIRE_GET_FEATURES, 0));
	return SESSION_MOVED;
}

int session_move(struct session *session, enum session_mode mode, struct diag *diag)
{
	bool shadow = path_relays(session, mode);
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
	bool shadow = path_relays(session, session->mode);

	if (shadow && any(session, PATH_DIRECT) && may_relay(session, diag))
		return SESSION_REFUSED;
	return follow(session, shadow, diag);
}
