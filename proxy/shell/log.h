/* SPDX-License-Identifier: BSD-3-Clause */
/* The daemon's own log: one line an event on stderr. Control thread only. */
#pragma once

#include "base/level.h"

#include <stdbool.h>

/* What is less important than `most` is dropped. */
void log_open(enum level most, bool json);

bool log_wants(enum level level);

__attribute__((format(printf, 2, 3))) void log_line(enum level level, const char *format, ...);
