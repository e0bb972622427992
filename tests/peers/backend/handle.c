/* SPDX-License-Identifier: BSD-3-Clause */
#include "backend/server.h"

#include "base/bytes.h"
#include "wire/features.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define REFUSED       1
#define CONFIG_HEADER 12u

typedef int (*handle_fn)(struct server *server, struct wire_message *request, struct diag *diag);

static uint64_t number(const struct wire_message *request)
{
	return bytes_load64(request->payload);
}

/* The ring a request names, which wire_check_request() found to exist. */
static struct queue *ring_of(struct server *server, const struct wire_message *request)
{
	const struct wire_row *row = wire_row(WIRE_MAIN, request->header.id);

	return &server->queues[wire_queue_index(row, request)];
}

static int answer(struct server *server, struct wire_message *message, struct diag *diag)
{
	server->reply = message;
	return message ? 0 : diag_set(diag, -ENOMEM, "no memory for a reply");
}

static int answer_u64(struct server *server, const struct wire_message *request, uint64_t value,
		      struct diag *diag)
{
	return answer(server, wire_reply_u64(request->header.id, value), diag);
}

static int get_features(struct server *server, struct wire_message *request, struct diag *diag)
{
	return answer_u64(server, request, server->options->features, diag);
}

static int get_protocol_features(struct server *server, struct wire_message *request,
				 struct diag *diag)
{
	return answer_u64(server, request, server->options->protocol_features, diag);
}

static int get_queue_num(struct server *server, struct wire_message *request, struct diag *diag)
{
	return answer_u64(server, request, server->options->queues, diag);
}

static int get_max_mem_slots(struct server *server, struct wire_message *request, struct diag *diag)
{
	return answer_u64(server, request, MEMORY_SLOTS, diag);
}

static bool any_started(const struct server *server)
{
	for (unsigned int i = 0; i < server->options->queues; i++)
		if (server->queues[i].started)
			return true;
	return false;
}

/* Refused as DPDK does: unknown bits, and changes while rings run. */
static int set_features(struct server *server, struct wire_message *request, struct diag *diag)
{
	uint64_t features = number(request), changed = features ^ server->device.features;

	if (features & ~server->options->features)
		return diag_set(diag, REFUSED, "SET_FEATURES: 0x%llx was not offered",
				(unsigned long long)(features & ~server->options->features));
	if (any_started(server) && (changed & ~WIRE_BIT(WIRE_F_VHOST_F_LOG_ALL)))
		return diag_set(
		    diag, REFUSED,
		    "SET_FEATURES: changes 0x%llx while rings run, only VHOST_F_LOG_ALL may",
		    (unsigned long long)changed);
	server->device.features = features;
	server->agreement.virtio_acked = features;
	server->device.memory.logging = (features & WIRE_BIT(WIRE_F_VHOST_F_LOG_ALL)) != 0;
	return 0;
}

static int set_protocol_features(struct server *server, struct wire_message *request,
				 struct diag *diag)
{
	uint64_t features = number(request);

	if (features & ~server->options->protocol_features)
		return diag_set(
		    diag, REFUSED, "SET_PROTOCOL_FEATURES: 0x%llx was not offered",
		    (unsigned long long)(features & ~server->options->protocol_features));
	server->agreement.protocol_acked = features;
	return 0;
}

/* rust-vmm refuses a second one. */
static int set_owner(struct server *server, struct wire_message *request, struct diag *diag)
{
	if (server->owned)
		return diag_set(diag, REFUSED, "SET_OWNER: a second time on one connection");
	server->owned = true;
	return 0;
}

static int set_backend_fd(struct server *server, struct wire_message *request, struct diag *diag)
{
	client_close(&server->backend);
	client_adopt(&server->backend, fdset_steal(&request->fds, 0), WIRE_BACKEND,
		     server->main.timeout_ms);
	return 0;
}

static int remap_rings(struct server *server, struct diag *diag)
{
	int result = 0;

	for (unsigned int i = 0; i < server->options->queues && !result; i++)
		if (server->queues[i].started)
			result = queue_remap(&server->queues[i], &server->device, diag);
	return result;
}

static int set_mem_table(struct server *server, struct wire_message *request, struct diag *diag)
{
	unsigned int count = bytes_load32(request->payload);
	int result = 0;

	memory_clear_regions(&server->device.memory);
	for (unsigned int i = 0; i < count && !result; i++) {
		struct wire_region region = wire_table_region(request, i);

		result =
		    memory_add(&server->device.memory, &region, request->fds.entries[i].fd, diag);
	}
	return result ? result : remap_rings(server, diag);
}

static int add_mem_reg(struct server *server, struct wire_message *request, struct diag *diag)
{
	struct wire_region region = wire_slot_region(request);

	return memory_add(&server->device.memory, &region, request->fds.entries[0].fd, diag);
}

static int rem_mem_reg(struct server *server, struct wire_message *request, struct diag *diag)
{
	struct wire_region region = wire_slot_region(request);
	int result = memory_remove(&server->device.memory, &region, diag);

	return result ? result : remap_rings(server, diag);
}

static int set_log_base(struct server *server, struct wire_message *request, struct diag *diag)
{
	if (request->fds.count == 0)
		return diag_set(diag, REFUSED, "SET_LOG_BASE: without LOG_SHMFD there is no log");
	return memory_set_log(&server->device.memory, request->fds.entries[0].fd,
			      bytes_load64(request->payload + 8), number(request), diag);
}

static int refuse_started(const struct queue *queue, const char *what, struct diag *diag)
{
	return diag_set(diag, REFUSED, "%s: ring %u is started", what, queue->index);
}

static int set_vring_num(struct server *server, struct wire_message *request, struct diag *diag)
{
	struct queue *queue = ring_of(server, request);
	uint32_t num = bytes_load32(request->payload + 4);

	if (queue->started)
		return refuse_started(queue, "SET_VRING_NUM", diag);
	if (num < 1 || num > RING_SIZE_MAX)
		return diag_set(diag, REFUSED, "SET_VRING_NUM: ring %u of %u: must be 1 to %u",
				queue->index, num, RING_SIZE_MAX);
	queue->num = num;
	return 0;
}

static int set_vring_base(struct server *server, struct wire_message *request, struct diag *diag)
{
	struct queue *queue = ring_of(server, request);

	if (queue->started)
		return refuse_started(queue, "SET_VRING_BASE", diag);
	queue->base = bytes_load32(request->payload + 4);
	return 0;
}

/* On a started ring it may only turn logging on or off. */
static int set_vring_addr(struct server *server, struct wire_message *request, struct diag *diag)
{
	struct queue *queue = ring_of(server, request);
	uint64_t desc = bytes_load64(request->payload + 8);
	uint64_t used = bytes_load64(request->payload + 16);
	uint64_t avail = bytes_load64(request->payload + 24);

	if (queue->started &&
	    (desc != queue->desc_uva || used != queue->device_uva || avail != queue->driver_uva))
		return refuse_started(queue, "SET_VRING_ADDR", diag);
	queue->addr_flags = bytes_load32(request->payload + 4);
	queue->desc_uva = desc;
	queue->device_uva = used;
	queue->driver_uva = avail;
	queue->log_gpa = bytes_load64(request->payload + 32);
	return 0;
}

static void take_fd(int *fd, struct wire_message *request)
{
	if (*fd >= 0)
		close(*fd);
	*fd = request->fds.count ? fdset_steal(&request->fds, 0) : -1;
}

static int set_vring_kick(struct server *server, struct wire_message *request, struct diag *diag)
{
	struct queue *queue = ring_of(server, request);

	if (request->fds.count == 0)
		return diag_set(
		    diag, REFUSED,
		    "SET_VRING_KICK: ring %u without a descriptor: this back-end does not poll",
		    queue->index);
	take_fd(&queue->kick, request);
	return queue->started ? 0 : queue_start(queue, &server->device, diag);
}

static int set_vring_call(struct server *server, struct wire_message *request, struct diag *diag)
{
	take_fd(&ring_of(server, request)->call, request);
	return 0;
}

static int set_vring_err(struct server *server, struct wire_message *request, struct diag *diag)
{
	take_fd(&ring_of(server, request)->err, request);
	return 0;
}

static int get_vring_base(struct server *server, struct wire_message *request, struct diag *diag)
{
	struct queue *queue = ring_of(server, request);
	int result = queue_stop(queue, &server->device, diag);

	take_fd(&queue->kick, request);
	take_fd(&queue->call, request);
	if (result)
		return result;
	return answer(server, wire_reply_state(WIRE_GET_VRING_BASE, queue->index, queue->base),
		      diag);
}

static int announce(struct server *server, struct diag *diag)
{
	bool acknowledged = server->agreement.protocol_acked & WIRE_BIT(WIRE_PF_REPLY_ACK);

	if (!server->options->announce || server->backend.fd < 0 || server->announced ||
	    !acknowledged)
		return 0;
	server->announced = true;
	return client_send(&server->backend,
			   wire_request(WIRE_BACKEND_CONFIG_CHANGE_MSG, WIRE_FLAG_NEED_REPLY),
			   diag);
}

/* rust-vmm refuses it before bit 30 is acknowledged. */
static int set_vring_enable(struct server *server, struct wire_message *request, struct diag *diag)
{
	struct queue *queue = ring_of(server, request);
	uint32_t on = bytes_load32(request->payload + 4);

	if (!(server->device.features & WIRE_BIT(WIRE_F_PROTOCOL_FEATURES)))
		return diag_set(diag, REFUSED,
				"SET_VRING_ENABLE: PROTOCOL_FEATURES (bit 30) is not acknowledged");
	if (on > 1)
		return diag_set(diag, REFUSED, "SET_VRING_ENABLE: ring %u: %u is not 0 or 1",
				queue->index, on);
	queue->enabled = on;
	return on && queue->index == 0 ? announce(server, diag) : 0;
}

static int get_config(struct server *server, struct wire_message *request, struct diag *diag)
{
	uint32_t offset = bytes_load32(request->payload), size = bytes_load32(request->payload + 4);
	uint8_t config[WIRE_CONFIG_MAX] = {0};
	struct wire_message *reply;

	if (offset > WIRE_CONFIG_MAX || size > WIRE_CONFIG_MAX - offset)
		return diag_set(diag, REFUSED, "GET_CONFIG: %u bytes at %u, there are %u", size,
				offset, WIRE_CONFIG_MAX);
	blk_config(&server->device.blk, server->options->queues, config);
	reply =
	    wire_message_new(WIRE_GET_CONFIG, WIRE_VERSION | WIRE_FLAG_REPLY, CONFIG_HEADER + size);
	if (reply) {
		memcpy(reply->payload, request->payload, CONFIG_HEADER);
		memcpy(reply->payload + CONFIG_HEADER, config + offset, size);
	}
	return answer(server, reply, diag);
}

static int get_inflight_fd(struct server *server, struct wire_message *request, struct diag *diag)
{
	server->reply = record_make(&server->device.record, request, diag);
	return server->reply ? 0 : -ENOMEM;
}

static int set_inflight_fd(struct server *server, struct wire_message *request, struct diag *diag)
{
	return record_take(&server->device.record, request, diag);
}

static const handle_fn handlers[WIRE_FRONT_COUNT] = {
    [WIRE_GET_FEATURES] = get_features,
    [WIRE_SET_FEATURES] = set_features,
    [WIRE_SET_OWNER] = set_owner,
    [WIRE_SET_MEM_TABLE] = set_mem_table,
    [WIRE_SET_LOG_BASE] = set_log_base,
    [WIRE_SET_VRING_NUM] = set_vring_num,
    [WIRE_SET_VRING_ADDR] = set_vring_addr,
    [WIRE_SET_VRING_BASE] = set_vring_base,
    [WIRE_GET_VRING_BASE] = get_vring_base,
    [WIRE_SET_VRING_KICK] = set_vring_kick,
    [WIRE_SET_VRING_CALL] = set_vring_call,
    [WIRE_SET_VRING_ERR] = set_vring_err,
    [WIRE_GET_PROTOCOL_FEATURES] = get_protocol_features,
    [WIRE_SET_PROTOCOL_FEATURES] = set_protocol_features,
    [WIRE_GET_QUEUE_NUM] = get_queue_num,
    [WIRE_SET_VRING_ENABLE] = set_vring_enable,
    [WIRE_SET_BACKEND_REQ_FD] = set_backend_fd,
    [WIRE_GET_CONFIG] = get_config,
    [WIRE_GET_INFLIGHT_FD] = get_inflight_fd,
    [WIRE_SET_INFLIGHT_FD] = set_inflight_fd,
    [WIRE_GET_MAX_MEM_SLOTS] = get_max_mem_slots,
    [WIRE_ADD_MEM_REG] = add_mem_reg,
    [WIRE_REM_MEM_REG] = rem_mem_reg,
};

int handle(struct server *server, struct wire_message *request, struct diag *diag)
{
	handle_fn handler = handlers[request->header.id];
	char name[WIRE_NAME_MAX];

	if (!handler)
		return diag_set(diag, REFUSED, "%s: this back-end does not know it",
				wire_name(WIRE_MAIN, request->header.id, name));
	return handler(server, request, diag);
}
