/* SPDX-License-Identifier: BSD-3-Clause */
/* What passes, in both directions and on both channels, and in which order. */
#include "session_rig.h"

#include "legal.h"
#include "wire/encode.h"

#include <string.h>
#include <sys/stat.h>

#define RING   1u /* the one legal_request() is about */
#define SOCKET 77u

/* Everything agreed, and the ring known to the back-end. */
static struct rig *everything(void)
{
	struct rig *rig = rig_agreed(UINT64_MAX, UINT64_MAX);

	rig_relays(rig, PORT_FRONT_MAIN, wire_request_state(WIRE_SET_VRING_NUM, 0, RING, 128));
	return rig;
}

/* legal_request() and legal_reply() number every message's descriptors alike: the rig's are unique.
 */
static struct wire_message *renumber(struct rig *rig, struct wire_message *message)
{
	unsigned int count = message->fds.count;

	message->fds.count = 0;
	for (unsigned int i = 0; i < count; i++)
		rig_with_fd(rig, message, 0);
	return message;
}

/* Feature bits are masked, which has its own tests: here they are what is shown. */
static struct wire_message *shown_bits(struct rig *rig, enum wire_payload_id id,
				       struct wire_message *message)
{
	if (message->header.size == 8 && id == WIRE_PAYLOAD_VIRTIO_BITS)
		bytes_store64(message->payload, rig->session->virtio.shown);
	if (message->header.size == 8 && id == WIRE_PAYLOAD_PROTOCOL_BITS)
		bytes_store64(message->payload, rig->session->protocol.shown);
	return message;
}

static void round_trip(struct rig *rig, enum wire_channel channel, const struct wire_row *row,
		       uint32_t flags)
{
	struct wire_agreement agreement = rig->session->agreement;
	enum session_port from = channel == WIRE_MAIN ? PORT_FRONT_MAIN : PORT_BACK_BACKEND;
	enum session_port to = channel == WIRE_MAIN ? PORT_BACK_MAIN : PORT_FRONT_BACKEND;
	struct wire_message *request = renumber(rig, legal_request(row, &agreement));
	enum wire_expect expect;

	request->header.flags |= flags;
	expect = wire_reply_expected(channel, &agreement, request);
	rig_relays(rig, from, shown_bits(rig, row->payload, request));
	if (expect == WIRE_EXPECT_REPLY)
		rig_relays(rig, to,
			   shown_bits(rig, row->reply_payload,
				      renumber(rig, legal_reply(row, &agreement))));
}

static void relays_row(enum wire_channel channel, const struct wire_row *row, void *context)
{
	bool hidden =
	    row->gate.kind == WIRE_GATE_PROTOCOL &&
	    offers_reason(&(struct offers){.watch_only = true}, WIRE_SPACE_PROTOCOL, row->gate.bit);
	const uint32_t *flags = context;
	struct rig *rig;

	if (hidden || !legal_is_request(channel, row))
		return;
	rig = everything();
	round_trip(rig, channel, row, *flags);
	rig_end(rig);
}

static void test_every_message_and_its_reply_pass_untouched_with_their_descriptors(void **state)
{
	uint32_t flags = 0;

	legal_each(relays_row, &flags);
}

static void test_every_message_that_asks_for_a_reply_gets_it(void **state)
{
	uint32_t flags = NEED;

	legal_each(relays_row, &flags);
}

static void refuses_row(enum wire_channel channel, const struct wire_row *row, void *context)
{
	struct wire_agreement agreement = legal_agreement();
	enum session_port from = channel == WIRE_MAIN ? PORT_FRONT_MAIN : PORT_BACK_BACKEND;
	unsigned int *refused = context;
	struct rig *rig;

	if (row->gate.kind != WIRE_GATE_PROTOCOL ||
	    !offers_reason(&(struct offers){.watch_only = true}, WIRE_SPACE_PROTOCOL,
			   row->gate.bit))
		return;
	rig = everything();
	rig_receive(rig, from, renumber(rig, legal_request(row, &agreement)));
	assert_non_null(strstr(rig_fault(rig, from), row->name));
	assert_non_null(
	    strstr(rig_fault(rig, from),
		   wire_bit_name(WIRE_SPACE_PROTOCOL, WIRE_DEVICE_UNKNOWN, row->gate.bit)));
	rig_end(rig);
	++*refused;
}

static void test_messages_of_a_bit_never_offered_are_refused_with_its_name(void **state)
{
	unsigned int refused = 0;

	legal_each(refuses_row, &refused);
	/* VRING_KICK and GET_VRING_BASE_SKIP_DRAIN, BACKEND_VRING_CALL and _ERR. */
	assert_int_equal(refused, 4);
}

static void test_a_whole_session_passes_message_after_message(void **state)
{
	struct rig *rig = everything();

	for (unsigned int round = 0; round < 3; round++)
		for (uint32_t id = 1; id < WIRE_FRONT_COUNT; id++) {
			const struct wire_row *row = wire_row(WIRE_MAIN, id);

			/* Other states follow from these, and other tests from them. */
			if (id == WIRE_POSTCOPY_LISTEN || id == WIRE_RESET_DEVICE ||
			    id == WIRE_RESET_OWNER || id == WIRE_ADD_MEM_REG ||
			    id == WIRE_REM_MEM_REG || id == WIRE_VRING_KICK ||
			    id == WIRE_GET_VRING_BASE_SKIP_DRAIN)
				continue;
			round_trip(rig, WIRE_MAIN, row, round == 1 ? NEED : 0);
		}
	rig_end(rig);
}

static void test_replies_reach_the_requester_in_the_order_it_asked(void **state)
{
	struct rig *rig = everything();

	rig_relays(rig, PORT_FRONT_MAIN, wire_request(WIRE_GET_QUEUE_NUM, 0));
	rig_relays(rig, PORT_FRONT_MAIN, wire_request(WIRE_GET_STATUS, 0));
	rig_relays(rig, PORT_FRONT_MAIN, wire_request_u64(WIRE_NET_SET_MTU, NEED, 1500));
	rig_answers(rig, PORT_BACK_MAIN, WIRE_GET_QUEUE_NUM, 4);
	rig_answers(rig, PORT_BACK_MAIN, WIRE_GET_STATUS, 0xf);
	rig_answers(rig, PORT_BACK_MAIN, WIRE_NET_SET_MTU, 0);
	rig_nothing_more(rig);
	rig_end(rig);
}

static void test_answers_of_our_own_wait_behind_replies_still_out(void **state)
{
	struct rig *rig = everything();
	const struct wire_message *reply;

	rig_relays(rig, PORT_FRONT_MAIN, wire_request(WIRE_GET_STATUS, 0));
	/* Rings the back-end does not know: answered by the daemon. */
	rig_front(rig, wire_request_state(WIRE_GET_VRING_BASE, 0, 9, 0));
	rig_front(rig, wire_request_state(WIRE_GET_VRING_BASE, 0, 8, 0));
	rig_relays(rig, PORT_FRONT_MAIN, wire_request(WIRE_GET_QUEUE_NUM, 0));
	rig_nothing_more(rig);
	rig_back(rig, wire_reply_u64(WIRE_GET_STATUS, 0xf));
	rig_acknowledged(rig, PORT_FRONT_MAIN, WIRE_GET_STATUS, 0xf);
	reply = rig_sent_id(rig, PORT_FRONT_MAIN, WIRE_GET_VRING_BASE);
	assert_int_equal(bytes_load32(reply->payload), 9);
	reply = rig_sent_id(rig, PORT_FRONT_MAIN, WIRE_GET_VRING_BASE);
	assert_int_equal(bytes_load32(reply->payload), 8);
	rig_nothing_more(rig);
	rig_answers(rig, PORT_BACK_MAIN, WIRE_GET_QUEUE_NUM, 4);
	rig_end(rig);
}

static void test_the_two_channels_pair_their_replies_apart(void **state)
{
	struct rig *rig = everything();

	rig_relays(rig, PORT_FRONT_MAIN, wire_request(WIRE_GET_STATUS, 0));
	rig_relays(rig, PORT_BACK_BACKEND, wire_request(WIRE_BACKEND_CONFIG_CHANGE_MSG, NEED));
	rig_relays(rig, PORT_BACK_BACKEND, wire_request(WIRE_BACKEND_CONFIG_CHANGE_MSG, NEED));
	/* The front-end's id 2 is SET_FEATURES: no reply to that is due. */
	rig_answers(rig, PORT_FRONT_BACKEND, WIRE_BACKEND_CONFIG_CHANGE_MSG, 0);
	rig_answers(rig, PORT_BACK_MAIN, WIRE_GET_STATUS, 0xf);
	rig_answers(rig, PORT_FRONT_BACKEND, WIRE_BACKEND_CONFIG_CHANGE_MSG, 1);
	rig_nothing_more(rig);
	rig_end(rig);
}

static void test_back_end_requests_pass_while_the_main_channel_waits(void **state)
{
	struct rig *rig = everything();

	while (session_wants(rig->session, PORT_FRONT_MAIN)) {
		rig_front(rig, wire_request(WIRE_GET_STATUS, 0));
		rig_sent_id(rig, PORT_BACK_MAIN, WIRE_GET_STATUS);
	}
	assert_true(session_wants(rig->session, PORT_BACK_BACKEND));
	rig_relays(rig, PORT_BACK_BACKEND, wire_request(WIRE_BACKEND_CONFIG_CHANGE_MSG, NEED));
	rig_answers(rig, PORT_FRONT_BACKEND, WIRE_BACKEND_CONFIG_CHANGE_MSG, 0);
	rig_end(rig);
}

static void test_a_front_end_that_asks_too_much_is_held_up_until_a_reply_comes(void **state)
{
	struct rig *rig = everything();
	unsigned int asked = 0;

	while (session_wants(rig->session, PORT_FRONT_MAIN)) {
		rig_front(rig, wire_request(WIRE_GET_STATUS, 0));
		rig_sent_id(rig, PORT_BACK_MAIN, WIRE_GET_STATUS);
		asked++;
	}
	assert_int_equal(asked, EXCHANGE_MAX - EXCHANGE_RESERVE);
	/* Replies are always wanted: they make the room. */
	assert_true(session_wants(rig->session, PORT_BACK_MAIN));
	assert_true(session_wants(rig->session, PORT_FRONT_BACKEND));
	rig_answers(rig, PORT_BACK_MAIN, WIRE_GET_STATUS, 0);
	assert_true(session_wants(rig->session, PORT_FRONT_MAIN));
	while (--asked)
		rig_answers(rig, PORT_BACK_MAIN, WIRE_GET_STATUS, 0);
	rig_nothing_more(rig);
	rig_end(rig);
}

static void test_the_socket_for_back_end_requests_is_replaced(void **state)
{
	struct rig *rig = everything();
	struct wire_message *request =
	    rig_with_fd(rig, wire_request(WIRE_SET_BACKEND_REQ_FD, NEED), SOCKET);

	request->fds.entries[0].mode = S_IFSOCK;
	rig_relays(rig, PORT_FRONT_MAIN, request);
	assert_int_equal(rig->effects[rig->count - 1].kind, EFFECT_SPLICE);
	rig_answers(rig, PORT_BACK_MAIN, WIRE_SET_BACKEND_REQ_FD, 0);
	rig_end(rig);
}

static void test_a_descriptor_that_is_no_socket_is_passed_on_with_a_warning(void **state)
{
	struct rig *rig = everything();

	rig_relays(rig, PORT_FRONT_MAIN,
		   rig_with_fd(rig, wire_request(WIRE_SET_BACKEND_REQ_FD, 0), SOCKET));
	assert_int_equal(rig->effects[rig->count - 1].kind, EFFECT_SEND);
	assert_int_equal(rig_lines(rig, LEVEL_WARN), 1);
	rig_end(rig);
}

static void test_a_new_back_end_channel_owes_nothing_of_the_old_one(void **state)
{
	struct rig *rig = everything();
	struct wire_message *request =
	    rig_with_fd(rig, wire_request(WIRE_SET_BACKEND_REQ_FD, 0), SOCKET);

	request->fds.entries[0].mode = S_IFSOCK;
	rig_relays(rig, PORT_BACK_BACKEND, wire_request(WIRE_BACKEND_CONFIG_CHANGE_MSG, NEED));
	rig_relays(rig, PORT_FRONT_MAIN, request);
	rig_relays(rig, PORT_BACK_BACKEND,
		   wire_message_new(WIRE_BACKEND_IOTLB_MSG, WIRE_VERSION | NEED, 32));
	rig_answers(rig, PORT_FRONT_BACKEND, WIRE_BACKEND_IOTLB_MSG, 0);
	rig_nothing_more(rig);
	rig_end(rig);
}

static void test_messages_are_counted_by_channel_direction_and_id(void **state)
{
	struct rig *rig = everything();

	rig_relays(rig, PORT_FRONT_MAIN, wire_request(WIRE_GET_STATUS, 0));
	rig_answers(rig, PORT_BACK_MAIN, WIRE_GET_STATUS, 0);
	rig_relays(rig, PORT_BACK_BACKEND, wire_request(WIRE_BACKEND_CONFIG_CHANGE_MSG, 0));
	assert_int_equal(rig->session->counts[WIRE_MAIN][WIRE_FRONT_TO_BACK][WIRE_GET_STATUS], 1);
	assert_int_equal(rig->session->counts[WIRE_MAIN][WIRE_BACK_TO_FRONT][WIRE_GET_STATUS], 1);
	assert_int_equal(
	    rig->session->counts[WIRE_BACKEND][WIRE_BACK_TO_FRONT][WIRE_BACKEND_CONFIG_CHANGE_MSG],
	    1);
	rig_end(rig);
}

static void test_the_oldest_request_without_reply_can_be_told(void **state)
{
	struct rig *rig = everything();

	assert_null(session_oldest(rig->session, WIRE_MAIN));
	rig_relays(rig, PORT_FRONT_MAIN, wire_request(WIRE_GET_STATUS, 0));
	rig_relays(rig, PORT_FRONT_MAIN, wire_request(WIRE_GET_QUEUE_NUM, 0));
	assert_int_equal(session_oldest(rig->session, WIRE_MAIN)->id, WIRE_GET_STATUS);
	assert_int_equal(session_oldest(rig->session, WIRE_MAIN)->sent_ns, rig->clock - 1);
	rig_answers(rig, PORT_BACK_MAIN, WIRE_GET_STATUS, 0);
	assert_int_equal(session_oldest(rig->session, WIRE_MAIN)->id, WIRE_GET_QUEUE_NUM);
	rig_end(rig);
}

int main(void)
{
#define T(name) cmocka_unit_test(name)
	const struct CMUnitTest tests[] = {
	    T(test_every_message_and_its_reply_pass_untouched_with_their_descriptors),
	    T(test_every_message_that_asks_for_a_reply_gets_it),
	    T(test_messages_of_a_bit_never_offered_are_refused_with_its_name),
	    T(test_a_whole_session_passes_message_after_message),
	    T(test_replies_reach_the_requester_in_the_order_it_asked),
	    T(test_answers_of_our_own_wait_behind_replies_still_out),
	    T(test_the_two_channels_pair_their_replies_apart),
	    T(test_back_end_requests_pass_while_the_main_channel_waits),
	    T(test_a_front_end_that_asks_too_much_is_held_up_until_a_reply_comes),
	    T(test_the_socket_for_back_end_requests_is_replaced),
	    T(test_a_descriptor_that_is_no_socket_is_passed_on_with_a_warning),
	    T(test_a_new_back_end_channel_owes_nothing_of_the_old_one),
	    T(test_messages_are_counted_by_channel_direction_and_id),
	    T(test_the_oldest_request_without_reply_can_be_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
