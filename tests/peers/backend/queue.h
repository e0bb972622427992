/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One queue: its ring, and the requests that were taken from it and are not yet
 * given back. A request is executed when its time has come and given back at
 * once; with --shuffle in random order, some of them a while later.
 */
#pragma once

#include "backend/blk.h"
#include "backend/options.h"
#include "backend/record.h"
#include "ring/device.h"
#include "ring/inflight.h"

struct queue_request {
	struct ring_chain chain; /* owns its list */
	uint64_t due;            /* ns */
	uint16_t entry;          /* of the inflight record */
};

struct queue {
	unsigned int index;
	/* As the front-end set it. */
	uint32_t num;
	uint32_t base;
	uint64_t desc_uva, driver_uva, device_uva, log_gpa;
	uint32_t addr_flags;
	int kick, call, err; /* owned, -1: none */
	bool enabled;
	/* While it is started. */
	bool started;
	struct device device;
	struct ring_areas areas;
	struct queue_request *requests;
	unsigned int count;
	bool recorded;
	struct inflight inflight;
	uint64_t desc_gpa; /* of the packed ring, for the log */
	uint64_t random;
};

struct queue_device {
	const struct options *options;
	struct blk blk;
	struct memory memory;
	struct record record;
	uint64_t features; /* acknowledged */
};

void queue_init(struct queue *queue, unsigned int index);
/* Closes descriptors and stops it: everything as after queue_init(). */
void queue_reset(struct queue *queue);

/* Starts with what was set; -errno with the line. */
int queue_start(struct queue *queue, const struct queue_device *device, struct diag *diag);
/* Finishes everything in flight, then stops; the base is then what GET_VRING_BASE answers. */
int queue_stop(struct queue *queue, struct queue_device *device, struct diag *diag);
/* Maps the ring anew after the memory changed. */
int queue_remap(struct queue *queue, const struct queue_device *device, struct diag *diag);

/*
 * Takes what is available, completes what is due. `*due` becomes the time of the
 * next completion if that is earlier (ns). A ring fault comes back with the line.
 */
int queue_run(struct queue *queue, struct queue_device *device, uint64_t *due, struct diag *diag);

uint64_t queue_now(void);
