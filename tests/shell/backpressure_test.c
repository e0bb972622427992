/* SPDX-License-Identifier: BSD-3-Clause */
/* A peer that does not read: the daemon holds little, waits, and loses nothing. */
#include "daemon_rig.h"

#include "base/bytes.h"
#include "shell/fds.h"
#include "shell/sock.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FLOOD_MOST   200000u /* messages; far more than any buffer on the way has room for */
#define FLOOD_LEAST  200u
#define EACH_FD      5 /* every fifth message carries a descriptor */
#define GROWTH       (RIG_SANITIZED ? 24ul * 1024 : 2ul * 1024) /* KiB */
#define FDS_HELD     128u
#define CONFIG_BYTES 256u

struct world {
	struct rig rig;
	struct ends ends;
	int file;
	unsigned int idle;
	unsigned long memory;
};

static int open_world(void **state)
{
	struct world *world = calloc(1, sizeof(*world));

	*state = world;
	rig_open(&world->rig, true);
	rig_start(&world->rig, "--data-path=direct --synthesize=none");
	world->idle = daemon_fds(&world->rig.daemon);
	world->file = rig_file(1);
	rig_serves(&world->rig);
	ends_open(&world->ends, &world->rig);
	ends_negotiate(&world->ends, rig_virtio(), rig_protocol());
	ends_channel(&world->ends);
	world->memory = daemon_memory_kb(&world->rig.daemon, "Anonymous");
	return 0;
}

static int close_world(void **state)
{
	struct world *world = *state;

	ends_close(&world->ends);
	daemon_wait_fds(&world->rig.daemon, world->idle);
	rig_close(&world->rig);
	close(world->file);
	free(world);
	return 0;
}

/* The number goes where the layout has a free u32; every fifth has a file with it. */
static struct wire_message *numbered(const struct world *world, uint32_t number)
{
	struct wire_message *message = wire_request_state(WIRE_SET_VRING_BASE, 0, 1, number);
	struct fd_entry entry;

	if (number % EACH_FD == 0) {
		wire_message_free(message);
		message = wire_message_new(WIRE_SET_INFLIGHT_FD, WIRE_VERSION, 24);
		bytes_store32(message->payload, number);
		fds_look(&entry, dup(world->file));
		fdset_push(&message->fds, &entry);
	}
	return message;
}

/* The same on the back-end channel. */
static struct wire_message *numbered_back(const struct world *world, uint32_t number)
{
	struct wire_message *message = wire_message_new(WIRE_BACKEND_SHMEM_MAP, WIRE_VERSION, 40);
	struct fd_entry entry;

	if (number % EACH_FD != 0)
		message->header.id = WIRE_BACKEND_SHMEM_UNMAP;
	bytes_store32(message->payload + 8, number);
	if (message->header.id == WIRE_BACKEND_SHMEM_MAP) {
		fds_look(&entry, dup(world->file));
		fdset_push(&message->fds, &entry);
	}
	return message;
}

typedef struct wire_message *(*number_fn)(const struct world *world, uint32_t number);

/* True: it was taken whole; false: nobody takes any more. */
static bool offer(struct client *to, struct wire_message *message, size_t *sent)
{
	int result;

	while ((result = sock_send(to->fd, message, sent)) == SOCK_AGAIN)
		if (!rig_ready(to->fd, POLLOUT, RIG_QUIET))
			return false;
	assert_int_equal(result, SOCK_WHOLE);
	message_dispose(message);
	return true;
}

static void check_held(const struct world *world)
{
	unsigned long now = daemon_memory_kb(&world->rig.daemon, "Anonymous");

	if (now > world->memory + GROWTH)
		fail_msg("the daemon grew from %lu to %lu KiB", world->memory, now);
	assert_true(daemon_fds(&world->rig.daemon) < world->idle + FDS_HELD);
}

static void check_number(const struct world *world, number_fn make, uint32_t number,
			 struct wire_message *got)
{
	struct wire_message *want = make(world, number);

	assert_int_equal(got->header.id, want->header.id);
	assert_int_equal(got->header.size, want->header.size);
	assert_memory_equal(got->payload, want->payload, want->header.size);
	assert_int_equal(got->fds.count, want->fds.count);
	if (got->fds.count)
		assert_true(fd_entry_same_file(&got->fds.entries[0], &want->fds.entries[0]));
	message_dispose(want);
	message_dispose(got);
}

static struct wire_message *receive(struct client *client)
{
	struct wire_message *message;
	struct diag diag;

	if (client_receive(client, &message, &diag))
		fail_msg("%s", diag.text);
	return message;
}

/* Until nothing more is taken; then all of it is read, and the rest of the last one sent. */
static void flood(struct world *world, number_fn make, struct client *from, struct client *to)
{
	struct wire_message *last = NULL;
	uint32_t count = 0, read = 0;
	size_t sent = 0;

	for (; count < FLOOD_MOST; count++, sent = 0) {
		last = make(world, count);
		if (!offer(from, last, &sent))
			break;
	}
	assert_in_range(count, FLOOD_LEAST, FLOOD_MOST - 1);
	check_held(world);
	while (read < count - 1)
		check_number(world, make, read++, receive(to));
	assert_true(offer(from, last, &sent));
	for (; read <= count; read++)
		check_number(world, make, read, receive(to));
	check_held(world);
}

static void a_back_end_that_does_not_read_stops_the_front_end(void **state)
{
	struct world *world = *state;

	flood(world, numbered, &world->ends.front, &world->ends.back);
}

static void a_front_end_that_does_not_read_its_back_end_channel_stops_the_back_end(void **state)
{
	struct world *world = *state;

	flood(world, numbered_back, &world->ends.back_channel, &world->ends.front_channel);
}

static void a_back_end_that_never_reads_leaves_the_other_channel_running(void **state)
{
	struct world *world = *state;
	struct wire_message *last = NULL;
	uint32_t count = 0;
	size_t sent = 0;

	for (; count < FLOOD_MOST; count++, sent = 0) {
		last = numbered(world, count);
		if (!offer(&world->ends.front, last, &sent))
			break;
	}
	for (uint32_t i = 0; i < 1000; i++) {
		rig_send(&world->ends.back_channel, numbered_back(world, i));
		check_number(world, numbered_back, i, receive(&world->ends.front_channel));
	}
	message_dispose(last);
}

/* The replies, big ones: requests are asked while any go in, and no reply is read. */
struct asking {
	struct client *asks, *answers;
	uint32_t id, asked, answered;
	bool reply_has_fd;
	struct wire_message *question, *answer;
	size_t question_sent, answer_sent;
};

static struct wire_message *question(const struct asking *asking)
{
	if (asking->id == WIRE_GET_CONFIG && asking->asks->channel == WIRE_MAIN)
		return wire_request_config(WIRE_GET_CONFIG, 0, 0, CONFIG_BYTES, 0,
					   (const uint8_t[CONFIG_BYTES]){0});
	return wire_message_new(asking->id, WIRE_VERSION, 16);
}

static struct wire_message *answer(const struct world *world, const struct asking *asking)
{
	struct wire_message *message = question(asking);
	struct fd_entry entry;

	message->header.flags |= WIRE_FLAG_REPLY;
	if (asking->reply_has_fd) {
		message->header.size = 8;
		fds_look(&entry, dup(world->file));
		fdset_push(&message->fds, &entry);
	}
	bytes_store32(message->payload + message->header.size - 4, asking->answered);
	return message;
}

/* True: a step was made. */
static bool ask_more(struct asking *asking)
{
	if (!asking->question)
		asking->question = question(asking);
	if (sock_send(asking->asks->fd, asking->question, &asking->question_sent) == SOCK_AGAIN)
		return false;
	asking->question = message_dispose(asking->question);
	asking->question_sent = 0;
	asking->asked++;
	return true;
}

static bool answer_more(struct world *world, struct asking *asking)
{
	struct diag diag;

	if (!asking->answer) {
		if (sock_receive(asking->answers->fd, &asking->answers->frame, &diag) != SOCK_WHOLE)
			return false;
		message_dispose(frame_take(&asking->answers->frame));
		asking->answer = answer(world, asking);
	}
	if (sock_send(asking->answers->fd, asking->answer, &asking->answer_sent) == SOCK_AGAIN)
		return false;
	asking->answer = message_dispose(asking->answer);
	asking->answer_sent = 0;
	asking->answered++;
	return true;
}

/* Nothing can be asked and nothing answered, and that for RIG_QUIET ms. */
static bool stuck(const struct asking *asking)
{
	struct pollfd fds[2] = {
	    {.fd = asking->asks->fd, .events = POLLOUT},
	    {.fd = asking->answers->fd, .events = asking->answer ? POLLOUT : POLLIN},
	};

	return poll(fds, 2, RIG_QUIET) == 0;
}

static void flood_replies(struct world *world, struct asking asking)
{
	struct wire_message *got;
	uint32_t read;

	while (asking.asked < FLOOD_MOST) {
		bool moved = ask_more(&asking);

		moved |= answer_more(world, &asking);
		if (!moved && stuck(&asking))
			break;
	}
	assert_in_range(asking.answered, FLOOD_LEAST, FLOOD_MOST - 1);
	check_held(world);
	/* Each reply that is read makes room for the next, until all are answered. */
	for (read = 0; read < asking.asked; read++) {
		while (!rig_ready(asking.asks->fd, POLLIN, 0) && answer_more(world, &asking))
			;
		got = receive(asking.asks);
		assert_int_equal(got->header.id, asking.id);
		assert_int_equal(bytes_load32(got->payload + got->header.size - 4), read);
		assert_int_equal(got->fds.count, asking.reply_has_fd);
		message_dispose(got);
		answer_more(world, &asking);
	}
	check_held(world);
	message_dispose(asking.question);
	message_dispose(asking.answer);
}

static void a_front_end_that_does_not_read_stops_the_back_end(void **state)
{
	struct world *world = *state;

	flood_replies(world, (struct asking){.asks = &world->ends.front,
					     .answers = &world->ends.back,
					     .id = WIRE_GET_CONFIG});
}

static void a_back_end_that_does_not_read_its_channel_stops_the_front_end(void **state)
{
	struct world *world = *state;

	flood_replies(world, (struct asking){.asks = &world->ends.back_channel,
					     .answers = &world->ends.front_channel,
					     .id = WIRE_BACKEND_SHARED_OBJECT_LOOKUP,
					     .reply_has_fd = true});
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)
	const struct CMUnitTest tests[] = {
	    CASE(a_back_end_that_does_not_read_stops_the_front_end),
	    CASE(a_front_end_that_does_not_read_its_back_end_channel_stops_the_back_end),
	    CASE(a_back_end_that_never_reads_leaves_the_other_channel_running),
	    CASE(a_front_end_that_does_not_read_stops_the_back_end),
	    CASE(a_back_end_that_does_not_read_its_channel_stops_the_front_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
