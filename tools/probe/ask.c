/* SPDX-License-Identifier: BSD-3-Clause */
#include "probe/ask.h"

#include "base/bytes.h"
#include "common/client.h"
#include "probe/config.h"
#include "probe/host.h"
#include "shell/fds.h"
#include "shell/sock.h"
#include "wire/validate.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define FAILED        1
#define CONFIG_HEADER 12u
/* Acknowledged where offered: what a question needs, and nothing that binds the back-end. */
#define WANTED                                                                                     \
	(WIRE_BIT(WIRE_PF_MQ) | WIRE_BIT(WIRE_PF_REPLY_ACK) | WIRE_BIT(WIRE_PF_CONFIG) |           \
	 WIRE_BIT(WIRE_PF_CONFIGURE_MEM_SLOTS) | WIRE_BIT(WIRE_PF_STATUS))

struct asking {
	const char *path;
	struct client client;
	int timeout_ms;
	int64_t deadline; /* ms of the monotonic clock, for everything */
	struct wire_agreement agreement;
	struct diag *diag;
};

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* What is left of the time, at least one tick so that an answer already there is taken. */
static int time_left(const struct asking *asking)
{
	int64_t left = asking->deadline - now_ms();

	return left > 1 ? (int)left : 1;
}

static int not_connected(const char *path, int error, const struct diag *why, struct diag *diag)
{
	struct stat st;

	if (stat(path, &st) < 0 && errno == ENOENT)
		return diag_set(diag, FAILED,
				"%s: does not exist: start the back-end, or correct the path",
				path);
	if (error == -ECONNREFUSED && !S_ISSOCK(st.st_mode))
		return diag_set(diag, FAILED, "%s: is no socket: give the path of the back-end's",
				path);
	if (error == -ECONNREFUSED)
		return diag_set(diag, FAILED,
				"%s: connection refused: nobody listens there any more, start the "
				"back-end anew",
				path);
	if (error == -EAGAIN)
		return diag_set(diag, FAILED,
				"%s: its queue of connections stayed full: the back-end accepts "
				"nobody, it may hang or serve another front-end",
				path);
	if (error == -EPROTOTYPE)
		return diag_set(diag, FAILED, "%s: is no stream socket: vhost-user needs one",
				path);
	return diag_set(diag, FAILED, "%s", why->text);
}

/* The line for a question that got no good answer; `result` as of client.h. */
static int no_answer(struct asking *asking, int result, uint32_t id, const struct diag *why)
{
	char name[WIRE_NAME_MAX];
	const char *message = wire_name(WIRE_MAIN, id, name);

	if (result == CLIENT_TIMEOUT)
		return diag_set(asking->diag, FAILED,
				"%s: no answer to %s within %.3g s: the back-end may serve another "
				"front-end (many take one at a time), hang, or be no vhost-user",
				asking->path, message, asking->timeout_ms / 1000.0);
	if (result == CLIENT_CLOSED && frame_partial(&asking->client.frame))
		return diag_set(asking->diag, FAILED,
				"%s: the connection was closed in the middle of the answer to %s: "
				"see the back-end's own log",
				asking->path, message);
	if (result == CLIENT_CLOSED)
		return diag_set(asking->diag, FAILED,
				"%s: the connection was closed instead of an answer to %s: see the "
				"back-end's own log",
				asking->path, message);
	if (result == CLIENT_FAULT)
		return diag_set(asking->diag, FAILED,
				"%s: what listens there does not speak vhost-user: %s",
				asking->path, why->text);
	return diag_set(asking->diag, FAILED, "%s: %s", asking->path, why->text);
}

/* The reply, checked by the table; the caller disposes of it. */
static int call(struct asking *asking, struct wire_message *request, struct wire_message **reply)
{
	uint32_t id = request ? request->header.id : 0;
	struct diag why = {""};
	int result;

	asking->client.timeout_ms = time_left(asking);
	result = client_call(&asking->client, request, reply, &why);
	if (result)
		return no_answer(asking, result, id, &why);
	if (wire_check_reply(WIRE_MAIN, &asking->agreement, WIRE_VERSION, *reply, &why) ==
	    WIRE_FINE)
		return 0;
	*reply = message_dispose(*reply);
	return no_answer(asking, CLIENT_FAULT, id, &why);
}

static int ask_u64(struct asking *asking, uint32_t id, uint64_t *value)
{
	struct wire_message *reply;
	int result = call(asking, wire_request(id, 0), &reply);

	if (result)
		return result;
	*value = bytes_load64(reply->payload);
	message_dispose(reply);
	return 0;
}

/* A question that is open only where its feature is offered; -1 stays otherwise. */
static int ask_if(struct asking *asking, uint32_t id, enum wire_protocol_bit bit, int64_t *answer)
{
	uint64_t value;
	int result;

	if (!(asking->agreement.protocol_acked & WIRE_BIT(bit)))
		return 0;
	result = ask_u64(asking, id, &value);
	if (!result)
		*answer = value > INT64_MAX ? INT64_MAX : (int64_t)value;
	return result;
}

static int ask_features(struct asking *asking, struct answers *answers)
{
	struct verdict_facts *facts = &answers->facts;
	struct diag why = {""};
	int result = ask_u64(asking, WIRE_GET_FEATURES, &facts->features);

	if (result)
		return result;
	asking->agreement.virtio_offered = facts->features;
	if (facts->features & WIRE_BIT(WIRE_F_PROTOCOL_FEATURES)) {
		result = ask_u64(asking, WIRE_GET_PROTOCOL_FEATURES, &facts->protocol);
		if (result)
			return result;
	}
	answers->have_features = true;
	asking->agreement.protocol_acked = facts->protocol & WANTED;
	if (!facts->protocol)
		return 0;
	asking->client.timeout_ms = time_left(asking);
	result = client_send(
	    &asking->client,
	    wire_request_u64(WIRE_SET_PROTOCOL_FEATURES, 0, asking->agreement.protocol_acked),
	    &why);
	return result ? no_answer(asking, result, WIRE_SET_PROTOCOL_FEATURES, &why) : 0;
}

/* How many bytes were given, 0: refused. */
static int ask_config_bytes(struct asking *asking, uint32_t size, struct answers *answers,
			    size_t *got)
{
	struct wire_message *reply;
	int result =
	    call(asking, wire_request_config(WIRE_GET_CONFIG, 0, 0, size, 0, NULL), &reply);

	*got = 0;
	if (result)
		return result;
	if (reply->header.size > CONFIG_HEADER) {
		*got = reply->header.size - CONFIG_HEADER;
		memcpy(answers->config, reply->payload + CONFIG_HEADER, *got);
	}
	message_dispose(reply);
	return 0;
}

/*
 * No message tells how long a config space is. A disk's is asked as QEMU asks;
 * of others ever more is asked, in the sizes that devices have, until one is
 * refused: a back-end refuses politely, and only once.
 */
static int ask_config(struct asking *asking, enum wire_device device, struct answers *answers)
{
	static const uint8_t disk[] = {57, 0};
	static const uint8_t others[] = {8, 12, 24, 36, 40, 60, 0};
	const uint8_t *sizes = device == WIRE_DEVICE_BLK ? disk : others;

	if (!(asking->agreement.protocol_acked & WIRE_BIT(WIRE_PF_CONFIG)))
		return 0;
	for (; *sizes; sizes++) {
		size_t got;
		int result = ask_config_bytes(asking, *sizes, answers, &got);

		if (result || got < *sizes)
			return result;
		answers->config_size = got;
	}
	return 0;
}

static int ask_everything(struct asking *asking, enum wire_device device, struct answers *answers)
{
	struct verdict_facts *facts = &answers->facts;
	int result = ask_features(asking, answers);

	if (!result)
		result = ask_if(asking, WIRE_GET_QUEUE_NUM, WIRE_PF_MQ, &facts->queues);
	if (!result)
		result = ask_if(asking, WIRE_GET_MAX_MEM_SLOTS, WIRE_PF_CONFIGURE_MEM_SLOTS,
				&facts->slots);
	if (!result)
		result = ask_if(asking, WIRE_GET_STATUS, WIRE_PF_STATUS, &answers->status);
	if (device == WIRE_DEVICE_UNKNOWN)
		device = wire_device_guess(facts->features, facts->protocol);
	if (!result)
		result = ask_config(asking, device, answers);
	if (device == WIRE_DEVICE_UNKNOWN)
		device = config_guess(facts->features, facts->protocol, facts->queues,
				      answers->config, answers->config_size);
	facts->device = device;
	return result;
}

int ask_all(const char *path, int timeout_ms, enum wire_device device, struct answers *answers,
	    struct diag *diag)
{
	struct asking asking = {
	    .path = path,
	    .timeout_ms = timeout_ms,
	    .deadline = now_ms() + timeout_ms,
	    .diag = diag,
	};
	struct diag why = {""};
	int result;

	*answers = (struct answers){
	    .facts = {.queues = -1, .slots = -1, .host = {-1, -1, -1}},
	    .status = -1,
	};
	result = client_open(&asking.client, path, timeout_ms, &why);
	if (result)
		return not_connected(path, result, &why, diag);
	answers->pid = sock_peer_pid(asking.client.fd);
	host_process_name(answers->pid, answers->process, sizeof(answers->process));
	host_userfaultfd(answers->pid, &answers->facts.host);
	result = ask_everything(&asking, device, answers);
	client_close(&asking.client);
	return result;
}
