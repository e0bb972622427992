/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the user asked for. Everything is checked here as far as it can be
 * without a back-end; what depends on the back-end is checked by disk.c.
 */
#pragma once

#include "base/diag.h"
#include "ring/ring.h"

#include <stdbool.h>
#include <stdint.h>

enum options_rw {
	OPTIONS_READ,
	OPTIONS_WRITE,
	OPTIONS_MIXED,
};

enum options_want {
	OPTIONS_OFFERED, /* used where the back-end offers it */
	OPTIONS_ON,      /* the back-end must offer it */
	OPTIONS_OFF,
};

#define OPTIONS_SOCKETS_MAX 16u

struct options {
	char *paths[OPTIONS_SOCKETS_MAX]; /* owned */
	unsigned int sockets;
	enum ring_format format;
	unsigned int queues;
	unsigned int queue_size; /* descriptors */
	unsigned int depth;      /* requests in flight a queue */
	unsigned int size;       /* bytes a request */
	enum options_rw rw;
	bool verify;
	double seconds;    /* of a round; 0: `requests` ends it */
	uint64_t requests; /* of a round */
	unsigned int rounds;
	enum options_want event_idx;
	enum options_want indirect;
	unsigned int poll_us; /* how long to spin before sleeping */
	unsigned int control_rounds;
	int timeout_ms;
	bool json;
};

enum options_result {
	OPTIONS_RUN = 0,
	OPTIONS_DONE = 1, /* --help or --version was answered */
};

/* -EINVAL with the line to print: bad usage. */
int options_parse(struct options *options, int argc, const char **argv, struct diag *diag);

/* Frees the paths; safe after a failed parse. */
void options_free(struct options *options);

const char *options_rw_name(enum options_rw rw);
