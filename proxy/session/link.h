/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The life of the back-end behind a front-end that is to notice nothing of it.
 *
 * Theory of operation. What a back-end knows of the device is what the front-end
 * told it, and all of that is in the session. So a lost back-end takes nothing
 * with it but what was in flight, and that is in the record of the relayed rings.
 * While it is away the stages go on to take what the front-end says into the
 * session; nothing is sent, questions are answered from what the last one said,
 * and those it never answered wait. A new one is compared with what was agreed
 * (candidate.h), then told everything, computed from the session as it is by then
 * (replay.h). Nothing is logged to be played back: what was said and taken back
 * again is not said at all.
 *
 *   LIVE -> AWAY -> REPLAYING -> LIVE     it died; REPLAYING -> AWAY: the new one too
 *   LIVE -> LEAVING -> REPLAYING -> LIVE  swapped; LEAVING -> AWAY: it died meanwhile
 *
 * The end of a replay is the answer to a GET_FEATURES sent last: back-ends answer
 * in order, so all before it has been taken. What the front-end waits for is asked
 * again after it, in its old place among the answers.
 *
 * Refused: to replay while the front-end is read. What it says would then have to
 * be sent or not by how far the replay has got; it waits for some milliseconds.
 */
#pragma once

#include "session/stage.h"

void link_init(struct session *session);

/* There is no back-end to send to. */
bool link_away(const struct session *session);
/* The front-end may not be read. */
bool link_holds(const struct session *session);

/* A request of the front-end's that every stage let pass, and no back-end is there. */
void link_request(struct session *session, struct crossing *crossing);

/* The back-end's reply to a request of the session's own. */
void link_reply(struct session *session, const struct crossing *crossing);

/* A ring on the move has arrived or left the back-end: what waited for the last one goes on. */
void link_ring_left(struct session *session);

/* At the end of a session: gives up what it holds. */
void link_end(struct session *session);
