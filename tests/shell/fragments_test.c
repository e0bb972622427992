/* SPDX-License-Identifier: BSD-3-Clause */
/* One long session in every fragmentation, in both directions and on both channels. */
#include "stream.h"

#include "base/bytes.h"
#include "shell/fds.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ROUNDS     10 /* times through the table */
#define FILES      4
#define SPLIT_MOST 20 /* bytes from a message's start or end */
#define SEEDS      16

struct world {
	struct rig rig;
	struct ends ends;
	struct stream asked[2], answered[2]; /* by wire_channel */
	struct fd_entry files[FILES];
	unsigned int salt;
	unsigned int idle; /* descriptors of the daemon without a session */
};

/* Messages that change what later ones may be, or that are not passed on every time. */
static bool belongs(enum wire_channel channel, const struct wire_row *row)
{
	if (table_never(row))
		return false;
	if (channel == WIRE_BACKEND)
		return true;
	switch (row->id) {
	case WIRE_NONE:
	case WIRE_RESET_OWNER:
	case WIRE_RESET_DEVICE:
	case WIRE_SET_BACKEND_REQ_FD:
	case WIRE_POSTCOPY_ADVISE:
	case WIRE_POSTCOPY_LISTEN:
	case WIRE_POSTCOPY_END:
		return false;
	}
	return true;
}

/* The files are shared by all messages: hundreds of open ones would be no better. */
static void share_files(struct world *world, struct wire_message *message)
{
	unsigned int count = message->fds.count;

	fds_close(&message->fds);
	for (unsigned int i = 0; i < count; i++)
		fdset_push(&message->fds, &world->files[(world->salt + i) % FILES]);
}

/* Every message differs from every other, so that one in another's place is noticed. */
static void add(struct world *world, struct stream *stream, const struct wire_row *row,
		struct wire_message *message)
{
	world->salt++;
	share_files(world, message);
	if (message->header.size >= 16)
		bytes_store32(message->payload + message->header.size - 4, world->salt);
	if (row->payload == WIRE_PAYLOAD_MEM_REG && !wire_is_reply(message))
		bytes_store64(message->payload + 8, (uint64_t)world->salt << 20);
	if (row->payload == WIRE_PAYLOAD_LOG)
		bytes_store64(message->payload, world->salt);
	stream_add(stream, message);
	wire_message_free(message);
}

static void add_row(enum wire_channel channel, const struct wire_row *row, void *context)
{
	struct world *world = context;
	struct wire_agreement agreement = legal_agreement();
	struct wire_message *request;

	if (!belongs(channel, row))
		return;
	request = table_request(row, &agreement);
	/* Every third of those that may be acknowledged is. */
	if (world->salt % 3 == 0)
		request->header.flags |= WIRE_FLAG_NEED_REPLY;
	if (wire_reply_expected(channel, &agreement, request) == WIRE_EXPECT_REPLY)
		add(world, &world->answered[channel], row, table_reply(row, &agreement));
	add(world, &world->asked[channel], row, request);
}

static int open_world(void **state)
{
	struct world *world = calloc(1, sizeof(*world));

	*state = world;
	rig_open(&world->rig, true);
	rig_start(&world->rig, "--data-path=direct --synthesize=none");
	world->idle = daemon_fds(&world->rig.daemon);
	world->asked[WIRE_BACKEND].channel = world->answered[WIRE_BACKEND].channel = WIRE_BACKEND;
	for (unsigned int i = 0; i < FILES; i++)
		fds_look(&world->files[i], rig_file(1 + i));
	for (unsigned int i = 0; i < ROUNDS; i++)
		legal_each(add_row, world);
	assert_true(world->asked[WIRE_MAIN].count > 300);
	assert_true(world->asked[WIRE_BACKEND].count > 50);
	return 0;
}

static int close_world(void **state)
{
	struct world *world = *state;

	for (unsigned int i = 0; i < 2; i++) {
		stream_free(&world->asked[i]);
		stream_free(&world->answered[i]);
	}
	for (unsigned int i = 0; i < FILES; i++)
		close(world->files[i].fd);
	rig_close(&world->rig);
	free(world);
	return 0;
}

static void relay(const struct stream *stream, struct cutting cutting, struct client *from,
		  struct client *to)
{
	struct sending sending;

	stream_send(&sending, stream, cutting, from->fd);
	stream_arrives(stream, to);
	stream_sent(&sending);
}

/* Both channels at once, requests all in flight before the first reply. */
static void talk(struct world *world, struct cutting cutting)
{
	struct ends *ends = &world->ends;

	ends_open(ends, &world->rig);
	ends_negotiate(ends, rig_virtio(), rig_protocol());
	ends_channel(ends);
	ends_tell(ends, wire_request_state(WIRE_SET_VRING_NUM, 0, 1, 256));
	relay(&world->asked[WIRE_MAIN], cutting, &ends->front, &ends->back);
	relay(&world->asked[WIRE_BACKEND], cutting, &ends->back_channel, &ends->front_channel);
	relay(&world->answered[WIRE_MAIN], cutting, &ends->back, &ends->front);
	relay(&world->answered[WIRE_BACKEND], cutting, &ends->front_channel, &ends->back_channel);
	client_close(&ends->front);
	rig_closed(&ends->back);
	ends_close(ends);
}

static void a_long_session_passes_message_by_message(void **state)
{
	talk(*state, (struct cutting){.cut = CUT_WHOLE});
}

static void a_long_session_passes_byte_by_byte(void **state)
{
	talk(*state, (struct cutting){.cut = CUT_BYTES});
}

static void a_long_session_passes_with_each_message_in_two_parts(void **state)
{
	for (int at = -SPLIT_MOST; at <= SPLIT_MOST; at++)
		if (at != 0)
			talk(*state, (struct cutting){.cut = CUT_SPLIT, .at = at});
}

static void a_long_session_passes_glued_together(void **state)
{
	talk(*state, (struct cutting){.cut = CUT_GLUED});
}

static void a_long_session_passes_in_random_pieces(void **state)
{
	for (int seed = 1; seed <= SEEDS; seed++)
		talk(*state, (struct cutting){.cut = CUT_RANDOM, .at = seed});
}

static void no_descriptor_is_left_behind_by_all_of_it(void **state)
{
	struct world *world = *state;

	talk(world, (struct cutting){.cut = CUT_GLUED});
	talk(world, (struct cutting){.cut = CUT_RANDOM, .at = 99});
	daemon_wait_fds(&world->rig.daemon, world->idle);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)
	const struct CMUnitTest tests[] = {
	    CASE(a_long_session_passes_message_by_message),
	    CASE(a_long_session_passes_byte_by_byte),
	    CASE(a_long_session_passes_with_each_message_in_two_parts),
	    CASE(a_long_session_passes_glued_together),
	    CASE(a_long_session_passes_in_random_pieces),
	    CASE(no_descriptor_is_left_behind_by_all_of_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
