/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The phases of postcopy on the destination (specification "Postcopy";
 * docs/quirks.md). Pure.
 *
 * The phase decides what a memory table means: between LISTENING and ENDED the
 * back-end answers SET_MEM_TABLE and ADD_MEM_REG with its own addresses, and the
 * front-end acknowledges them before anybody may touch the memory.
 */
#pragma once

#include "base/sm.h"

#include <stdbool.h>

enum postcopy_phase {
	POSTCOPY_OFF,
	POSTCOPY_ADVISED,   /* the back-end gave its userfaultfd */
	POSTCOPY_LISTENING, /* memory may not be touched yet */
	POSTCOPY_ACKED,     /* the front-end knows the addresses: faults are served */
	POSTCOPY_ENDED,
};

struct postcopy {
	struct sm sm;
};

void postcopy_init(struct postcopy *postcopy);

/* POSTCOPY_ADVISE, also once more for a further queue pair. */
void postcopy_advise(struct postcopy *postcopy);
void postcopy_listen(struct postcopy *postcopy);
/* The front-end's acknowledgement of the addresses. */
void postcopy_ack(struct postcopy *postcopy);
void postcopy_end(struct postcopy *postcopy);

/* Between POSTCOPY_LISTEN and POSTCOPY_END. */
bool postcopy_listening(const struct postcopy *postcopy);
