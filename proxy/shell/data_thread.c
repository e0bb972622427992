/* SPDX-License-Identifier: BSD-3-Clause */
#include "shell/data_private.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#define EVENTS_A_WAKE 64
#define WATCH_MS      1 /* between looks at a ring that is to become quiet */

/* Before it sleeps a thread looks again for so long, if that has paid off: data.h. */
#define SPIN_FIRST_NS 4000u
#define SPIN_MOST_NS  50000u

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

void data_thread_catch_bus(void)
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

void data_thread_listen(struct thread *thread, int fd)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.fd = fd};

	if (fd >= 0)
		epoll_ctl(thread->epoll, EPOLL_CTL_ADD, fd, &event);
}

void data_thread_take_out(struct thread *thread, struct data_ring *ring)
{
	for (unsigned int i = 0; i < thread->attached; i++)
		if (thread->rings[i] == ring)
			thread->rings[i] = thread->rings[--thread->attached];
	if (ring->way == DATA_RING_RECALLS)
		thread->watched--;
	data_ring_detach(ring);
}

void data_thread_fault(struct thread *thread, struct data_ring *ring, bool guest, const char *text)
{
	struct note note = {.kind = NOTE_FAULT, .queue = ring->queue, .guest = guest};

	snprintf(note.text, sizeof(note.text), "%s", text);
	data_thread_take_out(thread, ring);
	tell(thread->data, &note);
}

/*
 * A ring that recalls is looked at without a call: a back-end that has stopped it
 * has given its call back. `worked` is what the round came to.
 */
static int leaving(struct thread *thread, struct data_ring *ring, int worked, struct diag *diag)
{
	struct note note = {.kind = NOTE_DRAINED, .queue = ring->queue, .quiet = true};
	bool recalls = ring->way == DATA_RING_RECALLS;
	int result = data_ring_leaving(ring, &note.base, diag);

	if (result == DATA_RING_IDLE && recalls && now_ns() > ring->until_ns) {
		diag_set(diag, 0,
			 "back-end ring: it has not completed what it had read when it answered "
			 "GET_VRING_BASE with %u: restart it",
			 ring->back_base);
		return DATA_RING_BACK_FAULT;
	}
	if (result == DATA_RING_LEFT && recalls)
		thread->watched--;
	if (result == DATA_RING_QUIET)
		note.kind = NOTE_QUIET;
	else if (result != DATA_RING_LEFT)
		return result == DATA_RING_IDLE ? worked : result;
	tell(thread->data, &note);
	return worked;
}

static bool round_of(struct thread *thread, struct data_ring *ring)
{
	struct diag diag;
	int result = data_ring_work(ring, &diag);

	if (result != DATA_RING_GUEST_FAULT && result != DATA_RING_BACK_FAULT &&
	    ring->way != DATA_RING_STAYS)
		result = leaving(thread, ring, result, &diag);
	if (result == DATA_RING_GUEST_FAULT || result == DATA_RING_BACK_FAULT) {
		data_ring_mark_in_flight(ring);
		data_thread_fault(thread, ring, result == DATA_RING_GUEST_FAULT, diag.text);
		return false;
	}
	return result == DATA_RING_WORKED;
}

/*
 * The back-end's avail_event is how far it has read the avail ring, the used
 * index how much of it is done. The one is stored before its reads, the other
 * after its writes: equal, twice in a row, they do not change any more, since the
 * back-end hears no kick. One that has stopped the ring has said how far it read.
 */
static bool is_quiet(const struct data *data, const struct watch *watch)
{
	size_t size = ring_device_bytes(RING_SPLIT, watch->num);
	const struct ring_used *used = map_uva(data->map, watch->used, size);
	uint16_t read = watch->base;

	if (!used)
		return true; /* not mapped: nothing can be in flight through it */
	if (!watch->stopped)
		read = __atomic_load_n((const uint16_t *)&used->ring[watch->num], __ATOMIC_ACQUIRE);
	return read == __atomic_load_n(&used->idx, __ATOMIC_ACQUIRE);
}

static void look_at_watches(struct thread *thread)
{
	struct data *data = thread->data;

	for (unsigned int q = thread->index; q < WIRE_QUEUES_MAX; q += data->threads) {
		struct note note = {.kind = NOTE_QUIET, .queue = q};

		if (!data->watches[q].on)
			continue;
		note.quiet = is_quiet(data, &data->watches[q]);
		if (!note.quiet && now_ns() < data->watches[q].until_ns)
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
	int count =
	    epoll_wait(thread->epoll, events, EVENTS_A_WAKE, thread->watched ? WATCH_MS : -1);

	/* The wake-up for commands alone is ours to read. */
	for (int i = 0; i < count; i++)
		if (events[i].data.fd == thread->wake)
			(void)!read(thread->wake, &value, sizeof(value));
}

/* It would have paid to look for longer, or it would not. */
static uint64_t next_spin(uint64_t spin_ns, uint64_t idle_ns)
{
	if (idle_ns > SPIN_MOST_NS)
		return 0;
	if (spin_ns == 0)
		return SPIN_FIRST_NS;
	return spin_ns * 2 < SPIN_MOST_NS ? spin_ns * 2 : SPIN_MOST_NS;
}

static bool is_awake(const struct thread *thread, uint64_t idle_ns)
{
	return idle_ns < thread->spin_ns || idle_ns < thread->data->poll_ns;
}

/* There was nothing to do, the first time in a row at `since`. */
static void rest(struct thread *thread, uint64_t since)
{
	if (is_awake(thread, now_ns() - since)) {
		/* Who gives us work may have to run here. */
		sched_yield();
		return;
	}
	if (any_at_work(thread))
		return;
	sleep_until_event(thread);
	thread->spin_ns = next_spin(thread->spin_ns, now_ns() - since);
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
	static const char text[] =
	    "guest memory or the dirty log vanished (SIGBUS): the file was made shorter";
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
		data_thread_fault(thread, thread->rings[0], true, text);
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
	uint64_t idle_since = 0; /* 0: at work */

	while (!thread->stopping) {
		if (commanded(thread)) {
			run_command(thread);
			continue; /* it may have been the last */
		}
		if (round_of_all(thread)) {
			idle_since = 0;
			continue;
		}
		if (thread->watched)
			look_at_watches(thread);
		if (!idle_since)
			idle_since = now_ns();
		rest(thread, idle_since);
	}
}

void *data_thread_main(void *argument)
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
