/* SPDX-License-Identifier: BSD-3-Clause */
#include "stream.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define GLUED 60000u
#define PIECE 700u

void stream_add(struct stream *stream, const struct wire_message *message)
{
	if (stream->count == stream->room) {
		stream->room = stream->room ? stream->room * 2 : 64;
		stream->messages =
		    realloc(stream->messages, stream->room * sizeof(stream->messages[0]));
		assert_non_null(stream->messages);
	}
	expected_note(&stream->messages[stream->count++], stream->channel, message);
}

void stream_free(struct stream *stream)
{
	free(stream->messages);
	*stream = (struct stream){.channel = stream->channel};
}

static uint32_t next_random(uint32_t *seed)
{
	*seed = *seed * 1664525u + 1013904223u;
	return *seed >> 8;
}

static size_t size_of(const struct expected *message)
{
	return WIRE_HEADER_SIZE + message->header.size;
}

/* Bytes of the piece that begins `done` bytes into a message. */
static size_t piece(const struct cutting *cutting, uint32_t *seed, size_t size, size_t done)
{
	size_t at = cutting->at > 0 ? (size_t)cutting->at : size - (size_t)-cutting->at;

	switch (cutting->cut) {
	case CUT_BYTES:
		return 1;
	case CUT_SPLIT:
		return done < at && at < size ? at - done : size - done;
	case CUT_GLUED:
		return GLUED;
	case CUT_RANDOM:
		return 1 + next_random(seed) % PIECE;
	case CUT_WHOLE:
		break;
	}
	return size - done;
}

static bool send_piece(int fd, const uint8_t *bytes, size_t size, const struct expected *carries)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(SAME_FDS * sizeof(int))];
	} control;
	struct iovec iov = {.iov_base = (void *)bytes, .iov_len = size};
	struct msghdr header = {.msg_iov = &iov, .msg_iovlen = 1};

	if (carries && carries->fds) {
		struct cmsghdr *c;

		header.msg_control = control.bytes;
		header.msg_controllen = CMSG_SPACE(carries->fds * sizeof(int));
		c = CMSG_FIRSTHDR(&header);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(carries->fds * sizeof(int));
		for (unsigned int i = 0; i < carries->fds; i++)
			memcpy(CMSG_DATA(c) + i * sizeof(int), &carries->files[i].fd, sizeof(int));
	}
	while (iov.iov_len > 0) {
		ssize_t n = sendmsg(fd, &header, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && (errno != EAGAIN || !rig_ready(fd, POLLOUT, RIG_MS)))
			return false;
		if (n <= 0)
			continue;
		iov.iov_base = (char *)iov.iov_base + n;
		iov.iov_len -= (size_t)n;
		header.msg_control = NULL;
		header.msg_controllen = 0;
	}
	return true;
}

/* The place in the stream: message and byte in it. */
struct place {
	unsigned int message;
	size_t done;
};

/* Fills one piece; it ends before a message with descriptors, which begin a send. */
static size_t fill(const struct stream *stream, struct place *place, uint8_t *bytes, size_t most)
{
	size_t used = 0;

	while (used < most && place->message < stream->count) {
		const struct expected *message = &stream->messages[place->message];
		uint8_t whole[WIRE_HEADER_SIZE + WIRE_PAYLOAD_MAX];
		size_t size = size_of(message), take = size - place->done;

		if (used > 0 && place->done == 0 && message->fds)
			break;
		if (take > most - used)
			take = most - used;
		wire_header_encode(&message->header, whole);
		memcpy(whole + WIRE_HEADER_SIZE, message->payload, message->header.size);
		memcpy(bytes + used, whole + place->done, take);
		used += take;
		place->done += take;
		if (place->done == size)
			*place = (struct place){.message = place->message + 1};
	}
	return used;
}

static void *send_all(void *context)
{
	struct sending *sending = context;
	const struct stream *stream = sending->stream;
	uint32_t seed = (uint32_t)sending->cutting.at;
	struct place place = {0};
	uint8_t bytes[GLUED];

	while (place.message < stream->count && !sending->failed) {
		const struct expected *message = &stream->messages[place.message];
		const struct expected *carries = place.done ? NULL : message;
		size_t most = piece(&sending->cutting, &seed, size_of(message), place.done);
		size_t used = fill(stream, &place, bytes, most);

		sending->failed = !send_piece(sending->fd, bytes, used, carries);
	}
	return NULL;
}

void stream_send(struct sending *sending, const struct stream *stream, struct cutting cutting,
		 int fd)
{
	*sending = (struct sending){.stream = stream, .cutting = cutting, .fd = fd};
	assert_int_equal(pthread_create(&sending->thread, NULL, send_all, sending), 0);
}

void stream_sent(struct sending *sending)
{
	pthread_join(sending->thread, NULL);
	assert_false(sending->failed);
}

void stream_arrives(const struct stream *stream, struct client *client)
{
	for (unsigned int i = 0; i < stream->count; i++)
		expected_same(&stream->messages[i],
			      rig_receive(client, stream->messages[i].header.id));
}
