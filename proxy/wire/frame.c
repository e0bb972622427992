/* SPDX-License-Identifier: BSD-3-Clause */
#include "wire/frame.h"

#include <errno.h>
#include <string.h>

void frame_want(struct frame *frame, uint8_t **at, size_t *size)
{
	if (!frame->message) {
		*at = frame->header + frame->have;
		*size = WIRE_HEADER_SIZE - frame->have;
		return;
	}
	*at = frame->message->payload + frame->have;
	*size = frame->message->header.size - frame->have;
}

static int check_header(const struct wire_header *header, const char *name, struct diag *diag)
{
	if ((header->flags & WIRE_VERSION_MASK) != WIRE_VERSION)
		return diag_set(diag, FRAME_FAULT,
				"%s: flags 0x%x have version %u, only version 1 exists", name,
				header->flags, header->flags & WIRE_VERSION_MASK);
	if (header->size > WIRE_PAYLOAD_MAX)
		return diag_set(diag, FRAME_FAULT, "%s: payload of %u bytes, at most %u are taken",
				name, header->size, WIRE_PAYLOAD_MAX);
	return 0;
}

static int begin_payload(struct frame *frame, struct diag *diag)
{
	struct wire_header header;
	char name[WIRE_NAME_MAX];
	int result;

	wire_header_decode(frame->header, &header);
	result = check_header(&header, wire_name(frame->channel, header.id, name), diag);
	if (result)
		return result;
	frame->message = wire_message_new(header.id, header.flags, header.size);
	if (!frame->message)
		return -ENOMEM;
	frame->have = 0;
	return 0;
}

const char *frame_name(const struct frame *frame, char buffer[WIRE_NAME_MAX])
{
	struct wire_header header;

	if (frame->message)
		return wire_name(frame->channel, frame->message->header.id, buffer);
	if (frame->have < WIRE_HEADER_SIZE)
		return "a message whose header is not complete";
	wire_header_decode(frame->header, &header);
	return wire_name(frame->channel, header.id, buffer);
}

int frame_got(struct frame *frame, size_t size, struct fdset *fds, struct diag *diag)
{
	char name[WIRE_NAME_MAX];

	frame->have += (unsigned int)size;
	if (fdset_move(&frame->fds, fds))
		return diag_set(diag, FRAME_FAULT,
				"%s: more than %d descriptors, no message has so many",
				frame_name(frame, name), FDSET_MAX);
	if (!frame->message) {
		int result;

		if (frame->have < WIRE_HEADER_SIZE)
			return FRAME_MORE;
		result = begin_payload(frame, diag);
		if (result)
			return result;
	}
	if (frame->have < frame->message->header.size)
		return FRAME_MORE;
	frame->message->fds = frame->fds;
	frame->fds.count = 0;
	return FRAME_WHOLE;
}

struct wire_message *frame_take(struct frame *frame)
{
	struct wire_message *message = frame->message;

	frame->message = NULL;
	frame->have = 0;
	return message;
}

bool frame_partial(const struct frame *frame)
{
	return frame->message || frame->have > 0;
}

void frame_abandon(struct frame *frame, struct fdset *fds)
{
	/* A whole message that was not taken has them already. */
	*fds = frame->fds.count || !frame->message ? frame->fds : frame->message->fds;
	frame->fds.count = 0;
	frame->message = wire_message_free(frame->message);
	frame->have = 0;
}
