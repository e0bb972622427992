/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The daemon between our own bench as the guest and our own disk as the back-end:
 * every block read is compared with what was written.
 */
#pragma once

#include "daemon_rig.h"

/* A disk's option: ten times RIG_MS, nothing completes in a test. */
#define DISK_FOR_EVER "--delay-us=600000000"

struct disk_rig {
	struct rig rig;
	pid_t back_end;
	char options[512]; /* the back-end's */
};

/* Of each test: a folder; then the disk and the daemon with these options. */
int disk_rig_open(void **state);
int disk_rig_close(void **state);
void disk_rig_start(struct disk_rig *disk, const char *disk_options, const char *daemon_options);

/* SIGKILL for the back-end, and another in its place, which is about to listen. */
void disk_dies(struct disk_rig *disk);
/* A second back-end for the same disk, at `path`; a pid for disk_kill(). */
pid_t disk_another(const struct disk_rig *disk, const char *path);

/* A guest that works; its output goes to `out`. */
pid_t disk_guest(const struct disk_rig *disk, int out, const char *options);
/* One that is looked at: it has to end with disk_guest_verified(). */
pid_t disk_guest_start(const struct disk_rig *disk, int *out, const char *options);
/* Whether it has ended; it is still to be waited for. */
bool disk_guest_ended(pid_t pid);
/* Waits for its end: all that it read was what it had written. */
void disk_guest_verified(pid_t pid, int out, const char *options);
/* A guest from its start to its end. */
void disk_verifies(const struct disk_rig *disk, const char *options);
/* Kills it and waits; 0: there is none. */
void disk_kill(pid_t pid);

/* vhost-ferryctl; its exit code: 0 done, 1 refused. What it printed goes to `text`. */
int disk_control(const struct disk_rig *disk, const char *command, char *text, size_t size);
/* Waits until requests are in flight through the daemon. */
void disk_wait_in_flight(const struct disk_rig *disk);
/* Moves all rings, asking again while the last move is still on its way. */
void disk_moves(const struct disk_rig *disk, const char *path);

/* The rings were relayed: those that stayed direct would pass every other test. */
void disk_relayed(struct disk_rig *disk);
