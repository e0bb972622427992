/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The dirty log, kept by the back-end or, where it can not, by the daemon.
 *
 * By the back-end: messages pass, but for one. QEMU 7.2 multi-queue net sends
 * SET_LOG_BASE once for each queue pair, with the same memory; DPDK unmapped the log
 * in use at the second and crashed. The second is answered as the first was and not
 * passed on.
 *
 * By the daemon: the back-end hears nothing of it. Whoever turns the log on may take
 * every write from the acknowledgement on for logged, so that waits until every ring
 * is relayed (path_follow_log()). A log that can not hold the guest's memory is
 * refused with the numbers: what does not fit would silently not be migrated.
 */
#include "session/stage.h"

#include "base/bytes.h"
#include "logging/bitmap.h"
#include "session/effects.h"
#include "session/path.h"

#include <errno.h>
#include <string.h>

/* Of 64 TiB. One peer asked for 512 TiB of log, computed from rings that were never set up. */
#define LOG_BYTES_MAX (UINT64_C(1) << 31)

/*
 * The same bytes as the first time: back-ends differ (DPDK none, libvhost-user
 * 8, rust-vmm 16), and the front-end took the first.
 */
struct wire_message *stage_dirty_reply(const struct session *session)
{
	struct wire_message *reply = wire_message_new(
	    WIRE_SET_LOG_BASE, WIRE_VERSION | WIRE_FLAG_REPLY, session->log_reply_size);

	if (reply)
		memcpy(reply->payload, session->log_reply, session->log_reply_size);
	return reply;
}

/* The rule that this log breaks; 0: none. */
static int check_log(const struct session *session, uint64_t size, uint64_t offset,
		     const struct fd_entry *file, struct diag *diag)
{
	uint64_t end = regions_end(&session->regions), need = bitmap_bytes(end);

	if (file->fd == -1)
		return diag_set(diag, -EINVAL,
				"it brings no memory: logging needs LOG_SHMFD acknowledged");
	if (!bitmap_fits(offset, size))
		return diag_set(diag, -EINVAL,
				"%llu bytes at offset %llu: a log is of whole 8-byte words",
				(unsigned long long)size, (unsigned long long)offset);
	if (size < need)
		return diag_set(diag, -EINVAL,
				"a log of %llu bytes is too small: guest memory up to 0x%llx needs "
				"%llu",
				(unsigned long long)size, (unsigned long long)end,
				(unsigned long long)need);
	if (size > LOG_BYTES_MAX)
		return diag_set(diag, -EINVAL,
				"a log of %llu bytes is absurd: guest memory up to 0x%llx needs "
				"%llu, and at most %llu are taken",
				(unsigned long long)size, (unsigned long long)end,
				(unsigned long long)need, (unsigned long long)LOG_BYTES_MAX);
	if (offset > file->size || size > file->size - offset)
		return diag_set(diag, -EINVAL,
				"a log of %llu bytes at offset %llu: its file has %llu",
				(unsigned long long)size, (unsigned long long)offset,
				(unsigned long long)file->size);
	return 0;
}

/* The log is ours to write. What an older one holds and was not read is put in it too. */
static enum stage_verdict take_log(struct session *session, struct crossing *crossing)
{
	effects_add(session,
		    &(struct effect){.kind = EFFECT_MAP_LOG, .message = crossing->message});
	return stage_answer(session, crossing, wire_reply_u64(WIRE_SET_LOG_BASE, 0));
}

static enum stage_verdict set_base(struct session *session, struct crossing *crossing)
{
	const struct wire_message *message = crossing->message;
	struct fd_entry none = {.fd = -1};
	const struct fd_entry *file = message->fds.count ? &message->fds.entries[0] : &none;
	uint64_t size = bytes_load64(message->payload);
	uint64_t offset = message->header.size >= 16 ? bytes_load64(message->payload + 8) : 0;
	struct diag diag;

	if (session->log_ours && check_log(session, size, offset, file, &diag))
		return stage_refuse(session, crossing, "SET_LOG_BASE: %s", diag.text);
	if (dirty_base(&session->dirty, size, offset, file))
		return stage_answer(session, crossing, stage_dirty_reply(session));
	return session->log_ours ? take_log(session, crossing) : STAGE_PASS;
}

/*
 * LOG_ALL as acknowledged. What else the message has is the back-end's to hear; a
 * running one is not told again what it knows.
 */
static enum stage_verdict order(struct session *session, struct crossing *crossing)
{
	bool was = dirty_ordered(&session->dirty);
	bool on = (session->virtio.agreed & WIRE_BIT(WIRE_F_VHOST_F_LOG_ALL)) != 0;
	struct diag diag;

	dirty_order(&session->dirty, on);
	if (!session->log_ours || was == on)
		return STAGE_PASS;
	if (path_follow_log(session, &diag))
		return stage_refuse(session, crossing, "LOG_ALL: %s", diag.text);
	effects_add(session, &(struct effect){.kind = EFFECT_LOGGING});
	if (!session->features_repeated)
		return STAGE_PASS;
	if (!session->holding || wire_reply_expected(WIRE_MAIN, &session->agreement,
						     crossing->message) == WIRE_EXPECT_NOTHING)
		return stage_acknowledge(session, crossing);
	session->order_waits = true;
	stage_answer_later(session, crossing);
	return STAGE_TAKEN;
}

void stage_dirty_arrived(struct session *session)
{
	if (!session->order_waits || session->holding)
		return;
	session->order_waits = false;
	exchange_fill(&session->exchange[WIRE_MAIN], WIRE_SET_FEATURES, -1,
		      wire_reply_u64(WIRE_SET_FEATURES, 0));
}

/*
 * A front-end makes the log larger before it makes memory larger, and rings that would
 * have to leave the data path for it would not be logged any more.
 */
static enum stage_verdict check_memory(struct session *session, struct crossing *crossing)
{
	const struct dirty *dirty = &session->dirty;
	uint64_t end = regions_end(&session->regions);

	if (!session->log_ours || !dirty_ordered(dirty))
		return STAGE_PASS;
	if (crossing->message->fds.count == WIRE_REGIONS_MAX)
		return stage_refuse(session, crossing,
				    "%s of %u regions leaves none for rings of our own, by which "
				    "the dirty log is kept",
				    crossing->row->name, WIRE_REGIONS_MAX);
	if (dirty->sm.state != DIRTY_ON || dirty->size >= bitmap_bytes(end))
		return STAGE_PASS;
	return stage_refuse(session, crossing,
			    "%s: guest memory up to 0x%llx does not fit into the log in use of "
			    "%llu bytes: send a larger SET_LOG_BASE first",
			    crossing->row->name, (unsigned long long)end,
			    (unsigned long long)dirty->size);
}

static enum stage_verdict front_request(struct session *session, struct crossing *crossing)
{
	switch (crossing->message->header.id) {
	case WIRE_SET_LOG_BASE:
		return set_base(session, crossing);
	case WIRE_SET_FEATURES:
		return order(session, crossing);
	case WIRE_SET_MEM_TABLE:
	case WIRE_ADD_MEM_REG:
		return check_memory(session, crossing);
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
