/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a session must do with a message, said a second time and simply: lists
 * that are searched from the front. Each rule that changes, holds or answers a
 * message has its function here; everything else passes as it came.
 */
#include "sim.h"

#include "base/bytes.h"
#include "wire/encode.h"

#include <stdlib.h>
#include <string.h>

void model_init(struct model *model, const struct session *session)
{
	memset(model, 0, sizeof(*model));
	model->session = session;
	for (unsigned int i = 0; i < WIRE_QUEUES_MAX; i++)
		model->held_enable[i] = -1;
}

void model_clear(struct model *model)
{
	for (unsigned int channel = 0; channel < 2; channel++)
		for (unsigned int i = 0; i < model->count[channel]; i++)
			wire_message_free(model->pending[channel][i].answer);
	wire_message_free(model->held_status);
	wire_message_free(model->table);
}

static void expect(struct model *model, enum session_port port, struct wire_message *copy)
{
	model->expected[model->expecting++] = (struct expected){.port = port, .message = copy};
}

static void remember(struct model *model, enum wire_channel channel, enum exchange_origin origin,
		     const struct wire_message *request, struct wire_message *answer)
{
	const struct wire_row *row = wire_row(channel, request->header.id);
	const struct wire_agreement *agreement = &model->session->agreement;
	enum wire_expect expected = wire_reply_expected(channel, agreement, request);

	if (!row)
		expected = WIRE_EXPECT_PERHAPS;
	if (answer)
		expected = WIRE_EXPECT_REPLY;
	if (expected == WIRE_EXPECT_NOTHING)
		return;
	model->pending[channel][model->count[channel]++] = (struct pending){
	    .origin = origin,
	    .expect = expected,
	    .id = request->header.id,
	    .flags = request->header.flags,
	    .ring = row ? wire_queue_index(row, request) : -1,
	    .agreed = *agreement,
	    .answer = answer,
	};
}

static void forget_first(struct model *model, enum wire_channel channel, unsigned int from,
			 unsigned int n)
{
	struct pending *list = model->pending[channel];

	model->count[channel] -= n;
	memmove(&list[from], &list[from + n], (model->count[channel] - from) * sizeof(list[0]));
}

/* The answers of the daemon's own that nothing stands before that must be answered. */
static void answers_due(struct model *model, enum wire_channel channel)
{
	struct pending *list = model->pending[channel];
	unsigned int i = 0;

	while (i < model->count[channel]) {
		if (list[i].origin == EXCHANGE_ANSWERED) {
			expect(model, channel == WIRE_MAIN ? PORT_FRONT_MAIN : PORT_BACK_BACKEND,
			       list[i].answer);
			forget_first(model, channel, i, 1);
		} else if (list[i].expect == WIRE_EXPECT_PERHAPS) {
			i++;
		} else {
			return;
		}
	}
}

static void answer(struct model *model, const struct wire_message *request,
		   struct wire_message *reply)
{
	remember(model, WIRE_MAIN, EXCHANGE_ANSWERED, request, reply);
	answers_due(model, WIRE_MAIN);
}

static void acknowledge(struct model *model, const struct wire_message *request)
{
	if (wire_reply_expected(WIRE_MAIN, &model->session->agreement, request) !=
	    WIRE_EXPECT_NOTHING)
		answer(model, request, wire_reply_u64(request->header.id, 0));
}

static bool any_started(const struct model *model, int but)
{
	for (int i = 0; i < (int)WIRE_QUEUES_MAX; i++)
		if (model->started[i] && i != but)
			return true;
	return false;
}

static void release_status(struct model *model)
{
	if (model->held_status)
		expect(model, PORT_BACK_MAIN, model->held_status);
	model->held_status = NULL;
}

/* Rule: repeated log memory is answered as the first was. */
static bool log_repeated(struct model *model, const struct wire_message *message)
{
	struct wire_message *reply;

	if (message->fds.count == 0) {
		model->log_file = 0;
		return false;
	}
	if (model->log_file != message->fds.entries[0].inode) {
		model->log_file = message->fds.entries[0].inode;
		return false;
	}
	reply = wire_message_new(WIRE_SET_LOG_BASE, WIRE_VERSION | WIRE_FLAG_REPLY,
				 model->log_reply_size);
	memcpy(reply->payload, model->log_reply, model->log_reply_size);
	answer(model, message, reply);
	return true;
}

/* Rule: enabling waits for SET_FEATURES. */
static bool enable_held(struct model *model, const struct wire_message *message)
{
	if (model->features_set)
		return false;
	model->held_enable[bytes_load32(message->payload)] =
	    (int)bytes_load32(message->payload + 4);
	acknowledge(model, message);
	return true;
}

/* Rule: a ring the back-end never heard of is not asked about. */
static bool base_answered(struct model *model, const struct wire_message *message)
{
	uint32_t ring = bytes_load32(message->payload);
	bool packed = model->session->agreement.virtio_acked & WIRE_BIT(WIRE_F_RING_PACKED);

	if (model->seen[ring])
		return false;
	answer(model, message,
	       wire_reply_state(WIRE_GET_VRING_BASE, ring, packed ? 0x80008000u : 0));
	return true;
}

/* Rule: status 0 waits for the rings to stop. */
static bool status_held(struct model *model, const struct wire_message *message)
{
	if (bytes_load64(message->payload) != 0 || wire_needs_reply(message) ||
	    !any_started(model, -1))
		return false;
	model->held_status = sim_copy(message);
	return true;
}

static void forget_table(struct model *model)
{
	model->table = wire_message_free(model->table);
	model->pairs = 0;
}

/* Rule: a further pair that listened gets the table's answer again, after its SET_FEATURES. */
static void further_pairs(struct model *model, uint32_t id)
{
	bool listening = model->session->agreement.postcopy_listening;

	if (id == WIRE_POSTCOPY_END || (id == WIRE_POSTCOPY_LISTEN && !listening))
		forget_table(model);
	else if (id == WIRE_POSTCOPY_LISTEN)
		model->pairs++;
	if (id != WIRE_SET_FEATURES || !model->table || !model->pairs ||
	    model->session->postcopy.sm.state != POSTCOPY_ACKED)
		return;
	model->pairs--;
	expect(model, PORT_FRONT_MAIN, sim_copy(model->table));
}

/* Whether a rule keeps the message from the back-end. */
static bool kept(struct model *model, const struct wire_message *message)
{
	bool listening = model->session->agreement.postcopy_listening;
	uint32_t size = message->header.size;

	switch (message->header.id) {
	case WIRE_SET_LOG_BASE:
		return log_repeated(model, message);
	case WIRE_ADD_MEM_REG:
	case WIRE_REM_MEM_REG:
		if (!model_region_repeated(model, message))
			return false;
		acknowledge(model, message);
		return true;
	case WIRE_SET_VRING_ENABLE:
		return enable_held(model, message);
	case WIRE_GET_VRING_BASE:
		return base_answered(model, message);
	case WIRE_SET_STATUS:
		return status_held(model, message);
	case WIRE_GET_SHARED_OBJECT:
		if (size == 0)
			answer(model, message, wire_reply_u64(WIRE_GET_SHARED_OBJECT, 1));
		return size == 0;
	case WIRE_SET_MEM_TABLE:
		if (!listening || size != 8)
			memset(model->slots, 0, sizeof(model->slots));
		break;
	}
	return false;
}

static void mask(const struct feature_set *set, struct wire_message *copy)
{
	if (set->known)
		bytes_store64(copy->payload, bytes_load64(copy->payload) & set->shown);
}

static void flush_enables(struct model *model, bool send)
{
	bool acks = model->session->agreement.protocol_acked & WIRE_BIT(WIRE_PF_REPLY_ACK);

	for (unsigned int i = 0; i < WIRE_QUEUES_MAX; i++) {
		int on = model->held_enable[i];
		struct wire_message *request;

		model->held_enable[i] = -1;
		if (on < 0 || !send)
			continue;
		request = wire_request_state(WIRE_SET_VRING_ENABLE, acks ? WIRE_FLAG_NEED_REPLY : 0,
					     i, (uint32_t)on);
		model->seen[i] = true;
		remember(model, WIRE_MAIN, EXCHANGE_OURS, request, NULL);
		expect(model, PORT_BACK_MAIN, request);
	}
}

/* What a message that passes makes known. */
static void passed(struct model *model, const struct wire_message *copy)
{
	const struct wire_row *row = wire_row(WIRE_MAIN, copy->header.id);
	int ring = row ? wire_queue_index(row, copy) : -1;

	if (ring >= 0)
		model->seen[ring] = true;
	switch (copy->header.id) {
	case WIRE_SET_VRING_KICK:
		model->started[ring] = true;
		break;
	case WIRE_SET_FEATURES:
		model->features_set = true;
		flush_enables(model,
			      bytes_load64(copy->payload) & WIRE_BIT(WIRE_F_PROTOCOL_FEATURES));
		break;
	case WIRE_RESET_DEVICE:
	case WIRE_RESET_OWNER:
		model->features_set = false;
		flush_enables(model, false);
		break;
	}
}

static void front_request(struct model *model, const struct wire_message *message)
{
	uint32_t id = message->header.id;
	bool ack = message->header.size == 8 && (id == WIRE_ADD_MEM_REG || id == WIRE_NONE);
	struct wire_message *copy, *ours;

	if (ack)
		return;
	if (id != WIRE_SET_VRING_ENABLE && id != WIRE_GET_VRING_BASE)
		release_status(model);
	if (kept(model, message))
		return;
	copy = sim_copy(message);
	if (id == WIRE_SET_MEM_TABLE)
		copy = model_extended(model, copy);
	if (id == WIRE_ADD_MEM_REG && (ours = model_arena_due(model)))
		expect(model, PORT_BACK_MAIN, ours);
	if (id == WIRE_SET_FEATURES)
		mask(&model->session->virtio, copy);
	if (id == WIRE_SET_PROTOCOL_FEATURES)
		mask(&model->session->protocol, copy);
	remember(model, WIRE_MAIN, EXCHANGE_PEER, message, NULL);
	expect(model, PORT_BACK_MAIN, copy);
	passed(model, copy);
	further_pairs(model, id);
}

/* The rules that change a reply of the back-end's. */
static void reply_changes(struct model *model, const struct pending *asked,
			  struct wire_message *copy)
{
	const struct offers *offers = &model->session->config.offers;
	uint64_t bits = bytes_load64(copy->payload);
	uint32_t base = bytes_load32(copy->payload + 4);

	switch (copy->header.id) {
	case WIRE_GET_FEATURES:
		bytes_store64(copy->payload,
			      bits & ~offers_hidden(offers, WIRE_SPACE_VIRTIO, bits));
		break;
	case WIRE_GET_PROTOCOL_FEATURES:
		bytes_store64(copy->payload,
			      bits & ~offers_hidden(offers, WIRE_SPACE_PROTOCOL, bits));
		break;
	case WIRE_GET_MAX_MEM_SLOTS:
		if (model_arena_possible(model) && bits > 1)
			bytes_store64(copy->payload, bits - 1);
		break;
	case WIRE_SET_LOG_BASE:
		model->log_reply_size = copy->header.size;
		memcpy(model->log_reply, copy->payload, copy->header.size);
		break;
	case WIRE_SET_MEM_TABLE:
		if (!asked->agreed.postcopy_listening ||
		    !model->session->agreement.postcopy_listening)
			break;
		wire_message_free(model->table);
		model->table = sim_copy(copy);
		break;
	case WIRE_GET_VRING_BASE:
		if (!any_started(model, asked->ring))
			release_status(model);
		model->started[asked->ring] = false;
		if (!(model->session->agreement.virtio_acked & WIRE_BIT(WIRE_F_RING_PACKED)))
			break;
		if (base >> 16)
			model->full_base = true;
		else if (!model->full_base)
			bytes_store32(copy->payload + 4, base << 16 | base);
		break;
	}
}

static void reply(struct model *model, enum wire_channel channel,
		  const struct wire_message *message)
{
	struct pending *list = model->pending[channel];
	const struct wire_row *row = wire_row(channel, message->header.id);
	bool ack = row && row->reply == WIRE_REPLY_ACK && message->header.size == 0;
	struct wire_message *copy;
	struct pending asked;
	unsigned int i = 0;

	while (list[i].origin == EXCHANGE_ANSWERED || list[i].id != message->header.id)
		i++;
	asked = list[i];
	forget_first(model, channel, 0, i + 1);
	if (asked.origin != EXCHANGE_OURS) {
		copy = ack ? wire_reply_u64(message->header.id, 0) : sim_copy(message);
		copy->header.flags &= ~WIRE_FLAG_NEED_REPLY;
		if (channel == WIRE_MAIN && copy->header.size >= 8)
			reply_changes(model, &asked, copy);
		else if (message->header.id == WIRE_SET_LOG_BASE && channel == WIRE_MAIN)
			model->log_reply_size = 0;
		expect(model, channel == WIRE_MAIN ? PORT_FRONT_MAIN : PORT_BACK_BACKEND, copy);
	}
	answers_due(model, channel);
}

void model_receive(struct model *model, enum session_port port, const struct wire_message *message)
{
	switch (port) {
	case PORT_FRONT_MAIN:
		front_request(model, message);
		break;
	case PORT_BACK_BACKEND:
		remember(model, WIRE_BACKEND, EXCHANGE_PEER, message, NULL);
		expect(model, PORT_FRONT_BACKEND, sim_copy(message));
		break;
	default:
		reply(model, port == PORT_BACK_MAIN ? WIRE_MAIN : WIRE_BACKEND, message);
	}
}
