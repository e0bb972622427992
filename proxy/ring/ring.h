/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What both ends of a virtqueue share: layouts, sizes, outcomes, notification.
 *
 * The shapes are those of virtio 1.2 (2.7 split, 2.8 packed), little-endian as
 * VIRTIO_F_VERSION_1 has them. Nothing here or in the other files of this folder
 * makes a system call: memory is handed in as pointers, a guest address is
 * turned into one by the caller's translate function.
 *
 * Rule for shared memory: the other end may write at any time. An index is
 * loaded atomically, a descriptor copied once by ring_copy(); only the copy is
 * checked and only the copy is used. Free lists, chain lengths and what is in
 * flight are in private memory, never read back.
 *
 * Results: RING_OK, a positive outcome of `enum ring_outcome`, or -errno. From
 * RING_FAULTS on the other end broke a rule; the diag says which. That ends the
 * device, never the process.
 *
 * Threads: one thread uses a ring object at a time. Sizes are in bytes unless
 * they count descriptors.
 */
#pragma once

#include "base/diag.h"

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* A big-endian machine would have to swap at every access below. */
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "ring fields are little-endian");

#define RING_SIZE_MAX 32768u

#define RING_DESC_SIZE     16u
#define RING_DESC_NEXT     0x1u
#define RING_DESC_WRITE    0x2u
#define RING_DESC_INDIRECT 0x4u
#define RING_DESC_AVAIL    0x80u   /* packed */
#define RING_DESC_USED     0x8000u /* packed */

#define RING_AVAIL_NO_CALL 0x1u /* split, avail flags */
#define RING_USED_NO_KICK  0x1u /* split, used flags */

#define RING_EVENT_ENABLE  0x0u /* packed, flags of an event area */
#define RING_EVENT_DISABLE 0x1u
#define RING_EVENT_DESC    0x2u

#define RING_WRAP 0x8000u /* bit 15 of a packed position: the wrap counter */
/* SET_VRING_BASE of a fresh packed ring: both positions 0, both wrap counters 1. */
#define RING_PACKED_BASE 0x80008000u

enum ring_format {
	RING_SPLIT,
	RING_PACKED,
};

struct ring_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags;
	uint16_t next;
};

struct ring_avail {
	uint16_t flags;
	uint16_t idx;
	uint16_t ring[]; /* then used_event */
};

struct ring_used_elem {
	uint32_t id;
	uint32_t len;
};

struct ring_used {
	uint16_t flags;
	uint16_t idx;
	struct ring_used_elem ring[]; /* then avail_event */
};

struct ring_packed_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t id;
	uint16_t flags;
};

/* The 4 bytes of a packed event area, in one load or store: off_wrap low, flags high. */
struct ring_event {
	uint32_t off_wrap_flags;
};

/* Where the three parts of a ring are mapped; the memory stays the caller's. */
struct ring_areas {
	void *desc;   /* descriptor table, packed: descriptor ring */
	void *driver; /* avail ring, packed: driver event area */
	void *device; /* used ring, packed: device event area */
};

struct ring_buffer {
	uint64_t addr; /* guest address */
	uint32_t len;
	bool writable; /* by the device */
};

/* A chain as the device sees it. The caller gives `buffers` and `capacity`. */
struct ring_chain {
	uint16_t id;    /* split: head, packed: buffer id */
	uint16_t slots; /* ring descriptors it occupies */
	unsigned int count;
	unsigned int capacity;
	uint64_t readable; /* bytes before the first writable one */
	uint64_t writable; /* bytes */
	struct ring_buffer *buffers;
	/*
	 * How it was said, so that it can be said again: the first `direct` buffers
	 * are ring descriptors of their own, the others are in one indirect table.
	 */
	unsigned int direct;
	uint32_t table_len; /* 0: no table */
	uint64_t table;
};

/* What the driver gets back. */
struct ring_done {
	uint64_t token;    /* as it was added */
	uint32_t length;   /* bytes the device says it wrote */
	uint32_t writable; /* bytes it could have written */
};

/* `size` bytes at a guest address, contiguous; NULL: not all of them are mapped. */
typedef void *(*ring_translate_fn)(void *context, uint64_t addr, uint64_t size);

struct ring_memory {
	ring_translate_fn translate;
	void *context;
};

enum ring_outcome {
	RING_OK = 0,
	RING_EMPTY = 1, /* nothing to take */
	RING_FULL = 2,  /* no descriptors free; some come back with a completion */
	RING_FAULTS = 3,
	RING_BAD_INDEX = RING_FAULTS, /* more was made available or used than there can be */
	RING_BAD_HEAD,                /* a head outside the table */
	RING_TWICE,                   /* made available a second time while in flight */
	RING_BAD_NEXT,                /* a next outside the table */
	RING_LOOP,                    /* more descriptors than the table has */
	RING_NESTED,                  /* indirect within indirect, or with NEXT */
	RING_BAD_TABLE,               /* indirect: not agreed, bad size, not mapped */
	RING_TOO_LONG,                /* more buffers than the list takes */
	RING_ZERO,                    /* a buffer of no bytes */
	RING_OVERFLOW,                /* a buffer past 2^64, a chain of 2^32 bytes or more */
	RING_ORDER,                   /* a readable buffer after a writable one */
	RING_BAD_ID,                  /* a used id that is not in flight */
	RING_BAD_LENGTH,              /* a used length beyond the writable bytes */
	RING_BAD_RECORD,              /* an inflight record that contradicts itself or the ring */
};

/* "bad id" and so on. */
const char *ring_outcome_name(int outcome);

/* Bytes of the three areas. */
size_t ring_desc_bytes(enum ring_format format, unsigned int num);
size_t ring_driver_bytes(enum ring_format format, unsigned int num);
size_t ring_device_bytes(enum ring_format format, unsigned int num);

/* Whether a ring may have this size and its areas this alignment; -EINVAL with the rule. */
int ring_check(enum ring_format format, unsigned int num, const struct ring_areas *areas,
	       struct diag *diag);

/* A chain of nothing yet; `buffers` and `capacity` stay. */
static inline void ring_chain_clear(struct ring_chain *chain, uint16_t id)
{
	chain->id = id;
	chain->slots = 0;
	chain->count = 0;
	chain->readable = 0;
	chain->writable = 0;
	chain->direct = 0;
	chain->table_len = 0;
	chain->table = 0;
}

/*
 * Adds a buffer to a chain that is being read, checking everything that can be
 * checked about it.
 */
int ring_chain_add(struct ring_chain *chain, uint64_t addr, uint32_t len, bool writable,
		   struct diag *diag);

/*
 * An indirect table as it is read: mapped whole where the caller's memory is
 * contiguous there, else entry by entry.
 */
struct ring_table {
	const struct ring_memory *memory;
	const uint8_t *base; /* NULL: entry by entry */
	uint64_t addr;
	unsigned int count;
};

/* RING_BAD_TABLE: a size that is no multiple of 16, or none, or past 2^64. */
int ring_table_open(struct ring_table *table, const struct ring_memory *memory, uint64_t addr,
		    uint32_t len, struct diag *diag);
/* Copies 16 bytes of entry `index`, which is below count. RING_BAD_TABLE: not mapped. */
int ring_table_entry(const struct ring_table *table, unsigned int index, void *entry,
		     struct diag *diag);

/*
 * A copy out of shared memory that the compiler can not turn back into a second
 * look at the shared bytes: a check on the copy would then be worth nothing.
 */
static inline void ring_copy(void *to, const void *from, size_t size)
{
	memcpy(to, from, size);
	__asm__ volatile("" : : "r"(to) : "memory");
}

/*
 * Split event index (virtio 1.2, 2.7.7.2): notify when moving from `old` to
 * `now` passed `event`. Free running 16-bit numbers.
 */
static inline bool ring_event_passed(uint16_t event, uint16_t old, uint16_t now)
{
	return (uint16_t)(now - event - 1) < (uint16_t)(now - old);
}

/* A position in a packed ring. */
struct ring_position {
	uint16_t slot;
	bool wrap; /* starts true, flips when slot passes the end */
};

static inline void ring_position_move(struct ring_position *position, unsigned int slots,
				      unsigned int num)
{
	unsigned int slot = position->slot + slots;

	if (slot >= num) {
		slot -= num;
		position->wrap = !position->wrap;
	}
	position->slot = (uint16_t)slot;
}

static inline uint16_t ring_position_pack(struct ring_position position)
{
	return (uint16_t)(position.slot | (position.wrap ? RING_WRAP : 0));
}

static inline struct ring_position ring_position_unpack(uint16_t packed)
{
	return (struct ring_position){
	    .slot = packed & (RING_WRAP - 1),
	    .wrap = (packed & RING_WRAP) != 0,
	};
}

/*
 * Packed suppression (virtio 1.2, 2.8.10): what the other end's event area says
 * after we moved `moved` slots to `now`. An event that names no slot of the ring
 * is answered with a notification, which is never wrong.
 */
bool ring_event_wanted(uint32_t event, struct ring_position now, unsigned int moved,
		       unsigned int num);

/* The flags of a packed descriptor that is available (driver) or used (device) at `wrap`. */
static inline uint16_t ring_flags_available(bool wrap)
{
	return wrap ? RING_DESC_AVAIL : RING_DESC_USED;
}

static inline uint16_t ring_flags_used(bool wrap)
{
	return wrap ? RING_DESC_AVAIL | RING_DESC_USED : 0;
}

static inline uint16_t ring_flags_state(uint16_t flags)
{
	return flags & (RING_DESC_AVAIL | RING_DESC_USED);
}
