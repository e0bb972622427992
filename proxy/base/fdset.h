/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A set of file descriptors that travel with one message.
 *
 * There is no other array of descriptors in the program: whoever holds the set
 * owns what is in it, and a descriptor leaves only by fdset_steal() or by being
 * closed by the shell. Pure: nothing here makes a system call, so the closing
 * itself is in shell/fds.h.
 *
 * Beside each descriptor stands what the receiving shell saw of it. Core code
 * may not ask the kernel, yet must be able to tell a region that was sent twice
 * (QEMU 7.2 multi-queue net) from two different ones: a
 * duplicate has another number but the same device and inode.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* No peer sends more than 8 (QEMU, DPDK, libvhost-user) or takes more than 32 (rust-vmm). */
#define FDSET_MAX 32

struct fd_entry {
	int fd;          /* -1: taken out */
	uint32_t mode;   /* st_mode; 0: not looked at */
	uint64_t device; /* st_dev */
	uint64_t inode;  /* st_ino */
	uint64_t size;   /* st_size, bytes */
};

struct fdset {
	unsigned int count; /* entries in use, stolen ones included */
	struct fd_entry entries[FDSET_MAX];
};

/* Adds a descriptor, which the set owns from then on. -ENOSPC: full, the caller still owns it. */
int fdset_push(struct fdset *set, const struct fd_entry *entry);

/* Takes the descriptor at `index` out; the caller owns it. -1: none there. */
int fdset_steal(struct fdset *set, unsigned int index);

/* Moves everything from `from` to the end of `to`. -ENOSPC: nothing was moved. */
int fdset_move(struct fdset *to, struct fdset *from);

/* How many descriptors the set holds, stolen ones not counted. */
unsigned int fdset_held(const struct fdset *set);

/* Whether two entries name the same open file: same device and inode, both looked at. */
bool fd_entry_same_file(const struct fd_entry *a, const struct fd_entry *b);
