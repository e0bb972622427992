/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A device's config space as fields (virtio 1.3, "Device configuration layout"
 * of each device), and what device it looks like. Pure; little-endian, as
 * VERSION_1 has it.
 */
#pragma once

#include "wire/features.h"

#include <stddef.h>
#include <stdint.h>

enum config_kind {
	CONFIG_NUMBER,
	CONFIG_MAC,
	CONFIG_TEXT, /* padded with zeros */
};

struct config_field {
	enum wire_device device;
	const char *name;
	uint16_t offset; /* bytes */
	uint16_t width;
	enum config_kind kind;
};

/* Fields of the device that lie within `size` bytes, in order; NULL: no more. */
const struct config_field *config_next(enum wire_device device, size_t size,
				       const struct config_field *previous);

uint64_t config_number(const struct config_field *field, const uint8_t *config);

/* The field as text; always terminated, bytes that do not print are shown as '?'. */
void config_print(const struct config_field *field, const uint8_t *config, char *text, size_t size);

/*
 * What the device looks like, from bits first and then from its config space.
 * `queues` -1: not known. A guess for naming things, never a certainty.
 */
enum wire_device config_guess(uint64_t features, uint64_t protocol, int64_t queues,
			      const uint8_t *config, size_t size);
