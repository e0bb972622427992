/* SPDX-License-Identifier: BSD-3-Clause */
#include "wire/features.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define SPACE_BITS 64

struct bit_row {
	enum wire_space space;
	enum wire_device device; /* UNKNOWN: any */
	unsigned int bit;
	const char *name;
	const char *old;
};

static const struct bit_row rows[] = {
#define VIRTIO_BIT(bit, name)         {WIRE_SPACE_VIRTIO, WIRE_DEVICE_UNKNOWN, bit, #name, ""},
#define DEVICE_BIT(device, bit, name) {WIRE_SPACE_VIRTIO, WIRE_DEVICE_##device, bit, #name, ""},
#define PROTOCOL_BIT(bit, name, old)  {WIRE_SPACE_PROTOCOL, WIRE_DEVICE_UNKNOWN, bit, #name, old},
#include "wire/features.def"
#undef VIRTIO_BIT
#undef PROTOCOL_BIT
#undef DEVICE_BIT
};

#define ROW_COUNT (sizeof(rows) / sizeof(rows[0]))

static const char *const device_names[] = {
    [WIRE_DEVICE_UNKNOWN] = "unknown", [WIRE_DEVICE_NET] = "net", [WIRE_DEVICE_BLK] = "blk",
    [WIRE_DEVICE_SCSI] = "scsi",       [WIRE_DEVICE_FS] = "fs",   [WIRE_DEVICE_VSOCK] = "vsock",
};
_Static_assert(sizeof(device_names) / sizeof(device_names[0]) == WIRE_DEVICE_COUNT,
	       "each device has a name");

const char *wire_device_name(enum wire_device device)
{
	return device < WIRE_DEVICE_COUNT ? device_names[device] : "unknown";
}

enum wire_device wire_device_by_name(const char *name)
{
	if (strcmp(name, "auto") == 0)
		return WIRE_DEVICE_UNKNOWN;
	for (unsigned int i = WIRE_DEVICE_UNKNOWN + 1; i < WIRE_DEVICE_COUNT; i++)
		if (strcmp(device_names[i], name) == 0)
			return i;
	return WIRE_DEVICE_COUNT;
}

/*
 * Bit 9 (FLUSH) with bit 6 (BLK_SIZE) is a disk: a network device that offered
 * them would have GUEST_ECN and the long gone GSO. MRG_RXBUF or CTRL_VQ without
 * a config space in the protocol is a network device. Everything else is left
 * unknown rather than guessed.
 */
enum wire_device wire_device_guess(uint64_t features, uint64_t protocol_features)
{
	const uint64_t disk = WIRE_BIT(9) | WIRE_BIT(6);
	const uint64_t net = WIRE_BIT(15) | WIRE_BIT(17);
	bool config = (protocol_features & WIRE_BIT(WIRE_PF_CONFIG)) != 0;

	if (config && (features & disk) == disk)
		return WIRE_DEVICE_BLK;
	if ((features & net) == net)
		return WIRE_DEVICE_NET;
	return WIRE_DEVICE_UNKNOWN;
}

const char *wire_bit_name(enum wire_space space, enum wire_device device, unsigned int bit)
{
	for (size_t i = 0; i < ROW_COUNT; i++) {
		if (rows[i].space != space || rows[i].bit != bit)
			continue;
		if (rows[i].device == WIRE_DEVICE_UNKNOWN || rows[i].device == device)
			return rows[i].name;
	}
	return NULL;
}

static uint64_t known(enum wire_space space)
{
	uint64_t bits = 0;

	for (size_t i = 0; i < ROW_COUNT; i++)
		if (rows[i].space == space && rows[i].device == WIRE_DEVICE_UNKNOWN)
			bits |= WIRE_BIT(rows[i].bit);
	return bits;
}

uint64_t wire_virtio_known(void)
{
	const uint64_t device_low = WIRE_BIT(24) - 1;
	const uint64_t device_high = ~(WIRE_BIT(50) - 1);

	return known(WIRE_SPACE_VIRTIO) | device_low | device_high;
}

uint64_t wire_protocol_known(void)
{
	return known(WIRE_SPACE_PROTOCOL);
}

static int bit_by_number(const char *name)
{
	char *end;
	unsigned long bit = strtoul(name, &end, 10);

	if (name[0] < '0' || name[0] > '9' || *end != '\0' || bit >= SPACE_BITS)
		return -1;
	return (int)bit;
}

/* Another name in use for a bit, from other texts of the same specification. */
static const struct {
	enum wire_space space;
	unsigned int bit;
	const char *name;
} aliases[] = {
    {WIRE_SPACE_VIRTIO, WIRE_F_ACCESS_PLATFORM, "IOMMU_PLATFORM"},
};

static const char *without(const char *name, const char *prefix)
{
	size_t length = strlen(prefix);

	return strncasecmp(name, prefix, length) == 0 ? name + length : name;
}

/* What the header files put before a name says which space it is of. */
static bool of_space(const char *name, enum wire_space space)
{
	if (strncasecmp(name, "VHOST_USER_PROTOCOL_F_", 22) == 0)
		return space == WIRE_SPACE_PROTOCOL;
	return strncasecmp(name, "VIRTIO_", 7) != 0 || space == WIRE_SPACE_VIRTIO;
}

/* "VIRTIO_NET_F_MTU" is "MTU": what stands before _F_ is the header's, not the bit's. */
static const char *plain(const char *name)
{
	const char *end = strcasestr(name, "_F_");

	if (end && (strncasecmp(name, "VIRTIO_", 7) == 0 || strncasecmp(name, "VHOST_", 6) == 0))
		return end + 3;
	return name;
}

static bool has_name(const struct bit_row *row, const char *name)
{
	if (!of_space(name, row->space))
		return false;
	if (strcasecmp(row->name, name) == 0 || (row->old[0] && strcasecmp(row->old, name) == 0))
		return true;
	if (strcasecmp(without(plain(row->name), "RING_"), without(plain(name), "RING_")) == 0)
		return true;
	for (size_t i = 0; i < sizeof(aliases) / sizeof(aliases[0]); i++)
		if (aliases[i].space == row->space && aliases[i].bit == row->bit &&
		    strcasecmp(aliases[i].name, plain(name)) == 0)
			return true;
	return false;
}

uint64_t wire_bits_named(enum wire_space space, enum wire_device device, const char *name)
{
	uint64_t bits = 0;

	for (size_t i = 0; i < ROW_COUNT; i++) {
		const struct bit_row *row = &rows[i];

		if (row->space != space || !has_name(row, name))
			continue;
		if (device == WIRE_DEVICE_UNKNOWN || row->device == WIRE_DEVICE_UNKNOWN ||
		    row->device == device)
			bits |= WIRE_BIT(row->bit);
	}
	return bits;
}

int wire_bit_by_name(enum wire_space space, const char *name)
{
	for (size_t i = 0; i < ROW_COUNT; i++)
		if (rows[i].space == space && has_name(&rows[i], name))
			return (int)rows[i].bit;
	return bit_by_number(name);
}

void wire_bits_print(enum wire_space space, enum wire_device device, uint64_t bits, char *text,
		     size_t size)
{
	size_t used = 0;

	snprintf(text, size, "%s", bits ? "" : "none");
	for (unsigned int bit = 0; bit < SPACE_BITS; bit++) {
		const char *name = wire_bit_name(space, device, bit);
		int n;

		if (!(bits & WIRE_BIT(bit)))
			continue;
		if (name)
			n = snprintf(text + used, size - used, "%s%s", used ? " " : "", name);
		else
			n = snprintf(text + used, size - used, "%sbit%u", used ? " " : "", bit);
		if (n < 0 || (size_t)n >= size - used) {
			if (size > 4)
				memcpy(text + size - 4, "...", 4);
			return;
		}
		used += (size_t)n;
	}
}
