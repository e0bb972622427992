/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The back-end's side of a connection. server.c runs it, handle.c knows what
 * each message does. A front-end that breaks a rule loses its connection.
 */
#pragma once

#include "backend/queue.h"
#include "common/client.h"
#include "wire/validate.h"

struct server {
	const struct options *options;
	struct queue_device device;
	/* Of the present connection. */
	struct client main;
	struct client backend; /* fd -1: none */
	struct wire_agreement agreement;
	bool owned;
	bool announced;             /* a config change was sent and waits for its acknowledgement */
	struct wire_message *reply; /* what the handler wants sent */
	struct queue queues[WIRE_QUEUES_MAX];
};

/* Opens the disk. -errno with the line. */
int server_open(struct server **server, const struct options *options, struct diag *diag);
/* NULL is allowed. */
void server_free(struct server *server);

/*
 * Serves the connected socket `fd`, which it closes, until the front-end is gone
 * (0) or breaks a rule (positive, with the line).
 */
int server_serve(struct server *server, int fd, struct diag *diag);

/*
 * Does what a checked request says; an answer is left in server->reply. Anything
 * but 0 ends the connection, with the line.
 */
int handle(struct server *server, struct wire_message *request, struct diag *diag);
