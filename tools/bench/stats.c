/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench/stats.h"

#include <stdlib.h>

#define FINE_BITS 7u
#define FINE      (1u << FINE_BITS)

/* Below FINE each value has its own; then each power of two has FINE of them. */
static unsigned int bucket_of(uint64_t ns)
{
	unsigned int power;

	if (ns < FINE)
		return (unsigned int)ns;
	power = 63u - (unsigned int)__builtin_clzll(ns) - FINE_BITS;
	return (power + 1) * FINE + (unsigned int)((ns >> power) - FINE);
}

static uint64_t middle_of(unsigned int bucket)
{
	unsigned int power = bucket / FINE;

	if (power == 0)
		return bucket;
	power--;
	return ((uint64_t)(bucket % FINE + FINE) << power) + ((UINT64_C(1) << power) >> 1);
}

void stats_add(struct stats *stats, uint64_t ns)
{
	if (stats->count == 0 || ns < stats->least)
		stats->least = ns;
	if (ns > stats->most)
		stats->most = ns;
	stats->count++;
	stats->buckets[bucket_of(ns)]++;
}

uint64_t stats_quantile(const struct stats *stats, double share)
{
	uint64_t wanted = (uint64_t)(share * (double)stats->count + 0.5);
	uint64_t passed = 0;

	for (unsigned int i = 0; i < STATS_BUCKETS; i++) {
		passed += stats->buckets[i];
		if (passed && passed >= wanted) {
			uint64_t value = middle_of(i);

			if (value < stats->least)
				return stats->least;
			return value > stats->most ? stats->most : value;
		}
	}
	return 0;
}

static int compare(const void *a, const void *b)
{
	double left = *(const double *)a, right = *(const double *)b;

	return (left > right) - (left < right);
}

double stats_median(double *values, size_t count)
{
	if (count == 0)
		return 0;
	qsort(values, count, sizeof(*values), compare);
	return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}
