/* SPDX-License-Identifier: BSD-3-Clause */
#include "backend/queue.h"

#include "wire/features.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BUFFERS_MAX  1024u
#define HOLD_BACK_NS UINT64_C(50000) /* of a shuffled request that is passed over */
#define ADDR_LOG     0x1u            /* SET_VRING_ADDR: the used ring is to be logged */

uint64_t queue_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void queue_init(struct queue *queue, unsigned int index)
{
	*queue = (struct queue){
	    .index = index,
	    .kick = -1,
	    .call = -1,
	    .err = -1,
	    .random = index + 1,
	};
}

static void forget(struct queue *queue)
{
	for (unsigned int i = 0; i < queue->count; i++)
		free(queue->requests[i].chain.buffers);
	free(queue->requests);
	queue->requests = NULL;
	queue->count = 0;
	if (queue->started)
		device_deinit(&queue->device);
	if (queue->recorded)
		inflight_deinit(&queue->inflight);
	queue->recorded = queue->started = false;
}

void queue_reset(struct queue *queue)
{
	int fds[] = {queue->kick, queue->call, queue->err};

	for (unsigned int i = 0; i < 3; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	forget(queue);
	queue_init(queue, queue->index);
}

static bool agreed(const struct queue_device *device, unsigned int bit)
{
	return (device->features >> bit) & 1;
}

static int map_ring(struct queue *queue, const struct queue_device *device, enum ring_format format,
		    struct ring_areas *areas, struct diag *diag)
{
	const struct memory *memory = &device->memory;

	*areas = (struct ring_areas){
	    .desc = memory_by_uva(memory, queue->desc_uva, ring_desc_bytes(format, queue->num)),
	    .driver =
		memory_by_uva(memory, queue->driver_uva, ring_driver_bytes(format, queue->num)),
	    .device =
		memory_by_uva(memory, queue->device_uva, ring_device_bytes(format, queue->num)),
	};
	memory_uva_to_gpa(memory, queue->desc_uva, &queue->desc_gpa);
	if (areas->desc && areas->driver && areas->device)
		return 0;
	return diag_set(
	    diag, -EFAULT,
	    "ring %u: desc 0x%llx, used 0x%llx, avail 0x%llx are not all inside a region",
	    queue->index, (unsigned long long)queue->desc_uva,
	    (unsigned long long)queue->device_uva, (unsigned long long)queue->driver_uva);
}

/* Of a split ring, where the front-end has the record: what the last back-end had in flight. */
static int open_record(struct queue *queue, const struct queue_device *device,
		       enum ring_format format, struct diag *diag)
{
	void *region = record_of(&device->record, queue->index, queue->num);
	int result;

	if (!region || format != RING_SPLIT)
		return 0;
	result =
	    inflight_init(&queue->inflight, format, queue->num, region, device->record.num, diag);
	if (result)
		return result;
	queue->recorded = true;
	if (inflight_written(&queue->inflight))
		return inflight_settle(&queue->inflight, &queue->areas, &queue->base, diag);
	inflight_reset(&queue->inflight, (uint16_t)queue->base);
	return 0;
}

static int keep(struct queue *queue, const struct queue_device *device,
		const struct ring_chain *chain, uint16_t entry, struct diag *diag)
{
	struct queue_request *request = &queue->requests[queue->count];

	request->chain = *chain;
	request->chain.buffers = malloc(chain->count * sizeof(*chain->buffers));
	if (!request->chain.buffers)
		return diag_set(diag, -ENOMEM, "no memory for a request");
	memcpy(request->chain.buffers, chain->buffers, chain->count * sizeof(*chain->buffers));
	request->entry = entry;
	request->due = device->options->delay_us
			   ? queue_now() + device->options->delay_us * UINT64_C(1000)
			   : 0;
	queue->count++;
	return RING_OK;
}

static int take_again(struct queue *queue, struct queue_device *device, struct diag *diag)
{
	const struct ring_memory memory = {.translate = memory_by_gpa, .context = &device->memory};
	struct ring_buffer list[BUFFERS_MAX];
	struct ring_chain chain = {.buffers = list, .capacity = BUFFERS_MAX};
	int result = 0;

	for (unsigned int i = 0; queue->recorded && !result && i < queue->inflight.count; i++) {
		uint16_t head = queue->inflight.order[i].id;

		device_claim(&queue->device, head, 0);
		result = split_device_again(&queue->device.split, &memory, head, &chain, diag);
		if (!result)
			result = keep(queue, device, &chain, queue->inflight.order[i].entry, diag);
	}
	return result;
}

int queue_start(struct queue *queue, const struct queue_device *device, struct diag *diag)
{
	enum ring_format format = agreed(device, WIRE_F_RING_PACKED) ? RING_PACKED : RING_SPLIT;
	int result;

	forget(queue);
	result = queue->num ? map_ring(queue, device, format, &queue->areas, diag)
			    : diag_set(diag, -EINVAL, "ring %u is started without SET_VRING_NUM",
				       queue->index);
	if (!result)
		result = open_record(queue, device, format, diag);
	if (!result)
		result = device_init(&queue->device, format, &queue->areas, queue->num,
				     agreed(device, WIRE_F_RING_EVENT_IDX),
				     agreed(device, WIRE_F_RING_INDIRECT_DESC), queue->base, diag);
	if (result)
		return result;
	queue->started = true;
	queue->requests = calloc(queue->num, sizeof(*queue->requests));
	if (!queue->requests)
		return diag_set(diag, -ENOMEM, "no memory for ring %u", queue->index);
	return take_again(queue, (struct queue_device *)device, diag);
}

int queue_remap(struct queue *queue, const struct queue_device *device, struct diag *diag)
{
	struct ring_areas areas;
	int result = map_ring(queue, device, queue->device.format, &areas, diag);

	if (!result) {
		queue->areas = areas;
		device_move(&queue->device, &areas);
	}
	return result;
}

static uint32_t pick(struct queue *queue, uint32_t below)
{
	queue->random =
	    queue->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(queue->random >> 33) % below;
}

/* Pops into a list on the stack and keeps as much of it as there is. */
static int take_one(struct queue *queue, struct queue_device *device, struct diag *diag)
{
	const struct ring_memory memory = {.translate = memory_by_gpa, .context = &device->memory};
	struct ring_buffer list[BUFFERS_MAX];
	struct ring_chain chain = {.buffers = list, .capacity = BUFFERS_MAX};
	int result = device_pop(&queue->device, &memory, &chain, diag);

	if (result)
		return result;
	return keep(queue, device, &chain,
		    queue->recorded ? inflight_fetch(&queue->inflight, &chain) : 0, diag);
}

static int take(struct queue *queue, struct queue_device *device, struct diag *diag)
{
	int result = RING_OK;

	while (result == RING_OK && queue->count < queue->num)
		result = take_one(queue, device, diag);
	return result == RING_OK ? RING_EMPTY : result;
}

static void mark_used(const struct queue *queue, const struct queue_device *device, size_t offset,
		      size_t size)
{
	bool packed = queue->device.format == RING_PACKED;

	if (queue->addr_flags & ADDR_LOG)
		memory_mark(&device->memory, (packed ? queue->desc_gpa : queue->log_gpa) + offset,
			    size);
}

static int complete(struct queue *queue, struct queue_device *device, unsigned int at,
		    struct diag *diag)
{
	struct queue_request *request = &queue->requests[at];
	size_t offset, size;
	uint32_t written;
	int result = blk_execute(&device->blk, &device->memory, &request->chain, &written, diag);

	if (result)
		return result;
	device_next_used(&queue->device, &offset, &size);
	if (queue->recorded)
		inflight_complete(&queue->inflight, request->entry);
	device_push(&queue->device, &request->chain, written);
	mark_used(queue, device, offset, size);
	free(request->chain.buffers);
	queue->count--;
	memmove(request, request + 1, (queue->count - at) * sizeof(*request));
	return 0;
}

/* The index of the request to complete now, or -1; notes when the next is due. */
static int choose(struct queue *queue, bool shuffle, uint64_t now, uint64_t *due)
{
	unsigned int start = shuffle && queue->count ? pick(queue, queue->count) : 0;

	for (unsigned int i = 0; i < queue->count; i++) {
		unsigned int at = (start + i) % queue->count;
		struct queue_request *request = &queue->requests[at];

		if (request->due <= now && shuffle && pick(queue, 4) == 0)
			request->due = now + HOLD_BACK_NS;
		if (request->due <= now)
			return (int)at;
		if (request->due < *due)
			*due = request->due;
	}
	return -1;
}

static int call(struct queue *queue, const struct queue_device *device, struct diag *diag)
{
	const uint64_t one = 1;

	/* Flags and index, in the first 4 bytes of the used ring. */
	if (queue->device.format == RING_SPLIT)
		mark_used(queue, device, 0, 4);
	device_publish(&queue->device);
	if (queue->recorded)
		inflight_after_publish(&queue->inflight, queue->device.split.used_idx);
	if (!device_call_wanted(&queue->device) || queue->call < 0)
		return 0;
	if (write(queue->call, &one, sizeof(one)) < 0 && errno != EAGAIN)
		return diag_set(diag, -errno, "ring %u: can not call", queue->index);
	return 0;
}

static int finish(struct queue *queue, struct queue_device *device, uint64_t now, bool shuffle,
		  uint64_t *due, struct diag *diag)
{
	int result = 0, at;

	while (!result && (at = choose(queue, shuffle, now, due)) >= 0)
		result = complete(queue, device, (unsigned int)at, diag);
	return result ? result : call(queue, device, diag);
}

int queue_run(struct queue *queue, struct queue_device *device, uint64_t *due, struct diag *diag)
{
	int result;

	do {
		device_kicks(&queue->device, false);
		result = take(queue, device, diag);
		if (result != RING_EMPTY)
			return result;
		result = finish(queue, device, queue_now(), device->options->shuffle, due, diag);
	} while (!result && device_kicks(&queue->device, true) && queue->count < queue->num);
	return result;
}

int queue_stop(struct queue *queue, struct queue_device *device, struct diag *diag)
{
	uint64_t due = 0;
	int result = 0;

	if (!queue->started)
		return 0;
	result = finish(queue, device, UINT64_MAX, false, &due, diag);
	queue->base = device_base(&queue->device);
	if (queue->recorded)
		inflight_forget(&queue->inflight);
	forget(queue);
	return result;
}
