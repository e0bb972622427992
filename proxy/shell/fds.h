/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The system calls that belong to fdset.h. Any thread, each set its own owner.
 */
#pragma once

#include "base/fdset.h"
#include "wire/message.h"

/* Closes what the set still holds and empties it. */
void fds_close(struct fdset *set);

/* Fills the entry for `fd` with what fstat() says; mode stays 0 where it says nothing. */
void fds_look(struct fd_entry *entry, int fd);

/* A close-on-exec copy; -1 for -1, or when none is to be had. */
int fds_copy(int fd);

/* Raises an eventfd; -1 is allowed. A full one has a wake-up due already. */
void fds_raise(int eventfd);

/* Closes the message's descriptors and frees it. Returns NULL; NULL is allowed. */
struct wire_message *message_dispose(struct wire_message *message);
