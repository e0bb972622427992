/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The connection to a daemon's control socket, for a program that waits.
 *
 * Functions return 0 or one of the outcomes below; the diag then holds the line
 * for the user. One thread.
 */
#pragma once

#include "base/diag.h"

#include <jansson.h>
#include <signal.h>

/* An answer is given up somewhere beyond this: 512 regions are 80 KiB. */
#define LINK_LINE_MAX (8u << 20)

struct link {
	int fd;
	const char *path; /* the caller's */
	char *buffer;
	size_t size, used;
	size_t taken; /* bytes of the line given out last */
};

enum link_result {
	LINK_FINE = 0,
	LINK_FAILED = 1,  /* no connection, no answer, or no sense in it */
	LINK_REFUSED = 2, /* the daemon answered with an error */
	LINK_ENDED = 3,   /* the daemon closed the connection */
	LINK_STOPPED = 4, /* a signal came */
};

int link_open(struct link *link, const char *path, struct diag *diag);
void link_close(struct link *link);

/*
 * One command, with its argument unless `key` is NULL; its answer within
 * `timeout_ms` is the caller's.
 */
int link_ask(struct link *link, const char *command, const char *key, const char *argument,
	     int timeout_ms, json_t **answer, struct diag *diag);

/* The next event, whenever it comes; `unblocked` is in force while it waits. */
int link_event(struct link *link, const sigset_t *unblocked, json_t **event, struct diag *diag);
