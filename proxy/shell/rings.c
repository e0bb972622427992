/* SPDX-License-Identifier: BSD-3-Clause */
#include "shell/fds.h"
#include "shell/rings_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

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
	size_t stride = inflight_bytes(rings_format(rings), session->record_size);
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
	enum ring_format format = rings_format(rings);

	return (struct relay_config){
	    .format = format,
	    .num = queue->size,
	    .event_idx = session_agreed(rings->session, WIRE_F_RING_EVENT_IDX),
	    .indirect = session_agreed(rings->session, WIRE_F_RING_INDIRECT_DESC),
	    .in_order = session_agreed(rings->session, WIRE_F_IN_ORDER),
	    .notify_on_empty = session_agreed(rings->session, WIRE_F_NOTIFY_ON_EMPTY),
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
		result = rings_log_of(rings, queue, &attach.log, diag);
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
		return rings_log_again(rings, diag);
	case EFFECT_KEEP_RECORD:
		keep(&rings->back_record, effect->message);
		break;
	case EFFECT_LOSE:
		return lose(rings, effect, diag);
	case EFFECT_STAND:
		return stand(rings, effect, diag);
	case EFFECT_MAP:
		return rings_map(rings, effect->message, diag);
	case EFFECT_UNMAP:
		return rings_unmap(rings, effect->message, diag);
	case EFFECT_MAP_LOG:
		return rings_map_log(rings, effect->message, diag);
	case EFFECT_LOGGING:
		return rings_log_again(rings, diag);
	case EFFECT_RECORD_NEW:
		return guest_record_new(rings->guest, effect->size, diag);
	case EFFECT_RECORD_MAP:
		return guest_record_map(rings->guest, effect->message, diag);
	case EFFECT_ATTACH:
		return attach(rings, effect->queue, effect->resubmit, diag);
	case EFFECT_RETARGET:
		return rings_retarget(rings, effect->queue, diag);
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
