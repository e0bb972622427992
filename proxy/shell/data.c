/* SPDX-License-Identifier: BSD-3-Clause */
#include "shell/data.h"

#include "shell/data_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

static void on_async(uv_async_t *async)
{
	struct data *data = async->data;
	struct note note;

	for (;;) {
		pthread_mutex_lock(&data->lock);
		if (data->notes_count == 0) {
			pthread_mutex_unlock(&data->lock);
			return;
		}
		note = data->notes[0];
		data->notes_count--;
		memmove(&data->notes[0], &data->notes[1], data->notes_count * sizeof(note));
		pthread_mutex_unlock(&data->lock);
		if (note.kind == NOTE_DRAINED)
			data->events->drained(data->context, note.queue, note.base);
		else if (note.kind == NOTE_QUIET)
			data->events->quiet(data->context, note.queue, note.quiet);
		else
			data->events->fault(data->context, note.queue, note.guest, note.text);
	}
}

static int run_on(struct data *data, unsigned int index, struct command *command)
{
	struct thread *thread = &data->list[index];
	uint64_t one = 1;

	pthread_mutex_lock(&data->lock);
	__atomic_store_n(&thread->command, command, __ATOMIC_RELAXED);
	(void)!write(thread->wake, &one, sizeof(one));
	while (thread->command)
		pthread_cond_wait(&data->done, &data->lock);
	pthread_mutex_unlock(&data->lock);
	return command->result;
}

static int run_for_queue(struct data *data, struct command *command)
{
	return run_on(data, command->queue % data->threads, command);
}

static void run_attach(struct data *data, unsigned int index, struct command *command)
{
	const struct data_attach *attach = command->argument;
	struct thread *thread = &data->list[index];
	struct data_ring *ring = &data->rings[command->queue];

	command->result = data_ring_attach(ring, attach, data->map, command->diag);
	if (command->result)
		return;
	thread->rings[thread->attached++] = ring;
	data_thread_listen(thread, ring->guest_kick);
	data_thread_listen(thread, ring->back_call);
	data_ring_nudge(ring);
}

int data_attach(struct data *data, const struct data_attach *attach, struct diag *diag)
{
	struct command command = {
	    .run = run_attach, .queue = attach->queue, .argument = attach, .diag = diag};

	return run_for_queue(data, &command);
}

static void run_detach(struct data *data, unsigned int index, struct command *command)
{
	struct data_ring *ring = &data->rings[command->queue];

	if (ring->attached) {
		data_ring_mark_in_flight(ring);
		data_thread_take_out(&data->list[index], ring);
	}
	if (data->watches[command->queue].on)
		data->list[index].watched--;
	data->watches[command->queue].on = false;
}

/* What was said of a ring would be taken for the next one that has its number. */
static void forget_notes(struct data *data, unsigned int queue)
{
	unsigned int kept = 0;

	pthread_mutex_lock(&data->lock);
	for (unsigned int i = 0; i < data->notes_count; i++)
		if (data->notes[i].queue != queue)
			data->notes[kept++] = data->notes[i];
	data->notes_count = kept;
	pthread_mutex_unlock(&data->lock);
}

void data_detach(struct data *data, unsigned int queue)
{
	struct command command = {.run = run_detach, .queue = queue};

	run_for_queue(data, &command);
	forget_notes(data, queue);
}

struct lose {
	bool resubmit;
	struct data_lost *lost;
};

static void run_lose(struct data *data, unsigned int index, struct command *command)
{
	const struct lose *lose = command->argument;
	struct data_ring *ring = &data->rings[command->queue];
	int result;

	/* A fault of the guest's was quicker, and is on its way. */
	if (!ring->attached)
		return;
	result = data_ring_lose(ring, data->map, lose->resubmit, &lose->lost->base,
				&lose->lost->left, command->diag);
	lose->lost->guest = result == DATA_RING_GUEST_FAULT;
	command->result = result == DATA_RING_WORKED ? 0 : -EPROTO;
	data_thread_take_out(&data->list[index], ring);
}

int data_lose(struct data *data, unsigned int queue, bool resubmit, struct data_lost *lost,
	      struct diag *diag)
{
	struct lose lose = {resubmit, lost};
	struct command command = {.run = run_lose, .queue = queue, .argument = &lose, .diag = diag};

	*lost = (struct data_lost){.base = 0};
	return run_for_queue(data, &command);
}

struct stand {
	uint64_t used;
	uint16_t *index;
};

static void run_stand(struct data *data, unsigned int index, struct command *command)
{
	const struct stand *stand = command->argument;
	const struct ring_used *used = map_uva(data->map, stand->used, sizeof(*used));

	if (used)
		*stand->index = __atomic_load_n(&used->idx, __ATOMIC_ACQUIRE);
	else
		command->result =
		    diag_set(command->diag, -EFAULT, "used ring 0x%llx is in no memory region",
			     (unsigned long long)stand->used);
}

int data_stand(struct data *data, unsigned int queue, uint64_t used, uint16_t *index,
	       struct diag *diag)
{
	struct stand stand = {used, index};
	struct command command = {
	    .run = run_stand, .queue = queue, .argument = &stand, .diag = diag};

	return run_for_queue(data, &command);
}

static void run_drain(struct data *data, unsigned int index, struct command *command)
{
	if (data->rings[command->queue].attached)
		data_ring_leave(&data->rings[command->queue], DATA_RING_DRAINS);
}

void data_drain(struct data *data, unsigned int queue)
{
	struct command command = {.run = run_drain, .queue = queue};

	run_for_queue(data, &command);
}

static void run_hold(struct data *data, unsigned int index, struct command *command)
{
	if (data->rings[command->queue].attached)
		data_ring_leave(&data->rings[command->queue], DATA_RING_HOLDS);
}

void data_hold(struct data *data, unsigned int queue)
{
	struct command command = {.run = run_hold, .queue = queue};

	run_for_queue(data, &command);
}

struct recall {
	uint32_t base;
	uint64_t until_ns;
};

static void run_recall(struct data *data, unsigned int index, struct command *command)
{
	const struct recall *recall = command->argument;
	struct data_ring *ring = &data->rings[command->queue];

	if (!ring->attached)
		return;
	ring->back_base = recall->base;
	ring->until_ns = recall->until_ns;
	data_ring_leave(ring, DATA_RING_RECALLS);
	data->list[index].watched++;
}

static uint64_t in_ms(unsigned int ms)
{
	return uv_hrtime() + ms * 1000000ull;
}

void data_recall(struct data *data, unsigned int queue, uint32_t base, unsigned int limit_ms)
{
	struct recall recall = {.base = base, .until_ns = in_ms(limit_ms)};
	struct command command = {.run = run_recall, .queue = queue, .argument = &recall};

	run_for_queue(data, &command);
}

struct retarget {
	int guest_kick, guest_call;
	const struct data_log *log;
};

static void run_retarget(struct data *data, unsigned int index, struct command *command)
{
	const struct retarget *to = command->argument;
	struct data_ring *ring = &data->rings[command->queue];

	if (!ring->attached)
		return;
	data_ring_retarget(ring, to->guest_kick, to->guest_call, to->log);
	data_thread_listen(&data->list[index], ring->guest_kick);
	/* What the old call did not reach the guest with is due at the new one. */
	data_ring_nudge(ring);
}

void data_retarget(struct data *data, unsigned int queue, int guest_kick, int guest_call,
		   const struct data_log *log)
{
	struct retarget to = {guest_kick, guest_call, log};
	struct command command = {.run = run_retarget, .queue = queue, .argument = &to};

	run_for_queue(data, &command);
}

static void run_map(struct data *data, unsigned int index, struct command *command)
{
	struct thread *thread = &data->list[index];
	struct diag diag;

	for (unsigned int i = thread->attached; i-- > 0;)
		if (data_ring_map(thread->rings[i], command->argument, &diag))
			data_thread_fault(thread, thread->rings[i], true, diag.text);
}

void data_map(struct data *data, const struct map *map)
{
	struct command command = {.run = run_map, .argument = map};

	data->map = map;
	for (unsigned int i = 0; i < data->threads; i++)
		run_on(data, i, &command);
}

static void run_merge(struct data *data, unsigned int index, struct command *command)
{
	const struct data_merge *merge = command->argument;

	for (unsigned int i = 0; i < merge->map->count; i++) {
		const struct map_region *region = &merge->map->regions[i];

		bitmap_merge(merge->to, merge->from, merge->words, region->gpa, region->size);
	}
}

int data_merge(struct data *data, const struct data_merge *merge, struct diag *diag)
{
	struct command command = {.run = run_merge, .argument = merge, .diag = diag};

	return run_on(data, 0, &command);
}

static void run_watch(struct data *data, unsigned int index, struct command *command)
{
	data->watches[command->queue] = *(const struct watch *)command->argument;
	data->list[index].watched++;
}

void data_watch(struct data *data, unsigned int queue, uint64_t used, unsigned int num,
		unsigned int limit_ms)
{
	struct watch watch = {.on = true, .used = used, .num = num, .until_ns = in_ms(limit_ms)};
	struct command command = {.run = run_watch, .queue = queue, .argument = &watch};

	run_for_queue(data, &command);
}

void data_await(struct data *data, unsigned int queue, uint64_t used, unsigned int num,
		uint16_t base, unsigned int limit_ms)
{
	struct watch watch = {.on = true,
			      .used = used,
			      .num = num,
			      .until_ns = in_ms(limit_ms),
			      .stopped = true,
			      .base = base};
	struct command command = {.run = run_watch, .queue = queue, .argument = &watch};

	run_for_queue(data, &command);
}

void data_counters(struct data *data, unsigned int queue, struct data_counters *counters)
{
	data_ring_count(&data->rings[queue], counters);
}

static void run_stop(struct data *data, unsigned int index, struct command *command)
{
	struct thread *thread = &data->list[index];

	/* First: a log that vanished ends the command where it is touched. */
	thread->stopping = true;
	while (thread->attached) {
		data_ring_mark_in_flight(thread->rings[0]);
		data_thread_take_out(thread, thread->rings[0]);
	}
}

static void stop_thread(struct thread *thread)
{
	struct command command = {.run = run_stop};

	run_on(thread->data, thread->index, &command);
	pthread_join(thread->id, NULL);
	close(thread->epoll);
	close(thread->wake);
}

static void on_async_closed(uv_handle_t *handle)
{
	struct data *data = handle->data;

	for (unsigned int q = 0; q < WIRE_QUEUES_MAX; q++)
		data_ring_free(&data->rings[q]);
	pthread_mutex_destroy(&data->lock);
	pthread_cond_destroy(&data->done);
	free(data->rings);
	free(data->list);
	free(data);
}

struct data *data_close(struct data *data)
{
	if (!data)
		return NULL;
	for (unsigned int i = 0; i < data->threads; i++)
		stop_thread(&data->list[i]);
	data->notes_count = 0;
	uv_close((uv_handle_t *)&data->async, on_async_closed);
	return NULL;
}

static int start_thread(struct data *data, unsigned int index)
{
	struct thread *thread = &data->list[index];
	int result;

	*thread = (struct thread){.data = data, .index = index};
	thread->epoll = epoll_create1(EPOLL_CLOEXEC);
	thread->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (thread->epoll < 0 || thread->wake < 0)
		result = errno;
	else
		result = pthread_create(&thread->id, NULL, data_thread_main, thread);
	if (result) {
		close(thread->epoll);
		close(thread->wake);
		return -result;
	}
	data_thread_listen(thread, thread->wake);
	return 0;
}

static void init_lock(struct data *data)
{
	pthread_mutexattr_t attributes;

	/* A command that finds a fault tells it under the lock it runs under. */
	pthread_mutexattr_init(&attributes);
	pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
	pthread_mutex_init(&data->lock, &attributes);
	pthread_mutexattr_destroy(&attributes);
	pthread_cond_init(&data->done, NULL);
}

int data_open(struct data **made, uv_loop_t *loop, unsigned int threads, unsigned int poll_us,
	      const struct map *map, const struct data_events *events, void *context,
	      struct diag *diag)
{
	struct data *data = calloc(1, sizeof(*data));
	int result = 0;

	*made = NULL;
	if (!data)
		return diag_set(diag, -ENOMEM, "no memory for data threads");
	data->list = calloc(threads, sizeof(*data->list));
	data->rings = calloc(WIRE_QUEUES_MAX, sizeof(*data->rings));
	if (!data->list || !data->rings) {
		free(data->list);
		free(data->rings);
		free(data);
		return diag_set(diag, -ENOMEM, "no memory for data threads");
	}
	init_lock(data);
	data_thread_catch_bus();
	data->map = map;
	data->poll_ns = poll_us * 1000ull;
	data->events = events;
	data->context = context;
	uv_async_init(loop, &data->async, on_async);
	data->async.data = data;
	for (data->threads = 0; !result && data->threads < threads;) {
		result = start_thread(data, data->threads);
		data->threads += result == 0;
	}
	if (!result) {
		*made = data;
		return 0;
	}
	data_close(data);
	return diag_set(diag, result, "data thread: can not be started: %s", strerror(-result));
}
