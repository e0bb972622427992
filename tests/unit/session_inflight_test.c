/* SPDX-License-Identifier: BSD-3-Clause */
/* The inflight record, kept here where the back-end keeps none. */
#include "shadow_rig.h"

#include "ring/inflight.h"

#include <string.h>

static struct rig *disk(uint64_t virtio)
{
	struct rig *rig = shadow_new(MODE_AUTO, WIRE_DEVICE_BLK, virtio, PROTOCOL);

	assert_true(rig->session->record_ours);
	return rig;
}

static struct wire_message *request(uint32_t id, uint64_t size, unsigned int queues,
				    unsigned int length)
{
	struct wire_message *message =
	    wire_message_new(id, WIRE_VERSION, wire_payload(WIRE_PAYLOAD_INFLIGHT)->most);

	bytes_store64(message->payload, size);
	bytes_store64(message->payload + 8, 0);
	bytes_store16(message->payload + 16, (uint16_t)queues);
	bytes_store16(message->payload + 18, (uint16_t)length);
	return message;
}

static struct wire_message *taken(struct rig *rig, uint64_t size, unsigned int queues,
				  unsigned int length)
{
	return rig_with_fd(rig, request(WIRE_SET_INFLIGHT_FD, size, queues, length), 77);
}

static void test_it_is_offered_where_the_back_end_has_none_and_not_passed_on(void **state)
{
	struct rig *rig = rig_new_with(&(struct session_config){
	    .mode = MODE_AUTO, .device = WIRE_DEVICE_BLK, .keep_record = true});
	uint64_t shown;

	rig_front(rig, wire_request(WIRE_GET_FEATURES, 0));
	rig_sent_id(rig, PORT_BACK_MAIN, WIRE_GET_FEATURES);
	rig_answers(rig, PORT_BACK_MAIN, WIRE_GET_FEATURES,
		    DISK | WIRE_BIT(WIRE_F_PROTOCOL_FEATURES));
	rig_front(rig, wire_request(WIRE_GET_PROTOCOL_FEATURES, 0));
	rig_sent_id(rig, PORT_BACK_MAIN, WIRE_GET_PROTOCOL_FEATURES);
	rig_back(rig, wire_reply_u64(WIRE_GET_PROTOCOL_FEATURES, PROTOCOL));
	shown =
	    bytes_load64(rig_sent_id(rig, PORT_FRONT_MAIN, WIRE_GET_PROTOCOL_FEATURES)->payload);
	assert_int_equal(shown, PROTOCOL | INFLIGHT);
	rig_front(rig, wire_request_u64(WIRE_SET_PROTOCOL_FEATURES, 0, shown));
	assert_int_equal(
	    bytes_load64(rig_sent_id(rig, PORT_BACK_MAIN, WIRE_SET_PROTOCOL_FEATURES)->payload),
	    PROTOCOL);
	rig_idle(rig);
	rig_set_features(rig, rig->session->virtio.shown);
	assert_non_null(strstr(rig_line(rig, LEVEL_INFO), "synthesised: INFLIGHT_SHMFD"));
	rig_end(rig);
}

static void test_it_is_the_back_ends_where_it_has_one(void **state)
{
	struct rig *rig = shadow_new(MODE_AUTO, WIRE_DEVICE_BLK, DISK, PROTOCOL | INFLIGHT);
	const struct wire_message *asked;

	assert_false(rig->session->record_ours);
	assert_true(rig->session->protocol.passed & INFLIGHT);
	rig_front(rig, request(WIRE_GET_INFLIGHT_FD, 0, 2, 128));
	asked = rig_then_sent(rig, PORT_BACK_MAIN, WIRE_GET_INFLIGHT_FD);
	assert_int_equal(bytes_load16(asked->payload + 16), 2);
	rig_idle(rig);
	rig_end(rig);
}

/* Its own would be of a ring that is not the guest's. */
static void test_it_is_ours_for_relayed_rings_whatever_the_back_end_has(void **state)
{
	struct rig *rig = shadow_new(MODE_SHADOW, WIRE_DEVICE_BLK, DISK, PROTOCOL | INFLIGHT);

	assert_true(rig->session->record_ours);
	assert_true(rig->session->protocol.shown & INFLIGHT);
	assert_false(rig->session->protocol.passed & INFLIGHT);
	rig_end(rig);
}

static void not_offered(const struct session_config *config)
{
	struct rig *rig = rig_new_with(config);

	rig_offer(rig, DISK, PROTOCOL);
	assert_false(rig->session->protocol.shown & INFLIGHT);
	rig_end(rig);
}

static void test_it_is_not_offered_where_nobody_would_keep_it(void **state)
{
	not_offered(&(struct session_config){.device = WIRE_DEVICE_NET, .keep_record = true});
	not_offered(&(struct session_config){.device = WIRE_DEVICE_BLK});
	not_offered(&(struct session_config){
	    .device = WIRE_DEVICE_BLK, .keep_record = true, .mode = MODE_DIRECT});
	not_offered(&(struct session_config){
	    .device = WIRE_DEVICE_BLK, .keep_record = true, .offers.watch_only = true});
	not_offered(&(struct session_config){
	    .device = WIRE_DEVICE_BLK, .keep_record = true, .offers.hide_protocol = INFLIGHT});
}

static void given(struct rig *rig, unsigned int queues, unsigned int length, uint64_t bytes)
{
	const struct wire_message *reply;
	const struct effect *effect;

	rig_front(rig, request(WIRE_GET_INFLIGHT_FD, 0, queues, length));
	effect = rig_then(rig, EFFECT_RECORD_NEW, 0);
	assert_int_equal(effect->size, bytes);
	reply = rig_then_sent(rig, PORT_FRONT_MAIN, WIRE_GET_INFLIGHT_FD);
	assert_int_equal(reply->header.flags, WIRE_VERSION | WIRE_FLAG_REPLY);
	assert_int_equal(bytes_load64(reply->payload), bytes);
	assert_int_equal(bytes_load64(reply->payload + 8), 0);
	assert_int_equal(bytes_load16(reply->payload + 16), queues);
	assert_int_equal(bytes_load16(reply->payload + 18), length);
	assert_int_equal(reply->fds.count, 1);
	assert_int_equal(reply->fds.entries[0].fd, SESSION_FD_RECORD);
	rig_idle(rig);
}

static void test_a_record_is_made_of_the_size_the_format_needs(void **state)
{
	struct rig *rig = disk(DISK);

	/* 16 + 16 * 128, rounded up to 64, for each queue. */
	given(rig, 1, 128, 2112);
	given(rig, 2, 128, 4224);
	given(rig, 1, 32768, inflight_bytes(RING_SPLIT, 32768));
	rig_end(rig);
	rig = disk(PACKED);
	given(rig, 3, 256, 3 * inflight_bytes(RING_PACKED, 256));
	rig_end(rig);
}

static struct rig *disk_before_features(uint64_t virtio)
{
	struct rig *rig = rig_new_with(&(struct session_config){
	    .mode = MODE_AUTO, .device = WIRE_DEVICE_BLK, .keep_record = true});

	rig_offer(rig, virtio, PROTOCOL);
	assert_true(rig->session->record_ours);
	return rig;
}

static void test_a_record_asked_for_before_the_format_is_known_has_room_for_either(void **state)
{
	struct rig *rig = disk_before_features(PACKED);

	given(rig, 3, 256, 3 * inflight_bytes(RING_PACKED, 256));
	rig_end(rig);
	/* One that was made for split rings, and is given back as early. */
	rig = disk_before_features(DISK);
	rig_front(rig, taken(rig, 2112, 1, 128));
	rig_then(rig, EFFECT_RECORD_MAP, 0);
	rig_idle(rig);
	rig_end(rig);
}

static void asked_too_much(unsigned int queues, unsigned int length)
{
	struct rig *rig = disk(DISK);

	rig_front(rig, request(WIRE_GET_INFLIGHT_FD, 0, queues, length));
	assert_non_null(strstr(rig_fault(rig, PORT_FRONT_MAIN), "GET_INFLIGHT_FD for"));
	rig_end(rig);
}

static void test_a_record_of_no_size_or_too_much_is_refused(void **state)
{
	asked_too_much(0, 128);
	asked_too_much(1, 0);
	asked_too_much(WIRE_QUEUES_MAX + 1, 128);
	asked_too_much(1, 32769);
}

static void test_a_record_given_back_is_mapped_and_acknowledged_here(void **state)
{
	struct rig *rig = disk(DISK);
	struct wire_message *message = taken(rig, 4224, 2, 128);

	message->header.flags |= NEED;
	rig_front(rig, message);
	rig_then(rig, EFFECT_RECORD_MAP, 0);
	rig_acknowledged(rig, PORT_FRONT_MAIN, WIRE_SET_INFLIGHT_FD, 0);
	rig_idle(rig);
	assert_int_equal(rig->session->record_queues, 2);
	assert_int_equal(rig->session->record_size, 128);
	rig_end(rig);
}

static void given_too_little(uint64_t size, unsigned int queues, unsigned int length)
{
	struct rig *rig = disk(DISK);

	rig_front(rig, taken(rig, size, queues, length));
	assert_non_null(strstr(rig_fault(rig, PORT_FRONT_MAIN), "SET_INFLIGHT_FD"));
	rig_end(rig);
}

/* What it has in flight would silently never be submitted again. */
static void test_a_record_too_short_for_its_queues_is_refused(void **state)
{
	given_too_little(4223, 2, 128);
	given_too_little(0, 1, 128);
	given_too_little(4224, 0, 128);
	given_too_little(4224, 1, 0);
	given_too_little(1 << 30, WIRE_QUEUES_MAX + 1, 128);
	given_too_little(1 << 30, 1, 32769);
}

static void attached(struct rig *rig, unsigned int ring, bool resubmit)
{
	shadow_starts(rig, ring);
	rig_then(rig, EFFECT_KEEP_KICK, ring);
	assert_int_equal(rig_then(rig, EFFECT_ATTACH, ring)->resubmit, resubmit);
	for (unsigned int i = 0; i < 5; i++)
		rig_sent(rig, PORT_BACK_MAIN);
	rig_idle(rig);
}

static void stopped(struct rig *rig, unsigned int ring)
{
	shadow_asks_base(rig, ring);
	rig_then(rig, EFFECT_DRAIN, ring);
	rig_drained(rig, ring, 9);
	rig_then(rig, EFFECT_DETACH, ring);
	rig_then_sent(rig, PORT_BACK_MAIN, WIRE_GET_VRING_BASE);
	rig_back(rig, wire_reply_state(WIRE_GET_VRING_BASE, ring, 1));
	shadow_base_answered(rig, ring, 9);
	rig_idle(rig);
}

static void test_what_a_record_given_back_has_is_submitted_again_once_a_ring(void **state)
{
	struct rig *rig = disk(DISK);

	shadow_table(rig, 1);
	rig_front(rig, taken(rig, 4224, 2, 128));
	rig_then(rig, EFFECT_RECORD_MAP, 0);
	attached(rig, 0, true);
	attached(rig, 1, true);
	/* Drained, nothing is in flight: what the record says after that is ours. */
	stopped(rig, 0);
	attached(rig, 0, false);
	rig_end(rig);
}

static void test_a_new_record_has_nothing_to_submit(void **state)
{
	struct rig *rig = disk(DISK);

	shadow_table(rig, 1);
	rig_front(rig, taken(rig, 2112, 1, 128));
	rig_then(rig, EFFECT_RECORD_MAP, 0);
	given(rig, 1, 128, 2112);
	attached(rig, 0, false);
	rig_end(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_it_is_offered_where_the_back_end_has_none_and_not_passed_on),
	    cmocka_unit_test(test_it_is_the_back_ends_where_it_has_one),
	    cmocka_unit_test(test_it_is_ours_for_relayed_rings_whatever_the_back_end_has),
	    cmocka_unit_test(test_it_is_not_offered_where_nobody_would_keep_it),
	    cmocka_unit_test(test_a_record_is_made_of_the_size_the_format_needs),
	    cmocka_unit_test(
		test_a_record_asked_for_before_the_format_is_known_has_room_for_either),
	    cmocka_unit_test(test_a_record_of_no_size_or_too_much_is_refused),
	    cmocka_unit_test(test_a_record_given_back_is_mapped_and_acknowledged_here),
	    cmocka_unit_test(test_a_record_too_short_for_its_queues_is_refused),
	    cmocka_unit_test(test_what_a_record_given_back_has_is_submitted_again_once_a_ring),
	    cmocka_unit_test(test_a_new_record_has_nothing_to_submit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
