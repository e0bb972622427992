/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Messages as a peer that keeps every rule sends them, made from the columns
 * of the message table alone, so that a new row is tested without a new test.
 *
 * Descriptors are made-up numbers: nothing here opens or closes a file, and
 * the caller frees a message with wire_message_free().
 */
#pragma once

#include "wire/validate.h"

/* The first made-up descriptor: no test program has so many open. */
#define LEGAL_FD      1000
#define LEGAL_RINGS   4u
#define LEGAL_REGIONS 2u
#define LEGAL_CONFIG  57u /* bytes QEMU asks of a disk's config space */

/* Every bit offered and acknowledged, LEGAL_RINGS rings, postcopy not listening. */
struct wire_agreement legal_agreement(void);

struct wire_message *legal_request(const struct wire_row *row,
				   const struct wire_agreement *agreement);

/* The reply as the back-end sends it to legal_request() under that agreement. */
struct wire_message *legal_reply(const struct wire_row *row,
				 const struct wire_agreement *agreement);

/* Whether the row is a request that may be sent at all: id 0 is none outside postcopy. */
bool legal_is_request(enum wire_channel channel, const struct wire_row *row);

/* The message again with another payload size, cut or filled with zeros; the old one is freed. */
struct wire_message *legal_resize(struct wire_message *message, uint32_t size);

/* Brings the message to `count` made-up descriptors. */
void legal_set_fds(struct wire_message *message, unsigned int count);

/* Calls `each` for every row of both channels. */
typedef void (*legal_each_fn)(enum wire_channel channel, const struct wire_row *row, void *context);
void legal_each(legal_each_fn each, void *context);
