/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * log_sim [--seed N] [--requests N]
 *
 * The dirty log's oracle: a guest, a back-end and the data path between them, over
 * memory of random layout, with no sockets, threads or clock; and a migration that
 * knows of a page only what the log says. It copies all memory when the log is turned
 * on, with requests in flight, then at any time takes marked pages out of the log and
 * copies them, and once more when the ring is drained or its back-end is dead. Then
 * the copy must be the guest's memory, but for pages that the guest alone writes. A
 * page that was written and not marked, or marked before it was written, is stale.
 *
 * Counted too: pages that were marked and had not changed.
 */
#include "shell/data_ring.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define PAGE        4096u
#define REGIONS_MAX 6u
#define NUM_MAX     256u
#define BUFFERS     8u
#define TABLE_BYTES (BUFFERS * RING_DESC_SIZE)
#define REQUESTS    50000u
#define MIGRATIONS  8u /* of a world */

enum owner { OWNER_GUEST = 1, OWNER_DEVICE = 2 };

struct region {
	uint64_t gpa;
	unsigned int pages;
	uint8_t *bytes, *copy, *owners;
};

struct request {
	struct ring_chain chain; /* as the back-end popped it */
	struct ring_buffer list[BUFFERS];
};

static struct {
	uint64_t requests, migrations, deaths, marked, unchanged;
} seen;

static uint64_t seed, world_seed;
static unsigned int region_count, num;
static struct region regions[REGIONS_MAX];
static struct map map;
static enum ring_format format;
static bool event_idx, indirect, used_len;
static struct ring_areas shadow;
static struct data_ring ring;
static struct data_log log_on;
static struct driver guest;
static struct device backend;
static struct request held[NUM_MAX];
static unsigned int held_count;
static uint64_t tables; /* guest address */
static struct diag diag;

static uint32_t pick(uint32_t below)
{
	seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(seed >> 33) % below;
}

static __attribute__((noreturn, format(printf, 1, 2))) void fail(const char *text, ...)
{
	va_list args;

	fprintf(stderr, "log_sim: --seed %llu, migration %llu: ", (unsigned long long)world_seed,
		(unsigned long long)seen.migrations);
	va_start(args, text);
	vfprintf(stderr, text, args);
	va_end(args);
	fprintf(stderr, "\n  %s ring of %u%s%s%s, %u regions\n",
		format == RING_SPLIT ? "split" : "packed", num, event_idx ? ", event index" : "",
		indirect ? ", indirect" : "", used_len ? ", used-len" : "", region_count);
	exit(1);
}

static void must(int result, const char *what)
{
	if (result)
		fail("%s: %s: %s", what, ring_outcome_name(result), diag.text);
}

static void *page_aligned(size_t bytes)
{
	void *memory = aligned_alloc(PAGE, (bytes + PAGE - 1) / PAGE * PAGE);

	if (!memory)
		abort();
	memset(memory, 0, (bytes + PAGE - 1) / PAGE * PAGE);
	return memory;
}

static void make_memory(void)
{
	uint64_t gpa = (uint64_t)pick(64) * PAGE;

	region_count = 1 + pick(REGIONS_MAX);
	map = (struct map){.count = region_count};
	for (unsigned int i = 0; i < region_count; i++) {
		struct region *region = &regions[i];

		region->gpa = gpa;
		region->pages = 64 + pick(200);
		region->bytes = page_aligned((size_t)region->pages * PAGE);
		region->copy = page_aligned((size_t)region->pages * PAGE);
		region->owners = page_aligned(region->pages);
		map.regions[i] = (struct map_region){gpa, gpa + (UINT64_C(1) << 40),
						     (uint64_t)region->pages * PAGE, region->bytes};
		gpa += ((uint64_t)region->pages + (pick(2) ? 0 : pick(100000))) * PAGE;
	}
}

static void free_memory(void)
{
	for (unsigned int i = 0; i < region_count; i++) {
		free(regions[i].bytes);
		free(regions[i].copy);
		free(regions[i].owners);
	}
}

/* Bytes at a place of their own, for an area; its pages are then its owner's too. */
static uint64_t place(size_t bytes, enum owner owner)
{
	unsigned int need = (unsigned int)(bytes + PAGE - 1) / PAGE;

	for (;;) {
		struct region *region = &regions[pick(region_count)];
		unsigned int at = pick(region->pages - need), i;

		for (i = 0; i < need && !region->owners[at + i]; i++)
			;
		if (i < need)
			continue;
		memset(region->owners + at, owner, need);
		return region->gpa + (uint64_t)at * PAGE;
	}
}

/* A buffer that is in nobody's area. */
static struct ring_buffer any_buffer(bool writable)
{
	for (;;) {
		struct region *region = &regions[pick(region_count)];
		uint32_t len = 1 + pick(pick(4) ? 600 : 12000);
		uint64_t at = pick(region->pages * PAGE - len);
		uint64_t page = at / PAGE, last = (at + len - 1) / PAGE;

		while (page <= last && !region->owners[page])
			page++;
		if (page > last)
			return (struct ring_buffer){region->gpa + at, len, writable};
	}
}

static uint64_t uva(uint64_t gpa)
{
	return gpa + (UINT64_C(1) << 40);
}

static void make_log(const struct data_attach *attach)
{
	const struct map_region *last = &map.regions[map.count - 1];
	uint64_t bytes = bitmap_bytes(last->gpa + last->size);

	log_on = (struct data_log){
	    .at = page_aligned(bytes),
	    .size = bytes,
	    .areas = {map_range(&map, attach->device, ring_device_bytes(format, num))},
	    .buffers = true,
	    .used_len = used_len,
	    .raised = -1,
	};
	if (format == RING_PACKED)
		log_on.areas[1] = map_range(&map, attach->desc, ring_desc_bytes(format, num));
}

static void open_rings(void)
{
	enum owner desc_owner = format == RING_PACKED ? OWNER_DEVICE : OWNER_GUEST;
	uint64_t desc = place(ring_desc_bytes(format, num), desc_owner);
	uint64_t driver = place(ring_driver_bytes(format, num), OWNER_GUEST);
	uint64_t device = place(ring_device_bytes(format, num), OWNER_DEVICE);
	struct ring_areas areas = {map_gpa(&map, desc, 1), map_gpa(&map, driver, 1),
				   map_gpa(&map, device, 1)};
	uint32_t base = relay_shadow_base(format);
	struct data_attach attach = {
	    .relay = {.format = format,
		      .num = num,
		      .event_idx = event_idx,
		      .indirect = indirect,
		      .base = base},
	    .desc = uva(desc),
	    .driver = uva(driver),
	    .device = uva(device),
	    .guest_kick = -1,
	    .guest_call = -1,
	    .back_kick = -1,
	    .back_call = -1,
	    .log.raised = -1,
	};

	shadow = (struct ring_areas){page_aligned(ring_desc_bytes(format, num)),
				     page_aligned(ring_driver_bytes(format, num)),
				     page_aligned(ring_device_bytes(format, num))};
	attach.relay.shadow = shadow;
	tables = place((size_t)num * TABLE_BYTES, OWNER_GUEST);
	make_log(&attach);
	must(driver_init(&guest, format, &areas, num, event_idx, base, &diag), "guest");
	must(data_ring_attach(&ring, &attach, &map, &diag), "data path");
	must(device_init(&backend, format, &shadow, num, event_idx, indirect, base, &diag),
	     "back-end");
	held_count = 0;
}

static void close_rings(void)
{
	data_ring_detach(&ring);
	data_ring_free(&ring);
	driver_deinit(&guest);
	device_deinit(&backend);
	free(shadow.desc);
	free(shadow.driver);
	free(shadow.device);
	free(log_on.at);
}

/* One buffer becomes two that touch. */
static void split(struct ring_buffer both[2])
{
	uint32_t half = both[0].len / 2;

	if (half == 0)
		return;
	both[1] = (struct ring_buffer){both[0].addr + half, both[0].len - half, both[0].writable};
	both[0].len = half;
}

/* By its tables: a request has the one of its number. */
static uint64_t free_tables[NUM_MAX];
static unsigned int free_count;

static void guest_adds(void)
{
	unsigned int count = 1 + pick(BUFFERS), readable = pick(count + 1);
	struct ring_buffer buffers[BUFFERS];
	uint64_t token;

	if (free_count == 0)
		return;
	token = free_tables[free_count - 1];
	for (unsigned int i = 0; i < count; i++)
		buffers[i] = any_buffer(i >= readable);
	if (count - readable >= 2 && pick(2))
		split(&buffers[count - 2]);
	if (indirect && pick(2)) {
		uint64_t table = tables + token * TABLE_BYTES;
		uint32_t writable = 0, len;

		for (unsigned int i = readable; i < count; i++)
			writable += buffers[i].len;
		len = driver_table(&guest, map_gpa(&map, table, TABLE_BYTES), buffers, count);
		if (driver_add_table(&guest, table, len, writable, token))
			return;
	} else if (driver_add(&guest, buffers, count, token)) {
		return;
	}
	free_count--;
	seen.requests++;
}

static void guest_step(void)
{
	struct ring_done done;
	int result;

	while ((result = driver_take(&guest, &done, &diag)) == RING_OK)
		free_tables[free_count++] = done.token;
	if (result != RING_EMPTY)
		must(result, "guest");
	for (unsigned int n = pick(9); n > 0; n--)
		guest_adds();
	driver_publish(&guest);
	driver_calls(&guest, pick(2));
}

/* Writes `bytes` of a chain's writable part, which no other request may see as it was. */
static void backend_writes(const struct request *request, uint64_t bytes)
{
	for (unsigned int i = 0; i < request->chain.count && bytes; i++) {
		const struct ring_buffer *buffer = &request->list[i];
		uint64_t part = buffer->len < bytes ? buffer->len : bytes;

		if (!buffer->writable)
			continue;
		memset(map_gpa(&map, buffer->addr, buffer->len), (int)pick(256), part);
		bytes -= part;
	}
}

static void backend_completes(void)
{
	unsigned int which = pick(held_count);
	struct request *request = &held[which];
	uint32_t written =
	    (uint32_t)(request->chain.writable ? pick((uint32_t)request->chain.writable + 1) : 0);

	/* What it says is less than what it wrote, where the whole chain is marked. */
	backend_writes(request, used_len || pick(4) ? written : request->chain.writable);
	device_push(&backend, &request->chain, written);
	*request = held[--held_count];
	request->chain.buffers = request->list;
}

static void backend_step(bool takes)
{
	while (takes && held_count < num) {
		struct request *request = &held[held_count];
		int result;

		request->chain = (struct ring_chain){.buffers = request->list, .capacity = BUFFERS};
		result = device_pop(&backend, &ring.relay.memory, &request->chain, &diag);
		if (result == RING_EMPTY)
			break;
		must(result, "back-end");
		held_count++;
	}
	for (unsigned int n = pick(8); n > 0 && held_count; n--)
		backend_completes();
	device_publish(&backend);
	device_kicks(&backend, pick(2));
}

static void relay_step(void)
{
	int result = data_ring_work(&ring, &diag);

	if (result > DATA_RING_WORKED)
		fail("data path: %s", diag.text);
	if (result == DATA_RING_IDLE && pick(2))
		data_ring_sleep(&ring);
}

static void step(void)
{
	switch (pick(3)) {
	case 0:
		guest_step();
		break;
	case 1:
		backend_step(pick(4));
		break;
	case 2:
		relay_step();
		break;
	}
}

static void copy_all(void)
{
	for (unsigned int i = 0; i < region_count; i++)
		memcpy(regions[i].copy, regions[i].bytes, (size_t)regions[i].pages * PAGE);
}

/* As QEMU does it: what it takes from the log it copies, after that. */
static void copy_marked(void)
{
	uint64_t *words = (uint64_t *)log_on.at;

	for (unsigned int i = 0; i < region_count; i++) {
		struct region *region = &regions[i];

		for (unsigned int page = 0; page < region->pages; page++) {
			uint64_t number = region->gpa / PAGE + page, bit = 1ull << (number % 64);
			size_t at = (size_t)page * PAGE;

			if (!(words[number / 64] & bit))
				continue;
			words[number / 64] &= ~bit;
			seen.marked++;
			seen.unchanged += !memcmp(region->copy + at, region->bytes + at, PAGE);
			memcpy(region->copy + at, region->bytes + at, PAGE);
		}
	}
}

static void compare(void)
{
	for (unsigned int i = 0; i < region_count; i++) {
		const struct region *region = &regions[i];

		for (unsigned int page = 0; page < region->pages; page++) {
			size_t at = (size_t)page * PAGE;

			if (region->owners[page] != OWNER_GUEST &&
			    memcmp(region->copy + at, region->bytes + at, PAGE) != 0)
				fail("the page at 0x%llx was written and is not in the log%s",
				     (unsigned long long)(region->gpa + at),
				     region->owners[page] ? ": part of the ring" : "");
		}
	}
}

static void drain(void)
{
	uint32_t base;
	int result;

	data_ring_leave(&ring, DATA_RING_DRAINS);
	while ((result = data_ring_leaving(&ring, &base, &diag)) == DATA_RING_IDLE) {
		backend_step(true);
		relay_step();
	}
	if (result != DATA_RING_LEFT)
		fail("data path: %s", diag.text);
}

/* It has written some of what it took, and will never say so. */
static void backend_dies(void)
{
	for (unsigned int i = 0; i < held_count; i++)
		if (pick(2))
			backend_writes(&held[i], pick((uint32_t)held[i].chain.writable + 1));
	data_ring_mark_in_flight(&ring);
	seen.deaths++;
}

/* False: the ring is at its end. */
static bool migrate(bool last)
{
	const struct data_log log_off = {.raised = -1};

	for (unsigned int n = pick(60); n > 0; n--)
		step();
	data_ring_retarget(&ring, -1, -1, &log_on);
	copy_all();
	for (unsigned int n = pick(400); n > 0; n--) {
		step();
		if (pick(20) == 0)
			copy_marked();
	}
	seen.migrations++;
	if (!last) {
		/* Cancelled: nobody looks any more. */
		data_ring_retarget(&ring, -1, -1, &log_off);
		memset(log_on.at, 0, log_on.size);
		return true;
	}
	if (pick(3))
		drain();
	else
		backend_dies();
	copy_marked();
	compare();
	return false;
}

static void run_world(void)
{
	unsigned int before = pick(MIGRATIONS);

	world_seed = seed;
	format = pick(2) ? RING_SPLIT : RING_PACKED;
	num = format == RING_SPLIT ? 8u << pick(6) : 8 + pick(NUM_MAX - 8);
	event_idx = pick(2);
	indirect = pick(2);
	used_len = pick(4) == 0;
	make_memory();
	open_rings();
	for (free_count = 0; free_count < num; free_count++)
		free_tables[free_count] = free_count;
	while (migrate(before == 0))
		before--;
	close_rings();
	free_memory();
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"seed", required_argument, NULL, 's'},
						{"requests", required_argument, NULL, 'n'},
						{NULL, 0, NULL, 0}};
	uint64_t requests = REQUESTS;
	int option;

	seed = 1;
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 's')
			seed = strtoull(optarg, NULL, 10);
		else if (option == 'n')
			requests = strtoull(optarg, NULL, 10);
		else
			return 2;
	}
	while (seen.requests < requests)
		run_world();
	printf("%llu requests, %llu logs, %llu back-ends dead: no page missing; %llu marked, "
	       "%llu of them (%.1f%%) unchanged\n",
	       (unsigned long long)seen.requests, (unsigned long long)seen.migrations,
	       (unsigned long long)seen.deaths, (unsigned long long)seen.marked,
	       (unsigned long long)seen.unchanged,
	       100.0 * (double)seen.unchanged / (double)(seen.marked ? seen.marked : 1));
	return 0;
}
