/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A session between two peers that a test plays itself.
 *
 * A message goes in at a port; the effects are collected at once, in order.
 * Descriptors are made-up numbers, each used once, and the rig keeps a ledger
 * of them: one that comes out twice, or out of nowhere, fails the test where it
 * happens, one that never comes out fails it in rig_end(). Those of enum session_fd
 * are the shell's and not in it; nor is what an effect only lends to the data path.
 */
#pragma once

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/bytes.h"
#include "session/session.h"

#define RIG_EFFECTS_MAX 8192
#define RIG_FDS_MAX     4096
#define RIG_FD_FIRST    1000

#define NEED WIRE_FLAG_NEED_REPLY

enum rig_fate {
	RIG_NOT_GIVEN,
	RIG_INSIDE,
	RIG_DROPPED,
	RIG_SENT, /* plus the port it was sent to */
};

struct rig {
	struct session *session;
	unsigned int count; /* effects collected */
	unsigned int seen;  /* those before this one rig_nothing_more() has passed */
	struct effect effects[RIG_EFFECTS_MAX];
	bool used[RIG_EFFECTS_MAX]; /* a test has taken it */
	int fds;                    /* made so far */
	unsigned char fate[RIG_FDS_MAX];
	uint64_t clock;
	/* Called before and after the session runs; NULL: not. For failing allocations. */
	void (*around)(bool inside);
};

/* Everything there is on offer, nothing hidden but what always is: watch_only. */
struct rig *rig_new(void);
struct rig *rig_new_with(const struct session_config *config);
/* Ends the session and checks that every descriptor came out exactly once. */
void rig_end(struct rig *rig);

/* Asked, offered and acknowledged in the usual order up to SET_PROTOCOL_FEATURES. */
void rig_offer(struct rig *rig, uint64_t virtio, uint64_t protocol);
/* rig_offer() of everything shown, and SET_FEATURES with all of it. */
struct rig *rig_agreed(uint64_t virtio, uint64_t protocol);
void rig_set_features(struct rig *rig, uint64_t virtio);

/* Adds a descriptor of this file (0: not looked at) to the message; returns the message. */
struct wire_message *rig_with_fd(struct rig *rig, struct wire_message *message, uint64_t inode);
enum rig_fate rig_fate(const struct rig *rig, int fd);

void rig_receive(struct rig *rig, enum session_port port, struct wire_message *message);
void rig_front(struct rig *rig, struct wire_message *message); /* at PORT_FRONT_MAIN */
void rig_back(struct rig *rig, struct wire_message *message);  /* at PORT_BACK_MAIN */

/* The next message sent to this port and not taken yet; there must be one. The rig's own. */
const struct wire_message *rig_sent(struct rig *rig, enum session_port port);
/* As above, and its id must be this. */
const struct wire_message *rig_sent_id(struct rig *rig, enum session_port port, uint32_t id);
/*
 * The next thing done, of all that is sent and all that the data path is asked,
 * must be this: the order between both is checked. For sessions that relay.
 */
const struct effect *rig_then(struct rig *rig, enum effect_kind kind, unsigned int queue);
const struct wire_message *rig_then_sent(struct rig *rig, enum session_port port, uint32_t id);
/* rig_nothing_more(), and nothing was asked of the data path but what was taken. */
void rig_idle(struct rig *rig);

/* The data path reports; the effects are collected. */
void rig_drained(struct rig *rig, unsigned int queue, uint32_t base);
void rig_became_quiet(struct rig *rig, unsigned int queue);
void rig_stayed_busy(struct rig *rig, unsigned int queue);
void rig_ring_fault(struct rig *rig, unsigned int queue, bool guest, const char *text);
int rig_move(struct rig *rig, enum session_mode mode, struct diag *diag);

/* No message but those taken was sent, and no fault was found. */
void rig_nothing_more(struct rig *rig);
/* The peer at this port was found at fault; its line. The session must be over. */
const char *rig_fault(struct rig *rig, enum session_port port);
/* How many lines of this level there were so far, and the last. */
unsigned int rig_lines(const struct rig *rig, enum level level);
const char *rig_line(const struct rig *rig, enum level level);
/* How many events of this name there were so far. */
unsigned int rig_events(const struct rig *rig, const char *event);

/* The message goes in at `port` and must come out across, byte for byte, with its descriptors. */
void rig_relays(struct rig *rig, enum session_port port, struct wire_message *message);

/* A reply with this value goes in at `port` and must come out across. */
void rig_answers(struct rig *rig, enum session_port port, uint32_t id, uint64_t value);

/* A u64 sent to the port, from this message, with this value. */
void rig_acknowledged(struct rig *rig, enum session_port port, uint32_t id, uint64_t value);

/* The back-end is lost; false: the session can not go on, the diag says why. */
bool rig_lost(struct rig *rig, struct diag *diag);
void rig_ring_lost(struct rig *rig, unsigned int queue, uint32_t base, unsigned int parked);
void rig_ring_stood(struct rig *rig, unsigned int queue, uint32_t base);
void rig_adopted(struct rig *rig);
int rig_swap(struct rig *rig, struct diag *diag);
