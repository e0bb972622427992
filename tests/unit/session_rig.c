/* SPDX-License-Identifier: BSD-3-Clause */
#include "session_rig.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct rig *rig_new_with(const struct session_config *config)
{
	struct rig *rig = calloc(1, sizeof(*rig));

	assert_non_null(rig);
	rig->session = session_new(config);
	assert_non_null(rig->session);
	return rig;
}

struct rig *rig_new(void)
{
	return rig_new_with(&(struct session_config){.offers.watch_only = true});
}

static unsigned char *fate_of(struct rig *rig, int fd)
{
	assert_in_range(fd, RIG_FD_FIRST, RIG_FD_FIRST + rig->fds - 1);
	return &rig->fate[fd - RIG_FD_FIRST];
}

enum rig_fate rig_fate(const struct rig *rig, int fd)
{
	return rig->fate[fd - RIG_FD_FIRST];
}

static void move_fds(struct rig *rig, const struct wire_message *message, unsigned char from,
		     unsigned char to)
{
	for (unsigned int i = 0; i < message->fds.count; i++) {
		unsigned char *fate;

		if (message->fds.entries[i].fd < -1 && to >= RIG_SENT)
			continue; /* enum session_fd: the shell's */
		fate = fate_of(rig, message->fds.entries[i].fd);
		assert_int_equal(*fate, from);
		*fate = to;
	}
}

static bool is_data(const struct effect *effect)
{
	return effect->kind >= EFFECT_KEEP_KICK;
}

static void collect(struct rig *rig)
{
	struct effect effect;

	while (session_take_effect(rig->session, &effect)) {
		bool sent = effect.kind == EFFECT_SEND || effect.kind == EFFECT_SPLICE;

		assert_true(rig->count < RIG_EFFECTS_MAX);
		if (is_data(&effect))
			effect.message = NULL; /* lent; another effect brings it out */
		rig->effects[rig->count++] = effect;
		if (effect.message)
			move_fds(rig, effect.message, RIG_INSIDE,
				 sent ? RIG_SENT + (unsigned char)effect.port : RIG_DROPPED);
	}
}

static void around(struct rig *rig, bool inside)
{
	if (rig->around)
		rig->around(inside);
}

void rig_end(struct rig *rig)
{
	around(rig, true);
	session_end(rig->session);
	around(rig, false);
	collect(rig);
	for (int i = 0; i < rig->fds; i++)
		assert_int_not_equal(rig->fate[i], RIG_INSIDE);
	for (unsigned int i = 0; i < rig->count; i++) {
		wire_message_free(rig->effects[i].message);
		session_effect_free(&rig->effects[i]);
	}
	session_free(rig->session);
	free(rig);
}

struct wire_message *rig_with_fd(struct rig *rig, struct wire_message *message, uint64_t inode)
{
	struct fd_entry entry = {
	    .fd = RIG_FD_FIRST + rig->fds,
	    .mode = inode ? S_IFREG | 0600 : 0,
	    .device = 1,
	    .inode = inode,
	};

	assert_true(rig->fds < RIG_FDS_MAX);
	rig->fds++;
	assert_int_equal(fdset_push(&message->fds, &entry), 0);
	return message;
}

void rig_receive(struct rig *rig, enum session_port port, struct wire_message *message)
{
	move_fds(rig, message, RIG_NOT_GIVEN, RIG_INSIDE);
	around(rig, true);
	session_receive(rig->session, port, message, ++rig->clock);
	around(rig, false);
	collect(rig);
}

void rig_front(struct rig *rig, struct wire_message *message)
{
	rig_receive(rig, PORT_FRONT_MAIN, message);
}

void rig_back(struct rig *rig, struct wire_message *message)
{
	rig_receive(rig, PORT_BACK_MAIN, message);
}

static bool is_sent(const struct effect *effect)
{
	return effect->kind == EFFECT_SEND || effect->kind == EFFECT_SPLICE;
}

const struct wire_message *rig_sent(struct rig *rig, enum session_port port)
{
	for (unsigned int i = rig->seen; i < rig->count; i++) {
		if (rig->used[i] || !is_sent(&rig->effects[i]) || rig->effects[i].port != port)
			continue;
		rig->used[i] = true;
		return rig->effects[i].message;
	}
	fail_msg("nothing was sent to the %s", session_port_name(port));
	return NULL;
}

const struct wire_message *rig_sent_id(struct rig *rig, enum session_port port, uint32_t id)
{
	const struct wire_message *message = rig_sent(rig, port);

	assert_int_equal(message->header.id, id);
	return message;
}

/* The next of what is sent anywhere and what the data path is asked, in order. */
static const struct effect *next(struct rig *rig)
{
	for (unsigned int i = rig->seen; i < rig->count; i++) {
		if (rig->used[i] || !(is_sent(&rig->effects[i]) || is_data(&rig->effects[i])))
			continue;
		rig->used[i] = true;
		return &rig->effects[i];
	}
	fail_msg("nothing more was done");
	return NULL;
}

const struct effect *rig_then(struct rig *rig, enum effect_kind kind, unsigned int queue)
{
	const struct effect *effect = next(rig);

	if (is_sent(effect))
		fail_msg("id %u was sent to the %s, and effect %u for ring %u was due",
			 effect->message->header.id, session_port_name(effect->port), kind, queue);
	assert_int_equal(effect->kind, kind);
	assert_int_equal(effect->queue, queue);
	return effect;
}

const struct wire_message *rig_then_sent(struct rig *rig, enum session_port port, uint32_t id)
{
	const struct effect *effect = next(rig);

	if (!is_sent(effect))
		fail_msg("effect %u for ring %u, and id %u to the %s was due", effect->kind,
			 effect->queue, id, session_port_name(port));
	assert_int_equal(effect->message->header.id, id);
	assert_int_equal(effect->port, port);
	return effect->message;
}

void rig_idle(struct rig *rig)
{
	for (unsigned int i = rig->seen; i < rig->count; i++)
		if (is_data(&rig->effects[i]) && !rig->used[i])
			fail_msg("effect %u for ring %u", rig->effects[i].kind,
				 rig->effects[i].queue);
	rig_nothing_more(rig);
}

void rig_drained(struct rig *rig, unsigned int queue, uint32_t base)
{
	session_drained(rig->session, queue, base);
	collect(rig);
}

void rig_became_quiet(struct rig *rig, unsigned int queue)
{
	session_quiet(rig->session, queue, true);
	collect(rig);
}

void rig_stayed_busy(struct rig *rig, unsigned int queue)
{
	session_quiet(rig->session, queue, false);
	collect(rig);
}

void rig_ring_fault(struct rig *rig, unsigned int queue, bool guest, const char *text)
{
	session_ring_fault(rig->session, queue, guest, text);
	collect(rig);
}

int rig_move(struct rig *rig, enum session_mode mode, struct diag *diag)
{
	int result = session_move(rig->session, mode, diag);

	collect(rig);
	return result;
}

bool rig_lost(struct rig *rig, struct diag *diag)
{
	int result = session_back_lost(rig->session, ++rig->clock, 0, diag);

	collect(rig);
	return result == 0;
}

void rig_ring_lost(struct rig *rig, unsigned int queue, uint32_t base, unsigned int parked)
{
	session_ring_lost(rig->session, queue, base, parked);
	collect(rig);
}

void rig_ring_stood(struct rig *rig, unsigned int queue, uint32_t base)
{
	session_ring_stood(rig->session, queue, base);
	collect(rig);
}

void rig_adopted(struct rig *rig)
{
	session_back_adopted(rig->session, ++rig->clock, 0);
	collect(rig);
}

int rig_swap(struct rig *rig, struct diag *diag)
{
	int result = session_swap(rig->session, diag);

	collect(rig);
	return result;
}

void rig_nothing_more(struct rig *rig)
{
	for (unsigned int i = rig->seen; i < rig->count; i++) {
		const struct effect *effect = &rig->effects[i];

		if (effect->kind == EFFECT_FAULT)
			fail_msg("fault: %s", effect->text);
		if (is_sent(effect) && !rig->used[i])
			fail_msg("id %u was sent to the %s", effect->message->header.id,
				 session_port_name(effect->port));
	}
	rig->seen = rig->count;
}

const char *rig_fault(struct rig *rig, enum session_port port)
{
	assert_true(rig->session->faulted);
	for (unsigned int i = rig->seen; i < rig->count; i++) {
		if (rig->effects[i].kind != EFFECT_FAULT)
			continue;
		assert_int_equal(rig->effects[i].port, port);
		return rig->effects[i].text;
	}
	fail_msg("no fault was found");
	return NULL;
}

unsigned int rig_lines(const struct rig *rig, enum level level)
{
	unsigned int lines = 0;

	for (unsigned int i = 0; i < rig->count; i++)
		lines += rig->effects[i].kind == EFFECT_LOG && rig->effects[i].level == level;
	return lines;
}

const char *rig_line(const struct rig *rig, enum level level)
{
	for (unsigned int i = rig->count; i-- > 0;)
		if (rig->effects[i].kind == EFFECT_LOG && rig->effects[i].level == level)
			return rig->effects[i].text;
	fail_msg("no line of this level");
	return NULL;
}

unsigned int rig_events(const struct rig *rig, const char *event)
{
	unsigned int events = 0;

	for (unsigned int i = 0; i < rig->count; i++)
		events += rig->effects[i].kind == EFFECT_EVENT &&
			  strcmp(rig->effects[i].event, event) == 0;
	return events;
}

static enum session_port across(enum session_port port)
{
	static const enum session_port other[] = {
	    [PORT_FRONT_MAIN] = PORT_BACK_MAIN,
	    [PORT_BACK_MAIN] = PORT_FRONT_MAIN,
	    [PORT_FRONT_BACKEND] = PORT_BACK_BACKEND,
	    [PORT_BACK_BACKEND] = PORT_FRONT_BACKEND,
	};

	return other[port];
}

void rig_relays(struct rig *rig, enum session_port port, struct wire_message *message)
{
	size_t size = sizeof(*message) + message->header.size;
	struct wire_message *copy = malloc(size);
	const struct wire_message *sent;

	assert_non_null(copy);
	memcpy(copy, message, size);
	rig_receive(rig, port, message);
	sent = rig_sent(rig, across(port));
	assert_memory_equal(&sent->header, &copy->header, sizeof(copy->header));
	assert_memory_equal(sent->payload, copy->payload, copy->header.size);
	assert_int_equal(sent->fds.count, copy->fds.count);
	for (unsigned int i = 0; i < copy->fds.count; i++)
		assert_int_equal(sent->fds.entries[i].fd, copy->fds.entries[i].fd);
	free(copy);
	rig_nothing_more(rig);
}

void rig_acknowledged(struct rig *rig, enum session_port port, uint32_t id, uint64_t value)
{
	const struct wire_message *reply = rig_sent_id(rig, port, id);

	assert_int_equal(reply->header.flags, WIRE_VERSION | WIRE_FLAG_REPLY);
	assert_int_equal(reply->header.size, 8);
	assert_int_equal(bytes_load64(reply->payload), value);
}

void rig_answers(struct rig *rig, enum session_port port, uint32_t id, uint64_t value)
{
	rig_receive(rig, port, wire_reply_u64(id, value));
	rig_acknowledged(rig, across(port), id, value);
}

void rig_offer(struct rig *rig, uint64_t virtio, uint64_t protocol)
{
	const struct session *session = rig->session;

	virtio |= WIRE_BIT(WIRE_F_PROTOCOL_FEATURES);
	rig_relays(rig, PORT_FRONT_MAIN, wire_request(WIRE_GET_FEATURES, 0));
	rig_back(rig, wire_reply_u64(WIRE_GET_FEATURES, virtio));
	rig_acknowledged(rig, PORT_FRONT_MAIN, WIRE_GET_FEATURES, session->virtio.shown);
	rig_relays(rig, PORT_FRONT_MAIN, wire_request(WIRE_GET_PROTOCOL_FEATURES, 0));
	rig_back(rig, wire_reply_u64(WIRE_GET_PROTOCOL_FEATURES, protocol));
	rig_acknowledged(rig, PORT_FRONT_MAIN, WIRE_GET_PROTOCOL_FEATURES, session->protocol.shown);
	if (!session->record_ours && !session->log_ours) {
		rig_relays(
		    rig, PORT_FRONT_MAIN,
		    wire_request_u64(WIRE_SET_PROTOCOL_FEATURES, 0, session->protocol.shown));
		return;
	}
	rig_front(rig, wire_request_u64(WIRE_SET_PROTOCOL_FEATURES, 0, session->protocol.shown));
	rig_sent_id(rig, PORT_BACK_MAIN, WIRE_SET_PROTOCOL_FEATURES);
	rig_nothing_more(rig);
}

void rig_set_features(struct rig *rig, uint64_t virtio)
{
	rig_front(rig, wire_request_u64(WIRE_SET_FEATURES, 0, virtio));
	rig_sent_id(rig, PORT_BACK_MAIN, WIRE_SET_FEATURES);
}

struct rig *rig_agreed(uint64_t virtio, uint64_t protocol)
{
	struct rig *rig = rig_new();

	rig_offer(rig, virtio, protocol);
	rig_set_features(rig, rig->session->virtio.shown);
	rig_nothing_more(rig);
	return rig;
}
