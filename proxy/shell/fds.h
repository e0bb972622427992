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

/* Closes the message's descriptors and frees it. Returns NULL; NULL is allowed. */
struct wire_message *message_dispose(struct wire_message *message);
