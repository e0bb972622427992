/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages of the table with real descriptors, and their comparison. */
#pragma once

#include "daemon_rig.h"
#include "legal.h"

#define SAME_FDS 16

/* A message as it must arrive: bytes and files. */
struct expected {
	enum wire_channel channel;
	struct wire_header header;
	uint8_t payload[WIRE_PAYLOAD_MAX];
	unsigned int fds;
	struct fd_entry files[SAME_FDS];
};

/* Gives the message `count` descriptors, each a new file. */
void table_files(struct wire_message *message, unsigned int count);

/* Whether the row's gate is a bit no front-end is ever shown. */
bool table_never(const struct wire_row *row);

/* What the message looks like, to compare with later. */
void expected_note(struct expected *expected, enum wire_channel channel,
		   const struct wire_message *message);
/* Header, payload and each file are the same; disposes of the message. */
void expected_same(const struct expected *expected, struct wire_message *message);

/*
 * The row's request and its reply as a peer that keeps every rule sends them,
 * with real files. Under rig_virtio() and rig_protocol(): what is acknowledged
 * is what was offered.
 */
struct wire_message *table_request(const struct wire_row *row,
				   const struct wire_agreement *agreement);
struct wire_message *table_reply(const struct wire_row *row,
				 const struct wire_agreement *agreement);
