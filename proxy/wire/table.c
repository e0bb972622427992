/* SPDX-License-Identifier: BSD-3-Clause */
#include "wire/table.h"

#include "base/bytes.h"
#include "wire/features.h"

#include <stdio.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define ALWAYS                                                                                     \
	{                                                                                          \
		WIRE_GATE_ALWAYS, 0                                                                \
	}
#define OFFERED(b)                                                                                 \
	{                                                                                          \
		WIRE_GATE_OFFERED, WIRE_F_##b                                                      \
	}
#define VIRTIO(b)                                                                                  \
	{                                                                                          \
		WIRE_GATE_VIRTIO, WIRE_F_##b                                                       \
	}
#define PROTOCOL(b)                                                                                \
	{                                                                                          \
		WIRE_GATE_PROTOCOL, WIRE_PF_##b                                                    \
	}
/* `reply` is pasted, so the column may be named like the gate ALWAYS without becoming it. */
#define ROW(id, name, old, payload, fds, reply, reply_payload, reply_fds, gate, queue, replay,     \
	    rank)                                                                                  \
	{id,                                                                                       \
	 #name,                                                                                    \
	 old,                                                                                      \
	 WIRE_PAYLOAD_##payload,                                                                   \
	 WIRE_FDS_##fds,                                                                           \
	 WIRE_REPLY_##reply,                                                                       \
	 WIRE_PAYLOAD_##reply_payload,                                                             \
	 reply_fds,                                                                                \
	 gate,                                                                                     \
	 WIRE_QUEUE_##queue,                                                                       \
	 WIRE_REPLAY_##replay,                                                                     \
	 rank},

static const struct wire_row front_rows[] = {
#define FRONT ROW
#define BACK(...)
#include "wire/messages.def"
#undef FRONT
#undef BACK
};

/* Back-end ids start at 1. */
static const struct wire_row back_rows[] = {
#define FRONT(...)
#define BACK ROW
#include "wire/messages.def"
#undef FRONT
#undef BACK
};

/* Ids are dense, so that a row is found by its id: each must equal the place it is listed at. */
enum {
#define FRONT(id, name, ...) FRONT_PLACE_##name,
#define BACK(...)
#include "wire/messages.def"
#undef FRONT
#undef BACK
};
enum {
	BACK_PLACE_0,
#define FRONT(...)
#define BACK(id, name, ...) BACK_PLACE_##name,
#include "wire/messages.def"
#undef FRONT
#undef BACK
};
#define FRONT(id, name, ...)                                                                       \
	_Static_assert(FRONT_PLACE_##name == id, "front-end ids are dense and in order");
#define BACK(id, name, ...)                                                                        \
	_Static_assert(BACK_PLACE_##name == id, "back-end ids are dense and in order");
#include "wire/messages.def"
#undef FRONT
#undef BACK

static const struct wire_payload payloads[] = {
#define PAYLOAD(name, least, most) {#name, least, most},
#define FIELD(...)
#define TAIL(...)
#define ELEMENT(...)
#include "wire/payloads.def"
#undef PAYLOAD
#undef FIELD
#undef TAIL
#undef ELEMENT
};

#define FIELD_ROW(payload, name, offset, width, format)                                            \
	{WIRE_PAYLOAD_##payload, #name, offset, width, WIRE_##format},

static const struct wire_field fields[] = {
#define PAYLOAD(...)
#define FIELD FIELD_ROW
#define TAIL(...)
#define ELEMENT(...)
#include "wire/payloads.def"
#undef FIELD
#undef TAIL
#undef ELEMENT
};

static const struct wire_field elements[] = {
#define FIELD(...)
#define TAIL(...)
#define ELEMENT FIELD_ROW
#include "wire/payloads.def"
#undef FIELD
#undef TAIL
#undef ELEMENT
};

static const struct wire_tail tails[] = {
#define FIELD(...)
#define TAIL(payload, name, offset, stride, count_at)                                              \
	{WIRE_PAYLOAD_##payload, #name, offset, stride, count_at},
#define ELEMENT(...)
#include "wire/payloads.def"
#undef PAYLOAD
#undef FIELD
#undef TAIL
#undef ELEMENT
};

#define PAYLOAD(name, least, most)                                                                 \
	_Static_assert((least) <= (most) && (most) <= WIRE_PAYLOAD_MAX,                            \
		       #name " has sizes that fit");
#define FIELD(...)
#define TAIL(...)
#define ELEMENT(...)
#include "wire/payloads.def"
#undef PAYLOAD
#undef FIELD
#undef TAIL
#undef ELEMENT

const struct wire_row *wire_row(enum wire_channel channel, uint32_t id)
{
	if (channel == WIRE_MAIN)
		return id < WIRE_FRONT_COUNT ? &front_rows[id] : NULL;
	return id >= 1 && id < WIRE_BACK_COUNT ? &back_rows[id - 1] : NULL;
}

const char *wire_name(enum wire_channel channel, uint32_t id, char buffer[WIRE_NAME_MAX])
{
	const struct wire_row *row = wire_row(channel, id);

	if (row)
		return row->name;
	snprintf(buffer, WIRE_NAME_MAX, "unknown message %u", id);
	return buffer;
}

const struct wire_row *wire_row_by_name(enum wire_channel channel, const char *name)
{
	const struct wire_row *rows = channel == WIRE_MAIN ? front_rows : back_rows;
	size_t count = channel == WIRE_MAIN ? COUNT(front_rows) : COUNT(back_rows);

	for (size_t i = 0; i < count; i++)
		if (strcmp(rows[i].name, name) == 0)
			return &rows[i];
	for (size_t i = 0; i < count; i++)
		if (rows[i].old_name[0] != '\0' && strcmp(rows[i].old_name, name) == 0)
			return &rows[i];
	return NULL;
}

const struct wire_payload *wire_payload(enum wire_payload_id id)
{
	return &payloads[id];
}

static const struct wire_field *field_after(const struct wire_field *rows, size_t count,
					    enum wire_payload_id id,
					    const struct wire_field *previous)
{
	const struct wire_field *end = rows + count;

	for (const struct wire_field *at = previous ? previous + 1 : rows; at < end; at++)
		if (at->payload == id)
			return at;
	return NULL;
}

const struct wire_field *wire_field_next(enum wire_payload_id id, const struct wire_field *previous)
{
	return field_after(fields, COUNT(fields), id, previous);
}

const struct wire_field *wire_element_next(enum wire_payload_id id,
					   const struct wire_field *previous)
{
	return field_after(elements, COUNT(elements), id, previous);
}

const struct wire_tail *wire_tail(enum wire_payload_id id)
{
	for (size_t i = 0; i < COUNT(tails); i++)
		if (tails[i].payload == id)
			return &tails[i];
	return NULL;
}

int wire_queue_index(const struct wire_row *row, const struct wire_message *message)
{
	uint32_t index;

	switch (row->queue) {
	case WIRE_QUEUE_STATE:
		index = bytes_load32(message->payload);
		return index > INT32_MAX ? INT32_MAX : (int)index;
	case WIRE_QUEUE_U64:
		return (int)(bytes_load64(message->payload) & WIRE_RING_INDEX_MASK);
	case WIRE_QUEUE_NOWHERE:
		break;
	}
	return -1;
}
