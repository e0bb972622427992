/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One side of the daemon: how connected sockets to that peer come about.
 *
 * A listener is accepted from only when a connection is wanted, so that a second
 * peer waits in the backlog, as with qemu-storage-daemon, instead of being taken
 * and dropped. Control thread only.
 */
#pragma once

#include "base/diag.h"
#include "shell/conf.h"

#include <uv.h>

struct uv_end;

/*
 * Opens the side: listens, or checks that what is to be connected to exists.
 * `ready` is called whenever it may be worth asking uv_end_get() again, while
 * watched. Returns 0 or -errno with the line.
 */
int uv_end_open(struct uv_end **end, uv_loop_t *loop, const struct conf_end *conf,
		void (*ready)(void *context), void *context, struct diag *diag);

/*
 * A connected socket, the caller's. -EAGAIN: none yet, watch. -ENOENT: there
 * will never be one more (a connected descriptor was used up). Other -errno:
 * this attempt failed, with the line.
 */
int uv_end_get(struct uv_end *end, struct diag *diag);

/* The peer to connect to is at this path from now on. -ENOMEM. */
int uv_end_move(struct uv_end *end, const char *path);

/* Listens with this socket from now on, which is taken over; the one before is closed. */
void uv_end_relisten(struct uv_end *end, int listener);

/* Whether its one connection, passed as a descriptor, was handed out: there is no other. */
bool uv_end_spent(const struct uv_end *end);

void uv_end_watch(struct uv_end *end, bool on);

/* The path, or "descriptor 5". */
const char *uv_end_name(const struct uv_end *end);
/* The path, NULL: came as a descriptor. */
const char *uv_end_path(const struct uv_end *end);

/* Stops listening and removes the socket it made; NULL is allowed. Frees itself. */
struct uv_end *uv_end_close(struct uv_end *end);
