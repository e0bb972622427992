/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a session needs of one that an earlier process had with the same front-end.
 *
 * QEMU 7.2 that loses its connection while the device is not started comes back and
 * goes on with SET_FEATURES, as if nothing had happened: no question, no protocol
 * features, with memory slots not even its memory (protocol notes 5e, measured).
 *
 * Only answers are kept here, which the front-end will not ask for again. What it
 * said itself is given to session_receive() once more, by whoever has kept it.
 */
#pragma once

#include "session/session.h"

struct resume {
	uint64_t virtio_offered, protocol_offered; /* by the back-end */
	uint64_t queue_num, mem_slots;             /* 0: not asked */
};

/* Whether this is a front-end that goes on where it never began. */
bool session_needs_resume(const struct session *session, const struct wire_message *first);

struct resume session_remember(const struct session *session);

/*
 * Of a session nothing came to yet: the back-end counts as lost from here on, as
 * a fresh one has to be told what the front-end will not say.
 */
void session_resume(struct session *session, const struct resume *resume, uint64_t now_ns);
