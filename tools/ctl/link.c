/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctl/link.h"

#include "shell/sock.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define STEP 16384u

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int explain(struct diag *diag, const char *path, int error)
{
	switch (-error) {
	case ENOENT:
		return diag_set(diag, LINK_FAILED,
				"%s: no such socket: start vhost-ferry with --control=%s", path,
				path);
	case ECONNREFUSED:
		return diag_set(diag, LINK_FAILED,
				"%s: nobody listens there, the daemon has ended: start it again",
				path);
	case EACCES:
		return diag_set(diag, LINK_FAILED,
				"%s: not permitted: only the daemon's user and root may", path);
	case ENAMETOOLONG:
		return LINK_FAILED;
	}
	return diag_set(diag, LINK_FAILED, "%s: can not connect: %s", path, strerror(-error));
}

int link_open(struct link *link, const char *path, struct diag *diag)
{
	int64_t deadline = now_ms() + 1000;

	*link = (struct link){.path = path};
	/* A full backlog empties as the daemon accepts; there is nothing to poll for. */
	while ((link->fd = sock_connect(path, diag)) == -EAGAIN && now_ms() < deadline)
		usleep(10000);
	return link->fd < 0 ? explain(diag, path, link->fd) : LINK_FINE;
}

void link_close(struct link *link)
{
	if (link->fd >= 0)
		close(link->fd);
	free(link->buffer);
	*link = (struct link){.fd = -1};
}

static int ended(const struct link *link, struct diag *diag)
{
	return diag_set(diag, LINK_ENDED, "%s: the daemon closed the connection", link->path);
}

/* Waits for input until `deadline`, negative: for ever. */
static int wait_input(const struct link *link, int64_t deadline, const sigset_t *unblocked,
		      struct diag *diag)
{
	struct pollfd pollfd = {.fd = link->fd, .events = POLLIN};
	int64_t left = deadline - now_ms();
	struct timespec time = {.tv_sec = 0};
	int n;

	if (left > 0)
		time = (struct timespec){.tv_sec = left / 1000, .tv_nsec = left % 1000 * 1000000};
	n = ppoll(&pollfd, 1, deadline < 0 ? NULL : &time, unblocked);
	if (n > 0)
		return LINK_FINE;
	if (n < 0 && errno == EINTR)
		return LINK_STOPPED;
	return diag_set(diag, LINK_FAILED,
			"%s: no answer in time: the daemon is stopped, or another program "
			"listens there",
			link->path);
}

static int read_some(struct link *link, struct diag *diag)
{
	ssize_t got;

	if (link->size - link->used < STEP) {
		char *bigger = NULL;

		if (link->size < LINK_LINE_MAX)
			bigger = realloc(link->buffer, link->size + STEP + link->size);
		if (!bigger)
			return diag_set(diag, LINK_FAILED,
					"%s: an answer of more than %zu bytes: is it a daemon's "
					"control socket?",
					link->path, link->used);
		link->buffer = bigger;
		link->size += STEP + link->size;
	}
	got = recv(link->fd, link->buffer + link->used, link->size - link->used, MSG_DONTWAIT);
	if (got > 0)
		link->used += (size_t)got;
	else if (got == 0 || errno == ECONNRESET)
		return ended(link, diag);
	else if (errno != EAGAIN && errno != EINTR)
		return diag_set(diag, LINK_FAILED, "%s: %s", link->path, strerror(errno));
	return LINK_FINE;
}

/* The next line as an object, which is the caller's. */
static int next_object(struct link *link, int64_t deadline, const sigset_t *unblocked,
		       json_t **object, struct diag *diag)
{
	char *end;
	int result;

	if (link->taken) {
		link->used -= link->taken;
		memmove(link->buffer, link->buffer + link->taken, link->used);
		link->taken = 0;
	}
	while (!(end = link->used ? memchr(link->buffer, '\n', link->used) : NULL)) {
		result = wait_input(link, deadline, unblocked, diag);
		if (!result)
			result = read_some(link, diag);
		if (result)
			return result;
	}
	link->taken = (size_t)(end - link->buffer) + 1;
	*object = json_loadb(link->buffer, link->taken, 0, NULL);
	if (json_is_object(*object))
		return LINK_FINE;
	json_decref(*object);
	return diag_set(diag, LINK_FAILED,
			"%s: what came is no JSON object: is it a daemon's "
			"control socket?",
			link->path);
}

static int send_command(struct link *link, const char *command, const char *key,
			const char *argument, struct diag *diag)
{
	json_t *request = key ? json_pack("{s:s, s:{s:s}, s:i}", "execute", command, "arguments",
					  key, argument, "id", 1)
			      : json_pack("{s:s, s:i}", "execute", command, "id", 1);
	char *text = request ? json_dumps(request, JSON_COMPACT) : NULL;
	char *line = NULL;
	int size = text ? asprintf(&line, "%s\n", text) : -1;
	int result = LINK_FINE;

	free(text);
	json_decref(request);
	if (size < 0)
		return diag_set(diag, LINK_FAILED, "'%s' can not be sent: it is no UTF-8 text",
				command);
	/* Less than any socket buffer: it is taken whole or not at all. */
	if (send(link->fd, line, (size_t)size, MSG_NOSIGNAL) != size && errno != EPIPE &&
	    errno != ECONNRESET)
		result = diag_set(diag, LINK_FAILED, "%s: can not send the command: %s", link->path,
				  strerror(errno));
	free(line);
	return result;
}

/* Takes the answer out of its object, which is used up. */
static int unwrap(const struct link *link, json_t *object, json_t **answer, struct diag *diag)
{
	const json_t *error = json_object_get(object, "error");
	const char *desc = json_string_value(json_object_get(error, "desc"));
	int result = LINK_FINE;

	*answer = json_incref(json_object_get(object, "return"));
	if (!*answer && desc)
		result = diag_set(diag, LINK_REFUSED, "%s", desc);
	else if (!*answer)
		result = diag_set(diag, LINK_FAILED,
				  "%s: an answer without return and error: is it a daemon's "
				  "control socket?",
				  link->path);
	json_decref(object);
	return result;
}

int link_ask(struct link *link, const char *command, const char *key, const char *argument,
	     int timeout_ms, json_t **answer, struct diag *diag)
{
	int64_t deadline = now_ms() + timeout_ms;
	json_t *object;
	int result = send_command(link, command, key, argument, diag);

	/* A daemon that turns us away says why before it closes: hence EPIPE is no end yet. */
	while (!result) {
		result = next_object(link, deadline, NULL, &object, diag);
		if (result == LINK_STOPPED)
			result = LINK_FINE;
		else if (!result && !json_object_get(object, "event"))
			return unwrap(link, object, answer, diag);
		else if (!result)
			json_decref(object);
	}
	return result;
}

int link_event(struct link *link, const sigset_t *unblocked, json_t **event, struct diag *diag)
{
	for (;;) {
		int result = next_object(link, -1, unblocked, event, diag);

		if (result || json_object_get(*event, "event"))
			return result;
		json_decref(*event);
	}
}
