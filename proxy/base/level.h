/* SPDX-License-Identifier: BSD-3-Clause */
/* How much a line for a person matters; the order is the filter's. */
#pragma once

enum level {
	LEVEL_ERROR,
	LEVEL_WARN,
	LEVEL_INFO,
	LEVEL_DEBUG,
};
