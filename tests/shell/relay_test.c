/* SPDX-License-Identifier: BSD-3-Clause */
/* Every message of the table through the daemon, byte for byte, with its descriptors. */
#include "daemon_table.h"

#include "base/bytes.h"
#include "shell/fds.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define WATCHING "--data-path=direct --synthesize=none"

struct world {
	struct rig rig;
	struct ends ends;
	unsigned int rows;
};

static int open_world(void **state)
{
	struct world *world = calloc(1, sizeof(*world));

	*state = world;
	rig_open(&world->rig, true);
	rig_start(&world->rig, WATCHING);
	return 0;
}

static int close_world(void **state)
{
	struct world *world = *state;

	rig_close(&world->rig);
	free(world);
	return 0;
}

/* Each row has a session of its own: what one message settles can not hide another's fault. */
static struct wire_agreement begin_with(struct world *world, enum wire_channel channel,
					uint64_t offered)
{
	struct wire_agreement agreement = legal_agreement();

	ends_open(&world->ends, &world->rig);
	ends_negotiate(&world->ends, rig_virtio(), offered);
	if (channel == WIRE_BACKEND)
		ends_channel(&world->ends);
	agreement.virtio_acked = agreement.virtio_offered = rig_virtio();
	agreement.protocol_acked = rig_protocol();
	return agreement;
}

static struct wire_agreement begin(struct world *world, enum wire_channel channel)
{
	return begin_with(world, channel, rig_protocol());
}

static void finish(struct world *world)
{
	client_close(&world->ends.front);
	rig_closed(&world->ends.back);
	ends_close(&world->ends);
}

static void pass(struct client *from, struct client *to, struct wire_message *message)
{
	struct expected expected;

	expected_note(&expected, from->channel, message);
	rig_send(from, message);
	expected_same(&expected, rig_receive(to, expected.header.id));
}

/* A ring the back-end never heard of is answered by the daemon. */
static void name_ring(struct ends *ends, const struct wire_row *row)
{
	if (row->id == WIRE_GET_VRING_BASE)
		ends_tell(ends, wire_request_state(WIRE_SET_VRING_NUM, 0, 1, 256));
}

static bool passes(enum wire_channel channel, const struct wire_row *row)
{
	return legal_is_request(channel, row) && !table_never(row) &&
	       !(channel == WIRE_MAIN && row->id == WIRE_SET_BACKEND_REQ_FD);
}

static void both_ends(struct world *world, enum wire_channel channel, struct client **asks,
		      struct client **answers)
{
	*asks = channel == WIRE_MAIN ? &world->ends.front : &world->ends.back_channel;
	*answers = channel == WIRE_MAIN ? &world->ends.back : &world->ends.front_channel;
}

static void pass_row(enum wire_channel channel, const struct wire_row *row, void *context)
{
	struct world *world = context;
	struct wire_agreement agreement;
	struct wire_message *request;
	struct client *asks, *answers;

	if (!passes(channel, row))
		return;
	agreement = begin(world, channel);
	both_ends(world, channel, &asks, &answers);
	name_ring(&world->ends, row);
	request = table_request(row, &agreement);
	request->header.flags |= WIRE_FLAG_NEED_REPLY;
	pass(asks, answers, request);
	pass(answers, asks, table_reply(row, &agreement));
	finish(world);
	world->rows++;
}

static void every_request_and_its_reply_pass_untouched(void **state)
{
	struct world *world = *state;
	unsigned int kept_back = 2; /* NONE is no request, SET_BACKEND_REQ_FD has a test */

	legal_each(pass_row, world);
	for (uint32_t id = 0; id < WIRE_FRONT_COUNT; id++)
		kept_back += table_never(wire_row(WIRE_MAIN, id));
	for (uint32_t id = 1; id < WIRE_BACK_COUNT; id++)
		kept_back += table_never(wire_row(WIRE_BACKEND, id));
	assert_int_equal(world->rows + kept_back, WIRE_FRONT_COUNT + WIRE_BACK_COUNT - 1);
}

/* Without NEED_REPLY: nothing comes back, and the next message follows at once. */
static void pass_quietly(enum wire_channel channel, const struct wire_row *row, void *context)
{
	struct world *world = context;
	struct wire_agreement agreement;
	struct client *asks, *answers;

	if (!passes(channel, row) || row->reply == WIRE_REPLY_ALWAYS ||
	    row->reply == WIRE_REPLY_LOG)
		return;
	agreement = begin(world, channel);
	both_ends(world, channel, &asks, &answers);
	pass(asks, answers, table_request(row, &agreement));
	assert_int_equal(ends_ask(&world->ends, WIRE_GET_FEATURES, rig_virtio()), rig_virtio());
	finish(world);
	world->rows++;
}

static void every_request_without_reply_passes_untouched(void **state)
{
	struct world *world = *state;

	legal_each(pass_quietly, world);
	assert_true(world->rows > 30);
}

static void refuse_row(enum wire_channel channel, const struct wire_row *row, void *context)
{
	struct world *world = context;
	struct wire_agreement agreement;
	struct client *asks, *answers;
	char want[WIRE_NAME_MAX + 32];
	size_t from = daemon_log_size(&world->rig.daemon);

	if (!table_never(row))
		return;
	/* The back-end has them all, the front-end takes whatever it is shown. */
	agreement = begin_with(world, channel, rig_protocol() | RIG_NEVER);
	both_ends(world, channel, &asks, &answers);
	rig_send(asks, table_request(row, &agreement));
	snprintf(want, sizeof(want), "%s was not negotiated", row->name);
	daemon_wait_log(&world->rig.daemon, from, want, NULL);
	rig_closed(&world->ends.front);
	rig_closed(&world->ends.back);
	ends_close(&world->ends);
	world->rows++;
}

static void rows_of_bits_never_offered_are_refused_by_name(void **state)
{
	struct world *world = *state;

	legal_each(refuse_row, world);
	assert_int_equal(world->rows, 4);
}

/* The second shapes a message may have: the descriptor is optional, or a bit says there is none. */
static void optional_descriptors_pass_and_may_be_missing(void **state)
{
	struct world *world = *state;
	struct wire_agreement agreement = begin(world, WIRE_BACKEND);
	struct ends *ends = &world->ends;

	for (uint32_t id = WIRE_SET_VRING_KICK; id <= WIRE_SET_VRING_ERR; id++)
		pass(&ends->front, &ends->back, wire_request_u64(id, 0, WIRE_RING_NOFD | 1));
	for (unsigned int fds = 0; fds <= 1; fds++) {
		const struct wire_row *row = wire_row(WIRE_MAIN, WIRE_REM_MEM_REG);
		struct wire_message *message = table_request(row, &agreement);

		table_files(message, fds);
		pass(&ends->front, &ends->back, message);
	}
	finish(world);
}

static void memory_messages_of_postcopy_pass_with_their_own_replies(void **state)
{
	static const uint32_t ids[] = {WIRE_SET_MEM_TABLE, WIRE_ADD_MEM_REG};
	struct world *world = *state;
	struct wire_agreement agreement = begin(world, WIRE_MAIN);
	struct ends *ends = &world->ends;

	pass(&ends->front, &ends->back, wire_request(WIRE_POSTCOPY_LISTEN, 0));
	agreement.postcopy_listening = true;
	for (unsigned int i = 0; i < 2; i++) {
		const struct wire_row *row = wire_row(WIRE_MAIN, ids[i]);

		pass(&ends->front, &ends->back, table_request(row, &agreement));
		pass(&ends->back, &ends->front, table_reply(row, &agreement));
	}
	finish(world);
}

static void back_end_channel_socket_is_replaced_by_one_that_carries_it(void **state)
{
	struct world *world = *state;
	struct wire_agreement agreement = begin(world, WIRE_BACKEND);
	struct ends *ends = &world->ends;
	const struct wire_row *row = wire_row(WIRE_BACKEND, WIRE_BACKEND_SHARED_OBJECT_LOOKUP);
	struct stat front, back;

	fstat(ends->front_channel.fd, &front);
	fstat(ends->back_channel.fd, &back);
	assert_int_not_equal(front.st_ino, back.st_ino);
	pass(&ends->back_channel, &ends->front_channel, table_request(row, &agreement));
	pass(&ends->front_channel, &ends->back_channel, table_reply(row, &agreement));
	/* QEMU closes it alone after an error there: the main channel goes on. */
	client_close(&ends->front_channel);
	rig_closed(&ends->back_channel);
	ends_tell(ends, wire_request_state(WIRE_SET_VRING_NUM, 0, 1, 256));
	finish(world);
}

static void back_end_channel_can_be_given_anew(void **state)
{
	struct world *world = *state;
	struct wire_agreement agreement = begin(world, WIRE_BACKEND);
	struct ends *ends = &world->ends;
	const struct wire_row *row = wire_row(WIRE_BACKEND, WIRE_BACKEND_CONFIG_CHANGE_MSG);
	struct client old_front = ends->front_channel, old_back = ends->back_channel;

	ends_channel(ends);
	rig_closed(&old_front);
	rig_closed(&old_back);
	pass(&ends->back_channel, &ends->front_channel, table_request(row, &agreement));
	client_close(&old_front);
	client_close(&old_back);
	finish(world);
}

static void unknown_message_passes_with_its_descriptors_and_one_warning(void **state)
{
	struct world *world = *state;
	size_t from = daemon_log_size(&world->rig.daemon);
	struct client *asks, *answers;

	begin(world, WIRE_BACKEND);
	for (unsigned int i = 0; i < 4; i++) {
		struct wire_message *message =
		    wire_message_new(1000 + i, WIRE_VERSION | WIRE_FLAG_NEED_REPLY, 100 * i);

		both_ends(world, i < 2 ? WIRE_MAIN : WIRE_BACKEND, &asks, &answers);
		memset(message->payload, 0x5a, message->header.size);
		table_files(message, 3);
		pass(asks, answers, message);
		message = wire_message_new(1000 + i, WIRE_VERSION | WIRE_FLAG_REPLY, 30);
		table_files(message, 2);
		pass(answers, asks, message);
	}
	finish(world);
	/* The last line: those before it have been read by then. */
	daemon_wait_log(&world->rig.daemon, from, "closed its connection", NULL);
	/* One for each channel. */
	assert_int_equal(daemon_count(&world->rig.daemon, from, "is in no specification"), 2);
	assert_int_equal(daemon_count(&world->rig.daemon, from, " warn: "), 2);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)
	const struct CMUnitTest tests[] = {
	    CASE(every_request_and_its_reply_pass_untouched),
	    CASE(every_request_without_reply_passes_untouched),
	    CASE(rows_of_bits_never_offered_are_refused_by_name),
	    CASE(optional_descriptors_pass_and_may_be_missing),
	    CASE(memory_messages_of_postcopy_pass_with_their_own_replies),
	    CASE(back_end_channel_socket_is_replaced_by_one_that_carries_it),
	    CASE(back_end_channel_can_be_given_anew),
	    CASE(unknown_message_passes_with_its_descriptors_and_one_warning),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
