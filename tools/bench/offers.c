/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench/offers.h"

#include "wire/features.h"

#include <errno.h>

#define BLK_BITS                                                                                   \
	(WIRE_BIT(OFFERS_BLK_SIZE_MAX) | WIRE_BIT(OFFERS_BLK_SEG_MAX) |                            \
	 WIRE_BIT(OFFERS_BLK_BLK_SIZE) | WIRE_BIT(OFFERS_BLK_FLUSH) | WIRE_BIT(OFFERS_BLK_MQ) |    \
	 WIRE_BIT(OFFERS_BLK_RO))

/* What this front-end acts upon. */
#define PROTOCOL_BITS                                                                              \
	(WIRE_BIT(WIRE_PF_MQ) | WIRE_BIT(WIRE_PF_LOG_SHMFD) | WIRE_BIT(WIRE_PF_REPLY_ACK) |        \
	 WIRE_BIT(WIRE_PF_BACKEND_REQ) | WIRE_BIT(WIRE_PF_CONFIG) |                                \
	 WIRE_BIT(WIRE_PF_INFLIGHT_SHMFD) | WIRE_BIT(WIRE_PF_CONFIGURE_MEM_SLOTS) |                \
	 WIRE_BIT(WIRE_PF_STATUS))

static int want(uint64_t offered, enum options_want choice, unsigned int bit, uint64_t *bits,
		struct diag *diag)
{
	bool there = offered & WIRE_BIT(bit);

	if (choice == OPTIONS_ON && !there)
		return diag_set(diag, -ENOTSUP, "the back-end does not offer %s (bit %u)",
				wire_bit_name(WIRE_SPACE_VIRTIO, WIRE_DEVICE_BLK, bit), bit);
	if (choice != OPTIONS_OFF && there)
		*bits |= WIRE_BIT(bit);
	return 0;
}

int offers_virtio(uint64_t offered, const struct options *options, uint64_t *acked,
		  struct diag *diag)
{
	enum options_want packed = options->format == RING_PACKED ? OPTIONS_ON : OPTIONS_OFF;
	uint64_t bits = offered & BLK_BITS;
	int result = want(offered, OPTIONS_ON, WIRE_F_PROTOCOL_FEATURES, &bits, diag);

	if (!result)
		result = want(offered, OPTIONS_ON, WIRE_F_VERSION_1, &bits, diag);
	if (!result)
		result = want(offered, packed, WIRE_F_RING_PACKED, &bits, diag);
	if (!result)
		result = want(offered, options->event_idx, WIRE_F_RING_EVENT_IDX, &bits, diag);
	if (!result)
		result = want(offered, options->indirect, WIRE_F_RING_INDIRECT_DESC, &bits, diag);
	if (!result && options->rw != OPTIONS_READ && (bits & WIRE_BIT(OFFERS_BLK_RO)))
		result = diag_set(diag, -EROFS, "the disk is read-only (RO, bit %u): use --rw=read",
				  OFFERS_BLK_RO);
	if (!result)
		*acked = bits;
	return result;
}

int offers_protocol(uint64_t offered, uint64_t *acked, struct diag *diag)
{
	if (!(offered & WIRE_BIT(WIRE_PF_CONFIG)))
		return diag_set(
		    diag, -ENOTSUP,
		    "the back-end does not offer CONFIG (protocol bit %u): it is no blk device",
		    WIRE_PF_CONFIG);
	*acked = offered & PROTOCOL_BITS;
	return 0;
}
