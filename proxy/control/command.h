/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The control socket's language: one line in, one line out, in QMP's shape.
 *
 *   {"execute":"status","arguments":{},"id":7}
 *   {"return":{...},"id":7}
 *   {"error":{"class":"CommandNotFound","desc":"..."},"id":7}
 *
 * `id` may be any JSON value and is given back as it came; without one there is
 * none in the answer. Whatever the line holds, it gets an answer, and its
 * sender can go on: the only consequence of a mistake is an error with one line
 * that says what to do. There is no greeting. A blank line is nothing.
 *
 * Pure; any thread. Lines made here end in '\n', hold no other one, and belong
 * to the caller, who frees them with free().
 */
#pragma once

#include "control/view.h"

#include <stddef.h>

/* Bytes of a command line, its '\n' not counted. */
#define COMMAND_LINE_MAX 65536

enum command_result {
	COMMAND_ANSWERED = 0,
	COMMAND_BLANK = 1, /* a line of white space: no answer is due */
};

/* Fills all of the view; what it points at stays as it is until the answer is made. */
typedef void (*command_fill)(struct view *view, void *context);

/* Answers one line. `fill` is called only for a command that needs it. -ENOMEM. */
int command_answer(const char *line, size_t length, command_fill fill, void *context,
		   char **answer);

/* An error without a command, for one who is to be turned away. NULL: no memory. */
char *command_error(const char *desc);

/* The error for a line of more than COMMAND_LINE_MAX bytes. NULL: no memory. */
char *command_too_long(void);

/*
 * The line of an event. `data` is the text of a JSON object; any other text is
 * wrapped in one, as "text", for it must not break the followers' reading. The
 * time is that of the wall clock. NULL: no memory.
 */
char *command_event(const char *event, const char *data, int64_t seconds, int32_t microseconds);
