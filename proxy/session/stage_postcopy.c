/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Postcopy is the back-end's own while rings are direct; the phase is followed
 * because it decides what a memory table and its answer look like.
 *
 * Two acknowledgements of QEMU's are kept back: the 8-byte ADD_MEM_REG, which
 * libvhost-user takes for a region without descriptor and gives up on (its disk
 * then hangs for ever, measured), and the one with message id 0, at which it
 * ends its whole process. The 8-byte SET_MEM_TABLE must pass: libvhost-user and
 * DPDK wait for it.
 */
#include "session/stage.h"

#include "session/effects.h"

#define ACK_SIZE 8u

static enum stage_verdict keep_back(struct session *session, struct crossing *crossing)
{
	postcopy_ack(&session->postcopy);
	effects_drop(session, crossing->message);
	return STAGE_TAKEN;
}

static enum stage_verdict front_request(struct session *session, struct crossing *crossing)
{
	uint32_t size = crossing->message->header.size;

	switch (crossing->message->header.id) {
	case WIRE_POSTCOPY_ADVISE:
		postcopy_advise(&session->postcopy);
		break;
	case WIRE_POSTCOPY_LISTEN:
		postcopy_listen(&session->postcopy);
		break;
	case WIRE_POSTCOPY_END:
		postcopy_end(&session->postcopy);
		break;
	case WIRE_NONE:
		return keep_back(session, crossing);
	case WIRE_ADD_MEM_REG:
		if (size == ACK_SIZE)
			return keep_back(session, crossing);
		break;
	case WIRE_SET_MEM_TABLE:
		if (size != ACK_SIZE || !postcopy_listening(&session->postcopy))
			break;
		/* An empty table is the acknowledgement: the regions stay. */
		postcopy_ack(&session->postcopy);
		crossing->acknowledges = true;
		break;
	}
	session->agreement.postcopy_listening = postcopy_listening(&session->postcopy);
	return STAGE_PASS;
}

const struct stage stage_postcopy = {
    .name = "postcopy",
    .front_request = front_request,
};
