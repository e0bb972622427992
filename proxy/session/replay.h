/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * All that a back-end must be told to go on with this device, computed from the
 * session, in the order of the ranks in messages.def. What a candidate was asked
 * and told already (candidate.h) is not said again.
 */
#pragma once

#include "session/stage.h"

void replay(struct session *session);
