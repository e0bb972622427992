/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The memory of a session: the guest's, the arena, the inflight record, the log.
 *
 * Everything is mapped and unmapped here, on the control thread, which never
 * reads or writes what it maps. A change of the guest's memory makes a new map;
 * the old one, and what it alone maps, lives until guest_settle(), which the
 * caller calls when no data thread uses it any more.
 *
 * Descriptors are copied, to give them to a back-end that comes later.
 */
#pragma once

#include "base/diag.h"
#include "base/fdset.h"
#include "logging/bitmap.h"
#include "mem/map.h"
#include "wire/encode.h"

#include <stdbool.h>

struct guest;

struct guest *guest_new(void);
/* Unmaps everything; no data thread may use it any more. Returns NULL. */
struct guest *guest_free(struct guest *guest);

/* The map in force, valid until the next guest_settle(). */
const struct map *guest_map(const struct guest *guest);

/* Replaces all regions by those of a SET_MEM_TABLE; entries that are no descriptors are skipped. */
int guest_set_table(struct guest *guest, const struct wire_message *table, struct diag *diag);
int guest_add(struct guest *guest, const struct wire_region *at, const struct fd_entry *file,
	      struct diag *diag);
int guest_remove(struct guest *guest, const struct wire_region *at, struct diag *diag);

/* The file of a region in force or of the log, the guest's own copy; -1: none is mapped. */
int guest_region_fd(const struct guest *guest, uint64_t gpa);
int guest_log_fd(const struct guest *guest);

/* Frees what guest_set_table() and its like replaced. */
void guest_settle(struct guest *guest);

/* The arena: a file of `size` bytes, made once. The descriptor stays the guest's. */
int guest_arena(struct guest *guest, uint64_t size, struct diag *diag);
int guest_arena_fd(const struct guest *guest);
uint8_t *guest_arena_at(const struct guest *guest);

/* The inflight record: made new and zeroed, or that of a SET_INFLIGHT_FD. */
int guest_record_new(struct guest *guest, uint64_t size, struct diag *diag);
int guest_record_map(struct guest *guest, const struct wire_message *message, struct diag *diag);
int guest_record_fd(const struct guest *guest);
uint8_t *guest_record_at(const struct guest *guest, uint64_t *size);

/* A log: one bit a page. */
struct guest_log {
	uint8_t *at; /* NULL: none */
	uint64_t size;
};

/* The log of a SET_LOG_BASE; the old one is unmapped by guest_settle(). */
int guest_log_map(struct guest *guest, const struct wire_message *message, struct diag *diag);
/* A log of ours for any guest memory, where none is in force; its untouched pages cost nothing. */
int guest_log_new(struct guest *guest, struct diag *diag);
struct guest_log guest_log(const struct guest *guest);
/* A log of ours that no front-end reads, and what was ever in it (bitmap_take()); made or freed. */
int guest_rehearse(struct guest *guest, bool on, struct diag *diag);
struct guest_log guest_rehearsal(const struct guest *guest);
/* Takes out what is marked of the guest's memory. */
struct bitmap_taken guest_rehearsed(struct guest *guest);
/* That which guest_log_map() replaced, until guest_settle(). */
struct guest_log guest_log_before(const struct guest *guest);
