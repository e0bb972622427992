/* SPDX-License-Identifier: BSD-3-Clause */
#include "backend/server.h"

#include "base/bytes.h"
#include "shell/fds.h"
#include "shell/sock.h"
#include "wire/features.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SEND_TIMEOUT_MS 5000
#define POLLS_FIXED     2u
#define REFUSED         1 /* the front-end broke a rule */

int server_open(struct server **server, const struct options *options, struct diag *diag)
{
	struct server *made = calloc(1, sizeof(*made));
	int result;

	if (!made)
		return diag_set(diag, -ENOMEM, "no memory");
	made->options = options;
	made->device.options = options;
	for (unsigned int i = 0; i < WIRE_QUEUES_MAX; i++)
		queue_init(&made->queues[i], i);
	result = blk_open(&made->device.blk, options->file, options->size, diag);
	if (result) {
		free(made);
		return result;
	}
	*server = made;
	return 0;
}

void server_free(struct server *server)
{
	if (!server)
		return;
	close(server->device.blk.fd);
	free(server);
}

static int reply(struct server *server, const struct wire_message *request, struct diag *diag)
{
	if (wire_reply_expected(WIRE_MAIN, &server->agreement, request) != WIRE_EXPECT_REPLY)
		return 0;
	if (!server->reply)
		server->reply = wire_reply_u64(request->header.id, 0);
	return client_send(&server->main, server->reply, diag);
}

static int take_request(struct server *server, struct wire_message *request, struct diag *diag)
{
	char name[WIRE_NAME_MAX];
	int result;

	if (wire_is_reply(request))
		return diag_set(diag, REFUSED, "%s: a reply, and nothing was asked",
				wire_name(WIRE_MAIN, request->header.id, name));
	result = wire_check_request(WIRE_MAIN, &server->agreement, request, diag);
	if (result == WIRE_UNKNOWN)
		return diag_set(diag, REFUSED, "%s",
				wire_name(WIRE_MAIN, request->header.id, name));
	if (result)
		return result;
	server->reply = NULL;
	result = handle(server, request, diag);
	return result ? result : reply(server, request, diag);
}

static int receive(struct server *server, bool *closed, struct diag *diag)
{
	struct wire_message *request;
	int result = sock_receive(server->main.fd, &server->main.frame, diag);

	*closed = result == SOCK_CLOSED;
	if (result == SOCK_AGAIN || result == SOCK_CLOSED)
		return 0;
	if (result != SOCK_WHOLE)
		return result > 0
			   ? result
			   : diag_set(diag, REFUSED, "can not receive: %s", strerror(-result));
	request = frame_take(&server->main.frame);
	result = take_request(server, request, diag);
	message_dispose(request);
	return result;
}

/* The only thing that is expected here is the answer to the config change. */
static int receive_backend(struct server *server, struct diag *diag)
{
	struct wire_message *message;
	int result = sock_receive(server->backend.fd, &server->backend.frame, diag);

	if (result == SOCK_AGAIN)
		return 0;
	if (result != SOCK_WHOLE) {
		client_close(&server->backend);
		return 0;
	}
	message = frame_take(&server->backend.frame);
	if (!server->announced || !wire_is_reply(message) ||
	    message->header.id != WIRE_BACKEND_CONFIG_CHANGE_MSG || message->header.size != 8 ||
	    bytes_load64(message->payload) != 0)
		result = diag_set(diag, REFUSED,
				  "back-end channel: message %u with flags 0x%x is no "
				  "acknowledgement of the config change",
				  message->header.id, message->header.flags);
	else
		result = 0;
	server->announced = false;
	message_dispose(message);
	return result;
}

static bool active(const struct queue *queue)
{
	return queue->started && queue->enabled;
}

static int run_queues(struct server *server, uint64_t *due, struct diag *diag)
{
	int result = 0;

	*due = UINT64_MAX;
	for (unsigned int i = 0; i < server->options->queues && !result; i++) {
		struct diag why;

		if (!active(&server->queues[i]))
			continue;
		result = queue_run(&server->queues[i], &server->device, due, &why);
		if (result)
			diag_set(diag, REFUSED, "ring %u: %s", i, why.text);
	}
	return result ? REFUSED : 0;
}

static unsigned int fill_polls(const struct server *server, struct pollfd *polls)
{
	unsigned int count = POLLS_FIXED;

	polls[0] = (struct pollfd){.fd = server->main.fd, .events = POLLIN};
	polls[1] = (struct pollfd){.fd = server->backend.fd, .events = POLLIN};
	for (unsigned int i = 0; i < server->options->queues; i++)
		if (active(&server->queues[i]))
			polls[count++] =
			    (struct pollfd){.fd = server->queues[i].kick, .events = POLLIN};
	return count;
}

static void wait_for_work(struct pollfd *polls, unsigned int count, uint64_t due)
{
	uint64_t now = queue_now(), wait = due > now ? due - now : 0, value;
	struct timespec limit = {.tv_sec = (time_t)(wait / 1000000000u),
				 .tv_nsec = (long)(wait % 1000000000u)};

	if (ppoll(polls, count, due == UINT64_MAX ? NULL : &limit, NULL) <= 0)
		return;
	for (unsigned int i = POLLS_FIXED; i < count; i++)
		if (polls[i].revents && read(polls[i].fd, &value, sizeof(value)) < 0)
			polls[i].revents = 0;
}

static void end_connection(struct server *server)
{
	for (unsigned int i = 0; i < server->options->queues; i++)
		queue_reset(&server->queues[i]);
	memory_clear(&server->device.memory);
	record_forget(&server->device.record);
	client_close(&server->main);
	client_close(&server->backend);
	server->device.features = 0;
}

int server_serve(struct server *server, int fd, struct diag *diag)
{
	struct pollfd polls[POLLS_FIXED + WIRE_QUEUES_MAX];
	bool closed = false;
	uint64_t due;
	int result;

	client_adopt(&server->main, fd, WIRE_MAIN, SEND_TIMEOUT_MS);
	client_adopt(&server->backend, -1, WIRE_BACKEND, SEND_TIMEOUT_MS);
	server->agreement = (struct wire_agreement){.virtio_offered = server->options->features,
						    .rings = server->options->queues};
	server->owned = false;
	server->announced = false;
	do {
		unsigned int count;

		result = run_queues(server, &due, diag);
		if (result)
			break;
		count = fill_polls(server, polls);
		wait_for_work(polls, count, due);
		if (polls[0].revents)
			result = receive(server, &closed, diag);
		if (!result && polls[1].revents && server->backend.fd >= 0)
			result = receive_backend(server, diag);
	} while (!result && !closed);
	if (!result && server->announced)
		result = diag_set(diag, REFUSED,
				  "back-end channel: the config change was never acknowledged");
	end_connection(server);
	return result ? REFUSED : 0;
}
