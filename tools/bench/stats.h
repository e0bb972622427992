/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Latencies, counted in buckets no wider than 1/128 of their value, so that
 * memory does not grow with the run; least and most are exact. Nanoseconds.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define STATS_BUCKETS (58u * 128u)

struct stats {
	uint64_t count;
	uint64_t least;
	uint64_t most;
	uint64_t buckets[STATS_BUCKETS];
};

void stats_add(struct stats *stats, uint64_t ns);

/* The value that `share` (0 to 1) of all values do not exceed; 0 where there are none. */
uint64_t stats_quantile(const struct stats *stats, double share);

/* The median of `count` numbers, which are put in order. 0 where there are none. */
double stats_median(double *values, size_t count);
