/* SPDX-License-Identifier: BSD-3-Clause */
#include "backend/record.h"

#include "base/bytes.h"
#include "ring/inflight.h"
#include "shell/fds.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define QUEUES_AT 16u
#define NUM_AT    18u
#define BYTES     24u

void record_forget(struct record *record)
{
	if (record->at)
		munmap(record->at, record->size);
	*record = (struct record){.at = NULL};
}

static size_t stride(const struct record *record)
{
	return inflight_bytes(RING_SPLIT, record->num);
}

static int map(struct record *record, const uint8_t *said, int fd, struct diag *diag)
{
	void *at;

	record_forget(record);
	record->queues = bytes_load16(said + QUEUES_AT);
	record->num = bytes_load16(said + NUM_AT);
	record->size = record->queues * stride(record);
	at = mmap(NULL, record->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED)
		return diag_set(diag, -errno, "inflight record of %zu bytes: %s", record->size,
				strerror(errno));
	record->at = at;
	return 0;
}

struct wire_message *record_make(struct record *record, const struct wire_message *request,
				 struct diag *diag)
{
	struct wire_message *reply =
	    wire_message_new(request->header.id, WIRE_VERSION | WIRE_FLAG_REPLY, BYTES);
	int fd = memfd_create("inflight", MFD_CLOEXEC);
	struct fd_entry entry;
	size_t size;

	record->num = bytes_load16(request->payload + NUM_AT);
	size = bytes_load16(request->payload + QUEUES_AT) * stride(record);
	if (!reply || fd < 0 || ftruncate(fd, (off_t)size) < 0 ||
	    map(record, request->payload, fd, diag)) {
		close(fd);
		diag_set(diag, -ENOMEM, "no memory for an inflight record");
		return wire_message_free(reply);
	}
	memcpy(reply->payload, request->payload,
	       BYTES < request->header.size ? BYTES : request->header.size);
	bytes_store64(reply->payload, size);
	bytes_store64(reply->payload + 8, 0);
	fds_look(&entry, fd);
	fdset_push(&reply->fds, &entry);
	return reply;
}

int record_take(struct record *record, const struct wire_message *request, struct diag *diag)
{
	return map(record, request->payload, request->fds.entries[0].fd, diag);
}

void *record_of(const struct record *record, unsigned int index, unsigned int num)
{
	if (!record->at || index >= record->queues || num > record->num)
		return NULL;
	return (uint8_t *)record->at + index * stride(record);
}
