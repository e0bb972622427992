/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A back-end that may take a session over: asked, one question at a time, and
 * compared with what the front-end was promised.
 *
 * Goal: the front-end never meets a back-end that lacks what it negotiated, and
 * an unfit one is told by the names of what it lacks. The questions are those of
 * class FRESH in messages.def, with SET_OWNER and SET_PROTOCOL_FEATURES where
 * they belong between them; all before anything is given to it, so that one that
 * is unfit, silent or dead already costs nothing: the old one, or the wait for
 * another, goes on.
 *
 * Pure: whoever has the socket sends what candidate_next() makes and brings each
 * reply. A candidate copies what it compares with: the session may change.
 */
#pragma once

#include "session/session.h"

enum candidate_state {
	CANDIDATE_ASKED, /* a reply is due */
	CANDIDATE_FIT,
	CANDIDATE_UNFIT,
};

struct candidate {
	enum wire_device device;
	struct wire_agreement agreement; /* with this back-end, as far as it got */
	uint64_t virtio, protocol;       /* passed on, so needed */
	uint64_t rings, slots;
	struct kept kept;
	unsigned int step;
	uint32_t asked; /* id of the question whose reply is due */
};

void candidate_init(struct candidate *candidate, const struct session *session);

/*
 * The messages to send now, at most CANDIDATE_BURST, the last of which has a
 * reply; their number. 0: it is fit. -ENOMEM.
 */
#define CANDIDATE_BURST 3
int candidate_next(struct candidate *candidate, struct wire_message *messages[CANDIDATE_BURST]);

/* The reply to the last of them. UNFIT: the diag says what is missing or wrong. */
enum candidate_state candidate_reply(struct candidate *candidate, const struct wire_message *reply,
				     struct diag *diag);
