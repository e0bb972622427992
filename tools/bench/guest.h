/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Guest memory without a guest: one memfd, mapped here and sent to the back-end
 * as one region. Everything a ring or a request needs is cut out of it once.
 */
#pragma once

#include "base/diag.h"
#include "wire/encode.h"

#include <stddef.h>
#include <stdint.h>

struct guest {
	int fd; /* -1: closed */
	uint8_t *base;
	size_t size; /* bytes */
	size_t used;
};

/* Room for `size` bytes of guest_take(), alignment not counted. -errno. */
int guest_open(struct guest *guest, size_t size, struct diag *diag);
void guest_close(struct guest *guest);

/* A piece of zeroed memory; guest_open() was given enough, so this can not fail. */
void *guest_take(struct guest *guest, size_t size, size_t alignment);

/* The guest-physical and the front-end's virtual address of something in the memory. */
uint64_t guest_gpa(const struct guest *guest, const void *at);
uint64_t guest_uva(const struct guest *guest, const void *at);

struct wire_region guest_region(const struct guest *guest);
