/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The device: one front-end at a time in front of one back-end.
 *
 * A front-end's connection is a session of its own, and each has a fresh
 * connection to the back-end: what a front-end negotiated ends with it. The
 * device waits for a front-end, then obtains the back-end, then relays
 * (uv_relay.h) until either goes or breaks a rule, and begins anew.
 *
 * Control thread only.
 */
#pragma once

#include "base/diag.h"
#include "shell/conf.h"
#include "control/view.h"

#include <uv.h>

struct uv_device;

struct uv_device_events {
	/* Nothing more can come (a passed connection is used up). */
	void (*finished)(void *context);
	/* For the followers of the control socket; `json` is an object. */
	void (*event)(void *context, const char *name, const char *json);
};

/*
 * Opens both sides as `conf` says. 0 or -errno with the line. The configuration
 * outlives the device.
 */
int uv_device_open(struct uv_device **device, uv_loop_t *loop, const struct conf *conf,
		   const struct uv_device_events *events, void *context, struct diag *diag);

/* Begins to serve. */
void uv_device_start(struct uv_device *device);

/* What the control socket may see, valid until the loop runs on. */
void uv_device_view(struct uv_device *device, struct view *view);

/* Front-ends come by this listening socket from now on; the device's. */
void uv_device_relisten(struct uv_device *device, int listener);

/* "front-end PATH, back-end PATH", for the log. */
void uv_device_describe(const struct uv_device *device, char *text, size_t size);

/* Ends what runs and closes both sides. NULL is allowed; returns NULL. */
struct uv_device *uv_device_close(struct uv_device *device);
