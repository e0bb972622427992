/* SPDX-License-Identifier: BSD-3-Clause */
#include "common/client.h"

#include "base/bytes.h"
#include "shell/fds.h"
#include "shell/sock.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* 1: ready, 0: the time is over. */
static int wait_for(int fd, short events, int64_t deadline)
{
	struct pollfd pollfd = {.fd = fd, .events = events};

	for (;;) {
		int64_t left = deadline - now_ms();
		int n = poll(&pollfd, 1, left > 0 ? (int)left : 0);

		if (n >= 0)
			return n;
		if (errno != EINTR)
			return -errno;
	}
}

int client_open(struct client *client, const char *path, int timeout_ms, struct diag *diag)
{
	int64_t deadline = now_ms() + timeout_ms;
	int fd = sock_connect(path, diag);

	/* A full backlog empties when the server accepts; there is nothing to poll for. */
	while (fd == -EAGAIN && now_ms() < deadline) {
		usleep(10000);
		fd = sock_connect(path, diag);
	}
	if (fd < 0)
		return fd;
	client_adopt(client, fd, WIRE_MAIN, timeout_ms);
	return CLIENT_OK;
}

void client_adopt(struct client *client, int fd, enum wire_channel channel, int timeout_ms)
{
	*client = (struct client){.fd = fd, .channel = channel, .timeout_ms = timeout_ms};
	client->frame.channel = channel;
}

void client_close(struct client *client)
{
	struct fdset fds;

	frame_abandon(&client->frame, &fds);
	fds_close(&fds);
	if (client->fd >= 0)
		close(client->fd);
	client->fd = -1;
}

static int send_all(struct client *client, struct wire_message *message, struct diag *diag)
{
	int64_t deadline = now_ms() + client->timeout_ms;
	char name[WIRE_NAME_MAX];
	size_t sent = 0;
	int result;

	while ((result = sock_send(client->fd, message, &sent)) == SOCK_AGAIN)
		if (wait_for(client->fd, POLLOUT, deadline) <= 0)
			return diag_set(diag, CLIENT_TIMEOUT, "%s: not taken within %d ms",
					wire_name(client->channel, message->header.id, name),
					client->timeout_ms);
	if (result == SOCK_CLOSED)
		return diag_set(diag, CLIENT_CLOSED, "%s: the other end closed the connection",
				wire_name(client->channel, message->header.id, name));
	if (result < 0)
		return diag_set(diag, result, "%s: can not send: %s",
				wire_name(client->channel, message->header.id, name),
				strerror(-result));
	return CLIENT_OK;
}

int client_send(struct client *client, struct wire_message *message, struct diag *diag)
{
	int result;

	if (!message)
		return diag_set(diag, -ENOMEM, "no memory for a message");
	result = send_all(client, message, diag);
	message_dispose(message);
	return result;
}

int client_receive(struct client *client, struct wire_message **message, struct diag *diag)
{
	int64_t deadline = now_ms() + client->timeout_ms;
	int result;

	while ((result = sock_receive(client->fd, &client->frame, diag)) == SOCK_AGAIN)
		if (wait_for(client->fd, POLLIN, deadline) <= 0)
			return diag_set(diag, CLIENT_TIMEOUT, "nothing came within %d ms",
					client->timeout_ms);
	if (result == SOCK_CLOSED)
		return diag_set(diag, CLIENT_CLOSED, "the other end closed the connection");
	if (result == SOCK_FAULT)
		return CLIENT_FAULT;
	if (result < 0)
		return diag_set(diag, result, "can not receive: %s", strerror(-result));
	*message = frame_take(&client->frame);
	return CLIENT_OK;
}

int client_call(struct client *client, struct wire_message *request, struct wire_message **reply,
		struct diag *diag)
{
	uint32_t id = request ? request->header.id : 0;
	char name[WIRE_NAME_MAX];
	struct diag why;
	int result = client_send(client, request, diag);

	if (result)
		return result;
	result = client_receive(client, reply, &why);
	if (result)
		return diag_set(diag, result, "%s: %s", wire_name(client->channel, id, name),
				why.text);
	if (wire_is_reply(*reply) && (*reply)->header.id == id)
		return CLIENT_OK;
	diag_set(diag, CLIENT_FAULT, "%s was answered by a message with id %u and flags 0x%x",
		 wire_name(client->channel, id, name), (*reply)->header.id, (*reply)->header.flags);
	*reply = message_dispose(*reply);
	return CLIENT_FAULT;
}

int client_call_u64(struct client *client, struct wire_message *request, uint64_t *value,
		    struct diag *diag)
{
	uint32_t id = request ? request->header.id : 0;
	struct wire_message *reply;
	char name[WIRE_NAME_MAX];
	int result = client_call(client, request, &reply, diag);

	if (result)
		return result;
	if (reply->header.size == sizeof(uint64_t))
		*value = bytes_load64(reply->payload);
	else
		result = diag_set(diag, CLIENT_FAULT, "%s was answered with %u bytes, it has 8",
				  wire_name(client->channel, id, name), reply->header.size);
	message_dispose(reply);
	return result;
}
