/* SPDX-License-Identifier: BSD-3-Clause */
#include "shell/sock.h"

#include "shell/fds.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 16

static int make_address(const char *path, struct sockaddr_un *address, struct diag *diag)
{
	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof(address->sun_path))
		return diag_set(diag, -ENAMETOOLONG,
				"%s: %zu bytes, a socket path has at most %zu: use a shorter one",
				path, strlen(path), sizeof(address->sun_path) - 1);
	memcpy(address->sun_path, path, strlen(path) + 1);
	return 0;
}

/* A new socket, and the address of `path` for it. */
static int make_socket(const char *path, struct sockaddr_un *address, struct diag *diag)
{
	int fd, result = make_address(path, address, diag);

	if (result)
		return result;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return diag_set(diag, -errno, "%s: no socket: %s", path, strerror(errno));
	return fd;
}

int sock_connect(const char *path, struct diag *diag)
{
	struct sockaddr_un address;
	int fd = make_socket(path, &address, diag), result;

	if (fd < 0)
		return fd;
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	result = -errno;
	close(fd);
	return diag_set(diag, result, "%s: can not connect: %s", path, strerror(-result));
}

/* The mode is set before listen(), so nobody can connect under a wider one. */
int sock_listen(const char *path, mode_t mode, struct diag *diag)
{
	struct sockaddr_un address;
	int fd = make_socket(path, &address, diag), result;

	if (fd < 0)
		return fd;
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		result = -errno;
		close(fd);
		return diag_set(diag, result, "%s: can not listen: %s", path, strerror(-result));
	}
	if (chmod(path, mode) == 0 && listen(fd, BACKLOG) == 0)
		return fd;
	result = -errno;
	unlink(path);
	close(fd);
	return diag_set(diag, result, "%s: can not listen: %s", path, strerror(-result));
}

/*
 * Asked with a socket of another kind: EPROTOTYPE tells that somebody is there
 * without his getting a connection, which a back-end that serves one and ends
 * (virtiofsd) would take for it.
 */
bool sock_is_deserted(const char *path)
{
	struct sockaddr_un address;
	struct diag diag;
	bool deserted;
	int fd;

	if (make_address(path, &address, &diag))
		return false;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return false;
	deserted =
	    connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 && errno == ECONNREFUSED;
	close(fd);
	return deserted;
}

int sock_listen_anew(const char *path, mode_t mode, struct diag *diag)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		return sock_listen(path, mode, diag);
	if (!S_ISSOCK(st.st_mode))
		return diag_set(diag, -EEXIST,
				"%s: exists and is no socket: remove it or choose another path",
				path);
	if (sock_is_deserted(path)) {
		unlink(path);
		return sock_listen(path, mode, diag);
	}
	return diag_set(diag, -EADDRINUSE,
			"%s: another process listens there: end it or choose another path", path);
}

int sock_accept(int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	return fd < 0 ? -errno : fd;
}

static int option(int fd, int name)
{
	int value;
	socklen_t size = sizeof(value);

	if (getsockopt(fd, SOL_SOCKET, name, &value, &size) < 0)
		return -errno;
	return value;
}

int sock_is_listening(int fd)
{
	if (option(fd, SO_DOMAIN) != AF_UNIX || option(fd, SO_TYPE) != SOCK_STREAM)
		return -ENOTSOCK;
	return option(fd, SO_ACCEPTCONN);
}

bool sock_peer_is_there(int fd)
{
	struct pollfd pollfd = {.fd = fd, .events = POLLRDHUP};

	return poll(&pollfd, 1, 0) == 0;
}

pid_t sock_peer_pid(int fd)
{
	struct ucred credentials;
	socklen_t size = sizeof(credentials);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) < 0)
		return 0;
	return credentials.pid;
}

/* Takes every descriptor of a control message, also those a short buffer pads in.
 */
static int take_fds(struct msghdr *header, struct fdset *fds)
{
	int result = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c; c = CMSG_NXTHDR(header, c)) {
		size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < count; i++) {
			struct fd_entry entry;
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			fds_look(&entry, fd);
			if (fdset_push(fds, &entry)) {
				close(fd);
				result = -ENOSPC;
			}
		}
	}
	return result;
}

static ssize_t receive_some(int fd, uint8_t *at, size_t size, struct fdset *fds, bool *truncated)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(FDSET_MAX * sizeof(int))];
	} control;
	struct iovec iov = {.iov_base = at, .iov_len = size};
	struct msghdr header = {
	    .msg_iov = &iov,
	    .msg_iovlen = 1,
	    .msg_control = control.bytes,
	    .msg_controllen = sizeof(control.bytes),
	};
	ssize_t got = recvmsg(fd, &header, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);

	if (got < 0)
		return -errno;
	*truncated = take_fds(&header, fds) < 0 || (header.msg_flags & MSG_CTRUNC);
	return got;
}

/* The kernel gave fewer descriptors than were sent; they come with a header's first byte. */
static int refuse_cut(struct frame *frame, size_t got, struct diag *diag)
{
	char name[WIRE_NAME_MAX];

	frame->have += (unsigned int)got;
	return diag_set(diag, SOCK_FAULT,
			"%s: the kernel cut its descriptors (MSG_CTRUNC): more than %d came, or "
			"this process has too many open",
			frame_name(frame, name), FDSET_MAX);
}

static int receive_step(int fd, struct frame *frame, struct diag *diag)
{
	struct fdset fds = {.count = 0};
	bool truncated = false;
	uint8_t *at;
	size_t size;
	ssize_t got;
	int result;

	frame_want(frame, &at, &size);
	got = receive_some(fd, at, size, &fds, &truncated);
	if (got == -EAGAIN || got == -EINTR)
		return SOCK_AGAIN;
	/* A peer that closes with unread data of ours resets the connection: the same end. */
	if (got == 0 || got == -ECONNRESET)
		return SOCK_CLOSED;
	if (got < 0)
		return (int)got;
	if (truncated) {
		fds_close(&fds);
		return refuse_cut(frame, (size_t)got, diag);
	}
	result = frame_got(frame, (size_t)got, &fds, diag);
	fds_close(&fds);
	if (result == FRAME_WHOLE)
		return SOCK_WHOLE;
	if (result == FRAME_FAULT)
		return SOCK_FAULT;
	return result < 0 ? result : -EINPROGRESS;
}

int sock_receive(int fd, struct frame *frame, struct diag *diag)
{
	int result;

	do {
		result = receive_step(fd, frame, diag);
	} while (result == -EINPROGRESS);
	return result;
}

static void attach_fds(struct msghdr *header, char *control, const struct fdset *fds)
{
	struct cmsghdr *c;
	unsigned int n = 0;

	header->msg_control = control;
	header->msg_controllen = CMSG_SPACE(fdset_held(fds) * sizeof(int));
	memset(control, 0, header->msg_controllen);
	c = CMSG_FIRSTHDR(header);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(fdset_held(fds) * sizeof(int));
	for (unsigned int i = 0; i < fds->count; i++) {
		if (fds->entries[i].fd < 0)
			continue;
		memcpy(CMSG_DATA(c) + n * sizeof(int), &fds->entries[i].fd, sizeof(int));
		n++;
	}
}

int sock_send(int fd, struct wire_message *message, size_t *sent)
{
	size_t total = WIRE_HEADER_SIZE + message->header.size;
	uint8_t bytes[WIRE_HEADER_SIZE];
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(FDSET_MAX * sizeof(int))];
	} control;

	wire_header_encode(&message->header, bytes);
	while (*sent < total) {
		size_t in_header = *sent < WIRE_HEADER_SIZE ? WIRE_HEADER_SIZE - *sent : 0;
		size_t in_payload = *sent > WIRE_HEADER_SIZE ? *sent - WIRE_HEADER_SIZE : 0;
		struct iovec iov[2] = {
		    {.iov_base = bytes + WIRE_HEADER_SIZE - in_header, .iov_len = in_header},
		    {.iov_base = message->payload + in_payload,
		     .iov_len = message->header.size - in_payload},
		};
		struct msghdr header = {.msg_iov = iov, .msg_iovlen = 2};
		ssize_t n;

		if (*sent == 0 && fdset_held(&message->fds))
			attach_fds(&header, control.bytes, &message->fds);
		n = sendmsg(fd, &header, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return SOCK_AGAIN;
		if (n < 0)
			return errno == EPIPE || errno == ECONNRESET ? SOCK_CLOSED : -errno;
		*sent += (size_t)n;
	}
	return SOCK_WHOLE;
}
