/* SPDX-License-Identifier: BSD-3-Clause */
#include "legal.h"

#include "base/bytes.h"
#include "wire/features.h"

#include <stdlib.h>
#include <string.h>

#define OPAQUE_SIZE 64u
#define RING        1u

struct wire_agreement legal_agreement(void)
{
	return (struct wire_agreement){
	    .virtio_offered = UINT64_MAX,
	    .virtio_acked = UINT64_MAX,
	    .protocol_acked = UINT64_MAX,
	    .rings = LEGAL_RINGS,
	};
}

/* Tests are built with and without NDEBUG: assert() would not do. */
static struct wire_message *need(struct wire_message *message)
{
	if (!message)
		abort();
	return message;
}

static bool log_shmfd(const struct wire_agreement *agreement)
{
	return (agreement->protocol_acked & WIRE_BIT(WIRE_PF_LOG_SHMFD)) != 0;
}

static uint32_t usual_size(enum wire_payload_id id)
{
	const struct wire_tail *tail = wire_tail(id);

	if (tail)
		return tail->offset + LEGAL_REGIONS * tail->stride;
	if (id == WIRE_PAYLOAD_CONFIG)
		return 12 + LEGAL_CONFIG;
	if (id == WIRE_PAYLOAD_OPAQUE)
		return OPAQUE_SIZE;
	return wire_payload(id)->most;
}

/* Bytes that tell where they are and whose they are, then the fields that rules look at. */
static void fill(struct wire_message *message, enum wire_payload_id id, enum wire_queue queue)
{
	const struct wire_tail *tail = wire_tail(id);

	for (uint32_t i = 0; i < message->header.size; i++)
		message->payload[i] = (uint8_t)(message->header.id * 7 + i);
	if (tail)
		bytes_store32(message->payload + tail->count_at, LEGAL_REGIONS);
	if (id == WIRE_PAYLOAD_CONFIG)
		bytes_store32(message->payload + 4, LEGAL_CONFIG);
	if (queue == WIRE_QUEUE_STATE)
		bytes_store32(message->payload, RING);
	if (queue == WIRE_QUEUE_U64)
		bytes_store64(message->payload, RING);
}

void legal_set_fds(struct wire_message *message, unsigned int count)
{
	message->fds.count = 0;
	for (unsigned int i = 0; i < count; i++) {
		struct fd_entry entry = {.fd = LEGAL_FD + (int)i};

		if (fdset_push(&message->fds, &entry))
			abort();
	}
}

static unsigned int usual_fds(const struct wire_row *row, const struct wire_agreement *agreement)
{
	switch (row->fds) {
	case WIRE_FDS_NONE:
	case WIRE_FDS_OPTIONAL:
		break;
	case WIRE_FDS_ONE:
	case WIRE_FDS_BY_NOFD_BIT:
		return 1;
	case WIRE_FDS_PER_REGION:
		return LEGAL_REGIONS;
	case WIRE_FDS_LOG:
		return log_shmfd(agreement);
	}
	return 0;
}

struct wire_message *legal_request(const struct wire_row *row,
				   const struct wire_agreement *agreement)
{
	struct wire_message *message =
	    need(wire_message_new(row->id, WIRE_VERSION, usual_size(row->payload)));

	fill(message, row->payload, row->queue);
	legal_set_fds(message, usual_fds(row, agreement));
	return message;
}

static bool own_reply(const struct wire_row *row, const struct wire_agreement *agreement)
{
	switch (row->reply) {
	case WIRE_REPLY_ALWAYS:
		return true;
	case WIRE_REPLY_LOG:
		return log_shmfd(agreement);
	case WIRE_REPLY_TABLE:
		return agreement->postcopy_listening;
	case WIRE_REPLY_ACK:
		break;
	}
	return false;
}

struct wire_message *legal_reply(const struct wire_row *row, const struct wire_agreement *agreement)
{
	bool own = own_reply(row, agreement);
	enum wire_payload_id id = own ? row->reply_payload : WIRE_PAYLOAD_U64;
	struct wire_message *message =
	    need(wire_message_new(row->id, WIRE_VERSION | WIRE_FLAG_REPLY, usual_size(id)));

	fill(message, id, WIRE_QUEUE_NOWHERE);
	legal_set_fds(message, own ? row->reply_fds : 0);
	return message;
}

bool legal_is_request(enum wire_channel channel, const struct wire_row *row)
{
	return channel != WIRE_MAIN || row->id != WIRE_NONE;
}

struct wire_message *legal_resize(struct wire_message *message, uint32_t size)
{
	struct wire_message *sized =
	    need(wire_message_new(message->header.id, message->header.flags, size));
	uint32_t kept = size < message->header.size ? size : message->header.size;

	memcpy(sized->payload, message->payload, kept);
	sized->fds = message->fds;
	wire_message_free(message);
	return sized;
}

void legal_each(legal_each_fn each, void *context)
{
	for (uint32_t id = 0; id < WIRE_FRONT_COUNT; id++)
		each(WIRE_MAIN, wire_row(WIRE_MAIN, id), context);
	for (uint32_t id = 1; id < WIRE_BACK_COUNT; id++)
		each(WIRE_BACKEND, wire_row(WIRE_BACKEND, id), context);
}
