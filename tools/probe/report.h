/* SPDX-License-Identifier: BSD-3-Clause */
/* What was found, for people and for programs. Each writes to stdout. */
#pragma once

#include "probe/ask.h"

void report_text(const char *path, const struct answers *answers);

/* `error` NULL: all questions were answered. -ENOMEM. */
int report_json(const char *path, const struct answers *answers, const char *error);
