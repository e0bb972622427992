/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A message as its fields: for logs, captures and JSON. Pure, from the table
 * alone; a field that lies outside the payload is left out, so that any bytes
 * may be given.
 */
#pragma once

#include "wire/features.h"
#include "wire/table.h"

struct wire_value {
	const struct wire_field *field;
	const char *list;  /* name of the repeated part, NULL: a plain field */
	unsigned int item; /* which element of it */
	uint64_t number;   /* fields of up to 8 bytes */
	const uint8_t *bytes;
	uint32_t size; /* bytes there really are */
};

typedef void (*wire_visit_fn)(const struct wire_value *value, void *context);

/* Calls `visit` for each field in order. A reply is read by its own layout. */
void wire_visit(enum wire_channel channel, const struct wire_message *message, wire_visit_fn visit,
		void *context);

/* The value as text: 0x1000, "RO", "MQ LOG_SHMFD", "52:54:00:..". Always terminated. */
void wire_value_print(const struct wire_value *value, enum wire_device device, char *text,
		      size_t size);

/* "SET_VRING_KICK need_reply ring=0 fds=1"; always terminated, cut where short. */
void wire_print(enum wire_channel channel, enum wire_device device,
		const struct wire_message *message, char *text, size_t size);
