/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The daemon's answers as people read them, on stdout. A key that is missing,
 * because the daemon is of another version, is shown as "-". One thread.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

void show_status(const json_t *status);
void show_features(const json_t *features);
void show_queues(const json_t *queues);
void show_memory(const json_t *memory);
void show_iotlb(const json_t *iotlb);
void show_log(const json_t *log);
/* One line, or with `done` all. */
void show_rate(const json_t *rate);

/* One line. */
void show_event(const json_t *event);

/* Makes all text in the answer harmless to a terminal: control characters become '?'. */
void show_clean(json_t *value);

/* Looking things up; what is not there is 0, false, "-" and an empty list. */
uint64_t show_number(const json_t *object, const char *key);
bool show_true(const json_t *object, const char *key);
const char *show_text(const json_t *object, const char *key);
const char *show_yes(const json_t *object, const char *key); /* "yes", "no" or "-" */

/* "LABEL  a b c", the words wrapped under one another; "none" for no words. */
void show_names(const char *label, int width, const json_t *names);
