/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Postcopy is the back-end's own while rings are direct; the phase is followed
 * because it decides what a memory table and its answer look like.
 *
 * Two acknowledgements of QEMU's are kept back: the 8-byte ADD_MEM_REG, which
 * libvhost-user takes for a region without descriptor and gives up on (its disk
 * then hangs for ever, measured), and the one with message id 0, at which it
 * ends its whole process (or with the id of a removal, by the same slip). The 8-byte SET_MEM_TABLE
 * must pass: libvhost-user and DPDK wait for it.
 *
 * QEMU's further queue pairs send no SET_MEM_TABLE of their own, as for any
 * message once a device, and yet read a reply to it (7.2 and 10, measured: the
 * destination hangs). Each pair said POSTCOPY_LISTEN, so for each further one the
 * first reply is sent again, unasked, after its SET_FEATURES, where it reads.
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

static void send_table_again(struct session *session)
{
	const struct wire_message *reply = session->postcopy_table;

	if (!reply || session->postcopy.sm.state != POSTCOPY_ACKED || session->postcopy_pairs == 0)
		return;
	session->postcopy_pairs--;
	effects_send(session, PORT_FRONT_MAIN, wire_message_copy(reply));
}

static void forget_table(struct session *session)
{
	effects_drop(session, session->postcopy_table);
	session->postcopy_table = NULL;
	session->postcopy_pairs = 0;
}

static enum stage_verdict front_request(struct session *session, struct crossing *crossing)
{
	uint32_t size = crossing->message->header.size;

	switch (crossing->message->header.id) {
	case WIRE_POSTCOPY_ADVISE:
		postcopy_advise(&session->postcopy);
		break;
	case WIRE_POSTCOPY_LISTEN:
		if (postcopy_listening(&session->postcopy))
			session->postcopy_pairs++;
		else
			forget_table(session);
		postcopy_listen(&session->postcopy);
		break;
	case WIRE_POSTCOPY_END:
		postcopy_end(&session->postcopy);
		forget_table(session);
		break;
	case WIRE_NONE:
		return keep_back(session, crossing);
	case WIRE_ADD_MEM_REG:
	case WIRE_REM_MEM_REG:
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

/* Kept for the further pairs: the answer to the one table that is sent. */
static enum stage_verdict back_reply(struct session *session, struct crossing *crossing)
{
	const struct wire_message *reply = crossing->message;

	if (reply->header.id != WIRE_SET_MEM_TABLE || !crossing->entry->agreed.postcopy_listening ||
	    !postcopy_listening(&session->postcopy))
		return STAGE_PASS;
	effects_drop(session, session->postcopy_table);
	session->postcopy_table = wire_message_copy(reply);
	session->out_of_memory |= !session->postcopy_table;
	return STAGE_PASS;
}

static void after(struct session *session, uint32_t id)
{
	if (id == WIRE_SET_FEATURES)
		send_table_again(session);
}

const struct stage stage_postcopy = {
    .name = "postcopy",
    .front_request = front_request,
    .back_reply = back_reply,
    .after = after,
};
