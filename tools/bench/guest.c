/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench/guest.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Not 0 and not our own addresses, so that a back-end that mixes them up fails. */
#define GPA_BASE UINT64_C(0x100000000)
/* SPDK registers memory in pieces of this size. */
#define GRAIN ((size_t)2 << 20)

int guest_open(struct guest *guest, size_t size, struct diag *diag)
{
	size_t rounded = (size + GRAIN - 1) / GRAIN * GRAIN;
	void *base = MAP_FAILED;
	int fd = memfd_create("vhost-ferry-bench", MFD_CLOEXEC);
	int result = 0;

	*guest = (struct guest){.fd = -1};
	if (fd < 0 || ftruncate(fd, (off_t)rounded) < 0)
		result = -errno;
	if (!result) {
		base = mmap(NULL, rounded, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (base == MAP_FAILED)
			result = -errno;
	}
	if (result) {
		if (fd >= 0)
			close(fd);
		return diag_set(diag, result, "guest memory of %zu bytes: %s", rounded,
				strerror(-result));
	}
	*guest = (struct guest){.fd = fd, .base = base, .size = rounded};
	return 0;
}

void guest_close(struct guest *guest)
{
	if (guest->fd < 0)
		return;
	munmap(guest->base, guest->size);
	close(guest->fd);
	guest->fd = -1;
}

void *guest_take(struct guest *guest, size_t size, size_t alignment)
{
	size_t at = (guest->used + alignment - 1) / alignment * alignment;

	assert(at + size <= guest->size);
	guest->used = at + size;
	return guest->base + at;
}

uint64_t guest_gpa(const struct guest *guest, const void *at)
{
	return GPA_BASE + (uint64_t)((const uint8_t *)at - guest->base);
}

uint64_t guest_uva(const struct guest *guest, const void *at)
{
	return (uint64_t)(uintptr_t)at;
}

struct wire_region guest_region(const struct guest *guest)
{
	return (struct wire_region){
	    .gpa = GPA_BASE,
	    .size = guest->size,
	    .uva = (uint64_t)(uintptr_t)guest->base,
	};
}
