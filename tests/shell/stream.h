/* SPDX-License-Identifier: BSD-3-Clause */
/* A long conversation as a byte stream that is sent in chosen pieces. */
#pragma once

#include "daemon_table.h"

struct stream {
	enum wire_channel channel;
	struct expected *messages;
	unsigned int count, room;
};

/* How a stream is cut. */
enum cut {
	CUT_BYTES,  /* byte by byte */
	CUT_WHOLE,  /* a message in one send */
	CUT_SPLIT,  /* each message in two, `at` bytes after its start, or before its end */
	CUT_GLUED,  /* as much in one send as descriptors allow */
	CUT_RANDOM, /* pieces of 1 to 700 bytes from the seed `at` */
};

struct cutting {
	enum cut cut;
	int at;
};

void stream_add(struct stream *stream, const struct wire_message *message);
void stream_free(struct stream *stream);

/*
 * Sends all of the stream from a thread of its own; stream_sent() waits for it.
 * The descriptors of the stream must stay open meanwhile.
 */
struct sending {
	const struct stream *stream;
	struct cutting cutting;
	int fd;
	pthread_t thread;
	bool failed;
};
void stream_send(struct sending *sending, const struct stream *stream, struct cutting cutting,
		 int fd);
void stream_sent(struct sending *sending);

/* Everything of the stream arrives at `client`, in order and untouched. */
void stream_arrives(const struct stream *stream, struct client *client);
