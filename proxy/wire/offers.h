/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which feature bits of the back-end the front-end is shown.
 *
 * What was offered is a promise for the life of the front-end's connection, so
 * a bit whose consequences the daemon could not follow is never offered: a bit
 * nobody knows may bring a message that changes memory behind us. One table
 * holds the rest, each row with its reason. Pure.
 */
#pragma once

#include "wire/features.h"

struct offers {
	uint64_t hide_virtio; /* asked for by the user (--hide) */
	uint64_t hide_protocol;
	bool watch_only; /* --data-path=direct or --synthesize=none: no ring is ever moved */
};

/* The bits to hide out of `offered`. */
uint64_t offers_hidden(const struct offers *offers, enum wire_space space, uint64_t offered);

/* Why this bit is hidden, for a person; NULL: it is not. */
const char *offers_reason(const struct offers *offers, enum wire_space space, unsigned int bit);
