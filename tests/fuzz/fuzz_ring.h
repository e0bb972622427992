/* SPDX-License-Identifier: BSD-3-Clause */
/* The input of fuzz_ring.c, which make_ring_corpus.c writes too. */
#pragma once

#include <stdint.h>

struct fuzz_ring_setting {
	uint8_t flags;
	uint8_t num;    /* 0 to 31: size - 1 of the ring, rounded down for a split one */
	uint8_t record; /* 0: none, else its entries are num + record - 1 */
	uint8_t guest_base;
};

#define FUZZ_RING_PACKED    0x01u
#define FUZZ_RING_EVENT_IDX 0x02u
#define FUZZ_RING_INDIRECT  0x04u
#define FUZZ_RING_IN_ORDER  0x08u
#define FUZZ_RING_ON_EMPTY  0x10u

/* Then steps of four bytes, some followed by more. */
struct fuzz_ring_step {
	uint8_t what; /* modulo FUZZ_RING_STEPS */
	uint8_t a, b, c;
};

enum {
	FUZZ_RING_OFFER,    /* a: slot, b: length, c: bits of what; one descriptor, available */
	FUZZ_RING_TABLE,    /* a: slot, b: where its table is, c: its entries; available */
	FUZZ_RING_USE,      /* a: id, b: length; the back-end completes */
	FUZZ_RING_PULL,     /* a: budget */
	FUZZ_RING_COMPLETE, /* a: budget */
	FUZZ_RING_WRITE,    /* a: to which memory, b, c: offset; a length and bytes follow */
	FUZZ_RING_RESTART,  /* a: bit 0: resubmit */
	FUZZ_RING_NOTIFY,   /* a: sleep, wake, hold, let go */
	FUZZ_RING_LEAVE,
	FUZZ_RING_STEPS,
};

#define FUZZ_RING_MORE  0x01u /* of c: linked to the next slot */
#define FUZZ_RING_BYTES 2048u /* memory for tables */
