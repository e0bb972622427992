/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The command line, checked and complete, before anything is touched.
 *
 * Options of the interface that this version does not have yet are refused by
 * name, never taken silently.
 */
#pragma once

#include "base/diag.h"
#include "base/level.h"
#include "session/session.h"
#include "shell/rings.h"

#include <stdbool.h>

enum conf_side {
	CONF_NONE,
	CONF_LISTEN,  /* the other end connects to `path` */
	CONF_CONNECT, /* the other end listens at `path` */
	CONF_FD,      /* an open socket, listening or connected */
};

struct conf_end {
	enum conf_side side;
	char *path; /* NULL for CONF_FD */
	int fd;
};

struct conf {
	struct conf_end front, back;
	char *interpose; /* path, NULL: no; front and back are then CONF_NONE */
	char *control;   /* path, NULL: none */
	char *state;     /* path, NULL: made from the front-end's socket */
	struct session_config session;
	struct rings_config rings;
	bool synthesize_given, synthesize_none;
	enum level log_level;
	bool log_json;
	bool print_capabilities;
};

enum conf_result {
	CONF_OK = 0,
	CONF_USAGE = 1, /* the diag has the line */
	CONF_DONE = 2,  /* --help or --version was answered */
};

int conf_parse(struct conf *conf, int argc, char **argv, struct diag *diag);
void conf_free(struct conf *conf);
