/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The service manager's side of the process: readiness and passed sockets.
 *
 * The two protocols are a datagram and two environment variables (systemd,
 * sd_notify(3) and sd_listen_fds(3)); libsystemd would bring four compression
 * and crypto libraries into a daemon that is to stay under 4 MiB.
 */
#pragma once

#include "base/diag.h"

/* Sends e.g. "READY=1" where NOTIFY_SOCKET says; does nothing without it. */
void notify_send(const char *state);

/* The one socket passed by LISTEN_FDS, close-on-exec; -ENOENT: none was. -EINVAL: several. */
int notify_listen_fd(struct diag *diag);
