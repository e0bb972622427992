/* SPDX-License-Identifier: BSD-3-Clause */
/* The front-end and the back-end that a test plays. */
#include "daemon_rig.h"

#include "base/bytes.h"
#include "shell/fds.h"
#include "shell/sock.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

void rig_adopt(struct client *client, int fd, enum wire_channel channel)
{
	client_adopt(client, fd, channel, RIG_MS);
}

void rig_front(struct client *front, const char *path)
{
	struct diag diag;

	if (client_open(front, path, RIG_MS, &diag))
		fail_msg("%s", diag.text);
}

void rig_accept(struct client *back, int listener)
{
	int fd;

	if (!rig_ready(listener, POLLIN, RIG_MS))
		fail_msg("nobody connected to the back-end");
	fd = sock_accept(listener);
	assert_true(fd >= 0);
	rig_adopt(back, fd, WIRE_MAIN);
}

void ends_open(struct ends *ends, struct rig *rig)
{
	*ends = (struct ends){.front_channel = {.fd = -1}, .back_channel = {.fd = -1}};
	rig_front(&ends->front, rig->front);
	rig_accept(&ends->back, rig->listener);
}

void ends_close(struct ends *ends)
{
	client_close(&ends->front);
	client_close(&ends->back);
	client_close(&ends->front_channel);
	client_close(&ends->back_channel);
}

uint64_t rig_virtio(void)
{
	return wire_virtio_known() &
	       ~(WIRE_BIT(WIRE_F_ORDER_PLATFORM) | WIRE_BIT(WIRE_F_NOTIFICATION_DATA) |
		 WIRE_BIT(WIRE_F_ADMIN_VQ));
}

uint64_t rig_protocol(void)
{
	return wire_protocol_known() & ~RIG_NEVER;
}

void rig_send(struct client *client, struct wire_message *message)
{
	struct diag diag;

	if (client_send(client, message, &diag))
		fail_msg("%s", diag.text);
}

struct wire_message *rig_receive(struct client *client, uint32_t id)
{
	struct wire_message *message;
	char want[WIRE_NAME_MAX], got[WIRE_NAME_MAX];
	struct diag diag;

	if (client_receive(client, &message, &diag))
		fail_msg("waiting for %s: %s", wire_name(client->channel, id, want), diag.text);
	if (message->header.id != id)
		fail_msg("%s came, not %s", wire_name(client->channel, message->header.id, got),
			 wire_name(client->channel, id, want));
	return message;
}

uint64_t ends_ask(struct ends *ends, uint32_t id, uint64_t answer)
{
	struct wire_message *reply;
	uint64_t value;

	rig_send(&ends->front, wire_request(id, 0));
	message_dispose(rig_receive(&ends->back, id));
	rig_send(&ends->back, wire_reply_u64(id, answer));
	reply = rig_receive(&ends->front, id);
	assert_int_equal(reply->header.size, 8);
	value = bytes_load64(reply->payload);
	message_dispose(reply);
	return value;
}

void ends_tell(struct ends *ends, struct wire_message *request)
{
	uint32_t id = request->header.id;

	rig_send(&ends->front, request);
	message_dispose(rig_receive(&ends->back, id));
}

void ends_negotiate(struct ends *ends, uint64_t virtio, uint64_t protocol)
{
	uint64_t shown = ends_ask(ends, WIRE_GET_FEATURES, virtio);
	uint64_t shown_protocol = ends_ask(ends, WIRE_GET_PROTOCOL_FEATURES, protocol);

	ends_tell(ends, wire_request_u64(WIRE_SET_PROTOCOL_FEATURES, 0, shown_protocol));
	ends_tell(ends, wire_request(WIRE_SET_OWNER, 0));
	ends_tell(ends, wire_request_u64(WIRE_SET_FEATURES, 0, shown));
}

void ends_channel(struct ends *ends)
{
	struct wire_message *request = wire_request(WIRE_SET_BACKEND_REQ_FD, 0);
	struct fd_entry entry;
	int pair[2];

	assert_return_code(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair),
			   errno);
	fds_look(&entry, pair[1]);
	assert_int_equal(fdset_push(&request->fds, &entry), 0);
	rig_send(&ends->front, request);
	request = rig_receive(&ends->back, WIRE_SET_BACKEND_REQ_FD);
	assert_int_equal(request->fds.count, 1);
	rig_adopt(&ends->front_channel, pair[0], WIRE_BACKEND);
	rig_adopt(&ends->back_channel, fdset_steal(&request->fds, 0), WIRE_BACKEND);
	message_dispose(request);
}

void rig_closed(struct client *client)
{
	struct wire_message *message;
	struct diag diag;
	int result = client_receive(client, &message, &diag);

	if (result == CLIENT_OK)
		fail_msg("message %u came where the end was due", message->header.id);
	if (result != CLIENT_CLOSED)
		fail_msg("the connection was not closed: %s", diag.text);
}

void rig_serves(struct rig *rig)
{
	struct ends ends;

	ends_open(&ends, rig);
	ends_negotiate(&ends, rig_virtio(), rig_protocol());
	ends_tell(&ends, wire_request_state(WIRE_SET_VRING_NUM, 0, 0, 256));
	client_close(&ends.front);
	rig_closed(&ends.back);
	ends_close(&ends);
}
