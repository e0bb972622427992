/* SPDX-License-Identifier: BSD-3-Clause */
#include "shell/guest.h"

#include "base/bytes.h"
#include "logging/bitmap.h"
#include "shell/fds.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* No guest's memory lies above: the most that machines with 46 bits of address have. */
#define GPA_END (UINT64_C(1) << 46)

struct mapping {
	int fd;        /* a copy, to give to a back-end that comes later; only with a base */
	uint8_t *base; /* as mmap() gave it; NULL: none */
	uint64_t length;
	uint8_t *at; /* the bytes asked for */
};

struct shared {
	int fd; /* -1: none of ours */
	struct mapping mapping;
	uint64_t size;
};

/* Parallel to the map: who maps region i. */
struct regions_mapped {
	struct map map;
	struct mapping mappings[WIRE_SLOTS_MAX];
};

struct guest {
	struct regions_mapped *now;
	struct regions_mapped *before; /* until guest_settle(); NULL: nothing changed */
	struct shared arena, record, log;
	struct shared log_before; /* until guest_settle() */
	struct shared rehearsal, rehearsed;
};

static void unmap(struct mapping *mapping)
{
	if (!mapping->base)
		return;
	munmap(mapping->base, mapping->length);
	close(mapping->fd);
	mapping->base = NULL;
}

static void close_shared(struct shared *shared)
{
	unmap(&shared->mapping);
	if (shared->fd >= 0)
		close(shared->fd);
	*shared = (struct shared){.fd = -1};
}

struct guest *guest_new(void)
{
	struct guest *guest = calloc(1, sizeof(*guest));

	if (!guest)
		return NULL;
	guest->arena.fd = guest->record.fd = guest->log.fd = guest->log_before.fd = -1;
	guest->rehearsal.fd = guest->rehearsed.fd = -1;
	guest->now = calloc(1, sizeof(*guest->now));
	return guest->now ? guest : guest_free(guest);
}

struct guest *guest_free(struct guest *guest)
{
	if (!guest)
		return NULL;
	guest_settle(guest);
	for (unsigned int i = 0; guest->now && i < guest->now->map.count; i++)
		unmap(&guest->now->mappings[i]);
	free(guest->now);
	close_shared(&guest->arena);
	close_shared(&guest->record);
	close_shared(&guest->log);
	close_shared(&guest->rehearsal);
	close_shared(&guest->rehearsed);
	free(guest);
	return NULL;
}

const struct map *guest_map(const struct guest *guest)
{
	return &guest->now->map;
}

static bool has(const struct regions_mapped *mapped, const struct mapping *mapping)
{
	for (unsigned int i = 0; i < mapped->map.count; i++)
		if (mapped->mappings[i].base == mapping->base)
			return true;
	return false;
}

void guest_settle(struct guest *guest)
{
	for (unsigned int i = 0; guest->before && i < guest->before->map.count; i++)
		if (!has(guest->now, &guest->before->mappings[i]))
			unmap(&guest->before->mappings[i]);
	free(guest->before);
	guest->before = NULL;
	close_shared(&guest->log_before);
}

/*
 * A huge page file maps only at multiples of its page, which is its block size;
 * where the offset is none the file is mapped from its start, as DPDK does. A
 * region past the end of its file would kill whoever touches it.
 */
static int map_file(struct mapping *mapping, int fd, uint64_t offset, uint64_t size,
		    const char *what, struct diag *diag)
{
	uint64_t lead = 0;
	struct stat st;
	void *base;
	int copy;

	if (fstat(fd, &st) < 0 || size == 0)
		return diag_set(diag, -EINVAL, "%s of %llu bytes can not be mapped", what,
				(unsigned long long)size);
	if (offset > (uint64_t)st.st_size || size > (uint64_t)st.st_size - offset)
		return diag_set(
		    diag, -EINVAL,
		    "%s: %llu bytes at offset %llu of a file of %llu: the file is too short", what,
		    (unsigned long long)size, (unsigned long long)offset,
		    (unsigned long long)st.st_size);
	if (offset % (uint64_t)st.st_blksize)
		lead = offset;
	base = mmap(NULL, size + lead, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd,
		    (off_t)(offset - lead));
	if (base == MAP_FAILED)
		return diag_set(diag, -errno, "%s can not be mapped: %s", what, strerror(errno));
	copy = fds_copy(fd);
	if (copy < 0) {
		munmap(base, size + lead);
		return diag_set(diag, -EMFILE, "%s: no descriptor is left to keep its file", what);
	}
	*mapping = (struct mapping){copy, base, size + lead, (uint8_t *)base + lead};
	return 0;
}

static int add_region(struct regions_mapped *to, const struct wire_region *at, int fd,
		      struct diag *diag)
{
	unsigned int i = to->map.count;
	char what[64];
	int result;

	if (i == WIRE_SLOTS_MAX)
		return diag_set(diag, -ENOSPC, "more than %u memory regions", WIRE_SLOTS_MAX);
	snprintf(what, sizeof(what), "memory region gpa 0x%llx", (unsigned long long)at->gpa);
	result = map_file(&to->mappings[i], fd, at->mmap_offset, at->size, what, diag);
	if (result)
		return result;
	to->map.regions[i] = (struct map_region){at->gpa, at->uva, at->size, to->mappings[i].at};
	to->map.count++;
	return 0;
}

static void replace(struct guest *guest, struct regions_mapped *fresh)
{
	guest_settle(guest);
	guest->before = guest->now;
	guest->now = fresh;
}

int guest_set_table(struct guest *guest, const struct wire_message *table, struct diag *diag)
{
	struct regions_mapped *fresh = calloc(1, sizeof(*fresh));
	int result = fresh ? 0 : diag_set(diag, -ENOMEM, "no memory for a memory table");

	for (unsigned int i = 0; !result && i < table->fds.count; i++) {
		struct wire_region at = wire_table_region(table, i);

		if (table->fds.entries[i].fd >= 0)
			result = add_region(fresh, &at, table->fds.entries[i].fd, diag);
	}
	if (!result) {
		replace(guest, fresh);
		return 0;
	}
	for (unsigned int i = 0; fresh && i < fresh->map.count; i++)
		unmap(&fresh->mappings[i]);
	free(fresh);
	return result;
}

static struct regions_mapped *copy_now(const struct guest *guest, struct diag *diag)
{
	struct regions_mapped *fresh = malloc(sizeof(*fresh));

	if (fresh)
		*fresh = *guest->now;
	else
		diag_set(diag, -ENOMEM, "no memory for a memory table");
	return fresh;
}

int guest_add(struct guest *guest, const struct wire_region *at, const struct fd_entry *file,
	      struct diag *diag)
{
	struct regions_mapped *fresh = copy_now(guest, diag);
	int result;

	if (!fresh)
		return -ENOMEM;
	result = add_region(fresh, at, file->fd, diag);
	if (result)
		free(fresh);
	else
		replace(guest, fresh);
	return result;
}

int guest_region_fd(const struct guest *guest, uint64_t gpa)
{
	for (unsigned int i = 0; i < guest->now->map.count; i++)
		if (guest->now->map.regions[i].gpa == gpa)
			return guest->now->mappings[i].fd;
	return -1;
}

int guest_log_fd(const struct guest *guest)
{
	return guest->log.mapping.base ? guest->log.mapping.fd : -1;
}

int guest_remove(struct guest *guest, const struct wire_region *at, struct diag *diag)
{
	struct regions_mapped *fresh = copy_now(guest, diag);
	unsigned int kept = 0;

	if (!fresh)
		return -ENOMEM;
	for (unsigned int i = 0; i < fresh->map.count; i++) {
		const struct map_region *region = &fresh->map.regions[i];

		if (region->gpa == at->gpa && region->size == at->size && region->uva == at->uva)
			continue;
		fresh->map.regions[kept] = *region;
		fresh->mappings[kept++] = fresh->mappings[i];
	}
	fresh->map.count = kept;
	replace(guest, fresh);
	return 0;
}

static int make_file(struct shared *shared, const char *name, uint64_t size, struct diag *diag)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING), result;

	if (fd < 0 || ftruncate(fd, (off_t)size) < 0) {
		result = diag_set(diag, -errno, "%s: no memory file of %llu bytes: %s", name,
				  (unsigned long long)size, strerror(errno));
		if (fd >= 0)
			close(fd);
		return result;
	}
	/* Whoever it is passed to can not take the memory away under us. */
	fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
	close_shared(shared);
	shared->fd = fd;
	shared->size = size;
	return map_file(&shared->mapping, fd, 0, size, name, diag);
}

int guest_arena(struct guest *guest, uint64_t size, struct diag *diag)
{
	if (guest->arena.fd >= 0)
		return 0;
	return make_file(&guest->arena, "vhost-ferry rings", size, diag);
}

int guest_arena_fd(const struct guest *guest)
{
	return guest->arena.fd;
}

uint8_t *guest_arena_at(const struct guest *guest)
{
	return guest->arena.mapping.at;
}

int guest_record_new(struct guest *guest, uint64_t size, struct diag *diag)
{
	return make_file(&guest->record, "vhost-ferry inflight", size, diag);
}

int guest_record_map(struct guest *guest, const struct wire_message *message, struct diag *diag)
{
	uint64_t size = bytes_load64(message->payload), offset = bytes_load64(message->payload + 8);
	struct mapping mapping;
	int result = map_file(&mapping, message->fds.entries[0].fd, offset, size,
			      "the inflight record", diag);

	if (result)
		return result;
	close_shared(&guest->record);
	guest->record.mapping = mapping;
	guest->record.size = size;
	return 0;
}

int guest_record_fd(const struct guest *guest)
{
	return guest->record.fd;
}

uint8_t *guest_record_at(const struct guest *guest, uint64_t *size)
{
	*size = guest->record.size;
	return guest->record.mapping.at;
}

int guest_log_map(struct guest *guest, const struct wire_message *message, struct diag *diag)
{
	uint64_t size = bytes_load64(message->payload), offset = bytes_load64(message->payload + 8);
	struct mapping mapping;
	int result;

	if (message->fds.count == 0)
		return 0; /* without LOG_SHMFD there is nothing to share */
	if (!bitmap_fits(offset, size))
		return diag_set(diag, -EINVAL,
				"the dirty log of %llu bytes at offset %llu: a log is of whole "
				"8-byte words",
				(unsigned long long)size, (unsigned long long)offset);
	result =
	    map_file(&mapping, message->fds.entries[0].fd, offset, size, "the dirty log", diag);
	if (result)
		return result;
	guest_settle(guest);
	guest->log_before = guest->log;
	guest->log = (struct shared){.fd = -1, .mapping = mapping, .size = size};
	return 0;
}

int guest_log_new(struct guest *guest, struct diag *diag)
{
	if (guest->log.mapping.at)
		return 0;
	return make_file(&guest->log, "vhost-ferry log", bitmap_bytes(GPA_END), diag);
}

struct guest_log guest_log(const struct guest *guest)
{
	return (struct guest_log){guest->log.mapping.at, guest->log.size};
}

int guest_rehearse(struct guest *guest, bool on, struct diag *diag)
{
	uint64_t bytes = bitmap_bytes(GPA_END);
	int result = 0;

	close_shared(&guest->rehearsal);
	close_shared(&guest->rehearsed);
	if (on)
		result = make_file(&guest->rehearsal, "vhost-ferry rehearsal", bytes, diag);
	if (on && !result)
		result = make_file(&guest->rehearsed, "vhost-ferry rehearsed", bytes, diag);
	return result;
}

struct guest_log guest_rehearsal(const struct guest *guest)
{
	return (struct guest_log){guest->rehearsal.mapping.at, guest->rehearsal.size};
}

struct bitmap_taken guest_rehearsed(struct guest *guest)
{
	uint64_t *log = (uint64_t *)guest->rehearsal.mapping.at;
	uint64_t *seen = (uint64_t *)guest->rehearsed.mapping.at;
	struct bitmap_taken sum = {0, 0};

	for (unsigned int i = 0; i < guest->now->map.count; i++) {
		const struct map_region *region = &guest->now->map.regions[i];
		struct bitmap_taken taken = bitmap_take(
		    log, seen, guest->rehearsal.size / sizeof(*log), region->gpa, region->size);

		sum.pages += taken.pages;
		sum.fresh += taken.fresh;
	}
	return sum;
}

struct guest_log guest_log_before(const struct guest *guest)
{
	return (struct guest_log){guest->log_before.mapping.at, guest->log_before.size};
}
