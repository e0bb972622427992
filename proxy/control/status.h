/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the daemon knows, as the JSON objects of the control socket.
 *
 * The keys are a contract with scripts: all are there at any time, also without
 * a front-end, and a key once published keeps its name and type. Figures of what
 * the daemon does in the back-end's place are 0 where it does nothing: it counts
 * only what it saw.
 *
 * Pure. Each function returns a new reference, NULL: no memory. The view is
 * borrowed for the call. Sizes in bytes, times as the key's end says.
 */
#pragma once

#include "control/view.h"

#include <jansson.h>

/* The summary. */
json_t *status_summary(const struct view *view);

/* Each bit offered, shown, acknowledged, passed on, and why the hidden ones are hidden. */
json_t *status_features(const struct view *view);

/* The rings the back-end has heard of, in full. */
json_t *status_queues(const struct view *view);

/* The guest's memory regions in force. */
json_t *status_memory(const struct view *view);

json_t *status_iotlb(const struct view *view);
json_t *status_log(const struct view *view);

/* {"moving":2}: rings that are on their way. */
json_t *status_path(const struct view *view);
/* {"measuring":true}: the event DIRTY_RATE tells what. */
json_t *status_rate(const struct view *view);
json_t *status_backend(const struct view *view);
