/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Feature bits by name and by number; pure, all functions are thread-safe.
 *
 * Bits 0-23 and 50-63 belong to the device type (virtio 1.3, 2.2), so a name
 * for them needs to know the device; without one they are shown by number.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum wire_virtio_bit {
#define VIRTIO_BIT(bit, name) WIRE_F_##name = bit,
#define DEVICE_BIT(device, bit, name)
#define PROTOCOL_BIT(bit, name, old)
#include "wire/features.def"
#undef VIRTIO_BIT
#undef PROTOCOL_BIT
#undef DEVICE_BIT
};

enum wire_protocol_bit {
#define VIRTIO_BIT(bit, name)
#define DEVICE_BIT(device, bit, name)
#define PROTOCOL_BIT(bit, name, old) WIRE_PF_##name = bit,
#include "wire/features.def"
#undef VIRTIO_BIT
#undef PROTOCOL_BIT
#undef DEVICE_BIT
	WIRE_PF_COUNT
};

#define WIRE_BIT(bit) (UINT64_C(1) << (bit))

enum wire_device {
	WIRE_DEVICE_UNKNOWN,
	WIRE_DEVICE_NET,
	WIRE_DEVICE_BLK,
	WIRE_DEVICE_SCSI,
	WIRE_DEVICE_FS,
	WIRE_DEVICE_VSOCK,
	WIRE_DEVICE_COUNT,
};

enum wire_space {
	WIRE_SPACE_VIRTIO,
	WIRE_SPACE_PROTOCOL,
};

/* "net", "blk", ...; "unknown". */
const char *wire_device_name(enum wire_device device);

/* The device of that name; WIRE_DEVICE_COUNT: no such name. "auto" is WIRE_DEVICE_UNKNOWN. */
enum wire_device wire_device_by_name(const char *name);

/*
 * Which device offers these virtio features, as far as bits tell; UNKNOWN
 * where they do not. A hint for showing names, never a basis for a decision
 * that loses data.
 */
enum wire_device wire_device_guess(uint64_t features, uint64_t protocol_features);

/* Name of a bit, NULL: it has none. */
const char *wire_bit_name(enum wire_space space, enum wire_device device, unsigned int bit);

/* All virtio bits this program knows the meaning of (device bits count as known). */
uint64_t wire_virtio_known(void);
/* All protocol bits of the table. */
uint64_t wire_protocol_known(void);

/*
 * All bits that have this name, written as here, without RING_ or VHOST_F_, or
 * as in the header files (VIRTIO_NET_F_MTU); any case. Names of other devices
 * count only while `device` is unknown.
 */
uint64_t wire_bits_named(enum wire_space space, enum wire_device device, const char *name);

/* A bit by such a name or by number, any device's names taken; -1: none. */
int wire_bit_by_name(enum wire_space space, const char *name);

/* Writes "A B bit52" to `text`; always terminated, cut with "..." when short. "none" for 0. */
void wire_bits_print(enum wire_space space, enum wire_device device, uint64_t bits, char *text,
		     size_t size);
