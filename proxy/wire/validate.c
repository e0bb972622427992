/* SPDX-License-Identifier: BSD-3-Clause */
#include "wire/validate.h"

#include "base/bytes.h"
#include "wire/features.h"

#define ACK_SIZE      8u
#define CONFIG_HEADER 12u

/*
 * Requests that are legal in a second shape. A row here is tried before the
 * message's own layout, so that no check of the usual shape can shadow it
 * (libvhost-user checks the descriptor of ADD_MEM_REG before it looks for the
 * acknowledgement, and so can never see one).
 */
enum variant_when {
	WHEN_LISTENING, /* QEMU's acknowledgement of the back-end's addresses */
	WHEN_NO_LOG_SHMFD,
	WHEN_ALWAYS,
};

static const struct variant {
	enum wire_front_id id;
	uint32_t size;
	enum variant_when when;
} variants[] = {
    /* The newest specification still has SET_LOG_BASE as a plain u64 without LOG_SHMFD. */
    {WIRE_SET_LOG_BASE, 8, WHEN_NO_LOG_SHMFD},
    {WIRE_ADD_MEM_REG, 8, WHEN_LISTENING},
    /* QEMU acknowledges with id 0, or that of the last removal, when no region had changed. */
    {WIRE_NONE, 8, WHEN_LISTENING},
    {WIRE_REM_MEM_REG, 8, WHEN_LISTENING},
    /* QEMU forgets the size of GET_SHARED_OBJECT. */
    {WIRE_GET_SHARED_OBJECT, 0, WHEN_ALWAYS},
};

static bool acked(const struct wire_agreement *agreement, enum wire_protocol_bit bit)
{
	return (agreement->protocol_acked & WIRE_BIT(bit)) != 0;
}

static bool variant_applies(enum variant_when when, const struct wire_agreement *agreement)
{
	switch (when) {
	case WHEN_LISTENING:
		return agreement->postcopy_listening;
	case WHEN_NO_LOG_SHMFD:
		return !acked(agreement, WIRE_PF_LOG_SHMFD);
	case WHEN_ALWAYS:
		break;
	}
	return true;
}

static bool is_variant(enum wire_channel channel, const struct wire_agreement *agreement,
		       const struct wire_message *message)
{
	if (channel != WIRE_MAIN)
		return false;
	for (size_t i = 0; i < sizeof(variants) / sizeof(variants[0]); i++)
		if (variants[i].id == message->header.id &&
		    variants[i].size == message->header.size &&
		    variant_applies(variants[i].when, agreement))
			return true;
	return false;
}

static int check_gate(const struct wire_row *row, const struct wire_agreement *agreement,
		      struct diag *diag)
{
	enum wire_space space = WIRE_SPACE_VIRTIO;
	uint64_t bits = UINT64_MAX;
	const char *what = "acknowledged";

	switch (row->gate.kind) {
	case WIRE_GATE_ALWAYS:
		return WIRE_FINE;
	case WIRE_GATE_OFFERED:
		bits = agreement->virtio_offered;
		what = "offered";
		break;
	case WIRE_GATE_VIRTIO:
		bits = agreement->virtio_acked;
		break;
	case WIRE_GATE_PROTOCOL:
		bits = agreement->protocol_acked;
		space = WIRE_SPACE_PROTOCOL;
		break;
	}
	if (bits & WIRE_BIT(row->gate.bit))
		return WIRE_FINE;
	return diag_set(diag, WIRE_FAULT, "%s was not negotiated: needs %s feature %s (bit %u) %s",
			row->name, space == WIRE_SPACE_VIRTIO ? "virtio" : "protocol",
			wire_bit_name(space, WIRE_DEVICE_UNKNOWN, row->gate.bit), row->gate.bit,
			what);
}

static int check_size(const struct wire_row *row, enum wire_payload_id id,
		      const struct wire_message *message, struct diag *diag)
{
	const struct wire_payload *payload = wire_payload(id);
	const struct wire_tail *tail = wire_tail(id);
	uint32_t size = message->header.size;

	if (size < payload->least || size > payload->most) {
		if (payload->least == payload->most)
			return diag_set(diag, WIRE_FAULT,
					"%s has %u payload bytes, it must have %u", row->name, size,
					payload->least);
		return diag_set(diag, WIRE_FAULT, "%s has %u payload bytes, it must have %u to %u",
				row->name, size, payload->least, payload->most);
	}
	if (tail) {
		uint32_t count = bytes_load32(message->payload + tail->count_at);
		uint64_t need = tail->offset + (uint64_t)count * tail->stride;

		if (need != size)
			return diag_set(diag, WIRE_FAULT,
					"%s names %u %s, which take %llu payload bytes, and has %u",
					row->name, count, tail->name, (unsigned long long)need,
					size);
	}
	if (id == WIRE_PAYLOAD_CONFIG) {
		uint32_t length = bytes_load32(message->payload + 4);

		if ((uint64_t)length + CONFIG_HEADER != size)
			return diag_set(
			    diag, WIRE_FAULT,
			    "%s names %u bytes of config space and carries %u (at most %u)",
			    row->name, length, size - CONFIG_HEADER, WIRE_CONFIG_MAX);
	}
	return WIRE_FINE;
}

/* Least and most descriptors of a request whose size is right. */
static void fds_allowed(const struct wire_row *row, const struct wire_agreement *agreement,
			const struct wire_message *message, unsigned int *least, unsigned int *most)
{
	*least = 0;
	*most = 0;
	switch (row->fds) {
	case WIRE_FDS_NONE:
		return;
	case WIRE_FDS_ONE:
		*least = *most = 1;
		return;
	case WIRE_FDS_OPTIONAL:
		*most = 1;
		return;
	case WIRE_FDS_PER_REGION:
		*least = *most = bytes_load32(message->payload);
		return;
	case WIRE_FDS_BY_NOFD_BIT:
		*least = *most = !(bytes_load64(message->payload) & WIRE_RING_NOFD);
		return;
	case WIRE_FDS_LOG:
		*least = *most = acked(agreement, WIRE_PF_LOG_SHMFD);
		return;
	}
}

static int check_fds(const struct wire_row *row, const struct wire_agreement *agreement,
		     const struct wire_message *message, struct diag *diag)
{
	unsigned int least, most;
	unsigned int count = message->fds.count;

	fds_allowed(row, agreement, message, &least, &most);
	if (count >= least && count <= most)
		return WIRE_FINE;
	if (least == most)
		return diag_set(diag, WIRE_FAULT, "%s came with %u descriptors, it must have %u",
				row->name, count, least);
	return diag_set(diag, WIRE_FAULT, "%s came with %u descriptors, it may have %u to %u",
			row->name, count, least, most);
}

static int check_queue(const struct wire_row *row, const struct wire_agreement *agreement,
		       const struct wire_message *message, struct diag *diag)
{
	unsigned int rings = agreement->rings ? agreement->rings : WIRE_QUEUES_MAX;
	int index;

	if (row->queue == WIRE_QUEUE_U64) {
		uint64_t value = bytes_load64(message->payload);

		if (value & ~(uint64_t)(WIRE_RING_INDEX_MASK | WIRE_RING_NOFD))
			return diag_set(
			    diag, WIRE_FAULT,
			    "%s has 0x%llx: only bits 0-7 (ring) and 8 (no descriptor) exist",
			    row->name, (unsigned long long)value);
	}
	index = wire_queue_index(row, message);
	if (index < 0 || (unsigned int)index < rings)
		return WIRE_FINE;
	return diag_set(diag, WIRE_FAULT, "%s names ring %d: this device has rings 0 to %u",
			row->name, index, rings - 1);
}

static int check_flags(const struct wire_row *row, const struct wire_message *message, bool reply,
		       struct diag *diag)
{
	if (message->header.flags & ~WIRE_FLAGS_KNOWN)
		return diag_set(diag, WIRE_FAULT, "%s has flags 0x%x: only bits 0-3 exist",
				row->name, message->header.flags);
	if (wire_is_reply(message) != reply)
		return diag_set(diag, WIRE_FAULT, "%s has flags 0x%x: a %s must %s the reply flag",
				row->name, message->header.flags, reply ? "reply" : "request",
				reply ? "have" : "not have");
	return WIRE_FINE;
}

int wire_check_request(enum wire_channel channel, const struct wire_agreement *agreement,
		       const struct wire_message *message, struct diag *diag)
{
	const struct wire_row *row = wire_row(channel, message->header.id);
	int result;

	if (!row)
		return WIRE_UNKNOWN;
	result = check_flags(row, message, false, diag);
	if (!result)
		result = check_gate(row, agreement, diag);
	if (result)
		return result;
	if (is_variant(channel, agreement, message)) {
		if (message->fds.count == 0)
			return WIRE_FINE;
		return diag_set(diag, WIRE_FAULT,
				"%s of %u bytes came with %u descriptors, it must have 0",
				row->name, message->header.size, message->fds.count);
	}
	if (channel == WIRE_MAIN && message->header.id == WIRE_NONE)
		return diag_set(
		    diag, WIRE_FAULT,
		    "message id 0 is no request; it exists only as an acknowledgement in postcopy");
	result = check_size(row, row->payload, message, diag);
	if (!result)
		result = check_fds(row, agreement, message, diag);
	if (!result)
		result = check_queue(row, agreement, message, diag);
	return result;
}

static enum wire_expect ack_expected(const struct wire_agreement *agreement,
				     const struct wire_message *request)
{
	if (!wire_needs_reply(request))
		return WIRE_EXPECT_NOTHING;
	return acked(agreement, WIRE_PF_REPLY_ACK) ? WIRE_EXPECT_REPLY : WIRE_EXPECT_PERHAPS;
}

enum wire_expect wire_reply_expected(enum wire_channel channel,
				     const struct wire_agreement *agreement,
				     const struct wire_message *request)
{
	const struct wire_row *row = wire_row(channel, request->header.id);

	if (!row)
		return ack_expected(agreement, request);
	switch (row->reply) {
	case WIRE_REPLY_ALWAYS:
		return WIRE_EXPECT_REPLY;
	case WIRE_REPLY_LOG:
		if (acked(agreement, WIRE_PF_LOG_SHMFD))
			return WIRE_EXPECT_REPLY;
		break;
	case WIRE_REPLY_TABLE:
		if (!agreement->postcopy_listening)
			break;
		/* The 8-byte form is the front-end's acknowledgement: nothing comes back. */
		return request->header.size == ACK_SIZE ? WIRE_EXPECT_NOTHING : WIRE_EXPECT_REPLY;
	case WIRE_REPLY_ACK:
		break;
	}
	return ack_expected(agreement, request);
}

static bool is_plain_ack(const struct wire_row *row, const struct wire_agreement *agreement)
{
	switch (row->reply) {
	case WIRE_REPLY_ALWAYS:
		return false;
	case WIRE_REPLY_LOG:
		return !acked(agreement, WIRE_PF_LOG_SHMFD);
	case WIRE_REPLY_TABLE:
		return !agreement->postcopy_listening;
	case WIRE_REPLY_ACK:
		break;
	}
	return true;
}

int wire_check_reply(enum wire_channel channel, const struct wire_agreement *agreement,
		     uint32_t request_flags, const struct wire_message *reply, struct diag *diag)
{
	const struct wire_row *row = wire_row(channel, reply->header.id);
	unsigned int most = 0;
	int result;

	if (!row)
		return WIRE_UNKNOWN;
	result = check_flags(row, reply, true, diag);
	if (result)
		return result;
	if (is_plain_ack(row, agreement)) {
		/* DPDK's library leaves the payload out at times: as good as a zero. */
		if (reply->header.size != ACK_SIZE && reply->header.size != 0)
			return diag_set(
			    diag, WIRE_FAULT,
			    "reply to %s has %u payload bytes, an acknowledgement has %u",
			    row->name, reply->header.size, ACK_SIZE);
	} else {
		bool refusal =
		    reply->header.size == ACK_SIZE && (request_flags & WIRE_FLAG_NEED_REPLY);
		bool no_config = row->reply_payload == WIRE_PAYLOAD_CONFIG && !reply->header.size;

		/* DPDK refuses any request with a u64 when NEED_REPLY was set. */
		if (!refusal && !no_config)
			result = check_size(row, row->reply_payload, reply, diag);
		if (result)
			return result;
		most = row->reply_fds;
	}
	if (reply->fds.count > most)
		return diag_set(diag, WIRE_FAULT,
				"reply to %s came with %u descriptors, it may have at most %u",
				row->name, reply->fds.count, most);
	return WIRE_FINE;
}
