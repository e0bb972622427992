/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The questions put to a back-end, in the order in which QEMU puts them, and
 * nothing else: no owner, no memory, no ring. It sees a front-end that looked
 * and went away.
 */
#pragma once

#include "base/diag.h"
#include "probe/verdict.h"
#include "wire/message.h"

#include <sys/types.h>

struct answers {
	pid_t pid; /* who listens, 0: not known */
	char process[64];
	bool have_features; /* the first two answers came: the bits are known */
	struct verdict_facts facts;
	int64_t status; /* GET_STATUS, -1: not answered */
	size_t config_size;
	uint8_t config[WIRE_CONFIG_MAX];
};

/*
 * Asks the back-end that listens at `path`; `timeout_ms` is for everything
 * together. `device` UNKNOWN: to be guessed. 0, or 1 with the line in the diag;
 * what was answered before the failure is in `answers`.
 */
int ask_all(const char *path, int timeout_ms, enum wire_device device, struct answers *answers,
	    struct diag *diag);
