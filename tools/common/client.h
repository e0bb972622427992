/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The front-end's end of a vhost-user connection for programs that wait: each
 * call returns within its time limit, whatever the back-end does. One thread.
 */
#pragma once

#include "base/diag.h"
#include "wire/encode.h"
#include "wire/frame.h"

#include <stdbool.h>

struct client {
	int fd;                    /* -1: closed */
	enum wire_channel channel; /* whose names to use in diagnostics */
	int timeout_ms;            /* for one send or receive */
	struct frame frame;
};

enum client_result {
	CLIENT_OK = 0,
	CLIENT_TIMEOUT = 1, /* the back-end said nothing in time */
	CLIENT_CLOSED = 2,  /* the back-end closed the connection */
	CLIENT_FAULT = 3,   /* what it sent is no vhost-user */
};

/* Connects; 0 or -errno with the line in the diag. */
int client_open(struct client *client, const char *path, int timeout_ms, struct diag *diag);

/* Takes over a connected descriptor. */
void client_adopt(struct client *client, int fd, enum wire_channel channel, int timeout_ms);

void client_close(struct client *client);

/* Sends and disposes of the message, its descriptors closed; NULL counts as -ENOMEM. */
int client_send(struct client *client, struct wire_message *message, struct diag *diag);

/* The next whole message, which the caller owns. */
int client_receive(struct client *client, struct wire_message **message, struct diag *diag);

/* Sends a request and waits for its reply, which must have the same id. */
int client_call(struct client *client, struct wire_message *request, struct wire_message **reply,
		struct diag *diag);

/* client_call() for a request answered with a u64. */
int client_call_u64(struct client *client, struct wire_message *request, uint64_t *value,
		    struct diag *diag);
