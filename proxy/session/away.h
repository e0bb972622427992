/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a front-end is told while its back-end is away (link.h).
 */
#pragma once

#include "session/stage.h"

/*
 * A request without an answer of away_answer(), NULL row: an unknown one. Whether the
 * back-end must hear it itself, so that it waits.
 */
bool away_needs_back(const struct wire_row *row);

/* The reply from what is known; NULL: it has none of its own, or it is not known. */
struct wire_message *away_answer(const struct session *session, const struct wire_message *request);

/* A request whose reply was lost: answered now, or kept to be asked again. */
void away_settle(struct session *session, struct exchange_entry *entry);

/* GET_VRING_BASE: answered when nothing of the ring is in flight. */
void away_stop(struct session *session, struct crossing *crossing);

/* The request that waited goes to the new back-end. */
void away_pass(struct session *session, struct wire_message *request);
