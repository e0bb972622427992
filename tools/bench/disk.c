/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench/disk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SECTOR 512u
/* The read-back after the run stays short: 65536 blocks of 4 KiB are 256 MiB. */
#define VERIFY_BLOCKS_MAX 65536u
#define POLL_SLICE_MS     100
#define CALL_GRACE_MS     1000
#define POLLS_FIXED       2u /* main channel, back-end channel */
#define NS                1e9

/* A run of the loop, a round or the read-back. */
struct run {
	struct stats *stats;
	uint64_t allowed;  /* requests not submitted yet */
	uint64_t deadline; /* ns, no submission afterwards; 0: none */
	uint64_t done;
	uint64_t active; /* ns, when something was last done */
	void (*progress)(uint64_t done);
};

static int check_disk(struct disk *disk, struct diag *diag)
{
	const struct options *options = disk->options;
	const struct frontend *frontend = &disk->frontend;
	uint64_t blocks = frontend->capacity / (options->size / SECTOR) / options->queues;
	unsigned int segments = (options->size - 1) / disk->queues[0].segment + 1;

	if (blocks <= options->depth)
		return diag_set(diag, -ENOSPC,
				"the disk has %llu sectors of 512 bytes: too small for %u queues "
				"with %u requests of %u bytes",
				(unsigned long long)frontend->capacity, options->queues,
				options->depth, options->size);
	if (frontend->block_bytes && options->size % frontend->block_bytes)
		return diag_set(diag, -EINVAL, "--size=%u: the disk has blocks of %u bytes",
				options->size, frontend->block_bytes);
	if (segments > frontend->segments || segments + 2 > QUEUE_BUFFERS_MAX)
		return diag_set(
		    diag, -EINVAL, "--size=%u: takes %u segments of %u bytes, the disk allows %u",
		    options->size, segments, disk->queues[0].segment, frontend->segments);
	if (queue_descriptors(&disk->queues[0]) * options->depth > options->queue_size)
		return diag_set(diag, -EINVAL,
				"--depth=%u: takes %u descriptors of %u, since the back-end has no "
				"indirect ones: raise --queue-size",
				options->depth,
				queue_descriptors(&disk->queues[0]) * options->depth,
				options->queue_size);
	return 0;
}

static int share_blocks(struct disk *disk, struct diag *diag)
{
	const struct options *options = disk->options;
	uint64_t share = disk->frontend.capacity / (options->size / SECTOR) / options->queues;

	if (options->verify && share > VERIFY_BLOCKS_MAX / options->queues)
		share = VERIFY_BLOCKS_MAX / options->queues;
	if (options->verify && share <= options->depth)
		return diag_set(diag, -EINVAL,
				"--depth=%u --queues=%u: too much for --verify, "
				"which keeps track of %u blocks",
				options->depth, options->queues, VERIFY_BLOCKS_MAX);
	for (unsigned int i = 0; i < options->queues; i++) {
		disk->queues[i].first_block = i * share;
		disk->queues[i].block_count = share;
	}
	if (!options->verify)
		return 0;
	return blocks_open(&disk->blocks, share * options->queues, options->size, diag);
}

static int open_queues(struct disk *disk, struct diag *diag)
{
	unsigned int count = disk->options->queues;
	int result = 0;

	disk->queues = calloc(count, sizeof(*disk->queues));
	disk->rings = calloc(count, sizeof(*disk->rings));
	disk->polls = calloc(POLLS_FIXED + 2 * count, sizeof(*disk->polls));
	if (!disk->queues || !disk->rings || !disk->polls)
		return diag_set(diag, -ENOMEM, "no memory for %u queues", count);
	for (unsigned int i = 0; i < count; i++)
		disk->queues[i].ring = (struct frontend_ring){.kick = -1, .call = -1, .err = -1};
	for (unsigned int i = 0; i < count && !result; i++) {
		disk->queues[i].blocks = &disk->blocks;
		result = queue_open(&disk->queues[i], i, disk->options, diag);
		disk->rings[i] = disk->queues[i].ring;
	}
	return result;
}

int disk_open(struct disk *disk, const char *path, const struct options *options, struct diag *diag)
{
	int result;

	*disk = (struct disk){.options = options, .guest.fd = -1};
	result = open_queues(disk, diag);
	if (!result)
		result = frontend_open(&disk->frontend, path, options, disk->rings, diag);
	return result;
}

int disk_start(struct disk *disk, struct diag *diag)
{
	const struct options *options = disk->options;
	int result = guest_open(&disk->guest, queue_memory(options) * options->queues, diag);

	for (unsigned int i = 0; i < options->queues && !result; i++) {
		result = queue_build(&disk->queues[i], &disk->guest, &disk->frontend, diag);
		disk->rings[i] = disk->queues[i].ring;
	}
	if (!result)
		result = check_disk(disk, diag);
	if (!result)
		result = share_blocks(disk, diag);
	if (!result)
		result = frontend_start(&disk->frontend, &disk->guest, options, disk->rings, diag);
	disk->running = !result;
	return result;
}

static int check_age(const struct disk *disk, struct diag *diag)
{
	uint64_t now = queue_now(), limit = (uint64_t)disk->options->timeout_ms * 1000000u;

	for (unsigned int i = 0; i < disk->options->queues; i++) {
		const struct queue_slot *slot = queue_oldest(&disk->queues[i]);

		if (slot && now - slot->started > limit)
			return diag_set(
			    diag, -ETIMEDOUT,
			    "queue %u: %s of block %llu not completed within %g s, %u in flight", i,
			    slot->write ? "write" : "read", (unsigned long long)slot->block,
			    disk->options->timeout_ms / 1000.0, queue_in_flight(&disk->queues[i]));
	}
	return 0;
}

/*
 * Nothing woke us for a while. A completion that is there all the same, asked
 * for and without its call even a second later, is a lost wake-up: with a guest
 * in our place it would hang for good.
 */
static int check_calls(const struct disk *disk, struct diag *diag)
{
	for (unsigned int i = 0; i < disk->options->queues; i++) {
		struct queue *queue = &disk->queues[i];
		struct pollfd call = {.fd = queue->ring.call, .events = POLLIN};

		if (driver_calls(&queue->driver, true) && poll(&call, 1, CALL_GRACE_MS) == 0)
			return diag_set(diag, -EPROTO,
					"queue %u: a request was completed and no call came for it",
					i);
	}
	return check_age(disk, diag);
}

/* What poll() found, apart from calls. */
static int look_around(struct disk *disk, struct diag *diag)
{
	const struct pollfd *polls = disk->polls;

	if (polls[0].revents)
		return diag_set(diag, -ECONNRESET,
				polls[0].revents & (POLLHUP | POLLERR)
				    ? "the back-end closed the connection"
				    : "the back-end sent a message unasked");
	for (unsigned int i = 0; i < disk->options->queues; i++)
		if (polls[POLLS_FIXED + 2 * i + 1].revents)
			return diag_set(diag, -EIO,
					"queue %u: the back-end reports an error (SET_VRING_ERR)",
					i);
	return polls[1].revents ? frontend_serve(&disk->frontend, diag) : 0;
}

static void fill_polls(struct disk *disk)
{
	disk->polls[0] = (struct pollfd){.fd = disk->frontend.client.fd, .events = POLLIN};
	disk->polls[1] = (struct pollfd){.fd = disk->frontend.backend.fd, .events = POLLIN};
	for (unsigned int i = 0; i < disk->options->queues; i++) {
		struct pollfd *pair = &disk->polls[POLLS_FIXED + 2 * i];

		pair[0] = (struct pollfd){.fd = disk->queues[i].ring.call, .events = POLLIN};
		pair[1] = (struct pollfd){.fd = disk->queues[i].ring.err, .events = POLLIN};
	}
}

static bool ask_for_calls(struct disk *disk, bool wanted)
{
	bool ready = false;

	for (unsigned int i = 0; i < disk->options->queues; i++)
		ready |= driver_calls(&disk->queues[i].driver, wanted);
	return ready;
}

static int sleep_until_call(struct disk *disk, struct diag *diag)
{
	unsigned int count = POLLS_FIXED + 2 * disk->options->queues;
	int result = 0, n = 0;
	uint64_t value;

	if (!ask_for_calls(disk, true)) {
		fill_polls(disk);
		n = poll(disk->polls, count, POLL_SLICE_MS);
		if (n < 0 && errno != EINTR)
			return diag_set(diag, -errno, "can not wait: %s", strerror(errno));
		for (unsigned int i = POLLS_FIXED; n > 0 && i < count; i += 2)
			if (disk->polls[i].revents &&
			    read(disk->polls[i].fd, &value, sizeof(value)) < 0 && errno != EAGAIN)
				return diag_set(diag, -errno, "can not read a call: %s",
						strerror(errno));
		result = n > 0 ? look_around(disk, diag) : check_calls(disk, diag);
	}
	ask_for_calls(disk, false);
	return result;
}

static int step(struct disk *disk, struct run *run, unsigned int *in_flight, bool *moved,
		struct diag *diag)
{
	*in_flight = 0;
	*moved = false;
	for (unsigned int i = 0; i < disk->options->queues; i++) {
		struct queue *queue = &disk->queues[i];
		uint64_t taken, now;
		int result = queue_take(queue, run->stats, &taken, diag);

		if (result)
			return result;
		run->done += taken;
		now = queue_now();
		if (run->deadline && now >= run->deadline)
			run->allowed = 0;
		result = queue_submit(queue, &disk->guest, &run->allowed, now, diag);
		if (result)
			return result;
		if (taken) {
			*moved = true;
			run->active = now;
		}
		*in_flight += queue_in_flight(queue);
	}
	return 0;
}

static int pump(struct disk *disk, struct run *run, struct diag *diag)
{
	uint64_t spin = disk->options->poll_us * UINT64_C(1000), shown = 0, checked = 0, now;
	unsigned int in_flight;
	bool moved;
	int result;

	run->active = queue_now();
	ask_for_calls(disk, false);
	for (;;) {
		result = step(disk, run, &in_flight, &moved, diag);
		if (result || in_flight == 0)
			return result;
		now = queue_now();
		if (run->progress && now - shown > NS / 5) {
			run->progress(run->done);
			shown = now;
		}
		if (now - checked > NS / 5) {
			result = check_age(disk, diag);
			checked = now;
		}
		if (!result && !moved && now - run->active >= spin)
			result = sleep_until_call(disk, diag);
		if (result)
			return result;
	}
}

static void set_work(struct disk *disk, enum queue_work work)
{
	for (unsigned int i = 0; i < disk->options->queues; i++) {
		disk->queues[i].work = work;
		disk->queues[i].cursor = 0;
	}
}

int disk_round(struct disk *disk, struct disk_figures *figures, void (*progress)(uint64_t done),
	       struct diag *diag)
{
	const struct options *options = disk->options;
	struct stats *stats = calloc(1, sizeof(*stats));
	struct run run = {.stats = stats, .progress = progress};
	uint64_t start;
	int result;

	if (!stats)
		return diag_set(diag, -ENOMEM, "no memory for the figures of a round");
	set_work(disk, QUEUE_LOAD);
	start = queue_now();
	run.allowed = options->requests ? options->requests : UINT64_MAX;
	run.deadline = options->requests ? 0 : start + (uint64_t)(options->seconds * NS);
	result = pump(disk, &run, diag);
	*figures = (struct disk_figures){
	    .requests = run.done,
	    .seconds = (double)(run.active - start) / NS,
	    .least = (double)stats->least,
	    .median = (double)stats_quantile(stats, 0.5),
	    .p99 = (double)stats_quantile(stats, 0.99),
	    .most = (double)stats->most,
	};
	if (figures->seconds > 0)
		figures->iops = (double)run.done / figures->seconds;
	figures->bytes_per_s = figures->iops * options->size;
	free(stats);
	return result;
}

int disk_read_back(struct disk *disk, uint64_t *checked, struct diag *diag)
{
	struct stats *stats = calloc(1, sizeof(*stats));
	struct run run = {.stats = stats, .allowed = UINT64_MAX};
	int result;

	if (!stats)
		return diag_set(diag, -ENOMEM, "no memory for the read-back");
	set_work(disk, QUEUE_READ_BACK);
	result = pump(disk, &run, diag);
	*checked = run.done;
	free(stats);
	return result;
}

/* The upper half of a packed base is not answered by all. */
int disk_stop(struct disk *disk, struct diag *diag)
{
	uint32_t bases[WIRE_QUEUES_MAX];
	int result = frontend_serve(&disk->frontend, diag);

	if (!result)
		result = frontend_stop(&disk->frontend, disk->options->queues, bases, diag);
	disk->running = false;
	for (unsigned int i = 0; i < disk->options->queues && !result; i++) {
		uint16_t want = (uint16_t)driver_base(&disk->queues[i].driver);

		if ((uint16_t)bases[i] != want)
			result = diag_set(diag, -EIO,
					  "queue %u: GET_VRING_BASE says 0x%x, all that was "
					  "submitted and completed ends at 0x%x",
					  i, bases[i] & 0xffffu, want);
	}
	return result;
}

void disk_close(struct disk *disk)
{
	if (!disk->options)
		return;
	frontend_close(&disk->frontend);
	for (unsigned int i = 0; disk->queues && i < disk->options->queues; i++)
		queue_close(&disk->queues[i]);
	free(disk->queues);
	free(disk->rings);
	free(disk->polls);
	blocks_close(&disk->blocks);
	guest_close(&disk->guest);
	*disk = (struct disk){.guest.fd = -1};
}
