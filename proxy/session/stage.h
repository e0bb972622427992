/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Stages: one concern of the relay each, one file each.
 *
 * A message that was checked visits each stage in the order of session.c. A
 * hook that is missing passes the message through. What a stage does with a
 * message is its verdict; effects are added with the functions below.
 */
#pragma once

#include "session/session.h"

enum stage_verdict {
	STAGE_PASS,  /* to the next stage, at last to the other side */
	STAGE_TAKEN, /* the stage has the message (held, answered or refused) */
};

/* A message on its way. `entry` is the request a reply answers, NULL for a request. */
struct crossing {
	enum session_port from;
	const struct wire_row *row;
	struct wire_message *message;
	const struct exchange_entry *entry;
	bool acknowledges; /* an empty SET_MEM_TABLE that changes no region (postcopy) */
	bool splice;       /* passed on, its descriptor is to be replaced (EFFECT_SPLICE) */
};

typedef enum stage_verdict (*stage_hook)(struct session *session, struct crossing *crossing);

struct stage {
	const char *name;
	stage_hook front_request; /* main channel */
	stage_hook back_reply;
	stage_hook back_request; /* back-end channel */
	stage_hook front_reply;
	/* The request was passed on: what must follow it directly may be sent now. */
	void (*after)(struct session *session, uint32_t id);
};

extern const struct stage stage_features, stage_memory, stage_rings, stage_dirty, stage_iotlb,
    stage_postcopy, stage_backreq, stage_state, stage_shadow, stage_inflight, stage_keep;

/*
 * Answers the request in `crossing` with a u64 if its sender waits for an
 * answer, in its turn, and disposes of the request. Always STAGE_TAKEN.
 */
enum stage_verdict stage_acknowledge(struct session *session, struct crossing *crossing);

/* Passes a request of the front-end's that has been through the stages. */
void stage_pass(struct session *session, struct crossing *crossing);

/* Sends the answers of our own whose turn it is. */
void stage_send_due(struct session *session, enum wire_channel channel);

/* How a request in `crossing` is remembered until its reply. */
struct exchange_entry stage_entry(struct session *session, const struct crossing *crossing,
				  enum exchange_origin origin);

/* Answers with this reply, in its turn; NULL: no memory. Disposes of the request. */
enum stage_verdict stage_answer(struct session *session, struct crossing *crossing,
				struct wire_message *reply);

/* Keeps the place of the answer, which exchange_fill() gives; disposes of the request. */
void stage_answer_later(struct session *session, struct crossing *crossing);

/* What the first SET_LOG_BASE was answered with, once more. NULL: no memory. */
struct wire_message *stage_dirty_reply(const struct session *session);

/* Of the back-end's memory slots, those that are the front-end's. */
uint64_t stage_shadow_slots(const struct session *session, uint64_t slots);

/* Adds a descriptor that the shell resolves; NULL is allowed. Returns the message. */
struct wire_message *stage_with_fd(struct wire_message *message, enum session_fd fd, uint64_t key);

/* Takes a request of the front-end's through the stages once more, from the first. */
void stage_again(struct session *session, struct wire_message *request);

/* The back-end's reply to a request of the session's own. */
void stage_inflight_reply(struct session *session, const struct crossing *crossing);
/* SET_INFLIGHT_FD with the record that the back-end keeps; NULL: no memory. */
struct wire_message *stage_inflight_request(const struct session *session);

/* The back-end's answer to a question about what it has; what of it the front-end is shown. */
uint64_t stage_features_learn(struct session *session, uint32_t id, uint64_t value);

/* A base as the back-end gave it, with the half of a packed one that DPDK leaves out. */
uint32_t stage_rings_base(struct session *session, uint32_t base);

/* A started ring was stopped at `base`, by the back-end's answer or by ours. */
void stage_rings_stopped(struct session *session, unsigned int index, uint32_t base);

/* Ends the session for the crossing's sender; disposes of the message. Always STAGE_TAKEN. */
__attribute__((format(printf, 3, 4))) enum stage_verdict
stage_refuse(struct session *session, struct crossing *crossing, const char *format, ...);

/* Sends the daemon's own request to the back-end; a reply to it goes to nobody. */
void stage_ask(struct session *session, struct wire_message *request);

__attribute__((format(printf, 3, 4))) void stage_log(struct session *session, enum level level,
						     const char *format, ...);

/* `format` makes the JSON object of the event. */
__attribute__((format(printf, 3, 4))) void stage_event(struct session *session, const char *event,
						       const char *format, ...);

/* A ring has moved: the acknowledgement of LOG_ALL goes out with the last. */
void stage_dirty_arrived(struct session *session);

/* Sends the SET_VRING_ENABLE 0 that waited for this ring to be drained, if one did. */
void stage_shadow_release(struct session *session, unsigned int index);

/* Sends a SET_STATUS that waits: what comes now, known or not, comes after it. */
void stage_state_release(struct session *session);
/* A ring was stopped: the held status goes out with the last. */
void stage_state_stopped(struct session *session);

/* The ring a checked message is about; NULL: none. */
struct queue_state *stage_queue(struct session *session, const struct crossing *crossing);
