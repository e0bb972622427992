/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench/frontend.h"

#include "base/bytes.h"
#include "bench/offers.h"
#include "shell/fds.h"
#include "wire/features.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONFIG_ASKED       57u /* bytes of the config space, as QEMU 7.2 to 10.0 asks (notes 4.5) */
#define CONFIG_HEADER      12u
#define INFLIGHT_BYTES     24u
#define STATUS_FEATURES_OK 0x8u
#define STATUS_RUNNING     0xfu
#define NO_LIMIT           0xffffffffu

static bool speaks(const struct frontend *frontend, enum wire_protocol_bit bit)
{
	return (frontend->protocol & WIRE_BIT(bit)) != 0;
}

/* The flag of a request that QEMU wants acknowledged where it can be. */
static uint32_t acknowledged(const struct frontend *frontend)
{
	return speaks(frontend, WIRE_PF_REPLY_ACK) ? WIRE_FLAG_NEED_REPLY : 0;
}

/* Gives the message a copy of `fd`, so that sending it does not cost us ours. */
static struct wire_message *with_fd(struct wire_message *message, int fd)
{
	struct fd_entry entry;
	int copy;

	if (!message)
		return NULL;
	copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (copy < 0)
		return message_dispose(message);
	fds_look(&entry, copy);
	fdset_push(&message->fds, &entry);
	return message;
}

/* Sends a request, and waits for the acknowledgement if it asks for one. */
static int tell(struct frontend *frontend, struct wire_message *message, struct diag *diag)
{
	uint32_t id = message ? message->header.id : 0;
	bool waits = message && wire_needs_reply(message);
	char name[WIRE_NAME_MAX];
	uint64_t value = 0;
	int result;

	if (!waits)
		return client_send(&frontend->client, message, diag);
	result = client_call_u64(&frontend->client, message, &value, diag);
	if (!result && value)
		result = diag_set(diag, -EIO, "%s was refused: the acknowledgement is %llu, not 0",
				  wire_name(WIRE_MAIN, id, name), (unsigned long long)value);
	return result;
}

static int ask(struct frontend *frontend, uint32_t id, uint64_t *value, struct diag *diag)
{
	return client_call_u64(&frontend->client, wire_request(id, 0), value, diag);
}

static int negotiate(struct frontend *frontend, const struct options *options, struct diag *diag)
{
	uint64_t offered = 0, queues = 1;
	int result = ask(frontend, WIRE_GET_FEATURES, &frontend->offered, diag);

	if (!result)
		result = offers_virtio(frontend->offered, options, &frontend->acked, diag);
	if (!result)
		result = ask(frontend, WIRE_GET_PROTOCOL_FEATURES, &offered, diag);
	if (result)
		return result;
	result = offers_protocol(offered, &frontend->protocol, diag);
	if (!result)
		result =
		    tell(frontend,
			 wire_request_u64(WIRE_SET_PROTOCOL_FEATURES, 0, frontend->protocol), diag);
	if (!result && speaks(frontend, WIRE_PF_MQ))
		result = ask(frontend, WIRE_GET_QUEUE_NUM, &queues, diag);
	if (!result && speaks(frontend, WIRE_PF_CONFIGURE_MEM_SLOTS))
		result = ask(frontend, WIRE_GET_MAX_MEM_SLOTS, &frontend->slots, diag);
	frontend->queues_max = (unsigned int)(queues < WIRE_QUEUES_MAX ? queues : WIRE_QUEUES_MAX);
	if (!result && options->queues > frontend->queues_max)
		result =
		    diag_set(diag, -ENOTSUP, "the back-end has %u queues: --queues=%u is too many",
			     frontend->queues_max, options->queues);
	return result;
}

static int open_backend_channel(struct frontend *frontend, struct diag *diag)
{
	int pair[2], result;

	if (!speaks(frontend, WIRE_PF_BACKEND_REQ))
		return 0;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		return diag_set(diag, -errno, "no socket pair: %s", strerror(errno));
	client_adopt(&frontend->backend, pair[0], WIRE_BACKEND, frontend->client.timeout_ms);
	result = tell(
	    frontend,
	    with_fd(wire_request(WIRE_SET_BACKEND_REQ_FD, acknowledged(frontend)), pair[1]), diag);
	close(pair[1]);
	return result;
}

static uint32_t config_u32(const struct wire_message *reply, unsigned int offset)
{
	return bytes_load32(reply->payload + CONFIG_HEADER + offset);
}

static int read_config(struct frontend *frontend, struct diag *diag)
{
	struct wire_message *reply;
	int result = client_call(&frontend->client,
				 wire_request_config(WIRE_GET_CONFIG, 0, 0, CONFIG_ASKED, 0, NULL),
				 &reply, diag);

	if (result)
		return result;
	if (reply->header.size != CONFIG_HEADER + CONFIG_ASKED) {
		result = diag_set(diag, CLIENT_FAULT,
				  "GET_CONFIG was answered with %u bytes instead of %u",
				  reply->header.size, CONFIG_HEADER + CONFIG_ASKED);
	} else {
		frontend->capacity = bytes_load64(reply->payload + CONFIG_HEADER);
		frontend->segment_bytes =
		    frontend_has(frontend, OFFERS_BLK_SIZE_MAX) ? config_u32(reply, 8) : NO_LIMIT;
		frontend->segments =
		    frontend_has(frontend, OFFERS_BLK_SEG_MAX) ? config_u32(reply, 12) : NO_LIMIT;
		frontend->block_bytes =
		    frontend_has(frontend, OFFERS_BLK_BLK_SIZE) ? config_u32(reply, 20) : 512;
	}
	message_dispose(reply);
	return result;
}

static int set_calls(struct frontend *frontend, unsigned int queues,
		     const struct frontend_ring *rings, bool errors, struct diag *diag)
{
	int result = 0;

	for (unsigned int i = 0; i < queues && !result; i++) {
		result =
		    tell(frontend,
			 with_fd(wire_request_u64(WIRE_SET_VRING_CALL, 0, i), rings[i].call), diag);
		if (!result && errors)
			result =
			    tell(frontend,
				 with_fd(wire_request_u64(WIRE_SET_VRING_ERR, 0, i), rings[i].err),
				 diag);
	}
	return result;
}

int frontend_open(struct frontend *frontend, const char *path, const struct options *options,
		  const struct frontend_ring *rings, struct diag *diag)
{
	uint64_t again;
	int result;

	*frontend = (struct frontend){.path = path, .client.fd = -1, .backend.fd = -1};
	result = client_open(&frontend->client, path, options->timeout_ms, diag);
	if (result)
		return result;
	result = negotiate(frontend, options, diag);
	if (!result)
		result = open_backend_channel(frontend, diag);
	if (!result)
		result = tell(frontend, wire_request(WIRE_SET_OWNER, 0), diag);
	if (!result)
		result = ask(frontend, WIRE_GET_FEATURES, &again, diag);
	if (!result)
		result = set_calls(frontend, options->queues, rings, true, diag);
	if (!result)
		result = read_config(frontend, diag);
	return result;
}

/* With STATUS, QEMU follows SET_FEATURES by FEATURES_OK, once. */
static int set_status(struct frontend *frontend, uint64_t set, bool clear, struct diag *diag)
{
	uint64_t status = 0;
	int result;

	if (!speaks(frontend, WIRE_PF_STATUS))
		return 0;
	result = ask(frontend, WIRE_GET_STATUS, &status, diag);
	if (result || (!clear && (status & set) == set))
		return result;
	status = clear ? 0 : status | set;
	return tell(frontend, wire_request_u64(WIRE_SET_STATUS, 0, status), diag);
}

static int set_features(struct frontend *frontend, struct diag *diag)
{
	int result = tell(frontend, wire_request_u64(WIRE_SET_FEATURES, 0, frontend->acked), diag);

	return result ? result : set_status(frontend, STATUS_FEATURES_OK, false, diag);
}

static struct wire_message *inflight(uint32_t id, uint32_t flags, const struct options *options)
{
	struct wire_message *message = wire_message_new(id, WIRE_VERSION | flags, INFLIGHT_BYTES);

	if (message) {
		bytes_store16(message->payload + 16, (uint16_t)options->queues);
		bytes_store16(message->payload + 18, (uint16_t)options->queue_size);
	}
	return message;
}

/* The record itself is the back-end's business; it only has to be held and given back. */
static int pass_inflight(struct frontend *frontend, const struct options *options,
			 struct diag *diag)
{
	struct wire_message *reply, *message;
	int result, fd;

	if (!speaks(frontend, WIRE_PF_INFLIGHT_SHMFD))
		return 0;
	result = client_call(&frontend->client, inflight(WIRE_GET_INFLIGHT_FD, 0, options), &reply,
			     diag);
	if (result)
		return result;
	fd = fdset_steal(&reply->fds, 0);
	if (reply->header.size != INFLIGHT_BYTES || fd < 0) {
		result = diag_set(diag, CLIENT_FAULT,
				  "GET_INFLIGHT_FD was answered with %u bytes and %s descriptor, "
				  "it has %u and one",
				  reply->header.size, fd < 0 ? "no" : "a", INFLIGHT_BYTES);
	} else {
		message = with_fd(inflight(WIRE_SET_INFLIGHT_FD, 0, options), fd);
		if (message)
			memcpy(message->payload, reply->payload, INFLIGHT_BYTES);
		result = tell(frontend, message, diag);
	}
	if (fd >= 0)
		close(fd);
	message_dispose(reply);
	return result;
}

static int set_memory(struct frontend *frontend, const struct guest *guest, struct diag *diag)
{
	struct wire_region region = guest_region(guest);
	uint32_t flags = acknowledged(frontend);
	struct wire_message *message;

	if (frontend->slots)
		message = wire_request_region(WIRE_ADD_MEM_REG, flags, &region);
	else
		message = wire_request_table(flags, &region, 1);
	return tell(frontend, with_fd(message, guest->fd), diag);
}

static int start_ring(struct frontend *frontend, const struct guest *guest, unsigned int index,
		      unsigned int size, const struct frontend_ring *ring, struct diag *diag)
{
	int result = tell(frontend, wire_request_state(WIRE_SET_VRING_NUM, 0, index, size), diag);

	if (!result)
		result = tell(frontend,
			      wire_request_state(WIRE_SET_VRING_BASE, 0, index, ring->base), diag);
	if (!result)
		result = tell(frontend,
			      wire_request_addr(0, index, 0, guest_uva(guest, ring->areas.desc),
						guest_uva(guest, ring->areas.device),
						guest_uva(guest, ring->areas.driver), 0),
			      diag);
	if (!result)
		result = tell(frontend,
			      with_fd(wire_request_u64(WIRE_SET_VRING_KICK, 0, index), ring->kick),
			      diag);
	return result;
}

/* Without REPLY_ACK QEMU makes sure by a GET_FEATURES round trip. */
static int enable(struct frontend *frontend, unsigned int queues, bool on, struct diag *diag)
{
	int result = 0;

	for (unsigned int i = 0; i < queues && !result; i++)
		result = tell(
		    frontend,
		    wire_request_state(WIRE_SET_VRING_ENABLE, acknowledged(frontend), i, on), diag);
	if (!result && !acknowledged(frontend))
		result = frontend_ping(frontend, diag);
	return result;
}

int frontend_start(struct frontend *frontend, const struct guest *guest,
		   const struct options *options, const struct frontend_ring *rings,
		   struct diag *diag)
{
	int result = set_features(frontend, diag);

	if (!result)
		result = pass_inflight(frontend, options, diag);
	if (!result)
		result = set_calls(frontend, options->queues, rings, false, diag);
	if (!result)
		result = set_features(frontend, diag);
	if (!result)
		result = set_memory(frontend, guest, diag);
	for (unsigned int i = 0; i < options->queues && !result; i++)
		result = start_ring(frontend, guest, i, options->queue_size, &rings[i], diag);
	if (!result)
		result = enable(frontend, options->queues, true, diag);
	if (!result)
		result = set_status(frontend, STATUS_RUNNING, false, diag);
	return result;
}

static int get_base(struct frontend *frontend, unsigned int index, uint32_t *base,
		    struct diag *diag)
{
	struct wire_message *reply;
	int result = client_call(
	    &frontend->client, wire_request_state(WIRE_GET_VRING_BASE, 0, index, 0), &reply, diag);

	if (result)
		return result;
	if (reply->header.size != 8 || bytes_load32(reply->payload) != index)
		result = diag_set(
		    diag, CLIENT_FAULT,
		    "GET_VRING_BASE of ring %u was answered with %u bytes for ring %u", index,
		    reply->header.size, reply->header.size >= 4 ? bytes_load32(reply->payload) : 0);
	else
		*base = bytes_load32(reply->payload + 4);
	message_dispose(reply);
	return result;
}

int frontend_stop(struct frontend *frontend, unsigned int queues, uint32_t *bases,
		  struct diag *diag)
{
	int result = enable(frontend, queues, false, diag);

	for (unsigned int i = 0; i < queues && !result; i++)
		result = get_base(frontend, i, &bases[i], diag);
	return result ? result : set_status(frontend, 0, true, diag);
}

void frontend_close(struct frontend *frontend)
{
	if (!frontend->path)
		return;
	client_close(&frontend->client);
	client_close(&frontend->backend);
}

/* As QEMU: an unknown request is answered with 1 where an answer is asked for. */
static int answer(struct frontend *frontend, struct wire_message *request, struct diag *diag)
{
	uint32_t id = request->header.id;
	bool wanted = wire_needs_reply(request);
	uint64_t value = id != WIRE_BACKEND_CONFIG_CHANGE_MSG;

	message_dispose(request);
	return wanted ? client_send(&frontend->backend, wire_reply_u64(id, value), diag) : 0;
}

int frontend_serve(struct frontend *frontend, struct diag *diag)
{
	struct pollfd pollfd = {.fd = frontend->backend.fd, .events = POLLIN};
	struct wire_message *request;
	int result = 0;

	while (!result && frontend->backend.fd >= 0 && poll(&pollfd, 1, 0) == 1) {
		result = client_receive(&frontend->backend, &request, diag);
		if (result == CLIENT_CLOSED) {
			/* The main channel lives on without it. */
			client_close(&frontend->backend);
			return 0;
		}
		if (!result)
			result = answer(frontend, request, diag);
	}
	return result;
}

int frontend_ping(struct frontend *frontend, struct diag *diag)
{
	uint64_t features;

	return ask(frontend, WIRE_GET_FEATURES, &features, diag);
}
