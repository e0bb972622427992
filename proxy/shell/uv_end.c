/* SPDX-License-Identifier: BSD-3-Clause */
#include "shell/uv_end.h"

#include "shell/sock.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

/*
 * Between attempts to reach a peer that is away, or to accept one. A name appears
 * before its owner listens, so from each change of the folder on the attempts
 * come quickly at first.
 */
#define RETRY_LEAST_MS 1
#define RETRY_MOST_MS  100
#define SOCKET_MODE    0600

struct uv_end {
	uv_loop_t *loop;
	struct conf_end conf;
	char *moved; /* conf.path where uv_end_move() put it; NULL: it is the configuration's */
	char name[160];
	int listener; /* -1: none */
	bool used;    /* the connected descriptor was handed out */
	bool made;    /* the socket at path is ours to remove */
	uv_poll_t poll;
	uv_timer_t timer;
	uv_fs_event_t folder;
	unsigned int handles; /* of the three on the loop */
	bool watching;
	uint64_t retry_ms; /* until the next attempt */
	int refused;       /* why the last accept failed, 0: it did not */
	void (*ready)(void *context);
	void *context;
};

static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct uv_end *end = poll->data;

	end->ready(end->context);
}

static void on_timer(uv_timer_t *timer)
{
	struct uv_end *end = timer->data;

	end->retry_ms = end->retry_ms * 2 < RETRY_MOST_MS ? end->retry_ms * 2 : RETRY_MOST_MS;
	end->ready(end->context);
}

static void on_folder(uv_fs_event_t *folder, const char *name, int events, int status)
{
	struct uv_end *end = folder->data;

	const char *base = strrchr(end->conf.path, '/');

	if (!end->watching || (name && strcmp(name, base ? base + 1 : end->conf.path) != 0))
		return;
	end->retry_ms = RETRY_LEAST_MS;
	end->ready(end->context);
}

/* Without it (no watch is left, the folder is not there yet) the timer alone does. */
static void watch_folder(struct uv_end *end)
{
	char *copy = strdup(end->conf.path);

	uv_fs_event_stop(&end->folder);
	if (copy)
		uv_fs_event_start(&end->folder, on_folder, dirname(copy), 0);
	free(copy);
}

static int watch_time(struct uv_end *end)
{
	uv_timer_init(end->loop, &end->timer);
	end->timer.data = end;
	end->handles++;
	return 0;
}

static int watch_listener(struct uv_end *end, struct diag *diag)
{
	int result = uv_poll_init(end->loop, &end->poll, end->listener);

	if (result < 0)
		return diag_set(diag, result, "%s: can not be polled: %s", end->name,
				uv_strerror(result));
	end->poll.data = end;
	end->handles++;
	return watch_time(end);
}

static int open_listen(struct uv_end *end, struct diag *diag)
{
	end->listener = sock_listen_anew(end->conf.path, SOCKET_MODE, diag);
	if (end->listener < 0)
		return end->listener;
	end->made = true;
	return watch_listener(end, diag);
}

static int open_fd(struct uv_end *end, struct diag *diag)
{
	int listening = sock_is_listening(end->conf.fd);

	if (listening < 0)
		return diag_set(diag, listening,
				"descriptor %d: is no UNIX stream socket: pass one that is",
				end->conf.fd);
	if (!listening)
		return watch_time(end);
	end->listener = end->conf.fd;
	return watch_listener(end, diag);
}

static int open_connect(struct uv_end *end, struct diag *diag)
{
	struct sockaddr_un address;

	if (strlen(end->conf.path) >= sizeof(address.sun_path))
		return diag_set(diag, -ENAMETOOLONG,
				"%s: a socket path has at most %zu bytes: use a shorter one",
				end->conf.path, sizeof(address.sun_path) - 1);
	uv_fs_event_init(end->loop, &end->folder);
	end->folder.data = end;
	end->handles++;
	watch_folder(end);
	return watch_time(end);
}

int uv_end_open(struct uv_end **made, uv_loop_t *loop, const struct conf_end *conf,
		void (*ready)(void *context), void *context, struct diag *diag)
{
	struct uv_end *end = calloc(1, sizeof(*end));
	int result = -EINVAL;

	if (!end)
		return diag_set(diag, -ENOMEM, "no memory");
	end->loop = loop;
	end->conf = *conf;
	end->listener = -1;
	end->ready = ready;
	end->context = context;
	if (conf->path)
		snprintf(end->name, sizeof(end->name), "%s", conf->path);
	else
		snprintf(end->name, sizeof(end->name), "descriptor %d", conf->fd);
	if (conf->side == CONF_LISTEN)
		result = open_listen(end, diag);
	else if (conf->side == CONF_FD)
		result = open_fd(end, diag);
	else if (conf->side == CONF_CONNECT)
		result = open_connect(end, diag);
	if (result)
		end = uv_end_close(end);
	*made = end;
	return result;
}

/* Who waited in the backlog may have given up since: such a connection is no one. */
static int accept_live(struct uv_end *end)
{
	int fd;

	while ((fd = sock_accept(end->listener)) >= 0) {
		if (sock_peer_is_there(fd))
			return fd;
		close(fd);
	}
	return fd == -ECONNABORTED || fd == -EINTR ? -EAGAIN : fd;
}

/* Out of descriptors, say: told once, while the connection waits in the backlog. */
static int accept_or_say(struct uv_end *end, struct diag *diag)
{
	int fd = accept_live(end), before = end->refused;

	end->refused = fd < 0 && fd != -EAGAIN ? fd : 0;
	if (!end->refused)
		return fd;
	if (end->refused == before)
		return -EAGAIN;
	return diag_set(diag, fd, "%s: can not accept: %s", end->name, strerror(-fd));
}

int uv_end_get(struct uv_end *end, struct diag *diag)
{
	if (end->listener >= 0)
		return accept_or_say(end, diag);
	if (end->conf.side == CONF_CONNECT)
		return sock_connect(end->conf.path, diag);
	if (end->used)
		return diag_set(diag, -ENOENT, "%s: its one connection is over", end->name);
	end->used = true;
	return end->conf.fd;
}

void uv_end_watch(struct uv_end *end, bool on)
{
	/* A used descriptor has nothing to wait for: its owner asks again, and ends. */
	bool again = end->conf.side == CONF_CONNECT || end->refused;
	bool poll = end->listener >= 0;
	/* What can not be accepted stays readable: the loop would never sleep. */
	bool timed = !poll || end->refused;

	if (on && !end->watching)
		end->retry_ms = RETRY_LEAST_MS;
	end->watching = on;
	if (poll && on && !timed)
		uv_poll_start(&end->poll, UV_READABLE, on_readable);
	else if (poll)
		uv_poll_stop(&end->poll);
	if (on && timed)
		uv_timer_start(&end->timer, on_timer, again ? end->retry_ms : 0, RETRY_MOST_MS);
	else
		uv_timer_stop(&end->timer);
}

int uv_end_move(struct uv_end *end, const char *path)
{
	char *copy = strdup(path);

	if (!copy)
		return -ENOMEM;
	free(end->moved);
	end->conf.path = end->moved = copy;
	snprintf(end->name, sizeof(end->name), "%s", path);
	if (end->conf.side == CONF_CONNECT)
		watch_folder(end);
	return 0;
}

void uv_end_relisten(struct uv_end *end, int listener)
{
	bool watching = end->watching;

	/* Under its old number: the handle on the loop stays. */
	uv_end_watch(end, false);
	(void)!dup3(listener, end->listener, O_CLOEXEC);
	close(listener);
	if (watching)
		uv_end_watch(end, true);
}

bool uv_end_spent(const struct uv_end *end)
{
	return end->used;
}

const char *uv_end_name(const struct uv_end *end)
{
	return end->name;
}

const char *uv_end_path(const struct uv_end *end)
{
	return end->conf.path;
}

static void on_close(uv_handle_t *handle)
{
	struct uv_end *end = handle->data;

	if (--end->handles > 0)
		return;
	if (end->listener >= 0)
		close(end->listener);
	free(end->moved);
	free(end);
}

struct uv_end *uv_end_close(struct uv_end *end)
{
	if (!end)
		return NULL;
	if (end->made)
		unlink(end->conf.path);
	if (!end->handles) {
		if (end->listener >= 0)
			close(end->listener);
		free(end->moved);
		free(end);
		return NULL;
	}
	if (end->listener >= 0)
		uv_close((uv_handle_t *)&end->poll, on_close);
	if (end->conf.side == CONF_CONNECT)
		uv_close((uv_handle_t *)&end->folder, on_close);
	uv_close((uv_handle_t *)&end->timer, on_close);
	return NULL;
}
