/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The inflight record that a back-end keeps itself (INFLIGHT_SHMFD): made for
 * GET_INFLIGHT_FD, mapped again from SET_INFLIGHT_FD.
 */
#pragma once

#include "base/diag.h"
#include "wire/message.h"

#include <stddef.h>

struct record {
	void *at; /* NULL: there is none */
	size_t size;
	unsigned int queues, num; /* rings, descriptors a ring */
};

/* The reply to GET_INFLIGHT_FD with a new record; NULL: the diag says why. */
struct wire_message *record_make(struct record *record, const struct wire_message *request,
				 struct diag *diag);
/* SET_INFLIGHT_FD. */
int record_take(struct record *record, const struct wire_message *request, struct diag *diag);
void record_forget(struct record *record);

/* The region of a ring of `num`, NULL: there is none for it. */
void *record_of(const struct record *record, unsigned int index, unsigned int num);
