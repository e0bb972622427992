/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What data.c (the control thread's side) and data_thread.c (what a data thread
 * does) share; nobody else includes it.
 */
#pragma once

#include "shell/data.h"
#include "shell/data_ring.h"

#include <pthread.h>
#include <setjmp.h>

#define NOTES_MAX (WIRE_QUEUES_MAX * 2)

enum note_kind {
	NOTE_DRAINED,
	NOTE_QUIET,
	NOTE_FAULT,
};

struct note {
	enum note_kind kind;
	unsigned int queue;
	uint32_t base;
	bool quiet;
	bool guest;
	char text[DIAG_TEXT_MAX];
};

struct watch {
	bool on;
	uint64_t used; /* user address */
	unsigned int num;
	uint64_t until_ns; /* CLOCK_MONOTONIC */
	bool stopped;      /* the back-end has stopped the ring at: */
	uint16_t base;
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
	uint64_t spin_ns; /* how long it looks again before it sleeps, as long as that pays off */
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

/* A data thread's life; `argument` is its struct thread. */
void *data_thread_main(void *argument);

/* Of the data thread, from within a command. */
void data_thread_listen(struct thread *thread, int fd);
void data_thread_take_out(struct thread *thread, struct data_ring *ring);
void data_thread_fault(struct thread *thread, struct data_ring *ring, bool guest, const char *text);

/* Once for the process: see data_thread.c. */
void data_thread_catch_bus(void);
