/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The state file: what a restarted daemon needs to go on with a front-end that
 * does not begin anew (session/resume.h).
 *
 * A small JSON file on a tmpfs, replaced as a whole at each change, so that it is
 * whole whenever the process dies. It is about one front-end, named by its process
 * and when that began: another is never taken for it. It holds no descriptor. The
 * files of the guest's memory are found again among those the front-end has open,
 * by device and inode, which is as good as a store of descriptors for as long as
 * that process lives, and it alone could use them.
 *
 * Control thread only.
 */
#pragma once

#include "base/diag.h"
#include "session/session.h"

#include <sys/types.h>

#define STATE_PATH_MAX 4096

/* Where it is for a front-end socket when no option says. */
void state_default_path(char path[STATE_PATH_MAX], const char *socket);

/* 0 or -errno with the line. */
int state_save(const char *path, const struct session *session, pid_t front, struct diag *diag);
void state_remove(const char *path);

/*
 * Brings a session that nothing came to yet to where the file says it was; its
 * effects are then to be taken. -ENOENT: there is no file; else -errno: it is of
 * another front-end, version or guest. The line says so.
 */
int state_load(const char *path, struct session *session, pid_t front, uint64_t now_ns,
	       struct diag *diag);
