/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Taking over the socket of a back-end that already listens (--interpose).
 *
 * The back-end's socket is given a second name PATH.behind, then the daemon's
 * own socket is renamed over PATH: at no moment is there nobody at PATH. At the
 * end the second name is renamed back. A lock file PATH.ferry, locked for the
 * daemon's life, holds the device, inode and birth time of the daemon's socket
 * (an inode number alone may be given again at once): after a SIGKILL it tells a restarted daemon
 * whether what stands at PATH is the dead daemon's (the back-end is at PATH.behind) or a back-end
 * that was started anew (PATH.behind is stale). The refused alternative, asking by connecting,
 * would end back-ends that serve one connection only (virtiofsd).
 */
#pragma once

#include "base/diag.h"

#include <limits.h>
#include <stdbool.h>

struct interpose_identity {
	unsigned long long device, inode, born_ns;
};

struct interpose {
	char path[PATH_MAX];
	char behind[PATH_MAX]; /* where the back-end is reached meanwhile */
	char lock_path[PATH_MAX];
	int lock;                      /* -1: not begun */
	struct interpose_identity own; /* of the daemon's own socket */
};

/* The daemon's listening socket, or -errno with the line. */
int interpose_begin(struct interpose *interpose, const char *path, struct diag *diag);

/*
 * While interposed: takes the place of a back-end that was started anew at PATH. The
 * new listening socket; 0: PATH is the daemon's still; -EAGAIN: nobody listens there
 * yet; other -errno with the line.
 */
int interpose_again(struct interpose *interpose, struct diag *diag);

/*
 * Puts the back-end's socket back. False with a line: a back-end started anew
 * at PATH meanwhile, which is left alone.
 */
bool interpose_end(struct interpose *interpose, struct diag *diag);
