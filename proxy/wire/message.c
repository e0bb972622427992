/* SPDX-License-Identifier: BSD-3-Clause */
#include "wire/message.h"

#include "base/bytes.h"

#include <stdlib.h>
#include <string.h>

struct wire_message *wire_message_new(uint32_t id, uint32_t flags, uint32_t size)
{
	struct wire_message *message = calloc(1, sizeof(*message) + size);

	if (!message)
		return NULL;
	message->header = (struct wire_header){.id = id, .flags = flags, .size = size};
	message->capacity = size;
	return message;
}

struct wire_message *wire_message_copy(const struct wire_message *message)
{
	const struct wire_header *header = &message->header;
	struct wire_message *copy = wire_message_new(header->id, header->flags, header->size);

	if (copy)
		memcpy(copy->payload, message->payload, header->size);
	return copy;
}

struct wire_message *wire_message_free(struct wire_message *message)
{
	free(message);
	return NULL;
}

void wire_header_encode(const struct wire_header *header, uint8_t bytes[WIRE_HEADER_SIZE])
{
	bytes_store32(bytes, header->id);
	bytes_store32(bytes + 4, header->flags);
	bytes_store32(bytes + 8, header->size);
}

void wire_header_decode(const uint8_t bytes[WIRE_HEADER_SIZE], struct wire_header *header)
{
	header->id = bytes_load32(bytes);
	header->flags = bytes_load32(bytes + 4);
	header->size = bytes_load32(bytes + 8);
}
