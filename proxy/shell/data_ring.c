/* SPDX-License-Identifier: BSD-3-Clause */
#include "shell/data_ring.h"

#include "shell/fds.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Chains a round; a burst of this many is published, kicked and called once. */
#define BUDGET 256

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void *translate(void *context, uint64_t addr, uint64_t size)
{
	return map_gpa(context, addr, size);
}

static struct ring_memory memory_of(const struct map *map)
{
	/* ring_memory's context is not const; translate() only looks. */
	return (struct ring_memory){.translate = translate, .context = (void *)map};
}

static int find_areas(const struct data_ring *ring, const struct map *map, struct ring_areas *areas,
		      struct diag *diag)
{
	enum ring_format format = ring->format;

	areas->desc = map_uva(map, ring->desc, ring_desc_bytes(format, ring->num));
	areas->driver = map_uva(map, ring->driver, ring_driver_bytes(format, ring->num));
	areas->device = map_uva(map, ring->device, ring_device_bytes(format, ring->num));
	if (areas->desc && areas->driver && areas->device)
		return 0;
	return diag_set(
	    diag, -EFAULT,
	    "guest ring: desc 0x%llx, avail 0x%llx or used 0x%llx is in no memory region",
	    (unsigned long long)ring->desc, (unsigned long long)ring->driver,
	    (unsigned long long)ring->device);
}

static void wrote(void *context, uint64_t gpa, uint32_t len, uint32_t written)
{
	struct data_ring *ring = context;

	bitmap_gather(&ring->burst, gpa, ring->log.used_len ? written : len);
}

static void settle(void *context)
{
	struct data_ring *ring = context;

	bitmap_settle(&ring->burst);
}

/*
 * The guest's ring is written by us, so nobody else marks it. The areas are a few
 * pages: marked whole, after what was written there and before the call, as the
 * log's reader wants it.
 */
static void mark_ring(struct data_ring *ring)
{
	for (unsigned int i = 0; ring->log.at && i < 2; i++)
		bitmap_gather(&ring->burst, ring->log.areas[i].gpa, ring->log.areas[i].size);
	bitmap_settle(&ring->burst);
	if (ring->burst.marked != ring->told)
		fds_raise(ring->log.raised);
	ring->told = ring->burst.marked;
}

/*
 * What was written before the log was turned on is the migration's first pass's; what
 * is written from the next round on is marked, the ring itself at once.
 */
static void log_from_now(struct data_ring *ring)
{
	const struct relay_watcher watcher = {wrote, settle, ring};

	bitmap_aim(&ring->burst, ring->log.at, ring->log.size);
	relay_watch(&ring->relay, ring->log.at && ring->log.buffers ? &watcher : NULL);
	mark_ring(ring);
}

static void set_log(struct data_ring *ring, const struct data_log *log)
{
	close_fd(&ring->log.raised);
	ring->log = *log;
	ring->log.raised = -1;
	log_from_now(ring); /* may be the end of it, where the log has vanished */
	ring->log.raised = fds_copy(log->raised);
	fds_raise(ring->log.raised);
}

/* What is in flight has to outlive the back-end, whether or not the front-end asks for that. */
static int need_record(struct data_ring *ring, struct relay_config *config, struct diag *diag)
{
	size_t bytes = inflight_bytes(config->format, config->num);

	if (config->record)
		return 0;
	if (ring->record_bytes != bytes) {
		free(ring->record);
		ring->record_bytes = 0;
		ring->record = calloc(1, bytes);
		if (!ring->record)
			return diag_set(diag, -ENOMEM, "no memory for a record of %zu bytes",
					bytes);
		ring->record_bytes = bytes;
	}
	config->record = ring->record;
	config->record_num = config->num;
	return 0;
}

int data_ring_attach(struct data_ring *ring, const struct data_attach *attach,
		     const struct map *map, struct diag *diag)
{
	struct relay_config config = attach->relay;
	int result = need_record(ring, &config, diag);

	if (result)
		return result;
	*ring = (struct data_ring){
	    .past = ring->counts,
	    .counts = ring->counts,
	    .record = ring->record,
	    .record_bytes = ring->record_bytes,
	    .queue = attach->queue,
	    .format = config.format,
	    .num = config.num,
	    .desc = attach->desc,
	    .driver = attach->driver,
	    .device = attach->device,
	    .log.raised = -1,
	};
	result = find_areas(ring, map, &config.guest, diag);
	if (result)
		return result;
	config.memory = memory_of(map);
	result = relay_init(&ring->relay, &config, diag);
	if (result)
		return result;
	set_log(ring, &attach->log);
	ring->config = config;
	ring->guest_kick = fds_copy(attach->guest_kick);
	ring->guest_call = fds_copy(attach->guest_call);
	ring->back_kick = fds_copy(attach->back_kick);
	ring->back_call = fds_copy(attach->back_call);
	ring->attached = true;
	return 0;
}

void data_ring_detach(struct data_ring *ring)
{
	relay_deinit(&ring->relay);
	__atomic_store_n(&ring->counts.inflight, 0, __ATOMIC_RELAXED);
	close_fd(&ring->guest_kick);
	close_fd(&ring->guest_call);
	close_fd(&ring->back_kick);
	close_fd(&ring->back_call);
	close_fd(&ring->log.raised);
	ring->attached = false;
}

void data_ring_free(struct data_ring *ring)
{
	free(ring->record);
	ring->record = NULL;
	ring->record_bytes = 0;
}

/* The control thread reads these while we count. */
static void publish_counts(struct data_ring *ring)
{
	const struct relay_counters *now = &ring->relay.counters;
	const struct data_counters *past = &ring->past;
	struct data_counters *counts = &ring->counts;

	__atomic_store_n(&counts->kicks, past->kicks + now->kicks, __ATOMIC_RELAXED);
	__atomic_store_n(&counts->calls, past->calls + now->calls, __ATOMIC_RELAXED);
	__atomic_store_n(&counts->relayed, past->relayed + now->relayed, __ATOMIC_RELAXED);
	__atomic_store_n(&counts->bytes_written, past->bytes_written + now->bytes_written,
			 __ATOMIC_RELAXED);
	__atomic_store_n(&counts->pages_marked, past->pages_marked + ring->burst.marked,
			 __ATOMIC_RELAXED);
	__atomic_store_n(&counts->inflight, relay_in_flight(&ring->relay), __ATOMIC_RELAXED);
}

static void notify(struct data_ring *ring)
{
	if (ring->relay.kick) {
		ring->relay.kick = false;
		ring->relay.counters.kicks++;
		fds_raise(ring->back_kick);
	}
	if (ring->relay.call) {
		ring->relay.call = false;
		ring->relay.counters.calls++;
		fds_raise(ring->guest_call);
	}
}

int data_ring_work(struct data_ring *ring, struct diag *diag)
{
	int pulled, completed;

	if (ring->left)
		return DATA_RING_IDLE;
	relay_wake(&ring->relay);
	pulled = relay_pull(&ring->relay, BUDGET, diag);
	if (pulled >= RING_FAULTS || pulled < 0)
		return DATA_RING_GUEST_FAULT;
	completed = relay_complete(&ring->relay, BUDGET, diag);
	if (completed == RING_OK)
		mark_ring(ring);
	notify(ring);
	if (completed >= RING_FAULTS || completed < 0)
		return DATA_RING_BACK_FAULT;
	if (pulled != RING_OK && completed != RING_OK)
		return DATA_RING_IDLE;
	publish_counts(ring);
	return DATA_RING_WORKED;
}

bool data_ring_sleep(struct data_ring *ring)
{
	return !ring->left && relay_sleep(&ring->relay);
}

void data_ring_leave(struct data_ring *ring, enum data_ring_way way)
{
	ring->way = way;
	relay_hold(&ring->relay, true);
}

static int leave(struct data_ring *ring, uint32_t *base)
{
	ring->way = DATA_RING_STAYS;
	ring->left = true;
	*base = relay_leave(&ring->relay);
	mark_ring(ring);
	publish_counts(ring);
	/* Whoever goes on from here starts with wishes of its own. */
	fds_raise(ring->guest_call);
	return DATA_RING_LEFT;
}

static int recall(struct data_ring *ring, uint32_t *base, struct diag *diag)
{
	int result = relay_recall(&ring->relay, ring->back_base, diag);

	if (result == RING_OK)
		return leave(ring, base);
	if (result == RING_EMPTY)
		return DATA_RING_IDLE;
	return result == RING_BAD_INDEX ? DATA_RING_BACK_FAULT : DATA_RING_GUEST_FAULT;
}

int data_ring_leaving(struct data_ring *ring, uint32_t *base, struct diag *diag)
{
	switch (ring->way) {
	case DATA_RING_DRAINS:
		return relay_in_flight(&ring->relay) ? DATA_RING_IDLE : leave(ring, base);
	case DATA_RING_HOLDS:
		if (relay_busy(&ring->relay))
			return DATA_RING_IDLE;
		ring->way = DATA_RING_STAYS;
		return DATA_RING_QUIET;
	case DATA_RING_RECALLS:
		return recall(ring, base, diag);
	case DATA_RING_STAYS:
		break;
	}
	return DATA_RING_IDLE;
}

/* As after a crash of our own, but that nobody takes the rest up again. */
static int give_up(struct data_ring *ring, const struct map *map, struct diag *diag)
{
	const struct relay_counters counters = ring->relay.counters;
	struct relay_config config = ring->config;
	int result = find_areas(ring, map, &config.guest, diag);

	config.memory = memory_of(map);
	config.resubmit = true;
	config.base = relay_base(&ring->relay);
	relay_deinit(&ring->relay);
	if (!result)
		result = relay_init(&ring->relay, &config, diag);
	if (result)
		return result;
	ring->relay.counters = counters;
	log_from_now(ring);
	relay_give_up(&ring->relay);
	return 0;
}

int data_ring_lose(struct data_ring *ring, const struct map *map, bool resubmit, uint32_t *base,
		   unsigned int *left, struct diag *diag)
{
	int result;

	relay_hold(&ring->relay, true);
	do
		result = relay_complete(&ring->relay, BUDGET, diag);
	while (result == RING_OK);
	if (result >= RING_FAULTS || result < 0)
		return DATA_RING_BACK_FAULT;
	data_ring_mark_in_flight(ring);
	if (!resubmit && relay_in_flight(&ring->relay) && give_up(ring, map, diag))
		return DATA_RING_GUEST_FAULT;
	*left = relay_in_flight(&ring->relay);
	*base = *left ? relay_base(&ring->relay) : relay_leave(&ring->relay);
	mark_ring(ring);
	publish_counts(ring);
	fds_raise(ring->guest_call);
	ring->left = true;
	return DATA_RING_WORKED;
}

void data_ring_nudge(struct data_ring *ring)
{
	fds_raise(ring->guest_call);
	fds_raise(ring->back_kick);
}

int data_ring_map(struct data_ring *ring, const struct map *map, struct diag *diag)
{
	struct ring_memory memory = memory_of(map);
	struct ring_areas areas;
	int result = find_areas(ring, map, &areas, diag);

	if (!result)
		relay_move(&ring->relay, &areas, &memory);
	return result;
}

void data_ring_retarget(struct data_ring *ring, int guest_kick, int guest_call,
			const struct data_log *log)
{
	close_fd(&ring->guest_kick);
	close_fd(&ring->guest_call);
	ring->guest_kick = fds_copy(guest_kick);
	ring->guest_call = fds_copy(guest_call);
	set_log(ring, log);
}

void data_ring_mark_in_flight(struct data_ring *ring)
{
	/* What was left is nobody's, or the guest's again. */
	if (ring->left)
		return;
	relay_tell_in_flight(&ring->relay);
	/* With the last wish for notifications, which no completion came after. */
	mark_ring(ring);
}

void data_ring_count(const struct data_ring *ring, struct data_counters *counters)
{
	counters->kicks = __atomic_load_n(&ring->counts.kicks, __ATOMIC_RELAXED);
	counters->calls = __atomic_load_n(&ring->counts.calls, __ATOMIC_RELAXED);
	counters->relayed = __atomic_load_n(&ring->counts.relayed, __ATOMIC_RELAXED);
	counters->bytes_written = __atomic_load_n(&ring->counts.bytes_written, __ATOMIC_RELAXED);
	counters->pages_marked = __atomic_load_n(&ring->counts.pages_marked, __ATOMIC_RELAXED);
	counters->inflight = __atomic_load_n(&ring->counts.inflight, __ATOMIC_RELAXED);
}
