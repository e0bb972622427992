/* SPDX-License-Identifier: BSD-3-Clause */
#include "sim.h"

#include "base/bytes.h"
#include "legal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define SLOT_GPA    0x100000000ull
#define SLOT_SIZE   0x200000ull
#define LEGAL_TRIES 64

struct wire_message *sim_copy(const struct wire_message *message)
{
	struct wire_message *copy =
	    wire_message_new(message->header.id, message->header.flags, message->header.size);

	memcpy(copy->payload, message->payload, message->header.size);
	copy->fds = message->fds;
	return copy;
}

static void renumber(struct wire_message *message, unsigned int count, uint64_t inode)
{
	message->fds.count = 0;
	for (unsigned int i = 0; i < count; i++) {
		struct fd_entry entry = {.mode = S_IFREG, .device = 1, .inode = inode + i};

		fdset_push(&message->fds, &entry);
	}
}

int peers_slot(const struct wire_message *message)
{
	uint64_t gpa = bytes_load64(message->payload + 8);

	return gpa < SLOT_GPA ? -1 : (int)((gpa - SLOT_GPA) / SLOT_SIZE);
}

static void set_region(const struct model *model, struct wire_message *message)
{
	unsigned int slot = sim_pick(SIM_SLOTS);
	uint64_t inode = model->slots[slot] == SLOT_LIVE ? model->slot_file[slot] : 1 + sim_pick(5);

	bytes_store64(message->payload + 8, SLOT_GPA + slot * SLOT_SIZE);
	bytes_store64(message->payload + 16, SLOT_SIZE);
	bytes_store64(message->payload + 24, SLOT_GPA + slot * SLOT_SIZE);
	bytes_store64(message->payload + 32, 0);
	renumber(message, message->fds.count, inode);
}

static void set_features(const struct feature_set *set, struct wire_message *message)
{
	uint64_t value = set->shown & (sim_random() | sim_random() | sim_random());

	if (sim_once_in(8))
		value |= sim_random() & sim_random() & sim_random();
	if (!sim_once_in(16))
		value |= set->shown & WIRE_BIT(WIRE_F_PROTOCOL_FEATURES);
	bytes_store64(message->payload, value);
}

/* What legal_request() leaves at its usual value is made to vary. */
static struct wire_message *vary(const struct model *model, struct wire_message *message)
{
	uint32_t ring = sim_pick(SIM_RINGS);

	switch (message->header.id) {
	case WIRE_SET_FEATURES:
		set_features(&model->session->virtio, message);
		break;
	case WIRE_SET_PROTOCOL_FEATURES:
		set_features(&model->session->protocol, message);
		break;
	case WIRE_SET_VRING_KICK:
	case WIRE_SET_VRING_CALL:
	case WIRE_SET_VRING_ERR:
		bytes_store64(message->payload, ring | (sim_once_in(4) ? WIRE_RING_NOFD : 0));
		renumber(message, !(message->payload[1] & 1), 1);
		break;
	case WIRE_SET_VRING_ENABLE:
		bytes_store32(message->payload + 4, sim_pick(2)); /* fall through */
	case WIRE_SET_VRING_NUM:
	case WIRE_SET_VRING_BASE:
	case WIRE_SET_VRING_ADDR:
	case WIRE_GET_VRING_BASE:
		bytes_store32(message->payload, ring);
		break;
	case WIRE_SET_STATUS:
		bytes_store64(message->payload, sim_once_in(2) ? 0 : sim_pick(16));
		break;
	case WIRE_SET_LOG_BASE:
		renumber(message, message->fds.count, 1 + sim_pick(2));
		break;
	case WIRE_ADD_MEM_REG:
	case WIRE_REM_MEM_REG:
		set_region(model, message);
		if (message->header.id == WIRE_ADD_MEM_REG && sim_once_in(8)) {
			message = legal_resize(message, 8);
			message->fds.count = 0;
		}
		break;
	case WIRE_SET_MEM_TABLE:
		if (sim_once_in(2)) {
			message = legal_resize(message, 8);
			bytes_store64(message->payload, 0);
			message->fds.count = 0;
		}
		break;
	case WIRE_GET_SHARED_OBJECT:
		if (sim_once_in(2))
			message = legal_resize(message, 0);
		break;
	}
	return message;
}

static struct wire_message *front_request(const struct model *model)
{
	const struct wire_agreement *agreement = &model->session->agreement;
	uint32_t id = sim_pick(WIRE_FRONT_COUNT + 1);
	struct wire_message *message;

	if (!model->session->virtio.known)
		return wire_message_new(WIRE_GET_FEATURES, WIRE_VERSION, 0);
	if (!model->session->protocol.known && sim_once_in(2))
		id = WIRE_GET_PROTOCOL_FEATURES;
	if (id == WIRE_NONE)
		return wire_message_new(id, WIRE_VERSION, 8);
	if (id == WIRE_FRONT_COUNT) {
		message = wire_message_new(1000, WIRE_VERSION, sim_pick(100));
		renumber(message, sim_pick(4), 1);
	} else {
		message = legal_request(wire_row(WIRE_MAIN, id), agreement);
		renumber(message, message->fds.count, 1);
		message = vary(model, message);
	}
	if (sim_once_in(3))
		message->header.flags |= WIRE_FLAG_NEED_REPLY;
	return message;
}

static struct wire_message *back_request(const struct model *model)
{
	uint32_t id = 1 + sim_pick(WIRE_BACK_COUNT - 1);
	struct wire_message *message =
	    legal_request(wire_row(WIRE_BACKEND, id), &model->session->agreement);

	renumber(message, message->fds.count, 1);
	if (sim_once_in(2))
		message->header.flags |= WIRE_FLAG_NEED_REPLY;
	return message;
}

/* Only what the agreement allows; what it does not is another of the dice. */
struct wire_message *peers_request(const struct model *model, enum session_port port)
{
	enum wire_channel channel = port == PORT_FRONT_MAIN ? WIRE_MAIN : WIRE_BACKEND;

	for (unsigned int i = 0; i < LEGAL_TRIES; i++) {
		struct wire_message *message =
		    channel == WIRE_MAIN ? front_request(model) : back_request(model);
		struct diag diag;

		if (wire_check_request(channel, &model->session->agreement, message, &diag) !=
		    WIRE_FAULT)
			return message;
		wire_message_free(message);
	}
	return NULL;
}

static void set_value(struct wire_message *reply, bool ack)
{
	switch (reply->header.id) {
	case WIRE_GET_FEATURES:
		bytes_store64(reply->payload, UINT64_MAX);
		return;
	case WIRE_GET_PROTOCOL_FEATURES:
		bytes_store64(reply->payload, UINT64_MAX & ~(sim_once_in(4) ? sim_random() : 0));
		return;
	case WIRE_GET_QUEUE_NUM:
		bytes_store64(reply->payload, SIM_RINGS);
		return;
	case WIRE_GET_VRING_BASE:
		bytes_store32(reply->payload + 4, (uint32_t)sim_random() >> (sim_pick(2) * 16));
		return;
	}
	/* Refusals have their own tests: here regions stay as they were asked for. */
	if (ack && reply->header.size == 8)
		bytes_store64(reply->payload, 0);
}

struct wire_message *peers_reply(const struct model *model, enum session_port port)
{
	enum wire_channel channel = port == PORT_BACK_MAIN ? WIRE_MAIN : WIRE_BACKEND;
	const struct pending *list = model->pending[channel];
	const struct wire_row *row;
	struct wire_message *reply;
	unsigned int i = 0;

	while (i < model->count[channel] && list[i].expect == WIRE_EXPECT_PERHAPS && sim_once_in(2))
		i++;
	if (i == model->count[channel])
		return NULL;
	/* The id is all a reply says: it answers the first it fits. */
	for (unsigned int j = i; j-- > 0;)
		if (list[j].id == list[i].id)
			i = j;
	row = wire_row(channel, list[i].id);
	if (!row)
		return wire_message_new(list[i].id, WIRE_VERSION | WIRE_FLAG_REPLY, sim_pick(40));
	reply = legal_reply(row, &list[i].agreed);
	renumber(reply, reply->fds.count, 1);
	set_value(reply, row->reply != WIRE_REPLY_ALWAYS);
	if (reply->header.id == WIRE_SET_LOG_BASE && reply->header.size != 8)
		reply = legal_resize(reply, sim_pick(3) * 8);
	else if (row->reply == WIRE_REPLY_ACK && sim_once_in(4))
		reply = legal_resize(reply, 0);
	if (sim_once_in(4))
		reply->header.flags |= WIRE_FLAG_NEED_REPLY;
	return reply;
}

struct wire_message *peers_damage(struct wire_message *message)
{
	switch (sim_pick(7)) {
	case 0:
		message->header.id = sim_pick(60);
		break;
	case 1:
		message->header.flags = WIRE_VERSION | ((uint32_t)sim_random() & ~3u);
		break;
	case 2:
		message->header.flags ^= WIRE_FLAG_REPLY;
		break;
	case 3:
		message = legal_resize(message, sim_pick(sim_once_in(2) ? 64 : WIRE_PAYLOAD_MAX));
		break;
	case 4:
		renumber(message, sim_pick(FDSET_MAX + 1), 1);
		break;
	default:
		for (unsigned int n = 1 + sim_pick(8); n > 0 && message->header.size; n--)
			message->payload[sim_pick(message->header.size)] =
			    sim_once_in(2) ? 0xff : (uint8_t)sim_random();
		break;
	}
	return message;
}
