/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The relay simulator: random peers on both sides of a session, no socket, no
 * clock. peers.c makes what they send, model.c says what must come out of it,
 * relay_sim.c runs them against each other.
 */
#pragma once

#include "session/session.h"

#define SIM_RINGS  8u
#define SIM_SLOTS  6u
#define SIM_QUEUED 96u /* requests unanswered at which the answerer must answer */

uint64_t sim_random(void);
/* Below `n`. */
unsigned int sim_pick(unsigned int n);
/* One in `n`. */
bool sim_once_in(unsigned int n);
void sim_seed(uint64_t seed);

/* Ends the program with the line, the seed and the step. */
__attribute__((noreturn, format(printf, 1, 2))) void sim_fail(const char *format, ...);

enum slot_state { SLOT_FREE, SLOT_LIVE, SLOT_REMOVED };

/* What was asked and not answered, by channel. */
struct pending {
	enum exchange_origin origin;
	enum wire_expect expect;
	uint32_t id, flags;
	int ring;
	struct wire_agreement agreed;
	struct wire_message *answer;
};

struct expected {
	enum session_port port;
	struct wire_message *message; /* a copy */
};

struct model {
	const struct session *session; /* for the agreement, which both peers know */
	struct pending pending[2][EXCHANGE_MAX];
	unsigned int count[2];
	struct expected expected[EXCHANGE_MAX + 2 * WIRE_QUEUES_MAX];
	unsigned int expecting;
	bool features_set, full_base;
	bool seen[WIRE_QUEUES_MAX], started[WIRE_QUEUES_MAX];
	int held_enable[WIRE_QUEUES_MAX]; /* -1: none */
	struct wire_message *held_status;
	enum slot_state slots[SIM_SLOTS];
	uint64_t slot_file[SIM_SLOTS];
	uint64_t log_file;          /* 0: none */
	struct wire_message *table; /* the answer to postcopy's memory table */
	unsigned int pairs;         /* that still read it */
	uint64_t arena_size;        /* bytes, of rings of the daemon's own; 0: not placed */
	bool arena_given, arena_refused;
	bool log_answered;
	uint32_t log_reply_size;
	uint8_t log_reply[SESSION_LOG_REPLY_MAX];
};

void model_init(struct model *model, const struct session *session);
void model_clear(struct model *model);
/* What must come out when this message goes in at this port; the message stays the caller's. */
void model_receive(struct model *model, enum session_port port, const struct wire_message *message);
/* model_memory.c: ADD or REM of a region that is there, or gone, already. */
bool model_region_repeated(struct model *model, const struct wire_message *message);
/* Whether rings may ever be relayed: memory for the daemon's own is then given with the guest's. */
bool model_arena_possible(const struct model *model);
/* The memory table as it must come out; takes the one given. */
struct wire_message *model_extended(struct model *model, struct wire_message *table);
/* The request that must come before an ADD_MEM_REG, NULL: none. */
struct wire_message *model_arena_due(struct model *model);
/* A request a peer at this port may send now, and a reply it owes (NULL: none). */
struct wire_message *peers_request(const struct model *model, enum session_port port);
struct wire_message *peers_reply(const struct model *model, enum session_port port);
/* Damages a message as a hostile peer would; what framing lets through. */
struct wire_message *peers_damage(struct wire_message *message);
/* The file of a slot while it is in force; a region's place is a function of its slot. */
int peers_slot(const struct wire_message *message);

struct wire_message *sim_copy(const struct wire_message *message);
