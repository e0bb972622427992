/* SPDX-License-Identifier: BSD-3-Clause */
#include "backend/blk.h"

#include "base/bytes.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SECTOR             512u
#define HEADER             16u
#define TYPE_IN            0u
#define TYPE_OUT           1u
#define TYPE_FLUSH         4u
#define TYPE_GET_ID        8u
#define ID_BYTES           20u
#define STATUS_OK          0u
#define STATUS_IOERR       1u
#define STATUS_UNSUPPORTED 2u
#define SEGMENTS_MAX       254u

struct request {
	uint32_t type;
	uint64_t offset; /* bytes */
	uint8_t *status;
	uint64_t status_gpa;
};

int blk_open(struct blk *blk, const char *file, uint64_t size, struct diag *diag)
{
	int fd = file ? open(file, O_RDWR | O_CLOEXEC) : memfd_create("disk", MFD_CLOEXEC);
	off_t end;

	if (fd < 0 || (!file && ftruncate(fd, (off_t)size) < 0))
		return diag_set(diag, -errno, "%s: can not open the disk: %s",
				file ? file : "memory", strerror(errno));
	end = lseek(fd, 0, SEEK_END);
	*blk = (struct blk){.fd = fd, .size = (uint64_t)end / SECTOR * SECTOR};
	return 0;
}

void blk_config(const struct blk *blk, unsigned int queues, uint8_t config[BLK_CONFIG_BYTES])
{
	memset(config, 0, BLK_CONFIG_BYTES);
	bytes_store64(config, blk->size / SECTOR);
	bytes_store32(config + 12, SEGMENTS_MAX);
	bytes_store32(config + 20, SECTOR);
	bytes_store16(config + 34, (uint16_t)queues);
}

static uint8_t *map(struct memory *memory, const struct ring_buffer *buffer)
{
	return memory_by_gpa(memory, buffer->addr, buffer->len);
}

/* The status is the last byte that the device may write, wherever the buffers are cut. */
static int parse(struct memory *memory, const struct ring_chain *chain, struct request *request,
		 struct diag *diag)
{
	const struct ring_buffer *first = &chain->buffers[0];
	const struct ring_buffer *last = &chain->buffers[chain->count - 1];
	uint8_t header[HEADER], *at = map(memory, first);

	if (first->writable || first->len != HEADER || !last->writable)
		return diag_set(
		    diag, -EINVAL,
		    "chain %u: no blk request: needs a header of %u bytes and room for a status",
		    chain->id, HEADER);
	request->status_gpa = last->addr + last->len - 1;
	request->status = memory_by_gpa(memory, request->status_gpa, 1);
	if (!at || !request->status)
		return diag_set(diag, -EINVAL, "chain %u: 0x%llx is in no memory region", chain->id,
				(unsigned long long)(at ? request->status_gpa : first->addr));
	ring_copy(header, at, HEADER);
	request->type = bytes_load32(header);
	request->offset = bytes_load64(header + 8) * SECTOR;
	if (bytes_load64(header + 8) > UINT64_MAX / SECTOR)
		request->offset = UINT64_MAX;
	return 0;
}

static bool move(const struct blk *blk, bool in, uint8_t *data, uint32_t len, uint64_t offset)
{
	while (len > 0) {
		ssize_t n = in ? pread(blk->fd, data, len, (off_t)offset)
			       : pwrite(blk->fd, data, len, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		data += n;
		len -= (uint32_t)n;
		offset += (uint64_t)n;
	}
	return true;
}

static uint8_t transfer(const struct blk *blk, struct memory *memory,
			const struct ring_chain *chain, const struct request *request,
			uint32_t *written)
{
	bool in = request->type == TYPE_IN;
	uint64_t offset = request->offset;
	uint64_t total = in ? chain->writable - 1 : chain->readable - HEADER;

	if (total % SECTOR || offset > blk->size || total > blk->size - offset)
		return STATUS_IOERR;
	for (unsigned int i = 1; i < chain->count; i++) {
		struct ring_buffer buffer = chain->buffers[i];

		if (buffer.writable && i + 1 == chain->count)
			buffer.len--;
		if (buffer.writable != in || buffer.len == 0)
			continue;
		if (!map(memory, &buffer) ||
		    !move(blk, in, map(memory, &buffer), buffer.len, offset))
			return STATUS_IOERR;
		if (in) {
			memory_mark(memory, buffer.addr, buffer.len);
			*written += buffer.len;
		}
		offset += buffer.len;
	}
	return STATUS_OK;
}

static uint8_t identify(struct memory *memory, const struct ring_chain *chain, uint32_t *written)
{
	static const char name[ID_BYTES] = "ferry-test-backend";
	const struct ring_buffer *buffer = &chain->buffers[1];
	uint8_t *at;

	if (chain->count < 3 || !buffer->writable || buffer->len < ID_BYTES)
		return STATUS_IOERR;
	at = map(memory, buffer);
	if (!at)
		return STATUS_IOERR;
	memcpy(at, name, ID_BYTES);
	memory_mark(memory, buffer->addr, ID_BYTES);
	*written += ID_BYTES;
	return STATUS_OK;
}

int blk_execute(const struct blk *blk, struct memory *memory, const struct ring_chain *chain,
		uint32_t *written, struct diag *diag)
{
	uint8_t status = STATUS_UNSUPPORTED;
	struct request request = {.type = 0};
	int result = parse(memory, chain, &request, diag);

	if (result)
		return result;
	*written = 0;
	if (request.type == TYPE_IN || request.type == TYPE_OUT)
		status = transfer(blk, memory, chain, &request, written);
	else if (request.type == TYPE_FLUSH)
		status = fdatasync(blk->fd) == 0 ? STATUS_OK : STATUS_IOERR;
	else if (request.type == TYPE_GET_ID)
		status = identify(memory, chain, written);
	*request.status = status;
	memory_mark(memory, request.status_gpa, 1);
	*written += 1;
	return 0;
}
