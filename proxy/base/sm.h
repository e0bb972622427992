/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * State machines as tables.
 *
 * A machine is an array of states, each with its name and the set of states
 * that may follow. sm_move() is the only writer of a state: it refuses an edge
 * the table does not have. A refused edge is a bug of ours, never a peer's
 * doing (what a peer may send is checked before), so it asserts.
 */
#pragma once

#include <stdbool.h>

struct sm_state {
	const char *name;
	unsigned int next; /* bit n: state n may follow */
};

struct sm {
	const struct sm_state *table;
	unsigned int state;
};

#define SM_TO(state) (1u << (state))

/* Whether the table has the edge from the present state to `next`. */
bool sm_may(const struct sm *sm, unsigned int next);

/* Moves to `next`; the edge must exist. Staying where it is is no move and always allowed. */
void sm_move(struct sm *sm, unsigned int next);

const char *sm_name(const struct sm *sm);
