/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/sm.h"

#include <assert.h>

bool sm_may(const struct sm *sm, unsigned int next)
{
	return next == sm->state || (sm->table[sm->state].next & SM_TO(next)) != 0;
}

void sm_move(struct sm *sm, unsigned int next)
{
	assert(sm_may(sm, next));
	sm->state = next;
}

const char *sm_name(const struct sm *sm)
{
	return sm->table[sm->state].name;
}
