/* SPDX-License-Identifier: BSD-3-Clause */
#include "wire/encode.h"

#include "base/bytes.h"

#include <assert.h>
#include <string.h>

#define IOTLB_UPDATE 2 /* struct vhost_iotlb_msg, type */

#define TABLE_HEADER  8u
#define REGION_SIZE   32u
#define CONFIG_HEADER 12u
#define REPLY_FLAGS   (WIRE_VERSION | WIRE_FLAG_REPLY)

static struct wire_message *request(uint32_t id, uint32_t flags, uint32_t size)
{
	return wire_message_new(id, WIRE_VERSION | flags, size);
}

struct wire_message *wire_request(uint32_t id, uint32_t flags)
{
	return request(id, flags, 0);
}

struct wire_message *wire_request_u64(uint32_t id, uint32_t flags, uint64_t value)
{
	struct wire_message *message = request(id, flags, 8);

	if (message)
		bytes_store64(message->payload, value);
	return message;
}

struct wire_message *wire_request_state(uint32_t id, uint32_t flags, uint32_t index, uint32_t num)
{
	struct wire_message *message = request(id, flags, 8);

	if (message) {
		bytes_store32(message->payload, index);
		bytes_store32(message->payload + 4, num);
	}
	return message;
}

struct wire_message *wire_request_addr(uint32_t flags, uint32_t index, uint32_t ring_flags,
				       uint64_t desc, uint64_t used, uint64_t avail, uint64_t log)
{
	struct wire_message *message = request(WIRE_SET_VRING_ADDR, flags, 40);

	if (message) {
		bytes_store32(message->payload, index);
		bytes_store32(message->payload + 4, ring_flags);
		bytes_store64(message->payload + 8, desc);
		bytes_store64(message->payload + 16, used);
		bytes_store64(message->payload + 24, avail);
		bytes_store64(message->payload + 32, log);
	}
	return message;
}

struct wire_message *wire_request_config(uint32_t id, uint32_t flags, uint32_t offset,
					 uint32_t size, uint32_t config_flags, const uint8_t *data)
{
	struct wire_message *message;

	assert(size <= WIRE_CONFIG_MAX);
	message = request(id, flags, CONFIG_HEADER + size);
	if (message) {
		bytes_store32(message->payload, offset);
		bytes_store32(message->payload + 4, size);
		bytes_store32(message->payload + 8, config_flags);
		if (data)
			memcpy(message->payload + CONFIG_HEADER, data, size);
	}
	return message;
}

static void store_region(uint8_t *at, const struct wire_region *region)
{
	bytes_store64(at, region->gpa);
	bytes_store64(at + 8, region->size);
	bytes_store64(at + 16, region->uva);
	bytes_store64(at + 24, region->mmap_offset);
}

static struct wire_region load_region(const uint8_t *at)
{
	return (struct wire_region){
	    .gpa = bytes_load64(at),
	    .size = bytes_load64(at + 8),
	    .uva = bytes_load64(at + 16),
	    .mmap_offset = bytes_load64(at + 24),
	};
}

struct wire_message *wire_request_table(uint32_t flags, const struct wire_region *regions,
					unsigned int count)
{
	struct wire_message *message;

	assert(count <= WIRE_REGIONS_MAX);
	message = request(WIRE_SET_MEM_TABLE, flags, TABLE_HEADER + count * REGION_SIZE);
	if (message) {
		bytes_store32(message->payload, count);
		for (unsigned int i = 0; i < count; i++)
			store_region(message->payload + TABLE_HEADER + i * REGION_SIZE,
				     &regions[i]);
	}
	return message;
}

struct wire_message *wire_request_region(uint32_t id, uint32_t flags,
					 const struct wire_region *region)
{
	struct wire_message *message = request(id, flags, TABLE_HEADER + REGION_SIZE);

	if (message)
		store_region(message->payload + TABLE_HEADER, region);
	return message;
}

struct wire_message *wire_reply_u64(uint32_t id, uint64_t value)
{
	struct wire_message *message = wire_message_new(id, REPLY_FLAGS, 8);

	if (message)
		bytes_store64(message->payload, value);
	return message;
}

struct wire_message *wire_reply_state(uint32_t id, uint32_t index, uint32_t num)
{
	struct wire_message *message = wire_message_new(id, REPLY_FLAGS, 8);

	if (message) {
		bytes_store32(message->payload, index);
		bytes_store32(message->payload + 4, num);
	}
	return message;
}

struct wire_region wire_table_region(const struct wire_message *message, unsigned int item)
{
	return load_region(message->payload + TABLE_HEADER + item * REGION_SIZE);
}

struct wire_region wire_slot_region(const struct wire_message *message)
{
	return load_region(message->payload + TABLE_HEADER);
}

struct wire_message *wire_request_iotlb(uint64_t iova, uint64_t size, uint64_t uva, uint8_t perm)
{
	struct wire_message *message =
	    wire_message_new(WIRE_IOTLB_MSG, WIRE_VERSION, wire_payload(WIRE_PAYLOAD_IOTLB)->most);

	if (!message)
		return NULL;
	bytes_store64(message->payload, iova);
	bytes_store64(message->payload + 8, size);
	bytes_store64(message->payload + 16, uva);
	message->payload[24] = perm;
	message->payload[25] = IOTLB_UPDATE;
	return message;
}
