/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/fdset.h"

#include <errno.h>
#include <string.h>

int fdset_push(struct fdset *set, const struct fd_entry *entry)
{
	if (set->count == FDSET_MAX)
		return -ENOSPC;
	set->entries[set->count++] = *entry;
	return 0;
}

int fdset_steal(struct fdset *set, unsigned int index)
{
	int fd;

	if (index >= set->count)
		return -1;
	fd = set->entries[index].fd;
	set->entries[index].fd = -1;
	return fd;
}

int fdset_move(struct fdset *to, struct fdset *from)
{
	if (to->count + from->count > FDSET_MAX)
		return -ENOSPC;
	memcpy(&to->entries[to->count], from->entries, from->count * sizeof(from->entries[0]));
	to->count += from->count;
	from->count = 0;
	return 0;
}

unsigned int fdset_held(const struct fdset *set)
{
	unsigned int held = 0;

	for (unsigned int i = 0; i < set->count; i++)
		held += set->entries[i].fd >= 0;
	return held;
}

bool fd_entry_same_file(const struct fd_entry *a, const struct fd_entry *b)
{
	return a->mode != 0 && b->mode != 0 && a->device == b->device && a->inode == b->inode;
}
