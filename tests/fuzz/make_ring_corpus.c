/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * make_ring_corpus DIR: seeds for fuzz_ring.c, one for each mix of what can be
 * negotiated. Each is a run of steps in which the guest offers, the relay works and
 * the back-end completes, with restarts and, at the end, bytes written somewhere.
 */
#include "fuzz_ring.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEEDS 64u
#define STEPS 60u

static uint32_t random_state;

static uint32_t pick(uint32_t below)
{
	random_state = random_state * 1664525u + 1013904223u;
	return (random_state >> 8) % below;
}

static void put(FILE *file, const void *bytes, size_t size)
{
	if (fwrite(bytes, 1, size, file) != size)
		exit(1);
}

/* Two entries, the first linked to the second, at every 64th byte. */
static void put_tables(FILE *file)
{
	static const uint8_t entries[31] = {[8] = 16, [12] = 1, [14] = 1, [24] = 16, [28] = 2};
	const uint8_t length = sizeof(entries);

	for (unsigned int i = 0; i < 4; i++) {
		struct fuzz_ring_step step = {FUZZ_RING_WRITE, 6, (uint8_t)(i * 64), 0};

		put(file, &step, sizeof(step));
		put(file, &length, 1);
		put(file, entries, sizeof(entries));
	}
}

static void put_write(FILE *file)
{
	uint8_t bytes[3] = {2, (uint8_t)pick(256), (uint8_t)pick(256)};
	/* Even offsets, more often those of descriptors and of the record than others. */
	uint8_t place = (uint8_t)(pick(2) ? pick(2) * 7 : pick(8));
	struct fuzz_ring_step step = {FUZZ_RING_WRITE, place, (uint8_t)(pick(64) * 2), 0};

	put(file, &step, sizeof(step));
	put(file, bytes, sizeof(bytes));
}

static void put_round(FILE *file, unsigned int i, bool indirect)
{
	uint8_t slot = (uint8_t)(i % 16);
	const struct fuzz_ring_step steps[] = {
	    {FUZZ_RING_OFFER, slot, (uint8_t)(1 + pick(200)), (uint8_t)(pick(2) * 2 + !pick(3))},
	    {FUZZ_RING_PULL, (uint8_t)(1 + pick(4)), 0, 0},
	    {FUZZ_RING_USE, pick(4) ? slot : (uint8_t)pick(4), (uint8_t)pick(300), 0},
	    {FUZZ_RING_COMPLETE, (uint8_t)(1 + pick(4)), 0, 0},
	    {FUZZ_RING_NOTIFY, (uint8_t)pick(4), 0, 0},
	    {FUZZ_RING_TABLE, slot, (uint8_t)(pick(4) * 8), 4},
	};
	unsigned int kinds = indirect ? 6 : 5;

	put(file, &steps[i % 4], sizeof(steps[0]));
	if (i % 9 == 0)
		put(file, &steps[kinds - 1], sizeof(steps[0]));
}

static void put_seed(FILE *file, unsigned int i)
{
	const struct fuzz_ring_setting setting = {
	    .flags = (uint8_t)(i % 32),
	    .num = (uint8_t)pick(i % 5 ? 8 : 32),
	    .record = (uint8_t)(i / 32 * (1 + pick(2))),
	    .guest_base = (uint8_t)pick(256),
	};
	struct fuzz_ring_step restart = {FUZZ_RING_RESTART, 1, 0, 0};
	struct fuzz_ring_step leave = {FUZZ_RING_LEAVE, 0, 0, 0};

	put(file, &setting, sizeof(setting));
	put_tables(file);
	for (unsigned int step = 0; step < STEPS; step++)
		put_round(file, step, i & FUZZ_RING_INDIRECT);
	put(file, &restart, sizeof(restart));
	for (unsigned int step = 0; step < STEPS; step++)
		put_round(file, step, i & FUZZ_RING_INDIRECT);
	put(file, &leave, sizeof(leave));
	for (unsigned int step = 0; step < STEPS; step++) {
		put_round(file, step, i & FUZZ_RING_INDIRECT);
		if (step % 12 == 11)
			put(file, &restart, sizeof(restart));
		if (step % 6 == 5)
			put_write(file);
	}
}

int main(int argc, char **argv)
{
	char path[4096];

	for (unsigned int i = 0; argc == 2 && i < SEEDS; i++) {
		FILE *file;

		snprintf(path, sizeof(path), "%s/seed-%02u", argv[1], i);
		file = fopen(path, "wb");
		if (!file) {
			fprintf(stderr, "make_ring_corpus: %s: can not be written\n", path);
			return 1;
		}
		put_seed(file, i);
		if (fclose(file))
			return 1;
	}
	return argc == 2 ? 0 : 2;
}
