/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The daemon as users run it, between a front-end and a back-end that the test
 * plays. Every wait ends after RIG_MS; what went wrong ends the test with the
 * daemon's log. One test thread; a thread of the rig reads the daemon's stderr.
 */
#pragma once

#include "common/client.h"
#include "wire/features.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <sys/types.h>

#ifndef RIG_MS
#define RIG_MS 60000 /* the longest wait for anything */
#endif
#define RIG_PATH  108
#define RIG_TICKS 10  /* at most on a processor in RIG_QUIET while it has nothing to do */
#define RIG_QUIET 300 /* ms without progress after which a flood counts as stuck */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define RIG_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define RIG_SANITIZED 1
#endif
#endif
#ifndef RIG_SANITIZED
#define RIG_SANITIZED 0
#endif

struct daemon {
	pid_t pid; /* 0: not running */
	int err;
	pthread_t reader;
	pthread_mutex_t lock;
	pthread_cond_t grown;
	char *log; /* its stderr so far, terminated */
	size_t log_size;
	bool log_over;
};

struct rig {
	char folder[32];
	char front[RIG_PATH]; /* where the daemon listens for the front-end */
	char back[RIG_PATH];  /* where the back-end listens */
	int listener;         /* the back-end's, -1: none */
	struct daemon daemon;
};

struct daemon_extra {
	const char *environment[4]; /* NAME=VALUE, ends at NULL */
	int fds[2];                 /* passed as descriptors 3 and 4; 0: none */
	bool listen_pid;            /* set LISTEN_PID to its pid */
};

/* An empty folder under /tmp and names in it; a back-end listens if `listen`. */
void rig_open(struct rig *rig, bool listen);
/* Ends the daemon (SIGTERM, exit code 0) and removes the folder. */
void rig_close(struct rig *rig);
/* Of each test: a rig of its own, whose back-end listens. */
int rig_set_up(void **state);
int rig_tear_down(void **state);
void rig_path(const struct rig *rig, char path[RIG_PATH], const char *name);

/* Starts FERRY_BIN/vhost-ferry with these options, ended by NULL; does not wait. */
void daemon_spawn(struct daemon *daemon, const struct daemon_extra *extra,
		  const char *const *options);
/* daemon_spawn() for --OPTION=... text, split at spaces, and waits until it is ready. */
__attribute__((format(printf, 2, 3))) void daemon_start(struct daemon *daemon, const char *format,
							...);
/* --socket-path and --backend-path of the rig, and more. */
void rig_start(struct rig *rig, const char *more);
/* Waits for its end, of itself or after `signal` (0: none); its exit code, -N: signal N. */
int daemon_end(struct daemon *daemon, int signal);
/* The same, and all that it wrote to its stderr. */
int daemon_end_log(struct daemon *daemon, int signal, char *log, size_t size);

/* How often `text` is in the log from `from` on. */
unsigned int daemon_count(struct daemon *daemon, size_t from, const char *text);
size_t daemon_log_size(struct daemon *daemon);
/* Waits until `text` is in the log after `from`; the line in `line` when not NULL. */
#define RIG_LINE 8192
void daemon_wait_log(struct daemon *daemon, size_t from, const char *text, char *line);
unsigned int daemon_fds(const struct daemon *daemon);
/* Waits until it has as many descriptors open. */
void daemon_wait_fds(const struct daemon *daemon, unsigned int count);
/* "Rss" is all of its memory; "Anonymous" leaves out the pages of files. */
unsigned long daemon_memory_kb(const struct daemon *daemon, const char *which);
/* Time on a processor, in hundredths of a second. */
unsigned long daemon_ticks(const struct daemon *daemon);

int64_t rig_now_ms(void);
/* True: the descriptor is ready within RIG_MS. */
bool rig_ready(int fd, short events, int ms);
/* A listening socket there. */
int rig_listen(const char *path);
/* A new anonymous file of `pages` pages. */
int rig_file(unsigned int pages);
bool rig_exists(const char *path);

/* The session a test plays both ends of. */
struct ends {
	struct client front, back;
	struct client front_channel, back_channel; /* fd -1: not set up */
};

void rig_adopt(struct client *client, int fd, enum wire_channel channel);
/* A front-end connects to `path`. */
void rig_front(struct client *front, const char *path);
/* The back-end's next connection. */
void rig_accept(struct client *back, int listener);
void ends_open(struct ends *ends, struct rig *rig);
void ends_close(struct ends *ends);

/* All bits that are shown to a front-end by --data-path=direct. */
uint64_t rig_virtio(void);
uint64_t rig_protocol(void);
#define RIG_NEVER                                                                                  \
	(WIRE_BIT(WIRE_PF_INBAND_NOTIFICATIONS) | WIRE_BIT(WIRE_PF_XEN_MMAP) |                     \
	 WIRE_BIT(WIRE_PF_GPA_ADDRESSES) | WIRE_BIT(WIRE_PF_GET_VRING_BASE_SKIP_DRAIN))

/* The start of a session; the back-end offers, the front-end acknowledges all it is shown. */
void ends_negotiate(struct ends *ends, uint64_t virtio, uint64_t protocol);
/* SET_BACKEND_REQ_FD: both ends of the back-end channel. */
void ends_channel(struct ends *ends);

void rig_send(struct client *client, struct wire_message *message);
/* The next message, which must have this id. */
struct wire_message *rig_receive(struct client *client, uint32_t id);
/* Request and reply pass; returns the value the front-end read. */
uint64_t ends_ask(struct ends *ends, uint32_t id, uint64_t answer);
/* Passes to the other end: a request without reply is sent and arrives. */
void ends_tell(struct ends *ends, struct wire_message *request);
/* The connection is closed by the other end, with nothing more on it. */
void rig_closed(struct client *client);
/* A fresh session through the daemon works. */
void rig_serves(struct rig *rig);
