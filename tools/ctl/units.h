/* SPDX-License-Identifier: BSD-3-Clause */
/* Figures as people read them. Pure; the text is in the caller's buffer. */
#pragma once

#include <stdint.h>

#define UNITS_TEXT_MAX 32

/* "512 bytes", "4 KiB", "3.1 MiB": whole where it is whole. Returns `text`. */
const char *units_size(uint64_t bytes, char text[UNITS_TEXT_MAX]);

/* "12.3 s", "3 min 12 s", "2 h 3 min", "5 d 4 h". */
const char *units_time(double seconds, char text[UNITS_TEXT_MAX]);

/* "none", "740 us", "12.5 ms", or as units_time(). */
const char *units_micros(uint64_t micros, char text[UNITS_TEXT_MAX]);
