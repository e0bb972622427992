/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Unaligned loads and stores in the machine's own byte order, which is the
 * byte order of the vhost-user wire (specification, "Message specification":
 * both ends share one machine). The caller has checked the bounds.
 */
#pragma once

#include <stdint.h>
#include <string.h>

static inline uint16_t bytes_load16(const uint8_t *at)
{
	uint16_t value;

	memcpy(&value, at, sizeof(value));
	return value;
}

static inline uint32_t bytes_load32(const uint8_t *at)
{
	uint32_t value;

	memcpy(&value, at, sizeof(value));
	return value;
}

static inline uint64_t bytes_load64(const uint8_t *at)
{
	uint64_t value;

	memcpy(&value, at, sizeof(value));
	return value;
}

static inline void bytes_store16(uint8_t *at, uint16_t value)
{
	memcpy(at, &value, sizeof(value));
}

static inline void bytes_store32(uint8_t *at, uint32_t value)
{
	memcpy(at, &value, sizeof(value));
}

static inline void bytes_store64(uint8_t *at, uint64_t value)
{
	memcpy(at, &value, sizeof(value));
}
