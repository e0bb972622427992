/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The device status, and a question no back-end can take.
 *
 * QEMU 7.2 to 8.0 set the status to 0 before they stop the rings; a back-end may take that for a
 * reset with requests in flight. The message waits until the rings are stopped, or until anything
 * but the stopping of rings comes: then the front-end meant it.
 *
 * QEMU sends GET_SHARED_OBJECT without its payload (2.3), at which Rust back-ends
 * close the connection; it is answered without an object.
 */
#include "session/stage.h"

#include "base/bytes.h"
#include "session/effects.h"

#define NO_OBJECT 1u

void stage_state_release(struct session *session)
{
	if (session->held_status)
		effects_send(session, PORT_BACK_MAIN, session->held_status);
	session->held_status = NULL;
}

static enum stage_verdict set_status(struct session *session, struct crossing *crossing)
{
	session->status = bytes_load64(crossing->message->payload);
	if (session->status != 0 || wire_needs_reply(crossing->message) ||
	    !session_running(session))
		return STAGE_PASS;
	session->held_status = crossing->message;
	return STAGE_TAKEN;
}

static enum stage_verdict front_request(struct session *session, struct crossing *crossing)
{
	uint32_t id = crossing->message->header.id;

	if (id != WIRE_SET_VRING_ENABLE && id != WIRE_GET_VRING_BASE)
		stage_state_release(session);
	switch (id) {
	case WIRE_SET_STATUS:
		return set_status(session, crossing);
	case WIRE_GET_SHARED_OBJECT:
		if (crossing->message->header.size != 0)
			break;
		return stage_answer(session, crossing,
				    wire_reply_u64(WIRE_GET_SHARED_OBJECT, NO_OBJECT));
	}
	return STAGE_PASS;
}

void stage_state_stopped(struct session *session)
{
	if (!session_running(session))
		stage_state_release(session);
}

static enum stage_verdict back_reply(struct session *session, struct crossing *crossing)
{
	const struct wire_message *reply = crossing->message;

	switch (reply->header.id) {
	case WIRE_GET_STATUS:
		if (reply->header.size == sizeof(uint64_t))
			session->status = bytes_load64(reply->payload);
		break;
	}
	return STAGE_PASS;
}

const struct stage stage_state = {
    .name = "state",
    .front_request = front_request,
    .back_reply = back_reply,
};
