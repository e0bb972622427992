/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Keeps the daemon in front of a back-end that is started anew (--interpose).
 *
 * A back-end that starts takes its path for itself, whoever stands there. The folder
 * is watched: as soon as the new one listens, its socket is renamed aside as that of
 * the first was. A front-end that connects in between reaches it directly; nobody
 * but the back-end could prevent that. Control thread only.
 */
#pragma once

#include "shell/interpose.h"

#include <uv.h>

struct uv_interpose;

/* `taken`: a new listener for the front-end, the callee's. NULL: no memory or no watch. */
struct uv_interpose *uv_interpose_open(uv_loop_t *loop, struct interpose *interpose,
				       void (*taken)(void *context, int listener), void *context);

/* NULL is allowed; returns NULL. */
struct uv_interpose *uv_interpose_close(struct uv_interpose *interpose);
