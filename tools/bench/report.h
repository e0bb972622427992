/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What was measured, and how it is shown: text for people, or one JSON object.
 */
#pragma once

#include "bench/disk.h"

struct report_socket {
	struct disk_figures *rounds; /* as many as were asked for */
	double *control;             /* ns of each GET_FEATURES round trip */
	uint64_t verified;           /* blocks read back */
	uint64_t features;           /* virtio bits, acknowledged */
	uint64_t protocol;
};

/* Prints to stdout. `control` arrays are put in order. */
void report_text(const struct options *options, struct report_socket *sockets);
void report_json(const struct options *options, struct report_socket *sockets);
