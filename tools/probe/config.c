/* SPDX-License-Identifier: BSD-3-Clause */
#include "probe/config.h"

#include <inttypes.h>
#include <stdio.h>

#define NUMBER(device, name, offset, width)                                                        \
	{                                                                                          \
		WIRE_DEVICE_##device, #name, offset, width, CONFIG_NUMBER                          \
	}

static const struct config_field fields[] = {
    NUMBER(BLK, capacity, 0, 8), /* sectors of 512 bytes */
    NUMBER(BLK, size_max, 8, 4),
    NUMBER(BLK, seg_max, 12, 4),
    NUMBER(BLK, blk_size, 20, 4),
    NUMBER(BLK, physical_block_exp, 24, 1),
    NUMBER(BLK, min_io_size, 26, 2),
    NUMBER(BLK, opt_io_size, 28, 4),
    NUMBER(BLK, writeback, 32, 1),
    NUMBER(BLK, num_queues, 34, 2),
    NUMBER(BLK, max_discard_sectors, 36, 4),
    NUMBER(BLK, max_discard_seg, 40, 4),
    NUMBER(BLK, discard_sector_alignment, 44, 4),
    NUMBER(BLK, max_write_zeroes_sectors, 48, 4),
    NUMBER(BLK, max_write_zeroes_seg, 52, 4),
    NUMBER(BLK, write_zeroes_may_unmap, 56, 1),
    {WIRE_DEVICE_NET, "mac", 0, 6, CONFIG_MAC},
    NUMBER(NET, status, 6, 2),
    NUMBER(NET, max_virtqueue_pairs, 8, 2),
    NUMBER(NET, mtu, 10, 2),
    NUMBER(SCSI, num_queues, 0, 4),
    NUMBER(SCSI, seg_max, 4, 4),
    NUMBER(SCSI, max_sectors, 8, 4),
    NUMBER(SCSI, cmd_per_lun, 12, 4),
    NUMBER(SCSI, event_info_size, 16, 4),
    NUMBER(SCSI, sense_size, 20, 4),
    NUMBER(SCSI, cdb_size, 24, 4),
    NUMBER(SCSI, max_channel, 28, 2),
    NUMBER(SCSI, max_target, 30, 2),
    NUMBER(SCSI, max_lun, 32, 4),
    {WIRE_DEVICE_FS, "tag", 0, 36, CONFIG_TEXT},
    NUMBER(FS, num_request_queues, 36, 4),
    NUMBER(VSOCK, guest_cid, 0, 8),
};

#define FIELDS        (sizeof(fields) / sizeof(fields[0]))
#define SCSI_SIZE     36u
#define SCSI_SENSE_AT 20u
#define SCSI_SENSE    96u /* the defaults of virtio 1.3, 5.6.4 */
#define SCSI_CDB_AT   24u
#define SCSI_CDB      32u
#define FS_TAG_SIZE   36u
#define FS_SIZE       40u
#define VSOCK_SIZE    8u
#define DEVICE_LOW    (WIRE_BIT(24) - 1)

static uint64_t load(const uint8_t *at, unsigned int width)
{
	uint64_t value = 0;

	for (unsigned int i = 0; i < width && i < sizeof(value); i++)
		value |= (uint64_t)at[i] << (8 * i);
	return value;
}

const struct config_field *config_next(enum wire_device device, size_t size,
				       const struct config_field *previous)
{
	for (const struct config_field *at = previous ? previous + 1 : fields; at < fields + FIELDS;
	     at++)
		if (at->device == device && (size_t)at->offset + at->width <= size)
			return at;
	return NULL;
}

uint64_t config_number(const struct config_field *field, const uint8_t *config)
{
	return load(config + field->offset, field->width);
}

static bool printable(uint8_t c)
{
	return c >= 0x20 && c < 0x7f;
}

static void print_text(const uint8_t *at, unsigned int width, char *text, size_t size)
{
	size_t used = 0;

	for (unsigned int i = 0; i < width && at[i] && used + 1 < size; i++)
		text[used++] = printable(at[i]) ? (char)at[i] : '?';
	text[used] = '\0';
}

void config_print(const struct config_field *field, const uint8_t *config, char *text, size_t size)
{
	const uint8_t *at = config + field->offset;

	switch (field->kind) {
	case CONFIG_NUMBER:
		snprintf(text, size, "%" PRIu64, config_number(field, config));
		return;
	case CONFIG_MAC:
		snprintf(text, size, "%02x:%02x:%02x:%02x:%02x:%02x", at[0], at[1], at[2], at[3],
			 at[4], at[5]);
		return;
	case CONFIG_TEXT:
		print_text(at, field->width, text, size);
		return;
	}
}

/* A tag, then zeros to its end. */
static bool is_tag(const uint8_t *at)
{
	unsigned int length = 0;

	while (length < FS_TAG_SIZE && printable(at[length]))
		length++;
	if (length == 0)
		return false;
	for (unsigned int i = length; i < FS_TAG_SIZE; i++)
		if (at[i])
			return false;
	return true;
}

static enum wire_device guess_by_config(const uint8_t *config, size_t size)
{
	if (size >= FS_SIZE && is_tag(config))
		return WIRE_DEVICE_FS;
	if (size >= SCSI_SIZE && load(config + SCSI_SENSE_AT, 4) == SCSI_SENSE &&
	    load(config + SCSI_CDB_AT, 4) == SCSI_CDB)
		return WIRE_DEVICE_SCSI;
	/* A context id has 32 bits, 0 to 2 are not a guest's. */
	if (size == VSOCK_SIZE && load(config, 8) > 2 && load(config, 8) <= UINT32_MAX)
		return WIRE_DEVICE_VSOCK;
	return WIRE_DEVICE_UNKNOWN;
}

enum wire_device config_guess(uint64_t features, uint64_t protocol, int64_t queues,
			      const uint8_t *config, size_t size)
{
	enum wire_device device = wire_device_guess(features, protocol);

	if (device == WIRE_DEVICE_UNKNOWN)
		device = guess_by_config(config, size);
	if (device != WIRE_DEVICE_UNKNOWN || size)
		return device;
	/* virtiofsd without a tag: no bits of its own, a hiprio queue and request queues. */
	if (!(features & DEVICE_LOW) && !(protocol & WIRE_BIT(WIRE_PF_CONFIG)) && queues >= 2)
		return WIRE_DEVICE_FS;
	return WIRE_DEVICE_UNKNOWN;
}
