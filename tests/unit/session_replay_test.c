/* SPDX-License-Identifier: BSD-3-Clause */
/* What the next back-end is told, compared with the message table. */
#include <string.h>
#include <sys/stat.h>

#include "link_rig.h"

#define MTU      1400u
#define SAID_MAX 64u

struct said {
	unsigned int count;
	const struct wire_message *list[SAID_MAX];
};

/* What was sent to the back-end of all that was not taken yet. */
static struct said said_to_back(struct rig *rig)
{
	struct said said = {0};

	for (unsigned int i = rig->seen; i < rig->count; i++) {
		const struct effect *effect = &rig->effects[i];

		if (rig->used[i] || effect->port != PORT_BACK_MAIN ||
		    (effect->kind != EFFECT_SEND && effect->kind != EFFECT_SPLICE))
			continue;
		assert_true(said.count < SAID_MAX);
		rig->used[i] = true;
		said.list[said.count++] = effect->message;
	}
	return said;
}

static struct wire_message *with_socket(struct rig *rig, struct wire_message *message)
{
	rig_with_fd(rig, message, 7);
	message->fds.entries[0].mode = S_IFSOCK | 0600;
	return message;
}

static struct wire_message *log_base(struct rig *rig)
{
	struct wire_message *message = wire_message_new(WIRE_SET_LOG_BASE, WIRE_VERSION, 16);

	bytes_store64(message->payload, 4096);
	return rig_with_fd(rig, message, 8);
}

static struct wire_message *translation(void)
{
	return wire_request_iotlb(RING_AT, 0x100000, RING_AT, 3);
}

/* A network device that was told of everything a front-end can tell. */
static struct rig *told_everything(void)
{
	const uint64_t virtio = DISK | WIRE_BIT(WIRE_F_ACCESS_PLATFORM) |
				WIRE_BIT(WIRE_F_PROTOCOL_FEATURES) |
				WIRE_BIT(WIRE_F_VHOST_F_LOG_ALL);
	struct rig *rig =
	    rig_new_with(&(struct session_config){.mode = MODE_AUTO, .device = WIRE_DEVICE_NET});
	uint8_t bytes[4] = {1, 2, 3, 4};

	rig_offer(rig, virtio, wire_protocol_known());
	rig_front(rig, wire_request(WIRE_SET_OWNER, 0));
	rig_front(rig, with_socket(rig, wire_request(WIRE_SET_BACKEND_REQ_FD, 0)));
	forget_effects(rig);
	rig_set_features(rig, rig->session->virtio.shown);
	for (unsigned int i = 0; i < 2; i++) {
		struct wire_region at = shadow_region(i);

		rig_front(rig, rig_with_fd(rig, wire_request_region(WIRE_ADD_MEM_REG, 0, &at), 9));
	}
	rig_front(rig, log_base(rig));
	rig_back(rig, wire_reply_u64(WIRE_SET_LOG_BASE, 0));
	rig_front(rig, rig_with_fd(rig, wire_request(WIRE_SET_LOG_FD, 0), 0));
	rig_front(rig, wire_request_u64(WIRE_NET_SET_MTU, 0, MTU));
	rig_front(rig, wire_request_config(WIRE_SET_CONFIG, 0, 8, sizeof(bytes), 0, bytes));
	rig_front(rig, translation());
	rig_front(rig, wire_request_state(WIRE_SET_VRING_ENDIAN, 0, 0, 0));
	rig_front(rig, rig_with_fd(rig, wire_request_u64(WIRE_SET_VRING_ERR, 0, 0), 0));
	shadow_configures(rig, 0);
	shadow_calls(rig, 0);
	shadow_kicks(rig, 0);
	rig_front(rig, wire_request_state(WIRE_SET_VRING_ENABLE, 0, 0, 1));
	rig_front(rig, wire_request_u64(WIRE_SET_STATUS, 0, 15));
	return rig;
}

/* Messages of the table that are replayed by another road, or can not be. */
static bool excepted(uint32_t id)
{
	switch (id) {
	case WIRE_SET_OWNER: /* the candidate was told */
	case WIRE_SET_PROTOCOL_FEATURES:
	case WIRE_SET_MEM_TABLE:         /* ADD_MEM_REG in its place */
	case WIRE_SET_INFLIGHT_FD:       /* the record is the daemon's */
	case WIRE_CREATE_CRYPTO_SESSION: /* such a session does not survive */
	case WIRE_GPU_SET_SOCKET:
		return true;
	}
	return false;
}

static bool has(const struct said *said, uint32_t id)
{
	for (unsigned int i = 0; i < said->count; i++)
		if (said->list[i]->header.id == id)
			return true;
	return false;
}

static void test_a_replay_says_every_message_of_the_table_in_the_order_of_its_rank(void **state)
{
	struct rig *rig = told_everything();
	struct said said;
	unsigned int last = 0;

	lost(rig);
	rig_then(rig, EFFECT_STAND, 0);
	rig_ring_stood(rig, 0, 77);
	rig_adopted(rig);
	said = said_to_back(rig);
	for (uint32_t id = 0; id < WIRE_FRONT_COUNT; id++) {
		const struct wire_row *row = wire_row(WIRE_MAIN, id);
		bool due = row->replay == WIRE_REPLAY_DEVICE || row->replay == WIRE_REPLAY_QUEUE ||
			   row->replay == WIRE_REPLAY_TABLE;

		if (due && !excepted(id) && !has(&said, id))
			fail_msg("%s was not said again", row->name);
	}
	/* The barrier is last. */
	assert_int_equal(said.list[--said.count]->header.id, WIRE_GET_FEATURES);
	for (unsigned int i = 0; i < said.count; i++) {
		const struct wire_row *row = wire_row(WIRE_MAIN, said.list[i]->header.id);

		if (row->rank < last)
			fail_msg("%s came after one of a higher rank", row->name);
		last = row->rank;
	}
	rig_end(rig);
}

static void assert_same(const struct said *a, const struct said *b)
{
	assert_int_equal(a->count, b->count);
	for (unsigned int i = 0; i < a->count; i++) {
		assert_int_equal(a->list[i]->header.id, b->list[i]->header.id);
		assert_int_equal(a->list[i]->header.size, b->list[i]->header.size);
		assert_memory_equal(a->list[i]->payload, b->list[i]->payload,
				    a->list[i]->header.size);
		assert_int_equal(a->list[i]->fds.count, b->list[i]->fds.count);
	}
}

/* Whatever the first got of it: the second is told all. */
static void test_a_replay_that_was_cut_short_is_said_again_from_its_beginning(void **state)
{
	struct rig *rig = told_everything();
	struct said first, second;

	lost(rig);
	rig_ring_stood(rig, 0, 77);
	rig_adopted(rig);
	first = said_to_back(rig);
	lost(rig);
	rig_ring_stood(rig, 0, 77);
	rig_adopted(rig);
	second = said_to_back(rig);
	assert_same(&first, &second);
	for (unsigned int i = 0; i < second.count; i++)
		if (wire_needs_reply(second.list[i]))
			rig_back(rig, wire_reply_u64(second.list[i]->header.id, 0));
	replayed(rig);
	assert_true(session_wants(rig->session, PORT_FRONT_MAIN));
	rig_end(rig);
}

static void test_what_is_told_again_is_what_holds_now(void **state)
{
	struct rig *rig = told_everything();
	uint8_t byte = 9;
	struct said said;
	uint64_t mtu = 0;
	uint32_t base = 0;

	lost(rig);
	rig_ring_stood(rig, 0, 77);
	rig_front(rig, wire_request_u64(WIRE_NET_SET_MTU, NEED, 9000));
	rig_acknowledged(rig, PORT_FRONT_MAIN, WIRE_NET_SET_MTU, 0);
	rig_front(rig, wire_request_config(WIRE_SET_CONFIG, 0, 9, 1, 0, &byte));
	rig_adopted(rig);
	said = said_to_back(rig);
	for (unsigned int i = 0; i < said.count; i++) {
		const struct wire_message *message = said.list[i];

		if (message->header.id == WIRE_NET_SET_MTU)
			mtu = bytes_load64(message->payload);
		if (message->header.id == WIRE_SET_VRING_BASE)
			base = bytes_load32(message->payload + 4);
		if (message->header.id == WIRE_SET_CONFIG)
			assert_memory_equal(message->payload + 12, "\1\11\3\4", 4);
	}
	assert_int_equal(mtu, 9000);
	assert_int_equal(base, 77);
	rig_end(rig);
}

static void test_nothing_is_said_to_nobody(void **state)
{
	struct rig *rig = told_everything();
	struct said said;

	lost(rig);
	rig_front(rig, wire_request_u64(WIRE_SET_STATUS, 0, 0));
	rig_front(rig, wire_request_state(WIRE_SET_VRING_ENABLE, NEED, 0, 0));
	rig_acknowledged(rig, PORT_FRONT_MAIN, WIRE_SET_VRING_ENABLE, 0);
	said = said_to_back(rig);
	assert_int_equal(said.count, 0);
	rig_end(rig);
}

static void test_a_reply_for_the_lost_back_end_reaches_nobody(void **state)
{
	struct rig *rig = told_everything();

	rig_receive(rig, PORT_BACK_BACKEND, wire_request(WIRE_BACKEND_CONFIG_CHANGE_MSG, NEED));
	lost(rig);
	rig_ring_stood(rig, 0, 1);
	forget_effects(rig);
	rig_receive(rig, PORT_FRONT_BACKEND, wire_reply_u64(WIRE_BACKEND_CONFIG_CHANGE_MSG, 0));
	rig_nothing_more(rig);
	rig_end(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(
		test_a_replay_says_every_message_of_the_table_in_the_order_of_its_rank),
	    cmocka_unit_test(test_a_replay_that_was_cut_short_is_said_again_from_its_beginning),
	    cmocka_unit_test(test_what_is_told_again_is_what_holds_now),
	    cmocka_unit_test(test_nothing_is_said_to_nobody),
	    cmocka_unit_test(test_a_reply_for_the_lost_back_end_reaches_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
