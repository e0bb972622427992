/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The control socket on the loop: control/command.h, served to several clients.
 *
 * Who may connect: the daemon's own user and root. Bounds: CONTROL_CLIENTS_MAX
 * clients; a line of COMMAND_LINE_MAX bytes (a longer one is left out and
 * answered by an error); a client that asks faster than it reads is not read
 * until it has caught up; one that lets CONTROL_OUTPUT_MAX bytes of events pile
 * up is dropped, with a line in the log.
 *
 * Control thread only. No function here may be called from the fill callback.
 */
#pragma once

#include "base/diag.h"
#include "control/command.h"

#include <uv.h>

#define CONTROL_CLIENTS_MAX 16
#define CONTROL_OUTPUT_MAX  (1u << 20)

struct uv_control;

/*
 * Listens at `path`, mode 0600; the socket of a daemon that was killed is taken
 * over. `fill` is called with `context` for each command that needs it. SIGPIPE
 * is ignored from then on in the whole process, unless it was handled: libuv
 * writes with write(). 0, or -errno with the line in the diag.
 */
int uv_control_start(struct uv_control **control, uv_loop_t *loop, const char *path,
		     command_fill fill, void *context, struct diag *diag);

/* Tells every client. `data` is the text of a JSON object. */
void uv_control_event(struct uv_control *control, const char *event, const char *data);

/*
 * Disconnects every client, takes the socket's path away (if it is still ours)
 * and frees the control once the loop has run its close callbacks. The pointer
 * is no longer valid. NULL is allowed.
 */
void uv_control_stop(struct uv_control *control);
