/* SPDX-License-Identifier: BSD-3-Clause */
/* A session that loses its back-end, and finds another. */
#pragma once

#include <string.h>

#include "shadow_rig.h"

static struct diag diag;

static inline void forget_effects(struct rig *rig)
{
	memset(rig->used, true, rig->count);
}

static inline void lost(struct rig *rig)
{
	forget_effects(rig);
	if (!rig_lost(rig, &diag))
		fail_msg("the session can not go on: %s", diag.text);
}

/* The answer that ends a replay. */
static inline void replayed(struct rig *rig)
{
	rig_back(rig, wire_reply_u64(WIRE_GET_FEATURES, UINT64_MAX));
}
