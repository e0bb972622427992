/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One socket under test, from its first message to its last: the connection,
 * the guest memory, the queues, and the loop that keeps them busy. One thread
 * drives all queues of all disks.
 */
#pragma once

#include "bench/queue.h"

#include <poll.h>

struct disk {
	const struct options *options;
	struct frontend frontend;
	struct guest guest;
	struct blocks blocks;
	struct queue *queues;
	struct frontend_ring *rings; /* copies of what the queues have, in one array */
	struct pollfd *polls;
	bool running;
};

/* What one round gave. Latencies in nanoseconds. */
struct disk_figures {
	uint64_t requests;
	double seconds; /* first submission to last completion */
	double iops;
	double bytes_per_s;
	double least, median, p99, most;
};

/* Connects and negotiates; the rings stay stopped. */
int disk_open(struct disk *disk, const char *path, const struct options *options,
	      struct diag *diag);
int disk_start(struct disk *disk, struct diag *diag);

/* One round; `progress` may be NULL, and is called with the requests done so far. */
int disk_round(struct disk *disk, struct disk_figures *figures, void (*progress)(uint64_t done),
	       struct diag *diag);

/* Reads every block back that was written and checks it; `*checked` counts them. */
int disk_read_back(struct disk *disk, uint64_t *checked, struct diag *diag);

/* Stops the rings, and checks that the back-end stopped where the rings ended. */
int disk_stop(struct disk *disk, struct diag *diag);
/* Safe twice and on a zeroed disk. */
void disk_close(struct disk *disk);
