/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is acknowledged of what a back-end offers: pure, a result and a reason.
 */
#pragma once

#include "bench/options.h"

/* The bits of each device type by name: OFFERS_BLK_RO. */
enum offers_device_bit {
#define VIRTIO_BIT(bit, name)
#define DEVICE_BIT(device, bit, name) OFFERS_##device##_##name = bit,
#define PROTOCOL_BIT(bit, name, old)
#include "wire/features.def"
#undef VIRTIO_BIT
#undef DEVICE_BIT
#undef PROTOCOL_BIT
};

/* -ENOTSUP: a bit that is needed, or that the user insists on, is not offered; -EROFS. */
int offers_virtio(uint64_t offered, const struct options *options, uint64_t *acked,
		  struct diag *diag);
int offers_protocol(uint64_t offered, uint64_t *acked, struct diag *diag);
