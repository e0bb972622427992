/* SPDX-License-Identifier: BSD-3-Clause */
#include "postcopy/phase.h"

/*
 * A peer may send the messages in any order; every edge a message can ask for
 * is in the table, and messages that make no sense where they come are passed
 * on for the back-end to refuse: postcopy is the back-end's own here.
 */
static const struct sm_state states[] = {
    [POSTCOPY_OFF] = {"off", SM_TO(POSTCOPY_ADVISED) | SM_TO(POSTCOPY_LISTENING)},
    [POSTCOPY_ADVISED] = {"advised", SM_TO(POSTCOPY_LISTENING) | SM_TO(POSTCOPY_ENDED)},
    [POSTCOPY_LISTENING] = {"listening", SM_TO(POSTCOPY_ACKED) | SM_TO(POSTCOPY_ENDED)},
    [POSTCOPY_ACKED] = {"acked", SM_TO(POSTCOPY_ENDED)},
    [POSTCOPY_ENDED] = {"ended", SM_TO(POSTCOPY_ADVISED) | SM_TO(POSTCOPY_LISTENING)},
};

static void move(struct postcopy *postcopy, enum postcopy_phase phase)
{
	if (sm_may(&postcopy->sm, phase))
		sm_move(&postcopy->sm, phase);
}

void postcopy_init(struct postcopy *postcopy)
{
	*postcopy = (struct postcopy){.sm = {.table = states, .state = POSTCOPY_OFF}};
}

void postcopy_advise(struct postcopy *postcopy)
{
	move(postcopy, POSTCOPY_ADVISED);
}

void postcopy_listen(struct postcopy *postcopy)
{
	move(postcopy, POSTCOPY_LISTENING);
}

void postcopy_ack(struct postcopy *postcopy)
{
	move(postcopy, POSTCOPY_ACKED);
}

void postcopy_end(struct postcopy *postcopy)
{
	move(postcopy, POSTCOPY_ENDED);
}

bool postcopy_listening(const struct postcopy *postcopy)
{
	return postcopy->sm.state == POSTCOPY_LISTENING || postcopy->sm.state == POSTCOPY_ACKED;
}
