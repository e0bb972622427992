/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The front-end's conversation with a vhost-user-blk back-end, in the order in
 * which QEMU 10 has it: open, start, stop.
 *
 * Requests on the back-end channel are answered as QEMU does, whenever
 * frontend_serve() is called.
 */
#pragma once

#include "bench/guest.h"
#include "bench/options.h"
#include "common/client.h"

struct frontend_ring {
	struct ring_areas areas; /* in guest memory */
	uint32_t base;           /* as in SET_VRING_BASE */
	int kick;                /* eventfds, -1: none; the ring owns them */
	int call;
	int err;
};

struct frontend {
	const char *path;
	struct client client;
	struct client backend; /* our end of the back-end channel; fd -1: none */
	uint64_t offered;      /* virtio bits */
	uint64_t acked;
	uint64_t protocol; /* bits, acknowledged */
	unsigned int queues_max;
	uint64_t slots; /* memory slots, 0: SET_MEM_TABLE is used */
	/* From the config space (virtio 1.2, 5.2.4). */
	uint64_t capacity; /* sectors of 512 bytes */
	uint32_t segment_bytes;
	uint32_t segments;
	uint32_t block_bytes;
};

/* Everything that QEMU does before a guest runs. -errno or a client_result, with the line. */
int frontend_open(struct frontend *frontend, const char *path, const struct options *options,
		  const struct frontend_ring *rings, struct diag *diag);

/* What the guest's driver triggers at DRIVER_OK. */
int frontend_start(struct frontend *frontend, const struct guest *guest,
		   const struct options *options, const struct frontend_ring *rings,
		   struct diag *diag);

/* Stops the rings; `bases` gets what GET_VRING_BASE answered for each. */
int frontend_stop(struct frontend *frontend, unsigned int queues, uint32_t *bases,
		  struct diag *diag);

/* Closes the connection; safe twice and before frontend_open(). */
void frontend_close(struct frontend *frontend);

/* Answers what waits on the back-end channel, if anything does. */
int frontend_serve(struct frontend *frontend, struct diag *diag);

/* One GET_FEATURES round trip. */
int frontend_ping(struct frontend *frontend, struct diag *diag);

static inline bool frontend_has(const struct frontend *frontend, unsigned int bit)
{
	return (frontend->acked >> bit) & 1;
}
