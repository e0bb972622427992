/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Connections are accepted by hand rather than by uv_listen(): one that is to
 * be refused is told why and closed on the spot, without a handle whose memory
 * somebody who connects again and again could pile up until the loop comes round
 * to close them.
 */
#include "shell/uv_control.h"

#include "shell/log.h"
#include "shell/sock.h"
#include "shell/uv_control_client.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

struct uv_control {
	uv_poll_t poll;
	uv_pipe_t first;                 /* see open_spare() */
	struct uv_control_server server; /* as the clients see it */
	int fd;                          /* listening */
	int spare; /* given up for a moment when descriptors run out, see accept_one() */
	char *path;
	dev_t device; /* of the socket at path, to know it again */
	ino_t inode;
	unsigned int handles; /* not closed yet */
	bool stopped;
	struct uv_control_client *clients[CONTROL_CLIENTS_MAX];
};

static void handle_closed(void *context)
{
	struct uv_control *control = context;

	if (--control->handles > 0 || !control->stopped)
		return;
	free(control->path);
	free(control);
}

static void turn_away(int fd, const char *desc)
{
	char *line = command_error(desc);

	if (line)
		send(fd, line, strlen(line), MSG_NOSIGNAL | MSG_DONTWAIT);
	free(line);
	close(fd);
}

static bool allowed(int fd, uid_t *uid)
{
	struct ucred credentials;
	socklen_t size = sizeof(credentials);

	*uid = (uid_t)-1;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) < 0)
		return false;
	*uid = credentials.uid;
	return credentials.uid == 0 || credentials.uid == geteuid();
}

static int free_slot(const struct uv_control *control)
{
	for (int i = 0; i < CONTROL_CLIENTS_MAX; i++)
		if (!control->clients[i])
			return i;
	return -1;
}

static void admit(struct uv_control *control, int fd, unsigned int slot)
{
	control->handles++;
	control->clients[slot] = uv_control_client_open(&control->server, fd);
	if (!control->clients[slot])
		turn_away(fd, "the daemon is out of memory: try again later");
}

static void forget(struct uv_control_client *client, void *context)
{
	struct uv_control *control = context;

	for (unsigned int i = 0; i < CONTROL_CLIENTS_MAX; i++)
		if (control->clients[i] == client)
			control->clients[i] = NULL;
}

/*
 * Without a free descriptor a connection can not even be refused, and the loop
 * would wake for it without end: the spare one makes room to close it.
 */
static int accept_one(struct uv_control *control)
{
	int fd = sock_accept(control->fd);

	if (fd != -EMFILE && fd != -ENFILE)
		return fd;
	close(control->spare);
	fd = sock_accept(control->fd);
	if (fd >= 0)
		turn_away(fd, "the daemon has no descriptor left: raise its limit (ulimit -n)");
	control->spare = fcntl(control->fd, F_DUPFD_CLOEXEC, 0);
	return -EMFILE;
}

static void on_connection(uv_poll_t *poll, int status, int events)
{
	struct uv_control *control = poll->data;
	int fd = status < 0 ? status : accept_one(control);
	struct diag diag;
	uid_t uid;
	int slot;

	if (fd < 0)
		return;
	slot = free_slot(control);
	if (!allowed(fd, &uid)) {
		diag_set(&diag, 0, "user %d may not use %s: only user %d and root may", (int)uid,
			 control->path, (int)geteuid());
		log_line(LEVEL_WARN, "control: %s", diag.text);
		turn_away(fd, diag.text);
	} else if (slot < 0) {
		diag_set(&diag, 0, "%s has %d clients, which is the most: end one of them",
			 control->path, CONTROL_CLIENTS_MAX);
		turn_away(fd, diag.text);
	} else {
		admit(control, fd, (unsigned int)slot);
	}
}

void uv_control_event(struct uv_control *control, const char *event, const char *data)
{
	uv_timeval64_t now = {.tv_sec = 0};
	char *line;

	uv_gettimeofday(&now);
	line = command_event(event, data, now.tv_sec, now.tv_usec);
	for (unsigned int i = 0; line && i < CONTROL_CLIENTS_MAX; i++)
		if (control->clients[i])
			uv_control_client_tell(control->clients[i], line);
	free(line);
}

static void ignore_sigpipe(void)
{
	struct sigaction action;

	if (sigaction(SIGPIPE, NULL, &action) == 0 && action.sa_handler == SIG_DFL)
		signal(SIGPIPE, SIG_IGN);
}

static int listen_at(struct uv_control *control, const char *path, struct diag *diag)
{
	struct stat st;
	int result;

	control->fd = sock_listen_anew(path, 0600, diag);
	if (control->fd < 0)
		return control->fd;
	if (lstat(path, &st) == 0) {
		control->device = st.st_dev;
		control->inode = st.st_ino;
	}
	control->path = strdup(path);
	control->spare = fcntl(control->fd, F_DUPFD_CLOEXEC, 0);
	result = control->path ? uv_poll_init(control->server.loop, &control->poll, control->fd)
			       : -ENOMEM;
	if (result == 0)
		return 0;
	unlink(path);
	free(control->path);
	close(control->spare);
	close(control->fd);
	return diag_set(diag, result, "%s: can not serve the control socket: %s", path,
			strerror(-result));
}

static void on_handle_closed(uv_handle_t *handle)
{
	handle_closed(handle->data);
}

/*
 * libuv keeps a spare descriptor from the first stream of a loop on. It is made
 * to open it now: at the first client it would look like a leak to whoever
 * counts the daemon's descriptors.
 */
static void open_spare(struct uv_control *control)
{
	uv_pipe_init(control->server.loop, &control->first, 0);
	control->first.data = control;
	control->handles++;
	uv_close((uv_handle_t *)&control->first, on_handle_closed);
}

int uv_control_start(struct uv_control **control, uv_loop_t *loop, const char *path,
		     command_fill fill, void *context, struct diag *diag)
{
	struct uv_control *made = calloc(1, sizeof(*made));
	int result;

	if (!made)
		return diag_set(diag, -ENOMEM, "%s: no memory for the control socket", path);
	made->server = (struct uv_control_server){
	    .loop = loop,
	    .fill = fill,
	    .fill_context = context,
	    .left = forget,
	    .freed = handle_closed,
	    .context = made,
	};
	result = listen_at(made, path, diag);
	if (result) {
		free(made);
		return result;
	}
	ignore_sigpipe();
	made->poll.data = made;
	made->handles = 1;
	open_spare(made);
	uv_poll_start(&made->poll, UV_READABLE, on_connection);
	*control = made;
	return 0;
}

void uv_control_stop(struct uv_control *control)
{
	struct stat st;

	if (!control)
		return;
	control->stopped = true;
	if (lstat(control->path, &st) == 0 && st.st_dev == control->device &&
	    st.st_ino == control->inode)
		unlink(control->path);
	for (unsigned int i = 0; i < CONTROL_CLIENTS_MAX; i++)
		if (control->clients[i])
			uv_control_client_close(control->clients[i]);
	uv_close((uv_handle_t *)&control->poll, on_handle_closed);
	close(control->spare);
	close(control->fd);
}
