/* SPDX-License-Identifier: BSD-3-Clause */
#include "fault_rig.h"

#include "base/bytes.h"
#include "shell/fds.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define FDS_MOST 64

int fault_open(void **state)
{
	struct world *world = calloc(1, sizeof(*world));

	*state = world;
	rig_open(&world->rig, true);
	rig_start(&world->rig, "--data-path=direct --synthesize=none");
	world->idle = daemon_fds(&world->rig.daemon);
	return 0;
}

int fault_close(void **state)
{
	struct world *world = *state;

	rig_close(&world->rig);
	free(world);
	return 0;
}

void fault_begin(struct world *world)
{
	struct ends *ends = &world->ends;

	world->from = daemon_log_size(&world->rig.daemon);
	ends_open(ends, &world->rig);
	ends_negotiate(ends, rig_virtio(), rig_protocol() & ~WIRE_BIT(WIRE_PF_MTU));
	ends_ask(ends, WIRE_GET_QUEUE_NUM, 2);
	ends_channel(ends);
}

struct client *fault_sender(struct world *world, enum session_port from)
{
	struct ends *ends = &world->ends;

	switch (from) {
	case PORT_FRONT_MAIN:
		return &ends->front;
	case PORT_BACK_MAIN:
		return &ends->back;
	case PORT_FRONT_BACKEND:
		return &ends->front_channel;
	default:
		return &ends->back_channel;
	}
}

void fault_send(struct client *client, const void *bytes, size_t size, unsigned int fds)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(FDS_MOST * sizeof(int))];
	} control = {.bytes = {0}};
	struct iovec iov = {.iov_base = (void *)bytes, .iov_len = size};
	struct msghdr header = {.msg_iov = &iov, .msg_iovlen = 1};
	int file = rig_file(1);

	if (fds) {
		struct cmsghdr *c;

		header.msg_control = control.bytes;
		header.msg_controllen = CMSG_SPACE(fds * sizeof(int));
		c = CMSG_FIRSTHDR(&header);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(fds * sizeof(int));
		for (unsigned int i = 0; i < fds; i++)
			memcpy(CMSG_DATA(c) + i * sizeof(int), &file, sizeof(int));
	}
	assert_int_equal(sendmsg(client->fd, &header, MSG_NOSIGNAL), size);
	close(file);
}

/* The other end asks; nobody has answered when the bad message comes. */
static void ask(struct world *world, const struct bad *bad)
{
	bool main = bad->from == PORT_FRONT_MAIN || bad->from == PORT_BACK_MAIN;
	struct client *asks = main ? &world->ends.front : &world->ends.back_channel;
	struct client *answers = main ? &world->ends.back : &world->ends.front_channel;
	const struct wire_row *row = wire_row(main ? WIRE_MAIN : WIRE_BACKEND, bad->pending);
	uint32_t size = wire_payload(row->payload)->most;
	struct wire_message *message =
	    wire_message_new(row->id, WIRE_VERSION | WIRE_FLAG_NEED_REPLY, size);

	rig_send(asks, message);
	message_dispose(rig_receive(answers, bad->pending));
}

void fault_send_bad(struct world *world, const struct bad *bad)
{
	struct wire_header header = {bad->id, bad->flags, bad->size};
	uint8_t bytes[WIRE_HEADER_SIZE + WIRE_PAYLOAD_MAX] = {0};
	size_t payload = bad->size > WIRE_PAYLOAD_MAX ? 0 : bad->size;
	size_t given = payload < sizeof(bad->payload) ? payload : sizeof(bad->payload);

	if (bad->pending)
		ask(world, bad);
	wire_header_encode(&header, bytes);
	memcpy(bytes + WIRE_HEADER_SIZE, bad->payload, given);
	fault_send(fault_sender(world, bad->from), bytes, WIRE_HEADER_SIZE + payload, bad->fds);
}

void fault_ends(struct world *world, const char *peer, const char *rule)
{
	struct daemon *daemon = &world->rig.daemon;
	char line[RIG_LINE];
	size_t next;

	daemon_wait_log(daemon, world->from, " error: ", line);
	if (!strstr(line, peer) || !strstr(line, rule))
		fail_msg("the line should name \"%s\" and \"%s\": %s", peer, rule, line);
	rig_closed(&world->ends.front);
	rig_closed(&world->ends.back);
	rig_closed(&world->ends.front_channel);
	rig_closed(&world->ends.back_channel);
	ends_close(&world->ends);
	daemon_wait_fds(daemon, world->idle);
	next = daemon_log_size(daemon);
	rig_serves(&world->rig);
	/* Its last line: everything before has been read by then. */
	daemon_wait_log(daemon, next, "closed its connection", NULL);
	assert_int_equal(daemon_count(daemon, world->from, " error: "), 1);
	daemon_wait_fds(daemon, world->idle);
}

void fault_case(struct world *world, const struct bad *bad)
{
	static const char *const peers[PORT_COUNT] = {
	    [PORT_FRONT_MAIN] = " error: front-end /",
	    [PORT_BACK_MAIN] = " error: back-end /",
	    [PORT_FRONT_BACKEND] = " error: front-end on the back-end channel /",
	    [PORT_BACK_BACKEND] = " error: back-end on the back-end channel /",
	};

	fault_begin(world);
	fault_send_bad(world, bad);
	fault_ends(world, peers[bad->from], bad->rule);
}
