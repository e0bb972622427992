/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench/queue.h"

#include "base/bytes.h"
#include "wire/features.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define BLK_IN          0u /* virtio 1.2, 5.2.6 */
#define BLK_OUT         1u
#define BLK_HEADER      16u
#define BLK_STATUS_NONE 0xffu /* ours: no device answers this */
#define SECTOR          512u
#define PAGE            ((size_t)4096)

uint64_t queue_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Header and status, then the indirect table. */
static size_t meta_bytes(void)
{
	return 64 + QUEUE_BUFFERS_MAX * RING_DESC_SIZE;
}

size_t queue_memory(const struct options *options)
{
	size_t rings = ring_desc_bytes(options->format, options->queue_size) +
		       ring_driver_bytes(options->format, options->queue_size) +
		       ring_device_bytes(options->format, options->queue_size) + 3 * PAGE;

	return rings + options->depth * (meta_bytes() + 64 + options->size + PAGE);
}

static int make_eventfd(int *fd, unsigned int value, struct diag *diag)
{
	*fd = eventfd(value, EFD_CLOEXEC | EFD_NONBLOCK);
	return *fd < 0 ? diag_set(diag, -errno, "no eventfd: %s", strerror(errno)) : 0;
}

int queue_open(struct queue *queue, unsigned int index, const struct options *options,
	       struct diag *diag)
{
	/* The kick is readable from the start, as QEMU's is. */
	int result = make_eventfd(&queue->ring.kick, 1, diag);

	queue->index = index;
	queue->options = options;
	queue->random = index * UINT64_C(0x9e3779b97f4a7c15) + 1;
	if (!result)
		result = make_eventfd(&queue->ring.call, 0, diag);
	if (!result)
		result = make_eventfd(&queue->ring.err, 0, diag);
	return result;
}

static void take_slot_memory(struct queue *queue, struct guest *guest, unsigned int i)
{
	struct queue_slot *slot = &queue->slots[i];
	uint8_t *meta = guest_take(guest, meta_bytes(), 64);

	slot->header = meta;
	slot->status = meta + BLK_HEADER;
	slot->table = meta + 64;
	slot->data = guest_take(guest, queue->options->size, PAGE);
	queue->idle[i] = queue->options->depth - 1 - i;
}

int queue_build(struct queue *queue, struct guest *guest, const struct frontend *frontend,
		struct diag *diag)
{
	const struct options *options = queue->options;
	unsigned int num = options->queue_size;

	queue->indirect = frontend_has(frontend, WIRE_F_RING_INDIRECT_DESC);
	queue->segment = frontend->segment_bytes / SECTOR * SECTOR;
	if (queue->segment == 0 || queue->segment > options->size)
		queue->segment = options->size;
	queue->ring.areas = (struct ring_areas){
	    .desc = guest_take(guest, ring_desc_bytes(options->format, num), PAGE),
	    .driver = guest_take(guest, ring_driver_bytes(options->format, num), PAGE),
	    .device = guest_take(guest, ring_device_bytes(options->format, num), PAGE),
	};
	queue->ring.base = options->format == RING_PACKED ? RING_PACKED_BASE : 0;
	queue->slots = calloc(options->depth, sizeof(*queue->slots));
	queue->idle = calloc(options->depth, sizeof(*queue->idle));
	if (!queue->slots || !queue->idle)
		return diag_set(diag, -ENOMEM, "no memory for %u requests", options->depth);
	for (unsigned int i = 0; i < options->depth; i++)
		take_slot_memory(queue, guest, i);
	queue->idle_count = options->depth;
	return driver_init(&queue->driver, options->format, &queue->ring.areas, num,
			   frontend_has(frontend, WIRE_F_RING_EVENT_IDX), queue->ring.base, diag);
}

void queue_close(struct queue *queue)
{
	int *fds[] = {&queue->ring.kick, &queue->ring.call, &queue->ring.err};

	for (unsigned int i = 0; i < 3; i++) {
		if (*fds[i] >= 0)
			close(*fds[i]);
		*fds[i] = -1;
	}
	driver_deinit(&queue->driver);
	free(queue->slots);
	free(queue->idle);
	queue->slots = NULL;
	queue->idle = NULL;
}

unsigned int queue_descriptors(const struct queue *queue)
{
	unsigned int data = (queue->options->size + queue->segment - 1) / queue->segment;

	return queue->indirect ? 1 : data + 2;
}

static uint64_t random_below(struct queue *queue, uint64_t below)
{
	queue->random ^= queue->random << 13;
	queue->random ^= queue->random >> 7;
	queue->random ^= queue->random << 17;
	return queue->random % below;
}

/* The next block that is written and not in flight; false: none is left. */
static bool next_to_read_back(struct queue *queue, uint64_t *block)
{
	for (; queue->cursor < queue->block_count; queue->cursor++) {
		*block = queue->first_block + queue->cursor;
		if (queue->blocks->sequence[*block]) {
			queue->cursor++;
			return true;
		}
	}
	return false;
}

/* A random block of the queue's share; with --verify the next one that is not in flight. */
static uint64_t choose_block(struct queue *queue)
{
	uint64_t at = random_below(queue, queue->block_count);

	if (queue->blocks->count)
		while (queue->blocks->busy[queue->first_block + at])
			at = (at + 1) % queue->block_count;
	return queue->first_block + at;
}

static bool choose(struct queue *queue, struct queue_slot *slot)
{
	enum options_rw rw = queue->options->rw;

	slot->write = false;
	if (queue->work == QUEUE_READ_BACK)
		return next_to_read_back(queue, &slot->block);
	slot->block = choose_block(queue);
	slot->write = rw == OPTIONS_WRITE || (rw == OPTIONS_MIXED && random_below(queue, 2));
	/* A block never written could not be checked. */
	if (queue->blocks->count && queue->blocks->sequence[slot->block] == 0)
		slot->write = true;
	return true;
}

static void prepare(struct queue *queue, struct queue_slot *slot)
{
	uint32_t bytes = queue->options->size;

	bytes_store32(slot->header, slot->write ? BLK_OUT : BLK_IN);
	bytes_store32(slot->header + 4, 0);
	bytes_store64(slot->header + 8, slot->block * (bytes / SECTOR));
	*slot->status = BLK_STATUS_NONE;
	if (!queue->blocks->count)
		return;
	queue->blocks->busy[slot->block] = 1;
	slot->sequence = queue->blocks->sequence[slot->block] + 1;
	if (slot->write)
		blocks_fill(queue->blocks, slot->block, slot->sequence, slot->data);
	else
		memset(slot->data, BLK_STATUS_NONE, bytes);
}

static unsigned int describe(const struct queue *queue, const struct guest *guest,
			     const struct queue_slot *slot, struct ring_buffer *buffers)
{
	unsigned int count = 0;

	buffers[count++] = (struct ring_buffer){guest_gpa(guest, slot->header), BLK_HEADER, false};
	for (uint32_t at = 0; at < queue->options->size; at += queue->segment) {
		uint32_t left = queue->options->size - at;

		buffers[count++] = (struct ring_buffer){
		    .addr = guest_gpa(guest, slot->data + at),
		    .len = left < queue->segment ? left : queue->segment,
		    .writable = !slot->write,
		};
	}
	buffers[count++] = (struct ring_buffer){guest_gpa(guest, slot->status), 1, true};
	return count;
}

static int add(struct queue *queue, const struct guest *guest, unsigned int index,
	       struct diag *diag)
{
	struct ring_buffer buffers[QUEUE_BUFFERS_MAX];
	struct queue_slot *slot = &queue->slots[index];
	unsigned int count = describe(queue, guest, slot, buffers);
	uint32_t writable = 1 + (slot->write ? 0 : queue->options->size);
	int result;

	if (queue->indirect)
		result = driver_add_table(&queue->driver, guest_gpa(guest, slot->table),
					  driver_table(&queue->driver, slot->table, buffers, count),
					  writable, index);
	else
		result = driver_add(&queue->driver, buffers, count, index);
	return result ? diag_set(diag, result, "queue %u: ring is %s", queue->index,
				 ring_outcome_name(result))
		      : 0;
}

static int kick(struct queue *queue, struct diag *diag)
{
	const uint64_t one = 1;

	driver_publish(&queue->driver);
	if (!driver_kick_wanted(&queue->driver))
		return 0;
	if (write(queue->ring.kick, &one, sizeof(one)) != sizeof(one))
		return diag_set(diag, -errno, "queue %u: can not kick: %s", queue->index,
				strerror(errno));
	return 0;
}

int queue_submit(struct queue *queue, const struct guest *guest, uint64_t *allowed, uint64_t now,
		 struct diag *diag)
{
	int result = 0;
	bool any = false;

	while (queue->idle_count > 0 && *allowed > 0 && !result) {
		unsigned int index = queue->idle[queue->idle_count - 1];
		struct queue_slot *slot = &queue->slots[index];

		if (!choose(queue, slot))
			break;
		prepare(queue, slot);
		slot->started = now;
		slot->busy = true;
		queue->idle_count--;
		--*allowed;
		any = true;
		result = add(queue, guest, index, diag);
	}
	return any && !result ? kick(queue, diag) : result;
}

static int check(struct queue *queue, struct queue_slot *slot, struct diag *diag)
{
	struct blocks *blocks = queue->blocks;
	int result = 0;

	if (*slot->status)
		return diag_set(diag, -EIO, "queue %u: %s of block %llu: %s %u", queue->index,
				slot->write ? "write" : "read", (unsigned long long)slot->block,
				*slot->status == BLK_STATUS_NONE ? "completed without a status,"
								 : "failed with status",
				*slot->status);
	if (!blocks->count)
		return 0;
	if (slot->write)
		blocks->sequence[slot->block] = slot->sequence;
	else
		result = blocks_check(blocks, slot->block, slot->data, diag);
	blocks->busy[slot->block] = 0;
	return result;
}

int queue_take(struct queue *queue, struct stats *stats, uint64_t *taken, struct diag *diag)
{
	struct ring_done done;
	struct diag why;
	uint64_t now = 0;
	int result;

	*taken = 0;
	while ((result = driver_take(&queue->driver, &done, &why)) == RING_OK) {
		struct queue_slot *slot = &queue->slots[done.token];

		if (!now)
			now = queue_now();
		stats_add(stats, now - slot->started);
		slot->busy = false;
		queue->idle[queue->idle_count++] = (unsigned int)done.token;
		++*taken;
		result = check(queue, slot, diag);
		if (result)
			return result;
	}
	if (result != RING_EMPTY)
		return diag_set(diag, result, "queue %u: the back-end broke the ring: %s",
				queue->index, why.text);
	return 0;
}

unsigned int queue_in_flight(const struct queue *queue)
{
	return queue->options->depth - queue->idle_count;
}

const struct queue_slot *queue_oldest(const struct queue *queue)
{
	const struct queue_slot *oldest = NULL;

	for (unsigned int i = 0; i < queue->options->depth; i++)
		if (queue->slots[i].busy && (!oldest || queue->slots[i].started < oldest->started))
			oldest = &queue->slots[i];
	return oldest;
}
