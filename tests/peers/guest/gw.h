// SPDX-License-Identifier: BSD-3-Clause
//
// The guest's workload. Each kind of work runs threads that count what they
// complete in `gw_done`; gw.c reports, and at the key `q` stops them, asks the
// kind to verify everything it wrote, and powers the guest off.
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum { GW_BLOCK = 4096 };

struct gw_work {
	const char *name;
	const char *usage;
	// Parses its arguments and starts its threads. False after a message.
	bool (*start)(int argc, char **argv);
	// Runs after all threads have ended; counts in gw_verified.
	bool (*verify)(void);
};

extern const struct gw_work gw_blk, gw_blkread, gw_fs, gw_net, gw_vsock;

extern atomic_bool gw_stop;      // threads end soon after this is set
extern atomic_ulong gw_done;     // requests completed
extern atomic_ulong gw_verified; // of them read back and found right, final pass included
extern atomic_ulong gw_bytes;    // moved by the requests
extern atomic_ulong gw_lost;     // net only: frames that never came back
extern atomic_ulong gw_longest;  // blocks only: us that the slowest request has taken
extern atomic_ulong gw_bad;      // anything wrong: each one has printed a line

// One line on the console, whole even when threads print at once.
void gw_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
// As gw_say, and counts in gw_bad.
void gw_wrong(const char *format, ...) __attribute__((format(printf, 1, 2)));

bool gw_thread(void *(*run)(void *), void *argument);
uint64_t gw_now_us(void);

// The content of a block is a function of which block it is and of how often
// it was written, so a lost, torn, doubled or misplaced write shows.
void gw_fill(void *block, size_t bytes, uint64_t which, uint64_t sequence);
bool gw_check(const void *block, size_t bytes, uint64_t which, uint64_t sequence);
// The sequence a block claims to be of, for messages.
uint64_t gw_sequence(const void *block);
