/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Moving a ring between guest and back-end directly, and through the daemon.
 *
 * Theory of operation. A relayed ring is two: the guest's, where the daemon is
 * the device, and one in the arena, where it is the driver and the back-end
 * sees nothing else. So the daemon alone decides what is in flight, and can do
 * what the protocol has no word for: take nothing more, let the rest complete,
 * and only then ask for the ring's base. GET_VRING_BASE never reaches a back-end
 * with requests in flight: qemu-storage-daemon answers at once, goes on to
 * complete into a ring it no longer has and is broken for good (measured).
 *
 *   STOPPED -> SHADOW     attach, then configure the back-end with the arena's ring
 *   SHADOW -> DRAINING -> LEAVING -> STOPPED, DIRECT        a ring of requests
 *   SHADOW -> DRAINING -> LEAVING -> SETTLING -> STOPPED, DIRECT    one of idle buffers
 *   DIRECT -> QUIETING -> LEAVING -> SHADOW, or back to DIRECT      a disk's
 *   DIRECT -> LEAVING (-> SETTLING) -> SHADOW, or back to DIRECT    any other
 *
 * A ring of idle buffers (kinds.h) never empties. There the back-end is asked for
 * the base once it is not seen at work any more; its answer says how far it has
 * read, what it has read completes, and the rest is handed back to the guest. The
 * answer stops a back-end, so the completions that follow bring no call: the ring
 * is looked at until they are there.
 *
 * On the way in from direct there is no such control. A disk's back-end is given a
 * kick that stays silent; after a GET_FEATURES round trip it takes nothing new,
 * and the ring is watched until what it took is used. With the event index the
 * back-end's own wish says how far it has read. Anything else can not be told
 * from outside: the ring stays direct until it is started the next time. It does,
 * too, if the back-end is not done within SESSION_QUIET_MS: a guest whose disk is
 * slow would see it stand still. It gets its kick back, and can be asked again.
 *
 * Network back-ends have nothing in flight when they answer; those in Rust go on to
 * complete what they had read, into the ring as it was. Both are asked for the base
 * at once: virtiofsd asserts at a second kick, Rust ones go on listening to the
 * first.
 *
 * While a ring is on the move the front-end's messages wait (session_wants()).
 * The refused alternative, letting them in at each step, multiplies the states
 * by the messages.
 */
#pragma once

#include "session/stage.h"

/* Whether rings of this session may ever be relayed: the arena is then part of its memory. */
bool path_possible(const struct session *session);

/* The back-end's own record would be of the wrong ring. */
bool path_record_kept(const struct session *session);

/* Whether what was agreed with this guest lets its rings be relayed. */
bool path_able(const struct session *session);

/* Whether a ring of this device that runs direct can be moved into the data path. */
bool path_enters(const struct session *session);

/* Whether this mode, or the dirty log, wants the rings of this device to be relayed. */
bool path_relays(const struct session *session, enum session_mode mode);

/* Whether a ring that starts now is to be relayed. */
bool path_wanted(const struct session *session);

/*
 * LOG_ALL was acknowledged or taken back, and the log is ours: the running rings go
 * where that needs them. 0; SESSION_REFUSED: one of them can not be relayed, the diag
 * says why.
 */
int path_follow_log(struct session *session, struct diag *diag);

/* SET_VRING_KICK came for a stopped ring whose configuration is complete. */
void path_start(struct session *session, unsigned int index);

/* GET_VRING_BASE came for a ring that is relayed; its answer was pushed to be filled. */
void path_stop(struct session *session, unsigned int index);

/* A ring that is direct sets out for the data path. */
void path_enter(struct session *session, unsigned int index);

/* A reset: every ring is stopped, whatever it was doing. */
void path_reset(struct session *session);

/* The back-end's reply to a request of the session's own. */
void path_reply(struct session *session, const struct crossing *crossing);

void path_init(struct session *session);

/* For the parts of a session that go on at another back-end (link.h, replay.h): */

/* Every ring is stopped, as its lost back-end left it. */
void path_lost(struct session *session);
/* 0: no ring is in the way of that; else the diag names one. */
int path_survivable(const struct session *session, struct diag *diag);

/* Every ring leaves the back-end; SESSION_REFUSED: the diag says why one can not. */
int path_may_leave(const struct session *session, struct diag *diag);
void path_leave(struct session *session);

/* What the front-end said of a ring that is not started. */
void path_configure(struct session *session, unsigned int index);

/* Steps of the above. */
void path_drain(struct session *session, unsigned int index, enum path_goal goal);

/* Every relayed ring is drained and becomes the guest's; link_ring_left() hears of the last. */
void path_step_out(struct session *session);
void path_leave_direct(struct session *session, unsigned int index);
/* Who waits for GET_VRING_BASE is answered with the ring's base. False: nobody did. */
bool path_answer_stop(struct session *session, unsigned int index);
void path_ask_fd(struct session *session, uint32_t id, unsigned int index, bool given,
		 enum session_fd fd);
void path_ask_enable(struct session *session, unsigned int index);
