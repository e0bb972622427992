/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A vhost-user message as it is held in memory.
 *
 * On the wire (specification "Message specification"): a header of 12 bytes in
 * host byte order - u32 id, u32 flags, u32 payload size - then the payload;
 * descriptors travel with the first byte of the header.
 *
 * A message owns its descriptors. wire_message_new/free are the only allocator;
 * free does not close descriptors (it makes no system call): the shell closes
 * what is left in `fds` before it frees. One owner at a time, no locking.
 */
#pragma once

#include "base/fdset.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WIRE_HEADER_SIZE 12u
/* The most any peer takes (rust-vmm 4096; QEMU 632 to 2056, libvhost-user 272). */
#define WIRE_PAYLOAD_MAX 4096u
#define WIRE_REGIONS_MAX 8u   /* SET_MEM_TABLE, specification */
#define WIRE_SLOTS_MAX   512u /* ADD_MEM_REG; QEMU 8.1 asks for 512 at most, back-ends have 509 */
#define WIRE_QUEUES_MAX  256u /* the ring index is 8 bits wide in SET_VRING_KICK/CALL/ERR */
#define WIRE_CONFIG_MAX  256u /* GET_CONFIG, specification */

#define WIRE_VERSION         0x1u
#define WIRE_VERSION_MASK    0x3u
#define WIRE_FLAG_REPLY      0x4u
#define WIRE_FLAG_NEED_REPLY 0x8u
#define WIRE_FLAGS_KNOWN     0xfu

#define WIRE_RING_INDEX_MASK 0xffu
#define WIRE_RING_NOFD       0x100u

enum wire_front_id {
#define FRONT(id, name, ...) WIRE_##name = id,
#define BACK(id, name, ...)
#include "wire/messages.def"
#undef FRONT
#undef BACK
	WIRE_FRONT_COUNT
};

enum wire_back_id {
#define FRONT(id, name, ...)
#define BACK(id, name, ...) WIRE_##name = id,
#include "wire/messages.def"
#undef FRONT
#undef BACK
	WIRE_BACK_COUNT
};

struct wire_header {
	uint32_t id;
	uint32_t flags;
	uint32_t size; /* payload bytes */
};

struct wire_message {
	struct wire_header header;
	struct fdset fds;
	uint32_t capacity; /* bytes at payload */
	uint8_t payload[];
};

/* A message with room for `capacity` payload bytes, zeroed; NULL: no memory. */
struct wire_message *wire_message_new(uint32_t id, uint32_t flags, uint32_t size);

/* Header and payload of another, without its descriptors; NULL: no memory. */
struct wire_message *wire_message_copy(const struct wire_message *message);

/* Frees the memory only; descriptors still in it must have been taken. Returns NULL. */
struct wire_message *wire_message_free(struct wire_message *message);

static inline bool wire_is_reply(const struct wire_message *message)
{
	return (message->header.flags & WIRE_FLAG_REPLY) != 0;
}

static inline bool wire_needs_reply(const struct wire_message *message)
{
	return (message->header.flags & WIRE_FLAG_NEED_REPLY) != 0;
}

/* Writes the 12 header bytes as they go on the wire. */
void wire_header_encode(const struct wire_header *header, uint8_t bytes[WIRE_HEADER_SIZE]);
void wire_header_decode(const uint8_t bytes[WIRE_HEADER_SIZE], struct wire_header *header);
