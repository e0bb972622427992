/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The dirty log. QEMU 7.2 multi-queue net sends SET_LOG_BASE once for each queue
 * pair, with the same memory; DPDK unmapped the log in use at the second and
 * crashed. The second is answered as the first was and not passed on.
 */
#include "session/stage.h"

#include "base/bytes.h"
#include "session/effects.h"

#include <string.h>

/*
 * The same bytes as the first time: back-ends differ (DPDK none, libvhost-user
 * 8, rust-vmm 16), and the front-end took the first.
 */
static struct wire_message *repeat_reply(const struct session *session)
{
	struct wire_message *reply = wire_message_new(
	    WIRE_SET_LOG_BASE, WIRE_VERSION | WIRE_FLAG_REPLY, session->log_reply_size);

	if (reply)
		memcpy(reply->payload, session->log_reply, session->log_reply_size);
	return reply;
}

static enum stage_verdict set_base(struct session *session, struct crossing *crossing)
{
	const struct wire_message *message = crossing->message;
	struct fd_entry none = {.fd = -1};
	const struct fd_entry *file = message->fds.count ? &message->fds.entries[0] : &none;
	uint64_t size = bytes_load64(message->payload);
	uint64_t offset = message->header.size >= 16 ? bytes_load64(message->payload + 8) : 0;

	if (!dirty_base(&session->dirty, size, offset, file))
		return STAGE_PASS;
	return stage_answer(session, crossing, repeat_reply(session));
}

static enum stage_verdict front_request(struct session *session, struct crossing *crossing)
{
	switch (crossing->message->header.id) {
	case WIRE_SET_LOG_BASE:
		return set_base(session, crossing);
	case WIRE_SET_FEATURES:
		dirty_order(&session->dirty,
			    (session->virtio.passed & WIRE_BIT(WIRE_F_VHOST_F_LOG_ALL)) != 0);
		break;
	}
	return STAGE_PASS;
}

static enum stage_verdict back_reply(struct session *session, struct crossing *crossing)
{
	const struct wire_message *reply = crossing->message;

	if (reply->header.id != WIRE_SET_LOG_BASE || reply->header.size > SESSION_LOG_REPLY_MAX)
		return STAGE_PASS;
	session->log_reply_size = reply->header.size;
	memcpy(session->log_reply, reply->payload, reply->header.size);
	return STAGE_PASS;
}

const struct stage stage_dirty = {
    .name = "dirty",
    .front_request = front_request,
    .back_reply = back_reply,
};
