/* SPDX-License-Identifier: BSD-3-Clause */
#include "ring_world.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

uint32_t world_pick(struct world *world, uint32_t below)
{
	world->seed = world->seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(world->seed >> 33) % below;
}

static void *area(size_t bytes)
{
	void *memory = aligned_alloc(64, (bytes + 63) / 64 * 64);

	if (!memory)
		abort();
	memset(memory, 0, (bytes + 63) / 64 * 64);
	return memory;
}

static struct ring_areas areas_new(const struct world_kind *kind)
{
	return (struct ring_areas){
	    .desc = area(ring_desc_bytes(kind->format, kind->num)),
	    .driver = area(ring_driver_bytes(kind->format, kind->num)),
	    .device = area(ring_device_bytes(kind->format, kind->num)),
	};
}

static void areas_free(struct ring_areas *areas)
{
	free(areas->desc);
	free(areas->driver);
	free(areas->device);
}

static void *translate(void *context, uint64_t addr, uint64_t size)
{
	struct world *world = context;
	uint64_t bytes = (uint64_t)world->kind.num * WORLD_ENTRIES * RING_DESC_SIZE;

	if (addr < WORLD_TABLES || size > bytes || addr - WORLD_TABLES > bytes - size)
		return NULL;
	return world->tables + (addr - WORLD_TABLES);
}

void world_open(struct world *world, const struct world_kind *kind, uint64_t seed)
{
	memset(world, 0, offsetof(struct world, flights));
	memset(world->flights, 0, kind->num * sizeof(world->flights[0]));
	world->seed = seed;
	world->kind = *kind;
	world->guest_areas = areas_new(kind);
	world->shadow_areas = areas_new(kind);
	world->memory = (struct ring_memory){.translate = translate, .context = world};
	world->tables = area((size_t)kind->num * WORLD_ENTRIES * RING_DESC_SIZE);
	world->record = area(inflight_bytes(kind->format, kind->record_num));
	for (unsigned int i = 0; i < kind->num; i++)
		world->free_slots[world->free_count++] = (uint16_t)i;
	if (driver_init(&world->guest, kind->format, &world->guest_areas, kind->num,
			kind->event_idx, relay_shadow_base(kind->format), &world->diag))
		world_fail(world, "guest: %s", world->diag.text);
	if (kind->in_order)
		driver_in_order(&world->guest);
}

void world_close(struct world *world)
{
	world_backend_close(world);
	driver_deinit(&world->guest);
	areas_free(&world->guest_areas);
	areas_free(&world->shadow_areas);
	free(world->tables);
	free(world->record);
}

/* Everything about a buffer follows from its request's number, its slot and its index. */
static struct ring_buffer buffer_of(const struct flight *flight, uint32_t slot, unsigned int i)
{
	return (struct ring_buffer){
	    .addr = flight->seq << 20 | (uint64_t)slot << 4 | i,
	    .len = (uint32_t)(1 + (flight->seq * 7 + i) % 5000),
	    .writable = i >= flight->seq % (flight->count + 1),
	};
}

/* How a request is said: direct descriptors, a table, or (split) one after the other. */
static int guest_says(struct world *world, const struct flight *flight, uint32_t slot)
{
	struct ring_buffer buffers[WORLD_ENTRIES];
	struct ring_chain chain = {.buffers = buffers, .writable = flight->writable};
	uint32_t offset = slot * WORLD_ENTRIES * RING_DESC_SIZE;

	for (unsigned int i = 0; i < flight->count; i++)
		buffers[i] = buffer_of(flight, slot, i);
	chain.direct = flight->count;
	if (world->kind.indirect && world_pick(world, 3))
		chain.direct = 0;
	else if (world->kind.indirect && world->kind.format == RING_SPLIT)
		chain.direct = world_pick(world, flight->count);
	chain.count = flight->count;
	chain.slots = (uint16_t)(chain.direct + (chain.direct < flight->count));
	if (chain.slots > driver_free(&world->guest))
		return RING_FULL;
	if (chain.direct < flight->count) {
		chain.table = WORLD_TABLES + offset;
		chain.table_len =
		    driver_table(&world->guest, world->tables + offset, buffers + chain.direct,
				 flight->count - chain.direct);
	}
	return driver_add_chain(&world->guest, &chain, slot);
}

static bool guest_adds(struct world *world)
{
	uint32_t slot;
	struct flight *flight;

	if (world->free_count == 0)
		return false;
	slot = world->free_slots[world->free_count - 1];
	flight = &world->flights[slot];
	flight->seq = world->added + 1;
	flight->count = 1 + world_pick(world, world_once_in(world, 4) ? WORLD_ENTRIES : 3);
	flight->writable = 0;
	for (unsigned int i = 0; i < flight->count; i++) {
		struct ring_buffer buffer = buffer_of(flight, slot, i);

		flight->writable += buffer.writable ? buffer.len : 0;
	}
	if (guest_says(world, flight, slot)) {
		flight->seq = 0;
		return false;
	}
	world->free_count--;
	world->added++;
	return true;
}

static void guest_gets(struct world *world, const struct ring_done *done)
{
	struct flight *flight = &world->flights[done->token];

	if (flight->seq == 0)
		world_fail(world, "slot %u is completed a second time", (unsigned int)done->token);
	if (done->length != flight->expected)
		world_fail(world, "request %llu came back with %u bytes, not %u",
			   (unsigned long long)flight->seq, done->length, flight->expected);
	if (world->kind.in_order && flight->seq != world->done + 1)
		world_fail(world, "request %llu came back after %llu",
			   (unsigned long long)flight->seq, (unsigned long long)world->done);
	world->done++;
	flight->seq = 0;
	world->free_slots[world->free_count++] = (uint16_t)done->token;
}

void world_guest_step(struct world *world)
{
	struct ring_done done;
	int result;

	if (world->guest_sleeps && !world->call)
		return;
	world->guest_sleeps = false;
	world->call = false;
	while ((result = driver_take(&world->guest, &done, &world->diag)) == RING_OK) {
		guest_gets(world, &done);
		if (world_once_in(world, 8))
			break;
	}
	if (result > RING_EMPTY)
		world_fail(world, "guest: %s: %s", ring_outcome_name(result), world->diag.text);
	for (unsigned int n = world->stops ? 0 : world_pick(world, 9); n > 0; n--)
		if (!guest_adds(world))
			break;
	driver_publish(&world->guest);
	if (driver_kick_wanted(&world->guest))
		world->kicked = true;
	if (world_once_in(world, 3))
		driver_calls(&world->guest, false);
	else if (result == RING_EMPTY && !driver_calls(&world->guest, true))
		world->guest_sleeps = driver_chains(&world->guest) > 0;
}

void world_backend_open(struct world *world, const struct ring_areas *areas, uint32_t base)
{
	const struct world_kind *kind = &world->kind;

	world_backend_close(world);
	if (device_init(&world->backend, kind->format, areas, kind->num, kind->event_idx,
			kind->indirect, base, &world->diag))
		world_fail(world, "back-end: %s", world->diag.text);
	world->backend_open = true;
	world->relayed = areas == &world->shadow_areas;
	world->pops = true;
	world->backend_sleeps = false;
	world->last_popped = 0;
}

void world_backend_close(struct world *world)
{
	if (world->backend_open)
		device_deinit(&world->backend);
	world->backend_open = false;
	world->held_count = 0;
}

static void backend_pops(struct world *world, const struct ring_chain *chain)
{
	uint32_t slot = (uint32_t)(chain->buffers[0].addr >> 4) & 0xffff;
	const struct flight *flight = &world->flights[slot % WORLD_SLOTS];

	if (flight->seq == 0 || flight->seq != chain->buffers[0].addr >> 20 ||
	    chain->count != flight->count)
		world_fail(world, "the back-end got %u buffers from 0x%llx on: not in flight",
			   chain->count, (unsigned long long)chain->buffers[0].addr);
	for (unsigned int i = 0; i < chain->count; i++) {
		struct ring_buffer want = buffer_of(flight, slot, i), got = chain->buffers[i];

		if (got.addr != want.addr || got.len != want.len || got.writable != want.writable)
			world_fail(world, "request %llu: the back-end got another buffer %u",
				   (unsigned long long)flight->seq, i);
	}
	if (flight->seq <= world->last_popped)
		world_fail(world, "the back-end got request %llu after %llu",
			   (unsigned long long)flight->seq, (unsigned long long)world->last_popped);
	world->last_popped = flight->seq;
	world->held[world->held_count++] = (struct held){.chain = *chain, .slot = slot};
}

static void backend_pushes(struct world *world, unsigned int at)
{
	struct flight *flight = &world->flights[world->held[at].slot];
	uint32_t written = world_pick(world, flight->writable + 1);

	flight->expected = written;
	/* The guest itself takes no wrong lengths. */
	if (world->kind.careless && world->relayed && world_once_in(world, 5)) {
		written = flight->writable + 1 + world_pick(world, 1000);
		flight->expected = flight->writable;
	}
	device_push(&world->backend, &world->held[at].chain, written);
}

/* VIRTIO_F_IN_ORDER: one used entry, that of the last, where the first would have been. */
static void backend_skips(struct world *world, unsigned int count)
{
	struct device *device = &world->backend;

	backend_pushes(world, count - 1);
	for (unsigned int i = 0; i + 1 < count; i++) {
		const struct held *held = &world->held[i];

		world->flights[held->slot].expected = world->flights[held->slot].writable;
		if (device->format == RING_SPLIT) {
			device->split.given[held->chain.id] = 0;
			device->split.chains--;
			device->split.used_idx++;
			continue;
		}
		device->packed.given[held->chain.id] = 0;
		device->packed.taken -= held->chain.slots;
		device->packed.moved += held->chain.slots;
		ring_position_move(&device->packed.used, held->chain.slots, device->packed.num);
	}
}

static void complete_in_order(struct world *world)
{
	unsigned int count = 1;

	if (world->kind.batches)
		count += world_pick(world, world->held_count < 6 ? world->held_count : 6);
	if (count > 1)
		backend_skips(world, count);
	else
		backend_pushes(world, 0);
	world->held_count -= count;
	memmove(world->held, world->held + count, world->held_count * sizeof(world->held[0]));
}

static void backend_completes(struct world *world)
{
	unsigned int at;

	for (unsigned int n = world_pick(world, 9); n > 0 && world->held_count > 0; n--) {
		if (world->kind.in_order) {
			complete_in_order(world);
			continue;
		}
		at = world_pick(world, world->held_count);
		backend_pushes(world, at);
		world->held[at] = world->held[--world->held_count];
	}
	device_publish(&world->backend);
	if (device_call_wanted(&world->backend))
		world->raised = true;
}

void world_backend_step(struct world *world)
{
	bool awake = !world->backend_sleeps || world->kick;
	bool takes = awake && world->pops && (!world->kind.filled || world_once_in(world, 4));
	struct ring_chain chain = {.buffers = world->list, .capacity = 64};
	int result = world->kind.filled ? RING_OK : RING_EMPTY;

	if (awake)
		world->kick = false;
	world->backend_sleeps = false;
	while (takes && (result = device_pop(&world->backend, &world->memory, &chain,
					     &world->diag)) == RING_OK) {
		backend_pops(world, &chain);
		if (world_once_in(world, world->kind.filled ? 2 : 6))
			break;
	}
	if (result > RING_EMPTY)
		world_fail(world, "back-end: %s: %s", ring_outcome_name(result), world->diag.text);
	/* What it holds completes whether or not it sleeps. */
	backend_completes(world);
	if (!awake)
		world->backend_sleeps = true;
	else if (world_once_in(world, 3))
		device_kicks(&world->backend, false);
	else if (result == RING_EMPTY && !device_kicks(&world->backend, true))
		world->backend_sleeps = true;
}
