/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a back-end's bits mean for its user: one verdict a capability, and notes
 * on bits that are known to do harm.
 *
 * Pure: from the answers of a back-end to text. What a capability needs is what
 * QEMU asks for; what is known to break is what was seen of
 * real back-ends. Thread-safe.
 */
#pragma once

#include "base/diag.h"
#include "wire/features.h"

#include <stdbool.h>
#include <stdint.h>

/* Who may open a userfaultfd here that serves the kernel's own accesses. 1 yes, 0 no, -1 not known.
 */
struct verdict_host {
	int sysctl;     /* vm.unprivileged_userfaultfd */
	int capability; /* the back-end's process has CAP_SYS_PTRACE */
	int device;     /* the back-end's user may open /dev/userfaultfd */
};

struct verdict_facts {
	uint64_t features;
	uint64_t protocol; /* 0 where PROTOCOL_FEATURES is not offered */
	enum wire_device device;
	int64_t queues; /* GET_QUEUE_NUM, -1: not answered */
	int64_t slots;  /* GET_MAX_MEM_SLOTS, -1: not answered */
	struct verdict_host host;
};

/* What vhost-ferry does about a capability that the back-end lacks. */
enum verdict_daemon {
	VERDICT_NOT_YET, /* meant to be added, this version does not */
	VERDICT_ADDS,
	VERDICT_NEVER, /* a matter of the back-end alone */
};

#define VERDICT_BITS_MAX  4
#define VERDICT_NOTES_MAX 8
#define VERDICT_COUNT     7

struct verdict_bit {
	enum wire_space space;
	unsigned int bit;
};

struct verdict_notes {
	unsigned int count;
	char lines[VERDICT_NOTES_MAX][DIAG_TEXT_MAX];
};

struct verdict {
	const char *key;   /* "precopy", for programs */
	const char *title; /* "precopy migration", for people */
	bool has;
	unsigned int missing_count;
	struct verdict_bit missing[VERDICT_BITS_MAX];
	enum verdict_daemon daemon;
	struct verdict_notes notes;
};

/* Fills all VERDICT_COUNT verdicts. */
void verdict_all(const struct verdict_facts *facts, struct verdict verdicts[VERDICT_COUNT]);

/* Notes that belong to no capability: bits that vhost-ferry hides, bits nobody knows. */
void verdict_bits(const struct verdict_facts *facts, struct verdict_notes *notes);

/* "adds", "not-yet", "never", and as a sentence. */
const char *verdict_daemon_key(enum verdict_daemon daemon);
const char *verdict_daemon_text(enum verdict_daemon daemon);

/* "RING_PACKED (virtio bit 34)"; always terminated. */
void verdict_bit_print(const struct verdict_bit *bit, char *text, size_t size);
