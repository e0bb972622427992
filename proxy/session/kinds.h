/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What may be expected of a device's rings, by its kind. Pure.
 *
 * A ring of requests drains: what the back-end has, it completes. A ring that is
 * filled in advance (reception, events) does not: the back-end holds buffers that
 * nothing may ever come for. And a back-end may leave what it was given where it is,
 * as testpmd does with packets to send while it does not forward. So a drain of such
 * a ring ends when what the back-end has read is complete, and the rest goes back to
 * the guest (ring/relay.h, relay_recall()).
 */
#pragma once

#include "session/session.h"

/* Whether the back-end may hold chains of this ring that it never reads. */
bool kinds_idle(const struct session *session, unsigned int index);

/*
 * Whether the back-end works on a ring within one call, as network devices do: at
 * any moment at which it answers a message, what it has read is complete.
 */
bool kinds_synchronous(const struct session *session);

/*
 * Whether a ring of this device may be stopped and started again while others of it
 * run. A vhost-device-vsock is dead for good if anything comes for one ring while
 * another is stopped (its worker ends, measured); of a device that is not known to
 * bear it nobody can say.
 */
bool kinds_movable(const struct session *session);

/* Whether a guest loses something if the back-end dies that no protocol above makes good. */
bool kinds_shielded(const struct session *session);
