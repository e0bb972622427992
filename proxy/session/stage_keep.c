/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is kept for the next back-end alone (kept.h), and passes.
 */
#include "session/stage.h"

#include "base/bytes.h"
#include "session/effects.h"

#include <string.h>

#define CONFIG_HEAD 12u /* offset, size, flags */

struct config_at {
	uint32_t offset, size, flags;
	const uint8_t *bytes;
};

/* False: it is in no config space, or has not the bytes it says. */
static bool config_of(const struct wire_message *message, struct config_at *at)
{
	if (message->header.size < CONFIG_HEAD)
		return false;
	*at =
	    (struct config_at){bytes_load32(message->payload), bytes_load32(message->payload + 4),
			       bytes_load32(message->payload + 8), message->payload + CONFIG_HEAD};
	return at->offset < WIRE_CONFIG_MAX && at->size <= WIRE_CONFIG_MAX - at->offset &&
	       at->size <= message->header.size - CONFIG_HEAD;
}

static void wrote(struct kept *kept, const struct wire_message *message)
{
	struct config_at at;

	if (!config_of(message, &at))
		return;
	memcpy(kept->written + at.offset, at.bytes, at.size);
	memset(kept->is_written + at.offset, true, at.size);
	kept->written_flags = at.flags;
}

static void read_back(struct kept *kept, const struct wire_message *message)
{
	struct config_at at;

	if (!config_of(message, &at))
		return;
	kept->config_offset = at.offset;
	kept->config_size = at.size;
	memcpy(kept->config, at.bytes, at.size);
}

static enum stage_verdict keep_fd(struct session *session, struct crossing *crossing,
				  enum effect_kind kind)
{
	int queue = wire_queue_index(crossing->row, crossing->message);

	effects_add(session, &(struct effect){.kind = kind,
					      .message = crossing->message,
					      .queue = queue < 0 ? 0 : (unsigned int)queue});
	return STAGE_PASS;
}

static enum stage_verdict front_request(struct session *session, struct crossing *crossing)
{
	struct queue_state *queue = stage_queue(session, crossing);
	struct kept *kept = &session->kept;

	switch (crossing->message->header.id) {
	case WIRE_SET_OWNER:
		kept->owner = true;
		break;
	case WIRE_RESET_OWNER:
		kept->owner = false;
		break;
	case WIRE_SET_STATUS:
		kept->status = true;
		break;
	case WIRE_NET_SET_MTU:
		kept->mtu_given = true;
		kept->mtu = bytes_load64(crossing->message->payload);
		break;
	case WIRE_SET_CONFIG:
		wrote(kept, crossing->message);
		break;
	case WIRE_SET_LOG_FD:
		kept->log_call = true;
		keep_fd(session, crossing, EFFECT_KEEP_LOG_CALL);
		/* Whoever keeps the log raises it. */
		return session->log_ours ? stage_acknowledge(session, crossing) : STAGE_PASS;
	case WIRE_SET_VRING_ERR:
		return keep_fd(session, crossing, EFFECT_KEEP_ERR);
	case WIRE_SET_VRING_ENDIAN:
		queue->endian_given = true;
		queue->endian = bytes_load32(crossing->message->payload + 4);
		break;
	case WIRE_CREATE_CRYPTO_SESSION:
	case WIRE_GPU_SET_SOCKET:
		kept->private_one = true;
		break;
	}
	return STAGE_PASS;
}

static enum stage_verdict back_reply(struct session *session, struct crossing *crossing)
{
	switch (crossing->message->header.id) {
	case WIRE_GET_CONFIG:
		read_back(&session->kept, crossing->message);
		break;
	}
	return STAGE_PASS;
}

/* It is to be read anew; what was read is no measure for the next back-end. */
static enum stage_verdict back_request(struct session *session, struct crossing *crossing)
{
	switch (crossing->message->header.id) {
	case WIRE_BACKEND_CONFIG_CHANGE_MSG:
		session->kept.config_size = 0;
		break;
	}
	return STAGE_PASS;
}

const struct stage stage_keep = {
    .name = "keep",
    .front_request = front_request,
    .back_reply = back_reply,
    .back_request = back_request,
};
