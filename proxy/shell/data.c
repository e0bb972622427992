/* SPDX-License-Identifier: BSD-3-Clause */
#include "shell/data.h"

#include "base/bytes.h"
#include "shell/data_ring.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define EVENTS_A_WAKE 64
#define WATCH_MS      1 /* between looks at a ring that is to become quiet */
#define NOTES_MAX     (WIRE_QUEUES_MAX * 2)

enum note_kind {
	NOTE_DRAINED,
	NOTE_QUIET,
	NOTE_FAULT,
};

struct note {
	enum note_kind kind;
	unsigned int queue;
	uint32_t base;
	bool guest;
	char text[DIAG_TEXT_MAX];
};

struct watch {
	bool on;
	uint64_t used; /* user address */
	unsigned int num;
};

/* What the control thread asks of a data thread; carried out between two rounds. */
struct command {
	void (*run)(struct data *data, unsigned int thread, struct command *command);
	unsigned int queue;
	const void *argument;
	struct diag *diag;
	int result;
};

struct thread {
	struct data *data;
	unsigned int index;
	pthread_t id;
	int epoll, wake;
	struct command *command; /* under data->lock */
	bool stopping;
	sigjmp_buf bus_exit;
	struct command *running; /* the command being carried out, under the lock */
	unsigned int attached;   /* rings of this thread that are relayed: a list without gaps */
	struct data_ring *rings[WIRE_QUEUES_MAX];
	unsigned int watched;
};

struct data {
	pthread_mutex_t lock;
	pthread_cond_t done;
	const struct map *map;
	unsigned int threads;
	uint64_t poll_ns;
	struct thread *list;
	struct data_ring *rings; /* by queue; ring q is thread q % threads' */
	struct watch watches[WIRE_QUEUES_MAX];
	uv_async_t async;
	struct note notes[NOTES_MAX]; /* under lock */
	unsigned int notes_count;
	const struct data_events *events;
	void *context;
};

/*
 * A front-end that shortens the file behind guest memory makes the next touch of
 * it a SIGBUS. That is its fault, not the end of the process: the data thread
 * jumps out and its rings are at fault. Set while a data thread runs.
 */
static _Thread_local sigjmp_buf *bus_exit;

static void on_bus(int number)
{
	if (bus_exit)
		siglongjmp(*bus_exit, 1);
	/* Not in guest memory: ours, and fatal, as it is without a handler. */
	signal(number, SIG_DFL);
	raise(number);
}

static void catch_bus(void)
{
	struct sigaction action = {.sa_handler = on_bus, .sa_flags = SA_NODEFER};

	sigemptyset(&action.sa_mask);
	sigaction(SIGBUS, &action, NULL);
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void tell(struct data *data, const struct note *note)
{
	pthread_mutex_lock(&data->lock);
	if (data->notes_count < NOTES_MAX)
		data->notes[data->notes_count++] = *note;
	pthread_mutex_unlock(&data->lock);
	uv_async_send(&data->async);
}

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
			data->events->quiet(data->context, note.queue);
		else
			data->events->fault(data->context, note.queue, note.guest, note.text);
	}
}

static void listen_to(struct thread *thread, int fd)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLET};

	if (fd >= 0)
		epoll_ctl(thread->epoll, EPOLL_CTL_ADD, fd, &event);
}

static void take_out(struct thread *thread, struct data_ring *ring)
{
	for (unsigned int i = 0; i < thread->attached; i++)
		if (thread->rings[i] == ring)
			thread->rings[i] = thread->rings[--thread->attached];
	data_ring_detach(ring);
}

static void fault(struct thread *thread, struct data_ring *ring, bool guest, const char *text)
{
	struct note note = {.kind = NOTE_FAULT, .queue = ring->queue, .guest = guest};

	snprintf(note.text, sizeof(note.text), "%s", text);
	take_out(thread, ring);
	tell(thread->data, &note);
}

static bool round_of(struct thread *thread, struct data_ring *ring)
{
	struct note note = {.kind = NOTE_DRAINED, .queue = ring->queue};
	struct diag diag;
	int result = data_ring_work(ring, &diag);

	if (result == DATA_RING_GUEST_FAULT || result == DATA_RING_BACK_FAULT) {
		fault(thread, ring, result == DATA_RING_GUEST_FAULT, diag.text);
		return false;
	}
	if (data_ring_drained(ring, &note.base))
		tell(thread->data, &note);
	return result == DATA_RING_WORKED;
}

/*
 * The back-end's avail_event is how far it has read the avail ring, the used
 * index how much of it is done. The one is stored before its reads, the other
 * after its writes: equal, twice in a row, they do not change any more, since the
 * back-end hears no kick.
 */
static bool is_quiet(const struct data *data, const struct watch *watch)
{
	size_t size = ring_device_bytes(RING_SPLIT, watch->num);
	const struct ring_used *used = map_uva(data->map, watch->used, size);
	const uint16_t *event;

	if (!used)
		return true; /* not mapped: nothing can be in flight through it */
	event = (const uint16_t *)&used->ring[watch->num];
	return __atomic_load_n(event, __ATOMIC_ACQUIRE) ==
	       __atomic_load_n(&used->idx, __ATOMIC_ACQUIRE);
}

static void look_at_watches(struct thread *thread)
{
	struct data *data = thread->data;

	for (unsigned int q = thread->index; q < WIRE_QUEUES_MAX; q += data->threads) {
		struct note note = {.kind = NOTE_QUIET, .queue = q};

		if (!data->watches[q].on || !is_quiet(data, &data->watches[q]))
			continue;
		data->watches[q].on = false;
		thread->watched--;
		tell(data, &note);
	}
}

static bool round_of_all(struct thread *thread)
{
	bool worked = false;

	/* From the end: a ring that faults is replaced by the last one, which had its turn. */
	for (unsigned int i = thread->attached; i-- > 0;)
		worked |= round_of(thread, thread->rings[i]);
	return worked;
}

static bool any_at_work(struct thread *thread)
{
	bool work = false;

	for (unsigned int i = 0; i < thread->attached; i++)
		work |= data_ring_sleep(thread->rings[i]);
	return work;
}

static void sleep_until_event(struct thread *thread)
{
	struct epoll_event events[EVENTS_A_WAKE];
	uint64_t value;

	epoll_wait(thread->epoll, events, EVENTS_A_WAKE, thread->watched ? WATCH_MS : -1);
	/* The wake-up for commands alone is ours to read. */
	(void)!read(thread->wake, &value, sizeof(value));
}

static void end_command(struct thread *thread)
{
	thread->running = NULL;
	__atomic_store_n(&thread->command, NULL, __ATOMIC_RELAXED);
	pthread_cond_signal(&thread->data->done);
}

static void run_command(struct thread *thread)
{
	struct data *data = thread->data;

	pthread_mutex_lock(&data->lock);
	if (thread->command) {
		thread->running = thread->command;
		thread->command->run(data, thread->index, thread->command);
		end_command(thread);
	}
	pthread_mutex_unlock(&data->lock);
}

static void end_watch(struct thread *thread, unsigned int queue, const char *text)
{
	struct note note = {.kind = NOTE_FAULT, .queue = queue, .guest = true};

	snprintf(note.text, sizeof(note.text), "%s", text);
	thread->data->watches[queue].on = false;
	thread->watched--;
	tell(thread->data, &note);
}

/*
 * Which ring's memory it was is not known: all of the thread's were in the same
 * guest's. A command that ran was an attach or a change of the map, and failed.
 */
static void guest_memory_gone(struct thread *thread)
{
	static const char text[] = "guest memory vanished (SIGBUS): its file was made shorter";
	bool commanded_to = thread->running != NULL;

	if (commanded_to) {
		thread->running->result = -EFAULT;
		if (thread->running->diag)
			diag_set(thread->running->diag, 0, "%s", text);
		/* An attach that was not complete. */
		if (!thread->data->rings[thread->running->queue].attached)
			relay_deinit(&thread->data->rings[thread->running->queue].relay);
	}
	while (thread->attached)
		fault(thread, thread->rings[0], true, text);
	for (unsigned int q = thread->index; q < WIRE_QUEUES_MAX; q += thread->data->threads)
		if (thread->data->watches[q].on)
			end_watch(thread, q, text);
	if (!commanded_to)
		return;
	end_command(thread);
	pthread_mutex_unlock(&thread->data->lock);
}

static bool commanded(struct thread *thread)
{
	return __atomic_load_n(&thread->command, __ATOMIC_RELAXED) != NULL;
}

static void serve(struct thread *thread)
{
	const uint64_t poll_ns = thread->data->poll_ns;
	uint64_t awake_until = 0;

	while (!thread->stopping) {
		if (commanded(thread)) {
			run_command(thread);
			continue; /* it may have been the last */
		}
		if (round_of_all(thread)) {
			if (poll_ns)
				awake_until = now_ns() + poll_ns;
			continue;
		}
		if (thread->watched)
			look_at_watches(thread);
		if (poll_ns && now_ns() < awake_until)
			continue;
		if (!any_at_work(thread))
			sleep_until_event(thread);
	}
}

static void *thread_main(void *argument)
{
	struct thread *thread = argument;

	bus_exit = &thread->bus_exit;
	while (!thread->stopping) {
		if (sigsetjmp(thread->bus_exit, 1))
			guest_memory_gone(thread);
		else
			serve(thread);
	}
	return NULL;
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
	listen_to(thread, ring->guest_kick);
	listen_to(thread, ring->back_call);
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

	if (ring->attached)
		take_out(&data->list[index], ring);
	if (data->watches[command->queue].on)
		data->list[index].watched--;
	data->watches[command->queue].on = false;
}

void data_detach(struct data *data, unsigned int queue)
{
	struct command command = {.run = run_detach, .queue = queue};

	run_for_queue(data, &command);
}

static void run_drain(struct data *data, unsigned int index, struct command *command)
{
	if (data->rings[command->queue].attached)
		data_ring_drain(&data->rings[command->queue]);
}

void data_drain(struct data *data, unsigned int queue)
{
	struct command command = {.run = run_drain, .queue = queue};

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
	listen_to(&data->list[index], ring->guest_kick);
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
			fault(thread, thread->rings[i], true, diag.text);
}

void data_map(struct data *data, const struct map *map)
{
	struct command command = {.run = run_map, .argument = map};

	data->map = map;
	for (unsigned int i = 0; i < data->threads; i++)
		run_on(data, i, &command);
}

static void run_watch(struct data *data, unsigned int index, struct command *command)
{
	data->watches[command->queue] = *(const struct watch *)command->argument;
	data->list[index].watched++;
}

void data_watch(struct data *data, unsigned int queue, uint64_t used, unsigned int num)
{
	struct watch watch = {.on = true, .used = used, .num = num};
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

	while (thread->attached)
		take_out(thread, thread->rings[0]);
	thread->stopping = true;
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
		result = pthread_create(&thread->id, NULL, thread_main, thread);
	if (result) {
		close(thread->epoll);
		close(thread->wake);
		return -result;
	}
	listen_to(thread, thread->wake);
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
	catch_bus();
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
