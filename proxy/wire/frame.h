/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Cutting a byte stream with descriptors into messages.
 *
 * Goal: the exact message boundaries and the exact owner of each descriptor,
 * however the sender and the kernel fragmented the stream.
 *
 * The kernel ends a recvmsg() after a chunk that carries descriptors, but not
 * before it, so one large read may return the tail of one message and the head
 * of the next together with descriptors that belong to the latter. The reader
 * therefore asks for exactly the header, then exactly the payload: descriptors
 * that arrive with a read belong to the message being read. The refused
 * alternative, one large read and guessing afterwards, saves a system call a
 * message and misplaces descriptors when a peer glues messages together.
 *
 * Pure: the shell asks frame_want() where the next bytes go, reads there, and
 * tells frame_got(). Framing that can not be followed any further (version,
 * size, too many descriptors) is the peer's fault and final for the stream.
 * One reader for one stream direction, one thread.
 */
#pragma once

#include "base/diag.h"
#include "wire/table.h"

struct frame {
	enum wire_channel channel; /* whose names a diag uses; set by the owner */
	uint8_t header[WIRE_HEADER_SIZE];
	unsigned int have;            /* header bytes, then payload bytes */
	struct fdset fds;             /* of the message being read, until it exists */
	struct wire_message *message; /* NULL while the header is incomplete */
};

enum frame_result {
	FRAME_MORE = 0,  /* the message is not complete */
	FRAME_WHOLE = 1, /* frame_take() has one */
	FRAME_FAULT = 2, /* the peer broke the framing; the diag says how */
};

/* Where the next bytes go and the most that may be read there, at least 1. */
void frame_want(struct frame *frame, uint8_t **at, size_t *size);

/*
 * `size` bytes were read where frame_want() said and `fds` came with them. What
 * is left in `fds` afterwards (on FRAME_FAULT) is still the caller's to close.
 * -ENOMEM is the only negative result.
 */
int frame_got(struct frame *frame, size_t size, struct fdset *fds, struct diag *diag);

/* The whole message; the caller owns it, the frame is ready for the next. */
struct wire_message *frame_take(struct frame *frame);

/* The message being read, for a diag: its name, or that its header is not complete. */
const char *frame_name(const struct frame *frame, char buffer[WIRE_NAME_MAX]);

/* Whether a message has been begun and not finished (its peer closed in the middle). */
bool frame_partial(const struct frame *frame);

/* Every descriptor held is moved out to `fds` for the caller to close; memory is freed. */
void frame_abandon(struct frame *frame, struct fdset *fds);
