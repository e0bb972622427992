/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Messages to send, made from their values. Pure. NULL: no memory. The caller
 * owns the message and adds descriptors with fdset_push().
 */
#pragma once

#include "wire/table.h"

/* A request with no payload. `flags` is 0 or WIRE_FLAG_NEED_REPLY; the version is added. */
struct wire_message *wire_request(uint32_t id, uint32_t flags);
struct wire_message *wire_request_u64(uint32_t id, uint32_t flags, uint64_t value);
struct wire_message *wire_request_state(uint32_t id, uint32_t flags, uint32_t index, uint32_t num);
struct wire_message *wire_request_addr(uint32_t flags, uint32_t index, uint32_t ring_flags,
				       uint64_t desc, uint64_t used, uint64_t avail, uint64_t log);
struct wire_message *wire_request_config(uint32_t id, uint32_t flags, uint32_t offset,
					 uint32_t size, uint32_t config_flags, const uint8_t *data);

/* IOTLB_MSG with a translation (type UPDATE), that nobody is to acknowledge. */
struct wire_message *wire_request_iotlb(uint64_t iova, uint64_t size, uint64_t uva, uint8_t perm);

struct wire_region {
	uint64_t gpa;
	uint64_t size; /* bytes */
	uint64_t uva;
	uint64_t mmap_offset; /* bytes into the descriptor */
};

/* SET_MEM_TABLE for up to WIRE_REGIONS_MAX regions. */
struct wire_message *wire_request_table(uint32_t flags, const struct wire_region *regions,
					unsigned int count);
/* ADD_MEM_REG or REM_MEM_REG. */
struct wire_message *wire_request_region(uint32_t id, uint32_t flags,
					 const struct wire_region *region);

/* A reply carrying a u64: an acknowledgement (0: done) or a value. */
struct wire_message *wire_reply_u64(uint32_t id, uint64_t value);
struct wire_message *wire_reply_state(uint32_t id, uint32_t index, uint32_t num);

/* Region `item` of a SET_MEM_TABLE whose size was checked. */
struct wire_region wire_table_region(const struct wire_message *message, unsigned int item);
/* The region of an ADD_MEM_REG or REM_MEM_REG whose size was checked. */
struct wire_region wire_slot_region(const struct wire_message *message);
