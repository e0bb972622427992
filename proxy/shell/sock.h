/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * UNIX stream sockets that carry vhost-user messages.
 *
 * Every socket made here is close-on-exec and non-blocking; every descriptor
 * received is close-on-exec. Functions return 0 or a positive count, or -errno;
 * those that take a diag leave the line to print there. Any thread.
 */
#pragma once

#include "base/diag.h"
#include "wire/frame.h"

#include <sys/types.h>

/*
 * A connected socket. -EAGAIN: the listener's backlog is full. A UNIX connect
 * does not wait otherwise, so there is no half-open state.
 */
int sock_connect(const char *path, struct diag *diag);

/* A listening socket at `path`, which must not exist. `mode` as in chmod. */
int sock_listen(const char *path, mode_t mode, struct diag *diag);

/* Whether the socket at `path` is one nobody has open any more. Nobody notices the question. */
bool sock_is_deserted(const char *path);

/*
 * As sock_listen(), but a socket nobody listens at any more (its owner was
 * killed) is taken over. -EADDRINUSE: somebody does listen there.
 */
int sock_listen_anew(const char *path, mode_t mode, struct diag *diag);

/* The next connection, -EAGAIN: none. */
int sock_accept(int listener);

/* 1: listening, 0: connected, -errno: no UNIX stream socket. */
int sock_is_listening(int fd);

/* The process at the other end when it connected, 0: not known. */
pid_t sock_peer_pid(int fd);

/* Whether the peer of a connected socket has not closed it. */
bool sock_peer_is_there(int fd);

enum sock_result {
	SOCK_AGAIN = 0,
	SOCK_WHOLE = 1, /* a message is whole, or was sent to its end */
	SOCK_CLOSED = 2,
	SOCK_FAULT = 3, /* the peer broke the framing; the diag says how */
};

/*
 * Reads for the frame until a message is whole (frame_take() it), the socket
 * has no more, or its end. -errno: the socket failed.
 */
int sock_receive(int fd, struct frame *frame, struct diag *diag);

/*
 * Sends from byte `*sent` of header and payload, in one sendmsg() where the
 * socket has room: libvhost-user and DPDK read a payload with a single read()
 * and take a short one for an error. Descriptors go with the first byte; they
 * stay in the message, whose owner disposes of it. SOCK_AGAIN: call again when
 * writable. SOCK_CLOSED: the peer is gone.
 */
int sock_send(int fd, struct wire_message *message, size_t *sent);
