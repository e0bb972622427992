/* SPDX-License-Identifier: BSD-3-Clause */
#include "shell/rings_private.h"

#define LOG_RING 0x1u /* SET_VRING_ADDR, flags */

enum ring_format rings_format(const struct rings *rings)
{
	return session_packed(rings->session) ? RING_PACKED : RING_SPLIT;
}

/*
 * The true guest-physical addresses of what is written: for a packed ring the
 * front-end names its event area as the log address (protocol notes 4.3).
 */
static void log_areas(const struct rings *rings, const struct queue_state *queue,
		      struct map_range areas[2])
{
	const struct map *now = guest_map(rings->guest);
	enum ring_format format = rings_format(rings);

	areas[0] = map_range(now, queue->used, ring_device_bytes(format, queue->size));
	if (format == RING_PACKED)
		areas[1] = map_range(now, queue->desc, ring_desc_bytes(format, queue->size));
}

/* A front-end's log, where there is one, comes first. */
static bool rehearse_now(const struct rings *rings)
{
	return rings->rehearsing && !dirty_ordered(&rings->session->dirty);
}

/*
 * What is written between LOG_ALL and the first SET_LOG_BASE, when a device starts in
 * the middle of a migration, goes to a log of ours, and from there to the front-end's.
 */
int rings_log_of(const struct rings *rings, const struct queue_state *queue, struct data_log *log,
		 struct diag *diag)
{
	const struct session *session = rings->session;
	struct guest_log memory;
	int result = 0;

	*log = (struct data_log){
	    .buffers = session->log_ours && dirty_ordered(&session->dirty),
	    .used_len = session->config.log_used_len,
	    .raised = rings->log_call,
	};
	if (rehearse_now(rings)) {
		memory = guest_rehearsal(rings->guest);
		log->buffers = true;
		log->at = memory.at;
		log->size = memory.size;
		log_areas(rings, queue, log->areas);
		return 0;
	}
	if (queue->flags & LOG_RING)
		log_areas(rings, queue, log->areas);
	else if (!log->buffers)
		return 0;
	if (log->buffers)
		result = guest_log_new(rings->guest, diag);
	memory = guest_log(rings->guest);
	log->at = memory.at;
	log->size = memory.size;
	return result;
}

int rings_retarget(struct rings *rings, unsigned int index, struct diag *diag)
{
	struct data_log log;
	int result = rings_log_of(rings, &rings->session->queues[index], &log, diag);

	if (result)
		return result;
	data_retarget(rings->data, index, rings->fds[index].guest_kick,
		      rings->fds[index].guest_call, &log);
	return 0;
}

/*
 * Where rings are marked changed with the log, the order to write it, or the memory
 * under it. QEMU sends no SET_VRING_ADDR after a SET_LOG_BASE of another size.
 */
int rings_log_again(struct rings *rings, struct diag *diag)
{
	int result = 0;

	for (unsigned int i = 0; !result && rings->data && i < WIRE_QUEUES_MAX; i++)
		if (rings->session->queues[i].path.state == PATH_SHADOW)
			result = rings_retarget(rings, i, diag);
	return result;
}

/* The data threads have the new memory before the old one goes. */
static int memory_changed(struct rings *rings, struct diag *diag)
{
	int result;

	if (rings->data)
		data_map(rings->data, guest_map(rings->guest));
	result = rings_log_again(rings, diag);
	guest_settle(rings->guest);
	return result;
}

int rings_map(struct rings *rings, const struct wire_message *message, struct diag *diag)
{
	int result;

	if (message->header.id == WIRE_SET_MEM_TABLE) {
		result = guest_set_table(rings->guest, message, diag);
	} else {
		struct wire_region at = wire_slot_region(message);

		result = guest_add(rings->guest, &at, &message->fds.entries[0], diag);
	}
	return result ? result : memory_changed(rings, diag);
}

int rings_unmap(struct rings *rings, const struct wire_message *message, struct diag *diag)
{
	struct wire_region at = wire_slot_region(message);
	int result = guest_remove(rings->guest, &at, diag);

	return result ? result : memory_changed(rings, diag);
}

/*
 * What the log before has is put in the new one as well: it may be ours, or one that a
 * front-end left behind while the device was stopped and will not read again. At worst
 * a page is sent once more.
 */
static int keep_marks(const struct rings *rings, struct diag *diag)
{
	struct guest_log from = guest_log_before(rings->guest), to = guest_log(rings->guest);
	struct data_merge merge = {
	    .from = (const uint64_t *)from.at,
	    .to = (uint64_t *)to.at,
	    .words = (from.size < to.size ? from.size : to.size) / sizeof(uint64_t),
	    .map = guest_map(rings->guest),
	};

	if (!rings->session->log_ours || !rings->data || !from.at)
		return 0;
	return data_merge(rings->data, &merge, diag);
}

/* After the reply to it the old log is read for the last time: nothing may go there any more. */
int rings_map_log(struct rings *rings, const struct wire_message *message, struct diag *diag)
{
	int result = guest_log_map(rings->guest, message, diag);

	if (!result)
		result = rings_log_again(rings, diag);
	if (!result)
		result = keep_marks(rings, diag);
	guest_settle(rings->guest);
	return result;
}

int rings_rehearse(struct rings *rings, bool on, struct diag *diag)
{
	int result = 0;

	if (on)
		result = guest_rehearse(rings->guest, true, diag);
	rings->rehearsing = on && !result;
	if (!result)
		result = rings_log_again(rings, diag);
	if (!rings->rehearsing)
		guest_rehearse(rings->guest, false, diag);
	return result;
}

struct bitmap_taken rings_rehearsed(struct rings *rings)
{
	return guest_rehearsed(rings->guest);
}
