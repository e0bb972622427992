/* SPDX-License-Identifier: BSD-3-Clause */
#include "shell/rings.h"

#include "shell/fds.h"
#include "shell/guest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define LOG_RING 0x1u /* SET_VRING_ADDR, flags */

struct ring_fds {
	int guest_kick, guest_call, guest_err; /* copies of the front-end's; -1: none */
	int ring_kick, ring_call;              /* ours, while the ring is relayed */
};

struct rings {
	uv_loop_t *loop;
	struct session *session;
	struct rings_config config;
	const struct data_events *events;
	void *context;
	struct guest *guest;
	struct data *data; /* NULL: no ring was relayed yet */
	int silent;        /* -1: not needed yet */
	bool rehearsing;   /* what is written is marked in a log of ours */
	int log_call;      /* of SET_LOG_FD; -1: none */
	int back_record;   /* the back-end's inflight record; -1: none */
	struct ring_fds fds[WIRE_QUEUES_MAX];
};

static void replace_fd(int *place, int fd)
{
	if (*place >= 0)
		close(*place);
	*place = fd;
}

struct rings *rings_new(uv_loop_t *loop, struct session *session, const struct rings_config *config,
			const struct data_events *events, void *context)
{
	struct rings *rings = calloc(1, sizeof(*rings));

	if (!rings)
		return NULL;
	*rings = (struct rings){
	    .loop = loop,
	    .session = session,
	    .config = *config,
	    .events = events,
	    .context = context,
	    .guest = guest_new(),
	    .silent = -1,
	    .log_call = -1,
	    .back_record = -1,
	};
	for (unsigned int i = 0; i < WIRE_QUEUES_MAX; i++)
		rings->fds[i] = (struct ring_fds){-1, -1, -1, -1, -1};
	return rings->guest ? rings : rings_free(rings);
}

struct rings *rings_free(struct rings *rings)
{
	if (!rings)
		return NULL;
	data_close(rings->data);
	guest_free(rings->guest);
	for (unsigned int i = 0; i < WIRE_QUEUES_MAX; i++) {
		replace_fd(&rings->fds[i].guest_kick, -1);
		replace_fd(&rings->fds[i].guest_call, -1);
		replace_fd(&rings->fds[i].guest_err, -1);
		replace_fd(&rings->fds[i].ring_kick, -1);
		replace_fd(&rings->fds[i].ring_call, -1);
	}
	replace_fd(&rings->silent, -1);
	replace_fd(&rings->log_call, -1);
	replace_fd(&rings->back_record, -1);
	free(rings);
	return NULL;
}

static void keep(int *place, const struct wire_message *message)
{
	int fd = message->fds.count ? message->fds.entries[0].fd : -1;

	replace_fd(place, fds_copy(fd));
}

static int need_data(struct rings *rings, struct diag *diag)
{
	if (rings->data)
		return 0;
	return data_open(&rings->data, rings->loop, rings->config.threads, rings->config.poll_us,
			 guest_map(rings->guest), rings->events, rings->context, diag);
}

static bool agreed(const struct rings *rings, enum wire_virtio_bit bit)
{
	return (rings->session->agreement.virtio_acked & WIRE_BIT(bit)) != 0;
}

static enum ring_format format_of(const struct rings *rings)
{
	return agreed(rings, WIRE_F_RING_PACKED) ? RING_PACKED : RING_SPLIT;
}

/*
 * The true guest-physical addresses of what is written: for a packed ring the
 * front-end names its event area as the log address (protocol notes 4.3).
 */
static void log_areas(const struct rings *rings, const struct queue_state *queue,
		      struct map_range areas[2])
{
	const struct map *now = guest_map(rings->guest);
	enum ring_format format = format_of(rings);

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
static int log_of(const struct rings *rings, const struct queue_state *queue, struct data_log *log,
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

static int retarget(struct rings *rings, unsigned int index, struct diag *diag)
{
	struct data_log log;
	int result = log_of(rings, &rings->session->queues[index], &log, diag);

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
static int log_again(struct rings *rings, struct diag *diag)
{
	int result = 0;

	for (unsigned int i = 0; !result && rings->data && i < WIRE_QUEUES_MAX; i++)
		if (rings->session->queues[i].path.state == PATH_SHADOW)
			result = retarget(rings, i, diag);
	return result;
}

/* The data threads have the new memory before the old one goes. */
static int memory_changed(struct rings *rings, struct diag *diag)
{
	int result;

	if (rings->data)
		data_map(rings->data, guest_map(rings->guest));
	result = log_again(rings, diag);
	guest_settle(rings->guest);
	return result;
}

static int map(struct rings *rings, const struct wire_message *message, struct diag *diag)
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

static int unmap(struct rings *rings, const struct wire_message *message, struct diag *diag)
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
static int map_log(struct rings *rings, const struct wire_message *message, struct diag *diag)
{
	int result = guest_log_map(rings->guest, message, diag);

	if (!result)
		result = log_again(rings, diag);
	if (!result)
		result = keep_marks(rings, diag);
	guest_settle(rings->guest);
	return result;
}

static struct ring_areas shadow_areas(const struct rings *rings, unsigned int index,
				      enum ring_format format, unsigned int num)
{
	uint8_t *slot = guest_arena_at(rings->guest) + arena_offset(index);
	struct ring_areas areas = {slot + ARENA_DESC, slot + ARENA_DRIVER, slot + ARENA_DEVICE};

	/* Nothing of the ring that was there before may look available or used. */
	memset(areas.desc, 0, ring_desc_bytes(format, num));
	memset(areas.driver, 0, ring_driver_bytes(format, num));
	memset(areas.device, 0, ring_device_bytes(format, num));
	return areas;
}

/* The record of this ring, NULL: there is none for it. */
static void *record_of(const struct rings *rings, unsigned int index, unsigned int num)
{
	const struct session *session = rings->session;
	size_t stride = inflight_bytes(format_of(rings), session->record_size);
	uint64_t size;
	uint8_t *at = guest_record_at(rings->guest, &size);

	if (!session->record_ours || !at || index >= session->record_queues ||
	    num > session->record_size || (index + 1) * stride > size)
		return NULL;
	return at + index * stride;
}

static int make_eventfds(struct ring_fds *fds, struct diag *diag)
{
	replace_fd(&fds->ring_kick, eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
	replace_fd(&fds->ring_call, eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
	if (fds->ring_kick >= 0 && fds->ring_call >= 0)
		return 0;
	return diag_set(diag, -errno, "no eventfd is to be had: %s", strerror(errno));
}

static struct relay_config relay_of(const struct rings *rings, unsigned int index)
{
	const struct queue_state *queue = &rings->session->queues[index];
	enum ring_format format = format_of(rings);

	return (struct relay_config){
	    .format = format,
	    .num = queue->size,
	    .event_idx = agreed(rings, WIRE_F_RING_EVENT_IDX),
	    .indirect = agreed(rings, WIRE_F_RING_INDIRECT_DESC),
	    .in_order = agreed(rings, WIRE_F_IN_ORDER),
	    .notify_on_empty = agreed(rings, WIRE_F_NOTIFY_ON_EMPTY),
	    .base = queue->base,
	    .shadow_base = queue->back_base,
	    .record = record_of(rings, index, queue->size),
	    .record_num = rings->session->record_size,
	};
}

static int attach(struct rings *rings, unsigned int index, bool resubmit, struct diag *diag)
{
	const struct queue_state *queue = &rings->session->queues[index];
	struct ring_fds *fds = &rings->fds[index];
	struct data_attach attach = {
	    .queue = index,
	    .desc = queue->desc,
	    .driver = queue->avail,
	    .device = queue->used,
	    .guest_kick = fds->guest_kick,
	    .guest_call = fds->guest_call,
	};
	int result = need_data(rings, diag);

	if (!result && index >= rings->session->arena.rings)
		result = diag_set(diag, -ERANGE, "only rings 0 to %u can be relayed",
				  rings->session->arena.rings - 1);
	if (!result && (queue->size == 0 || queue->size > RING_SIZE_MAX))
		result = diag_set(diag, -EINVAL, "SET_VRING_NUM said %u: 1 to %u can be",
				  queue->size, RING_SIZE_MAX);
	if (!result)
		result = guest_arena(rings->guest, rings->session->arena.size, diag);
	if (!result)
		result = make_eventfds(fds, diag);
	if (!result)
		result = log_of(rings, queue, &attach.log, diag);
	if (result)
		return result;
	attach.relay = relay_of(rings, index);
	attach.relay.resubmit = resubmit;
	attach.relay.shadow = shadow_areas(rings, index, attach.relay.format, attach.relay.num);
	attach.back_kick = fds->ring_kick;
	attach.back_call = fds->ring_call;
	return data_attach(rings->data, &attach, diag);
}

static int detach(struct rings *rings, unsigned int index)
{
	if (rings->data)
		data_detach(rings->data, index);
	replace_fd(&rings->fds[index].ring_kick, -1);
	replace_fd(&rings->fds[index].ring_call, -1);
	return 0;
}

static int lose(struct rings *rings, const struct effect *effect, struct diag *diag)
{
	struct data_lost lost;
	int result = data_lose(rings->data, effect->queue, effect->resubmit, &lost, diag);

	replace_fd(&rings->fds[effect->queue].ring_kick, -1);
	replace_fd(&rings->fds[effect->queue].ring_call, -1);
	if (!result)
		session_ring_lost(rings->session, effect->queue, lost.base, lost.left);
	return result;
}

static int stand(struct rings *rings, const struct effect *effect, struct diag *diag)
{
	uint16_t index = 0;
	int result = need_data(rings, diag);

	if (!result)
		result = data_stand(rings->data, effect->queue, effect->size, &index, diag);
	if (!result)
		session_ring_stood(rings->session, effect->queue, index);
	return result;
}

static int watch(struct rings *rings, unsigned int index, uint64_t limit_ms, struct diag *diag)
{
	const struct queue_state *queue = &rings->session->queues[index];
	int result = need_data(rings, diag);

	if (!result)
		data_watch(rings->data, index, queue->used, queue->size, (unsigned int)limit_ms);
	return result;
}

static int await(struct rings *rings, const struct effect *effect, struct diag *diag)
{
	const struct queue_state *queue = &rings->session->queues[effect->queue];
	int result = need_data(rings, diag);

	if (!result)
		data_await(rings->data, effect->queue, queue->used, queue->size,
			   (uint16_t)effect->base, (unsigned int)effect->size);
	return result;
}

/* Either side may be waiting for a notification that went another way, or was not heard. */
static int nudge(const struct rings *rings, unsigned int index)
{
	fds_raise(rings->fds[index].guest_call);
	fds_raise(rings->fds[index].guest_kick);
	fds_raise(rings->fds[index].ring_kick);
	return 0;
}

bool rings_concerns(enum effect_kind kind)
{
	return kind >= EFFECT_KEEP_KICK;
}

int rings_carry_out(struct rings *rings, const struct effect *effect, struct diag *diag)
{
	struct ring_fds *fds = &rings->fds[effect->queue];

	switch (effect->kind) {
	case EFFECT_KEEP_KICK:
		keep(&fds->guest_kick, effect->message);
		break;
	case EFFECT_KEEP_CALL:
		keep(&fds->guest_call, effect->message);
		break;
	case EFFECT_KEEP_ERR:
		keep(&fds->guest_err, effect->message);
		break;
	case EFFECT_KEEP_LOG_CALL:
		keep(&rings->log_call, effect->message);
		return log_again(rings, diag);
	case EFFECT_KEEP_RECORD:
		keep(&rings->back_record, effect->message);
		break;
	case EFFECT_LOSE:
		return lose(rings, effect, diag);
	case EFFECT_STAND:
		return stand(rings, effect, diag);
	case EFFECT_MAP:
		return map(rings, effect->message, diag);
	case EFFECT_UNMAP:
		return unmap(rings, effect->message, diag);
	case EFFECT_MAP_LOG:
		return map_log(rings, effect->message, diag);
	case EFFECT_LOGGING:
		return log_again(rings, diag);
	case EFFECT_RECORD_NEW:
		return guest_record_new(rings->guest, effect->size, diag);
	case EFFECT_RECORD_MAP:
		return guest_record_map(rings->guest, effect->message, diag);
	case EFFECT_ATTACH:
		return attach(rings, effect->queue, effect->resubmit, diag);
	case EFFECT_RETARGET:
		return retarget(rings, effect->queue, diag);
	case EFFECT_DRAIN:
		data_drain(rings->data, effect->queue);
		break;
	case EFFECT_HOLD:
		data_hold(rings->data, effect->queue);
		break;
	case EFFECT_RECALL:
		data_recall(rings->data, effect->queue, effect->base, SESSION_RECALL_MS);
		break;
	case EFFECT_DETACH:
		return detach(rings, effect->queue);
	case EFFECT_WATCH:
		return watch(rings, effect->queue, effect->size, diag);
	case EFFECT_AWAIT:
		return await(rings, effect, diag);
	case EFFECT_NUDGE:
		return nudge(rings, effect->queue);
	default:
		break;
	}
	return 0;
}

static int real_fd(struct rings *rings, const struct fd_entry *entry)
{
	const struct ring_fds *fds = &rings->fds[entry->inode % WIRE_QUEUES_MAX];
	struct diag diag;

	switch (entry->fd) {
	case SESSION_FD_ARENA:
		if (guest_arena(rings->guest, rings->session->arena.size, &diag))
			return -1;
		return guest_arena_fd(rings->guest);
	case SESSION_FD_RECORD:
		return guest_record_fd(rings->guest);
	case SESSION_FD_SILENT:
		if (rings->silent < 0)
			rings->silent = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		return rings->silent;
	case SESSION_FD_RING_KICK:
		return fds->ring_kick;
	case SESSION_FD_RING_CALL:
		return fds->ring_call;
	case SESSION_FD_GUEST_KICK:
		return fds->guest_kick;
	case SESSION_FD_GUEST_CALL:
		return fds->guest_call;
	case SESSION_FD_GUEST_ERR:
		return fds->guest_err;
	case SESSION_FD_REGION:
		return guest_region_fd(rings->guest, entry->inode);
	case SESSION_FD_LOG:
		return guest_log_fd(rings->guest);
	case SESSION_FD_BACK_RECORD:
		return rings->back_record;
	case SESSION_FD_LOG_CALL:
		return rings->log_call;
	}
	return -1;
}

bool rings_relaying(const struct rings *rings)
{
	for (unsigned int i = 0; i < WIRE_QUEUES_MAX; i++)
		if (rings->session->queues[i].path.state == PATH_SHADOW)
			return true;
	return false;
}

int rings_rehearse(struct rings *rings, bool on, struct diag *diag)
{
	int result = 0;

	if (on)
		result = guest_rehearse(rings->guest, true, diag);
	rings->rehearsing = on && !result;
	if (!result)
		result = log_again(rings, diag);
	if (!rings->rehearsing)
		guest_rehearse(rings->guest, false, diag);
	return result;
}

struct bitmap_taken rings_rehearsed(struct rings *rings)
{
	return guest_rehearsed(rings->guest);
}

void rings_resolve(struct rings *rings, struct wire_message *message)
{
	for (unsigned int i = 0; i < message->fds.count; i++) {
		struct fd_entry *entry = &message->fds.entries[i];
		int fd;

		if (entry->fd >= -1)
			continue;
		fd = real_fd(rings, entry);
		*entry = (struct fd_entry){.fd = fds_copy(fd)};
	}
}

void rings_counters(struct rings *rings, unsigned int queue, struct data_counters *counters)
{
	if (rings->data)
		data_counters(rings->data, queue, counters);
	else
		*counters = (struct data_counters){.kicks = 0};
}

uint64_t rings_completed(struct rings *rings)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < WIRE_QUEUES_MAX; i++) {
		struct data_counters counters;

		rings_counters(rings, i, &counters);
		sum += counters.relayed;
	}
	return sum;
}
