/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rows of messages.def and payloads.def as constants to look up.
 *
 * Pure and immutable: any thread, any time. wire_row() returns NULL for an id
 * the table does not have; everything else about a message is in its row.
 */
#pragma once

#include "wire/message.h"

enum wire_direction {
	WIRE_FRONT_TO_BACK,
	WIRE_BACK_TO_FRONT,
};

/* Which of the two sockets: each carries requests one way and replies the other. */
enum wire_channel {
	WIRE_MAIN,
	WIRE_BACKEND,
};

enum wire_payload_id {
#define PAYLOAD(name, least, most) WIRE_PAYLOAD_##name,
#define FIELD(...)
#define TAIL(...)
#define ELEMENT(...)
#include "wire/payloads.def"
#undef PAYLOAD
#undef FIELD
#undef TAIL
#undef ELEMENT
	WIRE_PAYLOAD_COUNT
};

enum wire_format {
	WIRE_DEC,
	WIRE_HEX,
	WIRE_VIRTIO,
	WIRE_PROTOCOL,
	WIRE_RING,
	WIRE_MAC,
	WIRE_PERM,
	WIRE_IOTLB_TYPE,
	WIRE_BYTES,
};

struct wire_field {
	enum wire_payload_id payload;
	const char *name;
	uint16_t offset; /* bytes; in an element from the element's start */
	uint16_t width;  /* bytes */
	enum wire_format format;
};

struct wire_tail {
	enum wire_payload_id payload;
	const char *name;
	uint16_t offset;
	uint16_t stride;   /* bytes an element */
	uint16_t count_at; /* offset of the u32 that counts them */
};

struct wire_payload {
	const char *name;
	uint16_t least; /* bytes */
	uint16_t most;
};

enum wire_fds {
	WIRE_FDS_NONE,
	WIRE_FDS_ONE,
	WIRE_FDS_OPTIONAL,
	WIRE_FDS_PER_REGION,
	WIRE_FDS_BY_NOFD_BIT,
	WIRE_FDS_LOG,
};

enum wire_reply {
	WIRE_REPLY_ACK,
	WIRE_REPLY_ALWAYS,
	WIRE_REPLY_LOG,
	WIRE_REPLY_TABLE,
};

enum wire_gate_kind {
	WIRE_GATE_ALWAYS,
	WIRE_GATE_OFFERED,
	WIRE_GATE_VIRTIO,
	WIRE_GATE_PROTOCOL,
};

struct wire_gate {
	uint8_t kind; /* enum wire_gate_kind */
	uint8_t bit;
};

enum wire_queue {
	WIRE_QUEUE_NOWHERE,
	WIRE_QUEUE_STATE,
	WIRE_QUEUE_U64,
};

enum wire_replay {
	WIRE_REPLAY_NONE,
	WIRE_REPLAY_FRESH,
	WIRE_REPLAY_DEVICE,
	WIRE_REPLAY_QUEUE,
	WIRE_REPLAY_TABLE,
};

struct wire_row {
	uint32_t id;
	const char *name;
	const char *old_name; /* "": none */
	enum wire_payload_id payload;
	enum wire_fds fds;
	enum wire_reply reply;
	enum wire_payload_id reply_payload;
	uint8_t reply_fds; /* most */
	struct wire_gate gate;
	enum wire_queue queue;
	enum wire_replay replay;
	uint8_t rank;
};

/* The row of a request on a channel; NULL: unknown id. */
const struct wire_row *wire_row(enum wire_channel channel, uint32_t id);

/* Its name, or "unknown message 77" in the caller's buffer. */
#define WIRE_NAME_MAX 48
const char *wire_name(enum wire_channel channel, uint32_t id, char buffer[WIRE_NAME_MAX]);

/* A row by present or old name; NULL: none. Old names are looked up after the present ones. */
const struct wire_row *wire_row_by_name(enum wire_channel channel, const char *name);

const struct wire_payload *wire_payload(enum wire_payload_id id);

/* The layout's fields in order; `previous` NULL for the first; NULL: no more. */
const struct wire_field *wire_field_next(enum wire_payload_id id,
					 const struct wire_field *previous);
const struct wire_field *wire_element_next(enum wire_payload_id id,
					   const struct wire_field *previous);
/* The repeated part of a layout; NULL: it has none. */
const struct wire_tail *wire_tail(enum wire_payload_id id);

/* The ring a request is about, from a payload already checked for size; -1: about none. */
int wire_queue_index(const struct wire_row *row, const struct wire_message *message);
