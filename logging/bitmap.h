/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The dirty bitmap (specification "Migration"): bit (addr >> 12) of the log, in
 * bytes from the lowest bit up, one for each 4 KiB page of guest-physical memory.
 *
 * The reader exchanges whole words with 0 while we set bits, so a bit is set by
 * an atomic OR, after the data it stands for: a bit that came first could be
 * read and cleared before the write, which would then be lost. A bit that is
 * set already is left alone, which costs an eighth (measured).
 *
 * Pure over memory handed in; any thread.
 */
#pragma once

#include <stdint.h>

#define BITMAP_PAGE_SHIFT 12

/* Marks `length` bytes at `gpa`. Pages past the end of the log (`size` bytes) are left out. */
void bitmap_mark(uint8_t *log, uint64_t size, uint64_t gpa, uint64_t length);
