/* SPDX-License-Identifier: BSD-3-Clause */
/* Peers that go in the middle of a message, send garbage, or leave no descriptors to be had. */
#include "fault_rig.h"

#include "base/bytes.h"
#include "shell/fds.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define REGIONS       2u
#define TABLE         (WIRE_HEADER_SIZE + 8 + REGIONS * 32)
#define GARBAGE_SEEDS 150u
#define GARBAGE       600u

static size_t encode(uint8_t *bytes, uint32_t id, uint32_t flags, uint32_t size)
{
	struct wire_header header = {id, flags, size};

	memset(bytes, 0, WIRE_HEADER_SIZE + size);
	wire_header_encode(&header, bytes);
	return WIRE_HEADER_SIZE + size;
}

static void front_end_closing_at_any_byte_leaves_nothing(void **state)
{
	struct world *world = *state;
	struct daemon *daemon = &world->rig.daemon;
	uint8_t bytes[TABLE];

	encode(bytes, WIRE_SET_MEM_TABLE, WIRE_VERSION, TABLE - WIRE_HEADER_SIZE);
	bytes_store32(bytes + WIRE_HEADER_SIZE, REGIONS);
	for (size_t size = 1; size < TABLE; size++) {
		fault_begin(world);
		fault_send(&world->ends.front, bytes, size, REGIONS);
		client_close(&world->ends.front);
		rig_closed(&world->ends.back);
		ends_close(&world->ends);
		daemon_wait_log(daemon, world->from, "in the middle of a message", NULL);
		daemon_wait_fds(daemon, world->idle);
		assert_int_equal(daemon_count(daemon, world->from, " error: "), 0);
	}
	rig_serves(&world->rig);
}

static void back_end_closing_at_any_byte_closes_the_front_end(void **state)
{
	struct world *world = *state;
	struct daemon *daemon = &world->rig.daemon;
	uint8_t bytes[64];
	size_t whole = encode(bytes, WIRE_POSTCOPY_ADVISE, WIRE_VERSION | WIRE_FLAG_REPLY, 8);

	for (size_t size = 0; size < whole; size++) {
		fault_begin(world);
		ends_tell(&world->ends, wire_request(WIRE_POSTCOPY_ADVISE, 0));
		if (size)
			fault_send(&world->ends.back, bytes, size, 1);
		client_close(&world->ends.back);
		rig_closed(&world->ends.front);
		ends_close(&world->ends);
		daemon_wait_log(daemon, world->from,
				size ? "in the middle of a message: the daemon only watches"
				     : "closed its connection: the daemon only watches",
				NULL);
		daemon_wait_fds(daemon, world->idle);
		assert_int_equal(daemon_count(daemon, world->from, " error: "), 1);
	}
	rig_serves(&world->rig);
}

/* As that of a back-end that dies goes before its connection: the session stays. */
static void back_end_channel_closing_at_any_byte_leaves_the_session(void **state)
{
	struct world *world = *state;
	uint8_t bytes[64];
	size_t whole = encode(bytes, WIRE_BACKEND_SHMEM_MAP, WIRE_VERSION, 40);

	for (size_t size = 1; size < whole; size++) {
		fault_begin(world);
		fault_send(&world->ends.back_channel, bytes, size, 1);
		client_close(&world->ends.back_channel);
		daemon_wait_log(&world->rig.daemon, world->from, "in the middle of a message",
				NULL);
		ends_tell(&world->ends, wire_request_state(WIRE_SET_VRING_NUM, 0, 0, 64));
		/* The front-end's end stays for the next back-end, and has seen none of it. */
		assert_false(rig_ready(world->ends.front_channel.fd, POLLIN, 0));
		client_close(&world->ends.front);
		rig_closed(&world->ends.front_channel);
		rig_closed(&world->ends.back);
		ends_close(&world->ends);
		daemon_wait_fds(&world->rig.daemon, world->idle);
	}
}

/* Sends until it is refused, if ever: what garbage means is chance. */
static void send_garbage(struct client *client, uint32_t seed, bool plausible)
{
	uint8_t bytes[GARBAGE];
	size_t at = 0;

	for (size_t i = 0; i < sizeof(bytes); i++) {
		seed = seed * 1664525u + 1013904223u;
		bytes[i] = (uint8_t)(seed >> 16);
	}
	/* Headers that pass the framing, so that the checks behind it are met as well. */
	while (plausible && at + WIRE_HEADER_SIZE <= sizeof(bytes)) {
		uint32_t size = bytes[at + 8] % 41;

		bytes_store32(bytes + at, bytes[at] % 50);
		bytes_store32(bytes + at + 4,
			      WIRE_VERSION | (bytes[at + 4] & WIRE_FLAG_NEED_REPLY));
		bytes_store32(bytes + at + 8, size);
		at += WIRE_HEADER_SIZE + size;
	}
	fault_send(client, bytes, sizeof(bytes), seed % 3);
}

static void garbage_from_any_side_leaves_the_daemon_serving(void **state)
{
	struct world *world = *state;

	for (uint32_t seed = 0; seed < GARBAGE_SEEDS; seed++)
		for (unsigned int from = 0; from < PORT_COUNT; from++) {
			fault_begin(world);
			send_garbage(fault_sender(world, from), seed * PORT_COUNT + from, seed % 2);
			client_close(fault_sender(world, from));
			client_close(&world->ends.front);
			/* Whatever came through. */
			while (from != PORT_BACK_MAIN &&
			       rig_ready(world->ends.back.fd, POLLIN, RIG_MS)) {
				char bytes[4096];

				if (read(world->ends.back.fd, bytes, sizeof(bytes)) <= 0)
					break;
			}
			ends_close(&world->ends);
			daemon_wait_fds(&world->rig.daemon, world->idle);
		}
	rig_serves(&world->rig);
}

static void limit(const struct daemon *daemon, rlim_t most)
{
	struct rlimit limit = {.rlim_cur = most, .rlim_max = 1024};

	assert_int_equal(prlimit(daemon->pid, RLIMIT_NOFILE, &limit, NULL), 0);
}

/* The line and the waiting, not a loop that never sleeps. */
static void running_out_of_descriptors_is_survived(void **state)
{
	struct world *world = *state;
	struct daemon *daemon = &world->rig.daemon;
	size_t from = daemon_log_size(daemon);
	struct client front, back;
	unsigned long ticks;

	limit(daemon, 3);
	rig_front(&front, world->rig.front);
	daemon_wait_log(daemon, from, "Too many open files", NULL);
	ticks = daemon_ticks(daemon);
	assert_false(rig_ready(front.fd, POLLIN, RIG_QUIET));
	assert_in_range(daemon_ticks(daemon) - ticks, 0, RIG_TICKS);
	assert_in_range(daemon_count(daemon, from, "Too many open files"), 1, 10);
	limit(daemon, 1024);
	rig_accept(&back, world->rig.listener);
	rig_send(&front, wire_request(WIRE_GET_FEATURES, 0));
	message_dispose(rig_receive(&back, WIRE_GET_FEATURES));
	client_close(&front);
	rig_closed(&back);
	client_close(&back);
	daemon_wait_fds(daemon, world->idle);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, fault_open, fault_close)
	const struct CMUnitTest tests[] = {
	    CASE(front_end_closing_at_any_byte_leaves_nothing),
	    CASE(back_end_closing_at_any_byte_closes_the_front_end),
	    CASE(back_end_channel_closing_at_any_byte_leaves_the_session),
	    CASE(garbage_from_any_side_leaves_the_daemon_serving),
	    CASE(running_out_of_descriptors_is_survived),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
