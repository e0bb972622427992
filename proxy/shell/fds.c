/* SPDX-License-Identifier: BSD-3-Clause */
#include "shell/fds.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

void fds_close(struct fdset *set)
{
	for (unsigned int i = 0; i < set->count; i++)
		if (set->entries[i].fd >= 0)
			close(set->entries[i].fd);
	set->count = 0;
}

void fds_look(struct fd_entry *entry, int fd)
{
	struct stat st;

	*entry = (struct fd_entry){.fd = fd};
	if (fstat(fd, &st) < 0)
		return;
	entry->mode = st.st_mode;
	entry->device = st.st_dev;
	entry->inode = st.st_ino;
	entry->size = (uint64_t)st.st_size;
}

int fds_copy(int fd)
{
	return fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
}

void fds_raise(int eventfd)
{
	const uint64_t one = 1;

	if (eventfd >= 0)
		(void)!write(eventfd, &one, sizeof(one));
}

struct wire_message *message_dispose(struct wire_message *message)
{
	if (message)
		fds_close(&message->fds);
	return wire_message_free(message);
}
