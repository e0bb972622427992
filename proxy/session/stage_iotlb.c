/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * IOTLB traffic is the back-end's own: it is counted for `iotlb` in the status, and
 * what is in force kept for the next back-end.
 */
#include "session/stage.h"

#include "base/bytes.h"

#define PERM_AT 24 /* struct vhost_iotlb_msg */
#define TYPE_AT 25

enum iotlb_type {
	IOTLB_MISS = 1,
	IOTLB_UPDATE = 2,
	IOTLB_INVALIDATE = 3,
	IOTLB_ACCESS_FAIL = 4,
};

static void count(struct iotlb_counts *counts, uint8_t type)
{
	switch (type) {
	case IOTLB_MISS:
		counts->misses++;
		break;
	case IOTLB_UPDATE:
		counts->updates++;
		break;
	case IOTLB_INVALIDATE:
		counts->invalidations++;
		break;
	case IOTLB_ACCESS_FAIL:
		counts->failures++;
		break;
	}
}

static void keep(struct iotlb *iotlb, const uint8_t *payload)
{
	struct iotlb_entry entry = {.iova = bytes_load64(payload),
				    .size = bytes_load64(payload + 8),
				    .uva = bytes_load64(payload + 16),
				    .perm = payload[PERM_AT]};

	if (payload[TYPE_AT] == IOTLB_UPDATE)
		iotlb_update(iotlb, &entry);
	else if (payload[TYPE_AT] == IOTLB_INVALIDATE)
		iotlb_invalidate(iotlb, entry.iova, entry.size);
}

static enum stage_verdict front_request(struct session *session, struct crossing *crossing)
{
	switch (crossing->message->header.id) {
	case WIRE_IOTLB_MSG:
		count(&session->iotlb, crossing->message->payload[TYPE_AT]);
		keep(&session->translations, crossing->message->payload);
		break;
	case WIRE_RESET_OWNER:
	case WIRE_RESET_DEVICE:
		session->translations.count = 0;
		break;
	}
	return STAGE_PASS;
}

static enum stage_verdict back_request(struct session *session, struct crossing *crossing)
{
	switch (crossing->message->header.id) {
	case WIRE_BACKEND_IOTLB_MSG:
		count(&session->iotlb, crossing->message->payload[TYPE_AT]);
		break;
	}
	return STAGE_PASS;
}

const struct stage stage_iotlb = {
    .name = "iotlb",
    .front_request = front_request,
    .back_request = back_request,
};
