/* SPDX-License-Identifier: BSD-3-Clause */
#include "legal.h"

#include "base/bytes.h"
#include "wire/encode.h"
#include "wire/frame.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#define MESSAGES_MAX 160
#define STREAM_MAX   65536
#define STRIDE       32 /* made-up descriptors of message i are from FIRST_FD + i * STRIDE */
#define FIRST_FD     2000

/* A long session as one stream: every request and every reply of both channels. */
struct session {
	unsigned int count;
	struct wire_message *messages[MESSAGES_MAX];
	size_t starts[MESSAGES_MAX + 1]; /* offset of each message's first byte */
	uint8_t bytes[STREAM_MAX];
};

static void add_message(struct session *session, struct wire_message *message)
{
	unsigned int i = session->count++;
	size_t at = session->starts[i];

	assert_true(i < MESSAGES_MAX);
	assert_true(at + WIRE_HEADER_SIZE + message->header.size <= STREAM_MAX);
	for (unsigned int k = 0; k < message->fds.count; k++)
		message->fds.entries[k].fd = FIRST_FD + (int)(i * STRIDE + k);
	session->messages[i] = message;
	wire_header_encode(&message->header, session->bytes + at);
	memcpy(session->bytes + at + WIRE_HEADER_SIZE, message->payload, message->header.size);
	session->starts[i + 1] = at + WIRE_HEADER_SIZE + message->header.size;
}

static void add_row(enum wire_channel channel, const struct wire_row *row, void *context)
{
	const struct wire_agreement agreement = legal_agreement();

	add_message(context, legal_request(row, &agreement));
	add_message(context, legal_reply(row, &agreement));
}

static int make_session(void **state)
{
	struct session *session = calloc(1, sizeof(*session));

	if (!session)
		return -1;
	legal_each(add_row, session);
	*state = session;
	return 0;
}

static int free_session(void **state)
{
	struct session *session = *state;

	for (unsigned int i = 0; i < session->count; i++)
		wire_message_free(session->messages[i]);
	free(session);
	return 0;
}

static void check_same(struct wire_message *got, const struct wire_message *sent)
{
	assert_memory_equal(&got->header, &sent->header, sizeof(sent->header));
	assert_memory_equal(got->payload, sent->payload, sent->header.size);
	assert_int_equal(got->fds.count, sent->fds.count);
	for (unsigned int k = 0; k < sent->fds.count; k++)
		assert_int_equal(got->fds.entries[k].fd, sent->fds.entries[k].fd);
	wire_message_free(got);
}

/* What the kernel gives with the next bytes: the descriptors of a message with its first byte. */
static struct fdset fds_at(const struct session *session, unsigned int message, size_t at)
{
	struct fdset none = {.count = 0};

	return at == session->starts[message] ? session->messages[message]->fds : none;
}

/*
 * Feeds the stream, no read passing a multiple of `every` nor `cut`: the points
 * where the sender or the kernel broke it. Checks that every message comes out.
 */
static void deliver(const struct session *session, size_t every, size_t cut)
{
	size_t total = session->starts[session->count];
	struct frame frame = {.have = 0};
	unsigned int next = 0;
	struct diag diag;

	for (size_t at = 0; at < total;) {
		size_t room, limit = (at / every + 1) * every;
		struct fdset fds = fds_at(session, next, at);
		uint8_t *to;
		int result;

		frame_want(&frame, &to, &room);
		assert_true(room > 0);
		if (at < cut && cut < limit)
			limit = cut;
		if (room > limit - at)
			room = limit - at;
		memcpy(to, session->bytes + at, room);
		at += room;
		result = frame_got(&frame, room, &fds, &diag);
		assert_int_equal(fds.count, 0);
		if (result == FRAME_MORE) {
			assert_true(frame_partial(&frame));
			continue;
		}
		assert_int_equal(result, FRAME_WHOLE);
		assert_int_equal(at, session->starts[next + 1]);
		check_same(frame_take(&frame), session->messages[next++]);
		assert_false(frame_partial(&frame));
	}
	assert_int_equal(next, session->count);
}

static void test_messages_glued_together_come_out_one_by_one(void **state)
{
	const struct session *session = *state;

	deliver(session, STREAM_MAX, STREAM_MAX);
}

static void test_a_stream_byte_by_byte_gives_the_same_messages(void **state)
{
	const struct session *session = *state;

	deliver(session, 1, STREAM_MAX);
}

static void test_a_stream_cut_at_any_position_gives_the_same_messages(void **state)
{
	const struct session *session = *state;

	for (size_t cut = 1; cut < session->starts[session->count]; cut++)
		deliver(session, STREAM_MAX, cut);
}

static void test_a_stream_in_pieces_of_any_size_gives_the_same_messages(void **state)
{
	const struct session *session = *state;

	for (size_t every = 2; every < 300; every++)
		deliver(session, every, STREAM_MAX);
}

static int feed(struct frame *frame, const uint8_t *bytes, size_t size, struct diag *diag)
{
	int result = FRAME_MORE;

	while (size && result == FRAME_MORE) {
		struct fdset none = {.count = 0};
		uint8_t *to;
		size_t room;

		frame_want(frame, &to, &room);
		if (room > size)
			room = size;
		memcpy(to, bytes, room);
		bytes += room;
		size -= room;
		result = frame_got(frame, room, &none, diag);
	}
	return result;
}

static int feed_header(struct frame *frame, uint32_t id, uint32_t flags, uint32_t size,
		       struct diag *diag)
{
	const struct wire_header header = {.id = id, .flags = flags, .size = size};
	uint8_t bytes[WIRE_HEADER_SIZE];

	wire_header_encode(&header, bytes);
	return feed(frame, bytes, sizeof(bytes), diag);
}

static void drop(struct frame *frame)
{
	struct fdset fds;

	frame_abandon(frame, &fds);
	assert_int_equal(fds.count, 0);
}

static void test_only_version_1_is_taken(void **state)
{
	for (uint32_t version = 0; version < 4; version++) {
		struct frame frame = {.have = 0};
		struct diag diag = {""};
		int result = feed_header(&frame, 77, version | WIRE_FLAG_REPLY, 0, &diag);

		if (version == WIRE_VERSION) {
			assert_int_equal(result, FRAME_WHOLE);
		} else {
			assert_int_equal(result, FRAME_FAULT);
			assert_non_null(strstr(diag.text, "unknown message 77"));
			assert_non_null(strstr(diag.text, "version"));
		}
		drop(&frame);
	}
}

static void test_a_payload_over_the_limit_is_refused_before_memory_is_taken(void **state)
{
	static const uint32_t sizes[] = {WIRE_PAYLOAD_MAX + 1, 0x80000000u, UINT32_MAX};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct frame frame = {.have = 0};
		struct diag diag = {""};

		assert_int_equal(feed_header(&frame, 5, WIRE_VERSION, sizes[i], &diag),
				 FRAME_FAULT);
		assert_null(frame.message);
		assert_non_null(strstr(diag.text, "SET_MEM_TABLE"));
		assert_non_null(strstr(diag.text, "4096"));
		drop(&frame);
	}
}

static void test_a_payload_of_exactly_the_limit_is_taken(void **state)
{
	static const uint8_t payload[WIRE_PAYLOAD_MAX];
	struct frame frame = {.have = 0};
	struct diag diag;

	assert_int_equal(feed_header(&frame, 26, WIRE_VERSION, WIRE_PAYLOAD_MAX, &diag),
			 FRAME_MORE);
	assert_int_equal(feed(&frame, payload, sizeof(payload), &diag), FRAME_WHOLE);
	wire_message_free(frame_take(&frame));
	drop(&frame);
}

static struct fdset some_fds(unsigned int count)
{
	struct fdset fds = {.count = 0};

	for (unsigned int i = 0; i < count; i++) {
		struct fd_entry entry = {.fd = FIRST_FD + (int)i};

		fdset_push(&fds, &entry);
	}
	return fds;
}

/* A hostile peer can attach descriptors to every byte of a message. */
static void test_more_descriptors_than_a_set_holds_are_a_fault_and_none_is_lost(void **state)
{
	struct frame frame = {.have = 0};
	struct fdset fds = some_fds(FDSET_MAX);
	struct diag diag;
	uint8_t *to;
	size_t room;

	frame_want(&frame, &to, &room);
	to[0] = WIRE_GET_FEATURES;
	assert_int_equal(frame_got(&frame, 1, &fds, &diag), FRAME_MORE);
	fds = some_fds(1);
	frame_want(&frame, &to, &room);
	assert_int_equal(frame_got(&frame, 1, &fds, &diag), FRAME_FAULT);
	assert_int_equal(fds.count, 1);
	assert_non_null(strstr(diag.text, "descriptors"));
	frame_abandon(&frame, &fds);
	assert_int_equal(fds.count, FDSET_MAX);
	assert_false(frame_partial(&frame));
}

/* After each byte of each message: all descriptors come back, no memory stays (run with ASan). */
static void test_abandoning_at_any_byte_gives_every_descriptor_back(void **state)
{
	const struct session *session = *state;

	for (unsigned int i = 0; i < session->count; i++) {
		size_t size = session->starts[i + 1] - session->starts[i];

		for (size_t stop = 1; stop <= size; stop++) {
			struct fdset fds = session->messages[i]->fds;
			struct frame frame = {.have = 0};
			size_t done = 0;
			struct diag diag;

			while (done < stop) {
				uint8_t *to;
				size_t room;

				frame_want(&frame, &to, &room);
				if (room > stop - done)
					room = stop - done;
				memcpy(to, session->bytes + session->starts[i] + done, room);
				done += room;
				frame_got(&frame, room, &fds, &diag);
			}
			frame_abandon(&frame, &fds);
			assert_int_equal(fds.count, session->messages[i]->fds.count);
			assert_false(frame_partial(&frame));
		}
	}
}

static void test_a_frame_that_never_saw_a_byte_is_not_partial(void **state)
{
	struct frame frame = {.have = 0};
	struct diag diag;

	assert_false(frame_partial(&frame));
	assert_int_equal(feed(&frame, (const uint8_t *)"\1", 1, &diag), FRAME_MORE);
	assert_true(frame_partial(&frame));
	drop(&frame);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_messages_glued_together_come_out_one_by_one),
	    cmocka_unit_test(test_a_stream_byte_by_byte_gives_the_same_messages),
	    cmocka_unit_test(test_a_stream_cut_at_any_position_gives_the_same_messages),
	    cmocka_unit_test(test_a_stream_in_pieces_of_any_size_gives_the_same_messages),
	    cmocka_unit_test(test_only_version_1_is_taken),
	    cmocka_unit_test(test_a_payload_over_the_limit_is_refused_before_memory_is_taken),
	    cmocka_unit_test(test_a_payload_of_exactly_the_limit_is_taken),
	    cmocka_unit_test(test_more_descriptors_than_a_set_holds_are_a_fault_and_none_is_lost),
	    cmocka_unit_test(test_abandoning_at_any_byte_gives_every_descriptor_back),
	    cmocka_unit_test(test_a_frame_that_never_saw_a_byte_is_not_partial),
	};

	return cmocka_run_group_tests(tests, make_session, free_session);
}
