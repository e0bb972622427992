/* SPDX-License-Identifier: BSD-3-Clause */
/* IOTLB traffic is the back-end's own; it is counted for `iotlb` in the status. */
#include "session/stage.h"

#define TYPE_AT 25 /* struct vhost_iotlb_msg */

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

static enum stage_verdict front_request(struct session *session, struct crossing *crossing)
{
	switch (crossing->message->header.id) {
	case WIRE_IOTLB_MSG:
		count(&session->iotlb, crossing->message->payload[TYPE_AT]);
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
