/* SPDX-License-Identifier: BSD-3-Clause */
/* How the back-end is to behave. */
#pragma once

#include "base/diag.h"

#include <stdbool.h>
#include <stdint.h>

struct options {
	const char *socket_path; /* listen there, or */
	const char *connect;     /* connect to a front-end that listens there */
	const char *file;        /* the disk; NULL: a RAM disk */
	uint64_t size;           /* bytes of a RAM disk */
	unsigned int queues;
	unsigned int delay_us; /* that each request takes */
	bool shuffle;          /* complete in random order */
	bool announce;         /* send a config change at each start, and want it acknowledged */
	uint64_t features;     /* offered */
	uint64_t protocol_features;
};

enum options_result {
	OPTIONS_RUN = 0,
	OPTIONS_DONE = 1, /* --help or --version was answered */
};

/* -EINVAL with the line to print. */
int options_parse(struct options *options, int argc, const char **argv, struct diag *diag);

/* The bits of each device type by name: DEVICE_F_BLK_RO. */
enum device_bit {
#define VIRTIO_BIT(bit, name)
#define DEVICE_BIT(device, bit, name) DEVICE_F_##device##_##name = bit,
#define PROTOCOL_BIT(bit, name, old)
#include "wire/features.def"
#undef VIRTIO_BIT
#undef DEVICE_BIT
#undef PROTOCOL_BIT
};
