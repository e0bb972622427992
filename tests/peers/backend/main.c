/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ferry-test-backend: a vhost-user-blk back-end that is as strict as the
 * strictest, speaks packed rings, and lacks whatever a test wants it to lack. It
 * serves one connection after the other for ever; the disk outlives them.
 */
#include "backend/server.h"
#include "shell/sock.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define RETRY_US 50000u

enum { EXIT_USAGE = 2 };

/* The next connection: accepted, or made as soon as somebody listens. */
static int next_connection(const struct options *options, int listener, struct diag *diag)
{
	int fd;

	if (!options->connect) {
		struct pollfd pollfd = {.fd = listener, .events = POLLIN};

		while ((fd = sock_accept(listener)) == -EAGAIN)
			poll(&pollfd, 1, -1);
		return fd < 0 ? diag_set(diag, fd, "%s: can not accept", options->socket_path) : fd;
	}
	while ((fd = sock_connect(options->connect, diag)) == -ENOENT || fd == -ECONNREFUSED ||
	       fd == -EAGAIN)
		usleep(RETRY_US);
	return fd;
}

int main(int argc, const char **argv)
{
	struct server *server = NULL;
	struct options options;
	struct diag diag;
	int listener = -1, result = options_parse(&options, argc, argv, &diag);

	if (result == OPTIONS_DONE)
		return EXIT_SUCCESS;
	if (result) {
		fprintf(stderr, "ferry-test-backend: %s\n", diag.text);
		return EXIT_USAGE;
	}
	if (options.socket_path)
		result = listener = sock_listen_anew(options.socket_path, 0600, &diag);
	if (result >= 0)
		result = server_open(&server, &options, &diag);
	if (result < 0)
		fprintf(stderr, "ferry-test-backend: %s\n", diag.text);
	while (result >= 0) {
		result = next_connection(&options, listener, &diag);
		if (result >= 0)
			result = server_serve(server, result, &diag);
		if (result)
			fprintf(stderr, "ferry-test-backend: %s\n", diag.text);
	}
	server_free(server);
	return EXIT_FAILURE;
}
