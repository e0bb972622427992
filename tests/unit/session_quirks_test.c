/* SPDX-License-Identifier: BSD-3-Clause */
/* Feature bits, SET_VRING_ENABLE before SET_FEATURES, and the shape of acknowledgements. */
#include "session_rig.h"

#include "wire/encode.h"

#include <string.h>

#define BIT30   WIRE_BIT(WIRE_F_PROTOCOL_FEATURES)
#define VIRTIO  (BIT30 | WIRE_BIT(WIRE_F_VERSION_1))
#define ACKS    WIRE_BIT(WIRE_PF_REPLY_ACK)
#define STRANGE WIRE_BIT(40)

static struct wire_message *enable(uint32_t flags, uint32_t ring, uint32_t on)
{
	return wire_request_state(WIRE_SET_VRING_ENABLE, flags, ring, on);
}

static void sent_enable(struct rig *rig, uint32_t flags, uint32_t ring, uint32_t on)
{
	const struct wire_message *sent = rig_sent_id(rig, PORT_BACK_MAIN, WIRE_SET_VRING_ENABLE);

	assert_int_equal(sent->header.flags, WIRE_VERSION | flags);
	assert_int_equal(bytes_load32(sent->payload), ring);
	assert_int_equal(bytes_load32(sent->payload + 4), on);
}

static void test_the_front_end_is_shown_only_what_may_be_offered(void **state)
{
	struct rig *rig = rig_new_with(
	    &(struct session_config){.offers = {.hide_virtio = WIRE_BIT(WIRE_F_RING_PACKED)}});
	uint64_t protocol = ACKS | WIRE_BIT(WIRE_PF_HOST_NOTIFIER) | STRANGE;

	rig_offer(rig, VIRTIO | WIRE_BIT(WIRE_F_RING_PACKED), protocol);
	assert_int_equal(rig->session->virtio.shown, VIRTIO);
	assert_int_equal(rig->session->protocol.shown, ACKS);
	assert_int_equal(rig->session->virtio.offered, VIRTIO | WIRE_BIT(WIRE_F_RING_PACKED));
	assert_int_equal(rig->session->protocol.offered, protocol);
	rig_end(rig);
}

static void test_bits_acknowledged_but_not_offered_are_left_out_with_one_warning(void **state)
{
	struct rig *rig = rig_new();
	const uint64_t log = WIRE_BIT(WIRE_F_VHOST_F_LOG_ALL);
	const uint64_t values[] = {VIRTIO, VIRTIO, VIRTIO | log, VIRTIO};

	rig_offer(rig, VIRTIO | log, ACKS);
	for (unsigned int i = 0; i < 4; i++) {
		const struct wire_message *sent;

		rig_front(rig, wire_request_u64(WIRE_SET_FEATURES, 0,
						values[i] | WIRE_BIT(WIRE_F_RING_PACKED)));
		sent = rig_sent_id(rig, PORT_BACK_MAIN, WIRE_SET_FEATURES);
		assert_int_equal(bytes_load64(sent->payload), values[i]);
	}
	assert_int_equal(rig_lines(rig, LEVEL_WARN), 1);
	assert_non_null(strstr(rig_line(rig, LEVEL_WARN), "RING_PACKED"));
	rig_end(rig);
}

static void test_protocol_bits_not_offered_are_left_out_too(void **state)
{
	struct rig *rig = rig_new();
	const struct wire_message *sent;

	rig_offer(rig, VIRTIO, ACKS);
	rig_front(rig, wire_request_u64(WIRE_SET_PROTOCOL_FEATURES, 0,
					ACKS | WIRE_BIT(WIRE_PF_INBAND_NOTIFICATIONS)));
	sent = rig_sent_id(rig, PORT_BACK_MAIN, WIRE_SET_PROTOCOL_FEATURES);
	assert_int_equal(bytes_load64(sent->payload), ACKS);
	assert_non_null(strstr(rig_line(rig, LEVEL_WARN), "INBAND_NOTIFICATIONS"));
	rig_end(rig);
}

static void test_without_the_question_every_acknowledged_bit_passes(void **state)
{
	struct rig *rig = rig_new();

	rig_relays(rig, PORT_FRONT_MAIN, wire_request_u64(WIRE_SET_FEATURES, 0, VIRTIO));
	assert_int_equal(rig_lines(rig, LEVEL_WARN), 0);
	rig_end(rig);
}

static void test_one_line_tells_each_negotiation(void **state)
{
	struct rig *rig = rig_agreed(VIRTIO, ACKS);

	assert_int_equal(rig_lines(rig, LEVEL_INFO), 1);
	assert_non_null(
	    strstr(rig_line(rig, LEVEL_INFO), "passed on: PROTOCOL_FEATURES VERSION_1"));
	rig_set_features(rig, VIRTIO);
	assert_int_equal(rig_lines(rig, LEVEL_INFO), 1);
	rig_set_features(rig, BIT30);
	assert_int_equal(rig_lines(rig, LEVEL_INFO), 2);
	assert_int_equal(rig_events(rig, "NEGOTIATED"), 2);
	rig_end(rig);
}

static void test_holds_enable_until_features_are_set(void **state)
{
	struct rig *rig = rig_new();

	rig_offer(rig, VIRTIO, 0);
	rig_front(rig, enable(0, 1, 1));
	rig_nothing_more(rig);
	rig_set_features(rig, VIRTIO);
	sent_enable(rig, 0, 1, 1);
	rig_nothing_more(rig);
	rig_relays(rig, PORT_FRONT_MAIN, enable(0, 1, 0));
	rig_end(rig);
}

static void test_acknowledges_a_held_enable_at_once_and_keeps_the_reply_to_its_own(void **state)
{
	struct rig *rig = rig_new();

	rig_offer(rig, VIRTIO, ACKS);
	rig_front(rig, enable(NEED, 1, 1));
	rig_acknowledged(rig, PORT_FRONT_MAIN, WIRE_SET_VRING_ENABLE, 0);
	rig_front(rig, wire_request_u64(WIRE_SET_FEATURES, NEED, VIRTIO));
	rig_sent_id(rig, PORT_BACK_MAIN, WIRE_SET_FEATURES);
	sent_enable(rig, NEED, 1, 1);
	rig_answers(rig, PORT_BACK_MAIN, WIRE_SET_FEATURES, 0);
	rig_back(rig, wire_reply_u64(WIRE_SET_VRING_ENABLE, 0));
	rig_nothing_more(rig);
	rig_end(rig);
}

static void test_a_refused_held_enable_is_told_and_does_not_end_the_session(void **state)
{
	struct rig *rig = rig_new();

	rig_offer(rig, VIRTIO, ACKS);
	rig_front(rig, enable(0, 1, 1));
	rig_set_features(rig, VIRTIO);
	sent_enable(rig, NEED, 1, 1);
	rig_back(rig, wire_reply_u64(WIRE_SET_VRING_ENABLE, 5));
	rig_nothing_more(rig);
	assert_non_null(strstr(rig_line(rig, LEVEL_WARN), "ring 1"));
	rig_end(rig);
}

static void test_holds_enables_of_several_rings_and_the_last_of_each_counts(void **state)
{
	struct rig *rig = rig_new();

	rig_offer(rig, VIRTIO, 0);
	rig_front(rig, enable(0, 0, 1));
	rig_front(rig, enable(0, 3, 1));
	rig_front(rig, enable(0, 0, 0));
	rig_front(rig, enable(0, 2, 0));
	rig_front(rig, enable(0, 2, 1));
	rig_set_features(rig, VIRTIO);
	sent_enable(rig, 0, 0, 0);
	sent_enable(rig, 0, 2, 1);
	sent_enable(rig, 0, 3, 1);
	rig_set_features(rig, VIRTIO);
	rig_nothing_more(rig);
	rig_end(rig);
}

static void test_holds_enable_again_after_a_reset(void **state)
{
	static const uint32_t resets[] = {WIRE_RESET_DEVICE, WIRE_RESET_OWNER};

	for (unsigned int i = 0; i < 2; i++) {
		struct rig *rig = rig_agreed(VIRTIO, WIRE_BIT(WIRE_PF_RESET_DEVICE));

		rig_relays(rig, PORT_FRONT_MAIN, enable(0, 1, 1));
		rig_relays(rig, PORT_FRONT_MAIN, wire_request(resets[i], 0));
		assert_false(rig->session->queues[1].enabled);
		rig_front(rig, enable(0, 1, 1));
		rig_nothing_more(rig);
		rig_set_features(rig, VIRTIO);
		sent_enable(rig, 0, 1, 1);
		rig_end(rig);
	}
}

static void test_a_reset_takes_back_the_enables_before_it(void **state)
{
	struct rig *rig = rig_new();

	rig_offer(rig, VIRTIO, WIRE_BIT(WIRE_PF_RESET_DEVICE));
	rig_front(rig, enable(0, 1, 1));
	rig_front(rig, enable(0, 2, 1));
	rig_relays(rig, PORT_FRONT_MAIN, wire_request(WIRE_RESET_DEVICE, 0));
	rig_front(rig, enable(0, 2, 1));
	rig_set_features(rig, VIRTIO);
	sent_enable(rig, 0, 2, 1);
	rig_nothing_more(rig);
	assert_false(rig->session->queues[1].enabled);
	rig_end(rig);
}

static void test_features_without_bit_30_enable_all_and_need_no_held_enable(void **state)
{
	struct rig *rig = rig_new();

	rig_offer(rig, VIRTIO, 0);
	rig_front(rig, enable(0, 1, 0));
	rig_set_features(rig, WIRE_BIT(WIRE_F_VERSION_1));
	rig_nothing_more(rig);
	assert_true(rig->session->queues[0].enabled);
	assert_true(rig->session->queues[1].enabled);
	rig_set_features(rig, VIRTIO);
	rig_nothing_more(rig);
	rig_end(rig);
}

static void test_an_acknowledgement_without_payload_becomes_a_zero(void **state)
{
	struct rig *rig = rig_agreed(VIRTIO, ACKS);

	rig_relays(rig, PORT_FRONT_MAIN, wire_request_u64(WIRE_SET_FEATURES, NEED, VIRTIO));
	rig_back(rig, wire_message_new(WIRE_SET_FEATURES, WIRE_VERSION | WIRE_FLAG_REPLY, 0));
	rig_acknowledged(rig, PORT_FRONT_MAIN, WIRE_SET_FEATURES, 0);
	rig_end(rig);
}

static void test_a_reply_of_no_bytes_that_is_no_acknowledgement_stays_as_it_is(void **state)
{
	struct rig *rig = rig_agreed(VIRTIO, ACKS | WIRE_BIT(WIRE_PF_CONFIG));

	rig_relays(rig, PORT_FRONT_MAIN, wire_request_config(WIRE_GET_CONFIG, 0, 0, 8, 0, NULL));
	rig_relays(rig, PORT_BACK_MAIN,
		   wire_message_new(WIRE_GET_CONFIG, WIRE_VERSION | WIRE_FLAG_REPLY, 0));
	rig_end(rig);
}

static void test_need_reply_is_taken_out_of_replies(void **state)
{
	struct rig *rig = rig_agreed(VIRTIO, ACKS);
	struct wire_message *reply = wire_reply_u64(WIRE_SET_FEATURES, 0);

	reply->header.flags |= NEED;
	rig_relays(rig, PORT_FRONT_MAIN, wire_request_u64(WIRE_SET_FEATURES, NEED, VIRTIO));
	rig_back(rig, reply);
	rig_acknowledged(rig, PORT_FRONT_MAIN, WIRE_SET_FEATURES, 0);
	rig_end(rig);
}

static struct wire_message *iotlb(void)
{
	struct wire_message *message = wire_message_new(WIRE_IOTLB_MSG, WIRE_VERSION | NEED, 32);

	message->payload[24] = 3;
	message->payload[25] = 2;
	return message;
}

static void test_need_reply_without_reply_ack_may_be_answered_or_not(void **state)
{
	struct rig *rig = rig_agreed(VIRTIO | WIRE_BIT(WIRE_F_ACCESS_PLATFORM), 0);

	rig_relays(rig, PORT_FRONT_MAIN, iotlb());
	rig_answers(rig, PORT_BACK_MAIN, WIRE_IOTLB_MSG, 0);
	rig_relays(rig, PORT_FRONT_MAIN, iotlb());
	rig_relays(rig, PORT_FRONT_MAIN, wire_request(WIRE_GET_FEATURES, 0));
	rig_back(rig, wire_reply_u64(WIRE_GET_FEATURES, VIRTIO));
	rig_acknowledged(rig, PORT_FRONT_MAIN, WIRE_GET_FEATURES, VIRTIO);
	assert_int_equal(rig->session->iotlb.updates, 2);
	rig_end(rig);
}

int main(void)
{
#define T(name) cmocka_unit_test(name)
	const struct CMUnitTest tests[] = {
	    T(test_the_front_end_is_shown_only_what_may_be_offered),
	    T(test_bits_acknowledged_but_not_offered_are_left_out_with_one_warning),
	    T(test_protocol_bits_not_offered_are_left_out_too),
	    T(test_without_the_question_every_acknowledged_bit_passes),
	    T(test_one_line_tells_each_negotiation),
	    T(test_holds_enable_until_features_are_set),
	    T(test_acknowledges_a_held_enable_at_once_and_keeps_the_reply_to_its_own),
	    T(test_a_refused_held_enable_is_told_and_does_not_end_the_session),
	    T(test_holds_enables_of_several_rings_and_the_last_of_each_counts),
	    T(test_holds_enable_again_after_a_reset),
	    T(test_a_reset_takes_back_the_enables_before_it),
	    T(test_features_without_bit_30_enable_all_and_need_no_held_enable),
	    T(test_an_acknowledgement_without_payload_becomes_a_zero),
	    T(test_a_reply_of_no_bytes_that_is_no_acknowledgement_stays_as_it_is),
	    T(test_need_reply_is_taken_out_of_replies),
	    T(test_need_reply_without_reply_ack_may_be_answered_or_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
