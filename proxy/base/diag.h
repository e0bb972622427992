/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The reason for a failure, as text for a person.
 *
 * Pure code does not print. A function that can refuse its input takes a
 * `struct diag *` and leaves one line there: the thing, the value, the rule and
 * what to do. The shell decides where the line goes.
 *
 * Results throughout the tree: 0 is success; a negative number is -errno, fatal
 * to the caller, forwarded unchanged; a positive number is an outcome that the
 * function's header names and the caller must handle.
 *
 * Not thread-safe: a diag belongs to one caller. Units: bytes.
 */
#pragma once

#define DIAG_TEXT_MAX 384

struct diag {
	char text[DIAG_TEXT_MAX];
};

/* Formats the line (cut, never overrun) and returns `code`, so that a refusal is one statement. */
int diag_set(struct diag *diag, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
