/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * relay_bench [SECONDS]: what the relay alone costs on one core, over memory only.
 *
 * One thread is in turns the guest, the relay and the back-end, in batches of 32
 * chains; only the relay's part is timed. All of it is in this core's caches, so
 * this is the relay's own work, without the cache lines that go between cores when
 * guest and back-end run elsewhere.
 *
 * The guest has several batches under way, and the back-end completes in another
 * order than it was given, so that free lists and heads are as mixed as they get.
 */
#include "logging/bitmap.h"
#include "ring/relay.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define NUM     256u
#define BATCH   32u
#define DEPTH   64u /* chains in flight */
#define TABLES  UINT64_C(0x100000000)
#define ENTRIES 3u

#define LOG_BYTES 32768u /* 1 GiB of guest memory */

struct kind {
	const char *name;
	enum ring_format format;
	unsigned int descriptors; /* of a chain, in its table if it has one */
	bool indirect;
	bool record;
	bool log;
};

static const struct kind kinds[] = {
    {"split, 1 descriptor", RING_SPLIT, 1, false, false, false},
    {"split, 3 descriptors", RING_SPLIT, 3, false, false, false},
    {"split, table of 3", RING_SPLIT, 3, true, false, false},
    {"split, 3 descriptors, record", RING_SPLIT, 3, false, true, false},
    {"split, table of 3, record", RING_SPLIT, 3, true, true, false},
    {"packed, 1 descriptor", RING_PACKED, 1, false, false, false},
    {"packed, 3 descriptors", RING_PACKED, 3, false, false, false},
    {"packed, table of 3", RING_PACKED, 3, true, false, false},
    {"packed, 3 descriptors, record", RING_PACKED, 3, false, true, false},
    {"packed, table of 3, record", RING_PACKED, 3, true, true, false},
    {"split, 3 descriptors, log", RING_SPLIT, 3, false, false, true},
    {"packed, 3 descriptors, log", RING_PACKED, 3, false, false, true},
};

struct bench {
	const struct kind *kind;
	struct driver guest;
	struct device backend;
	struct relay relay;
	struct relay_config config;
	uint8_t *tables; /* one a token below NUM */
	uint16_t tokens[NUM];
	unsigned int free_tokens;
	struct ring_buffer list[64];
	struct ring_chain held[DEPTH];
	unsigned int held_count;
	struct diag diag;
	struct bitmap_burst burst;
};

static void fail(struct bench *bench, const char *what, int result)
{
	if (!result)
		return;
	fprintf(stderr, "relay_bench: %s: %s: %s\n", what, ring_outcome_name(result),
		bench->diag.text);
	exit(1);
}

static void *area(size_t bytes)
{
	void *memory = aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);

	if (!memory)
		exit(1);
	memset(memory, 0, bytes);
	return memory;
}

static struct ring_areas areas(enum ring_format format)
{
	return (struct ring_areas){
	    .desc = area(ring_desc_bytes(format, NUM)),
	    .driver = area(ring_driver_bytes(format, NUM)),
	    .device = area(ring_device_bytes(format, NUM)),
	};
}

static void *translate(void *context, uint64_t addr, uint64_t size)
{
	struct bench *bench = context;

	return bench->tables + (addr - TABLES);
}

static void guest_adds(struct bench *bench)
{
	unsigned int count = bench->kind->descriptors;
	struct ring_buffer buffers[ENTRIES];
	uint16_t token = bench->tokens[bench->free_tokens - 1];
	int result;

	for (unsigned int i = 0; i < count; i++)
		buffers[i] = (struct ring_buffer){
		    .addr = token * 4096u + i * 512, .len = 512, .writable = i + 1 == count};
	if (bench->kind->indirect) {
		uint64_t offset = token * 64u;
		uint32_t len = driver_table(&bench->guest, bench->tables + offset, buffers, count);

		result = driver_add_table(&bench->guest, TABLES + offset, len, 512, token);
	} else {
		result = driver_add(&bench->guest, buffers, count, token);
	}
	fail(bench, "guest adds", result);
	bench->free_tokens--;
}

static void guest_takes(struct bench *bench)
{
	struct ring_done done;

	while (driver_take(&bench->guest, &done, &bench->diag) == RING_OK)
		bench->tokens[bench->free_tokens++] = (uint16_t)done.token;
}

static void backend_pops(struct bench *bench)
{
	struct ring_chain chain = {.buffers = bench->list, .capacity = 64};

	while (device_pop(&bench->backend, &bench->config.memory, &chain, &bench->diag) == RING_OK)
		bench->held[bench->held_count++] = chain;
}

/* Every other one of those it holds, from both ends. */
static void backend_pushes(struct bench *bench)
{
	for (unsigned int i = 0; i < BATCH; i++) {
		unsigned int at = i % 2 ? 0 : bench->held_count - 1;

		device_push(&bench->backend, &bench->held[at], 512);
		bench->held[at] = bench->held[--bench->held_count];
	}
	device_publish(&bench->backend);
}

static uint64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void wrote(void *context, uint64_t gpa, uint32_t len, uint32_t written)
{
	bitmap_gather(context, gpa, len);
}

static void settle(void *context)
{
	bitmap_settle(context);
}

static void start(struct bench *bench, const struct kind *kind)
{
	*bench = (struct bench){.kind = kind};
	bench->config = (struct relay_config){
	    .format = kind->format,
	    .num = NUM,
	    .event_idx = true,
	    .indirect = kind->indirect,
	    .base = relay_shadow_base(kind->format),
	    .guest = areas(kind->format),
	    .shadow = areas(kind->format),
	    .memory = {.translate = translate, .context = bench},
	    .record = kind->record ? area(inflight_bytes(kind->format, NUM)) : NULL,
	    .record_num = NUM,
	};
	bench->tables = area(NUM * 64u);
	for (unsigned int i = 0; i < NUM; i++)
		bench->tokens[bench->free_tokens++] = (uint16_t)i;
	fail(bench, "guest",
	     driver_init(&bench->guest, kind->format, &bench->config.guest, NUM, true,
			 bench->config.base, &bench->diag));
	fail(bench, "relay", relay_init(&bench->relay, &bench->config, &bench->diag));
	if (kind->log) {
		const struct relay_watcher watcher = {wrote, settle, &bench->burst};

		bitmap_aim(&bench->burst, area(LOG_BYTES), LOG_BYTES);
		relay_watch(&bench->relay, &watcher);
	}
	fail(bench, "back-end",
	     device_init(&bench->backend, kind->format, &bench->config.shadow, NUM, true,
			 kind->indirect, bench->config.base, &bench->diag));
}

static void stop(struct bench *bench)
{
	const struct ring_areas *both[] = {&bench->config.guest, &bench->config.shadow};

	relay_deinit(&bench->relay);
	driver_deinit(&bench->guest);
	device_deinit(&bench->backend);
	for (unsigned int i = 0; i < 2; i++) {
		free(both[i]->desc);
		free(both[i]->driver);
		free(both[i]->device);
	}
	free(bench->config.record);
	free(bench->tables);
	free(bench->burst.words);
}

/* One round of all three; returns the nanoseconds of the relay's part. */
static uint64_t round_of(struct bench *bench)
{
	uint64_t begin, spent;

	for (unsigned int i = 0; i < BATCH; i++)
		guest_adds(bench);
	driver_publish(&bench->guest);
	begin = now();
	fail(bench, "pull", relay_pull(&bench->relay, BATCH, &bench->diag));
	spent = now() - begin;
	backend_pops(bench);
	backend_pushes(bench);
	begin = now();
	fail(bench, "complete", relay_complete(&bench->relay, BATCH, &bench->diag));
	spent += now() - begin;
	guest_takes(bench);
	return spent;
}

/* Of one pair of looks at the clock, undisturbed. */
static uint64_t clock_cost(void)
{
	uint64_t least = UINT64_MAX;

	for (unsigned int i = 0; i < 10000; i++) {
		uint64_t begin = now(), cost = now() - begin;

		least = cost < least ? cost : least;
	}
	return least;
}

static void measure(const struct kind *kind, double seconds)
{
	static struct bench bench;
	uint64_t relay = 0, rounds = 0, begin, chains, ring, all;
	uint64_t overhead = 2 * clock_cost();

	start(&bench, kind);
	/* So that a batch is in flight while the next one comes. */
	for (unsigned int i = 0; i < DEPTH - BATCH; i++)
		guest_adds(&bench);
	driver_publish(&bench.guest);
	fail(&bench, "pull", relay_pull(&bench.relay, DEPTH, &bench.diag));
	backend_pops(&bench);
	begin = now();
	do {
		for (unsigned int i = 0; i < 1000; i++)
			relay += round_of(&bench);
		rounds += 1000;
	} while ((double)(now() - begin) < seconds * 1e9);
	all = now() - begin;
	relay -= rounds * overhead;
	chains = rounds * BATCH;
	ring = chains * (kind->indirect ? 1 : kind->descriptors);
	printf("%-31s %6.1f ns a chain %6.1f ns a descriptor %6.1f M descriptors/s "
	       "(all three: %.1f ns a chain)\n",
	       kind->name, (double)relay / (double)chains, (double)relay / (double)ring,
	       1e3 * (double)ring / (double)relay, (double)all / (double)chains);
	stop(&bench);
}

/* Marks pages of a log in no order, in batches; the log is clear, or it is full already. */
static void measure_marks(const char *name, bool set, double seconds)
{
	struct bitmap_burst burst = {.words = NULL};
	uint8_t *log = area(LOG_BYTES);
	uint64_t spent = 0, pages = 0, page = 0, begin;

	bitmap_aim(&burst, log, LOG_BYTES);
	while ((double)spent < seconds * 1e9) {
		memset(log, set ? 0xff : 0, LOG_BYTES);
		begin = now();
		for (unsigned int i = 0; i < LOG_BYTES * 8; i++) {
			page = (page + 40503) % (LOG_BYTES * 8);
			bitmap_gather(&burst, page * 4096, 512);
			if (i % BATCH == BATCH - 1)
				bitmap_settle(&burst);
		}
		spent += now() - begin;
		pages += LOG_BYTES * 8;
	}
	printf("%-31s %6.1f ns a page\n", name, (double)spent / (double)pages);
	free(log);
}

int main(int argc, char **argv)
{
	double seconds = argc > 1 ? strtod(argv[1], NULL) : 1;

	printf("ring of %u, %u chains a batch, %u in flight; ring descriptors, a table is one\n",
	       NUM, BATCH, DEPTH);
	for (unsigned int i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		measure(&kinds[i], seconds);
	measure_marks("dirty log, pages marked already", true, seconds);
	measure_marks("dirty log, new pages", false, seconds);
	return 0;
}
