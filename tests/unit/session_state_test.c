/* SPDX-License-Identifier: BSD-3-Clause */
/* The device status, the rings' life, and questions answered without a back-end. */
#include "session_rig.h"

#include "wire/encode.h"

#include <string.h>

#define ALL UINT64_MAX

static struct wire_message *status(uint32_t flags, uint64_t value)
{
	return wire_request_u64(WIRE_SET_STATUS, flags, value);
}

static struct wire_message *get_base(uint32_t ring)
{
	return wire_request_state(WIRE_GET_VRING_BASE, 0, ring, 0);
}

static void start(struct rig *rig, uint32_t ring)
{
	rig_relays(rig, PORT_FRONT_MAIN,
		   rig_with_fd(rig, wire_request_u64(WIRE_SET_VRING_KICK, 0, ring), 0));
}

static void stop(struct rig *rig, uint32_t ring)
{
	rig_relays(rig, PORT_FRONT_MAIN, get_base(ring));
	rig_relays(rig, PORT_BACK_MAIN, wire_reply_state(WIRE_GET_VRING_BASE, ring, 0x10001));
}

static void test_status_0_waits_until_all_rings_are_stopped(void **state)
{
	struct rig *rig = rig_agreed(ALL, ALL);

	start(rig, 0);
	start(rig, 1);
	rig_front(rig, status(0, 0));
	rig_relays(rig, PORT_FRONT_MAIN, wire_request_state(WIRE_SET_VRING_ENABLE, 0, 0, 0));
	stop(rig, 0);
	rig_relays(rig, PORT_FRONT_MAIN, get_base(1));
	rig_back(rig, wire_reply_state(WIRE_GET_VRING_BASE, 1, 0x10001));
	rig_sent_id(rig, PORT_BACK_MAIN, WIRE_SET_STATUS);
	rig_sent_id(rig, PORT_FRONT_MAIN, WIRE_GET_VRING_BASE);
	rig_nothing_more(rig);
	rig_end(rig);
}

static void test_status_0_goes_before_any_other_message_that_comes(void **state)
{
	struct rig *rig = rig_agreed(ALL, ALL);

	start(rig, 0);
	rig_front(rig, status(0, 0));
	rig_nothing_more(rig);
	rig_front(rig, wire_request(WIRE_GET_FEATURES, 0));
	rig_sent_id(rig, PORT_BACK_MAIN, WIRE_SET_STATUS);
	rig_sent_id(rig, PORT_BACK_MAIN, WIRE_GET_FEATURES);
	rig_nothing_more(rig);
	rig_end(rig);
}

static void test_status_0_goes_before_an_unknown_message_too(void **state)
{
	struct rig *rig = rig_agreed(ALL, ALL);

	start(rig, 0);
	rig_front(rig, status(0, 0));
	rig_front(rig, wire_message_new(1000, WIRE_VERSION, 0));
	rig_sent_id(rig, PORT_BACK_MAIN, WIRE_SET_STATUS);
	rig_sent_id(rig, PORT_BACK_MAIN, 1000);
	rig_nothing_more(rig);
	rig_end(rig);
}

static void test_status_0_is_held_once_at_a_time(void **state)
{
	struct rig *rig = rig_agreed(ALL, ALL);

	start(rig, 0);
	rig_front(rig, status(0, 0));
	rig_front(rig, status(0, 0));
	rig_sent_id(rig, PORT_BACK_MAIN, WIRE_SET_STATUS);
	rig_nothing_more(rig);
	rig_front(rig, status(0, 1));
	rig_sent_id(rig, PORT_BACK_MAIN, WIRE_SET_STATUS);
	assert_int_equal(bytes_load64(rig_sent(rig, PORT_BACK_MAIN)->payload), 1);
	rig_end(rig);
}

static void
test_other_status_passes_and_so_does_0_where_nothing_runs_or_a_reply_is_due(void **state)
{
	struct rig *rig = rig_agreed(ALL, ALL);

	rig_relays(rig, PORT_FRONT_MAIN, status(0, 0));
	start(rig, 0);
	rig_relays(rig, PORT_FRONT_MAIN, status(0, 0xf));
	rig_relays(rig, PORT_FRONT_MAIN, status(NEED, 0));
	rig_answers(rig, PORT_BACK_MAIN, WIRE_SET_STATUS, 0);
	stop(rig, 0);
	rig_relays(rig, PORT_FRONT_MAIN, status(0, 0));
	rig_end(rig);
}

static void test_a_held_status_is_dropped_with_the_session(void **state)
{
	struct rig *rig = rig_agreed(ALL, ALL);

	start(rig, 0);
	rig_front(rig, status(0, 0));
	session_end(rig->session);
	assert_int_equal(rig->session->effects_count, 1);
	rig_end(rig);
}

static void test_the_status_is_known_from_both_directions(void **state)
{
	struct rig *rig = rig_agreed(ALL, ALL);

	rig_relays(rig, PORT_FRONT_MAIN, status(0, 7));
	assert_int_equal(rig->session->status, 7);
	rig_relays(rig, PORT_FRONT_MAIN, wire_request(WIRE_GET_STATUS, 0));
	rig_answers(rig, PORT_BACK_MAIN, WIRE_GET_STATUS, 0xf);
	assert_int_equal(rig->session->status, 0xf);
	rig_end(rig);
}

static void test_a_shared_object_asked_for_without_its_name_is_answered_with_none(void **state)
{
	struct rig *rig = rig_agreed(ALL, ALL);

	rig_relays(rig, PORT_FRONT_MAIN, wire_request(WIRE_GET_STATUS, 0));
	rig_front(rig, wire_request(WIRE_GET_SHARED_OBJECT, 0));
	rig_nothing_more(rig);
	rig_answers(rig, PORT_BACK_MAIN, WIRE_GET_STATUS, 0);
	rig_acknowledged(rig, PORT_FRONT_MAIN, WIRE_GET_SHARED_OBJECT, 1);
	rig_nothing_more(rig);
	rig_relays(rig, PORT_FRONT_MAIN,
		   wire_message_new(WIRE_GET_SHARED_OBJECT, WIRE_VERSION, 16));
	rig_end(rig);
}

static void test_a_ring_starts_with_its_kick_and_stops_with_the_reply(void **state)
{
	struct rig *rig = rig_agreed(ALL, ALL);
	const struct queue_state *queue = &rig->session->queues[1];

	start(rig, 1);
	start(rig, 1);
	assert_true(queue->started && queue->has_kick);
	assert_int_equal(rig_events(rig, "QUEUE_STARTED"), 1);
	rig_relays(rig, PORT_FRONT_MAIN, get_base(1));
	assert_true(queue->started);
	rig_relays(rig, PORT_BACK_MAIN, wire_reply_state(WIRE_GET_VRING_BASE, 1, 0x10001));
	assert_false(queue->started || queue->has_kick || queue->has_call);
	assert_int_equal(rig_events(rig, "QUEUE_STOPPED"), 1);
	assert_int_equal(queue->base, 0x10001);
	rig_end(rig);
}

static void test_a_rings_place_size_and_descriptors_are_known(void **state)
{
	struct rig *rig = rig_agreed(ALL, ALL);
	const struct queue_state *queue = &rig->session->queues[2];

	rig_relays(rig, PORT_FRONT_MAIN, wire_request_state(WIRE_SET_VRING_NUM, 0, 2, 256));
	rig_relays(rig, PORT_FRONT_MAIN, wire_request_state(WIRE_SET_VRING_BASE, 0, 2, 0x78009));
	rig_relays(rig, PORT_FRONT_MAIN, wire_request_addr(0, 2, 1, 11, 22, 33, 44));
	rig_relays(rig, PORT_FRONT_MAIN,
		   rig_with_fd(rig, wire_request_u64(WIRE_SET_VRING_CALL, 0, 2), 0));
	rig_relays(rig, PORT_FRONT_MAIN, wire_request_u64(WIRE_SET_VRING_ERR, 0, 2 | 0x100));
	rig_relays(rig, PORT_FRONT_MAIN, wire_request_state(WIRE_SET_VRING_ENABLE, 0, 2, 1));
	assert_int_equal(queue->size, 256);
	assert_int_equal(queue->base, 0x78009);
	assert_int_equal(queue->flags, 1);
	assert_int_equal(queue->desc, 11);
	assert_int_equal(queue->used, 22);
	assert_int_equal(queue->avail, 33);
	assert_int_equal(queue->log, 44);
	assert_true(queue->has_call && !queue->has_err && queue->enabled && !queue->started);
	rig_end(rig);
}

static void rings_of(enum wire_device device, uint64_t queue_num, unsigned int rings)
{
	struct rig *rig =
	    rig_new_with(&(struct session_config){.device = device, .offers.watch_only = true});

	/* Bits no device is guessed from. */
	rig_offer(rig, WIRE_BIT(WIRE_F_VERSION_1), ALL);
	rig_relays(rig, PORT_FRONT_MAIN, wire_request(WIRE_GET_QUEUE_NUM, 0));
	rig_answers(rig, PORT_BACK_MAIN, WIRE_GET_QUEUE_NUM, queue_num);
	assert_int_equal(rig->session->queue_num, queue_num);
	rig_relays(rig, PORT_FRONT_MAIN, wire_request_state(WIRE_SET_VRING_NUM, 0, rings - 1, 128));
	rig_front(rig, wire_request_state(WIRE_SET_VRING_NUM, 0, rings, 128));
	assert_non_null(strstr(rig_fault(rig, PORT_FRONT_MAIN), "SET_VRING_NUM names ring"));
	rig_end(rig);
}

static void test_a_ring_the_device_can_not_have_is_refused(void **state)
{
	rings_of(WIRE_DEVICE_BLK, 4, 4);
	/* May be pairs: net counts so, and nothing tells the others. */
	rings_of(WIRE_DEVICE_NET, 4, 8);
	rings_of(WIRE_DEVICE_FS, 2, 4);
	/* Or request rings: scsi has two more. */
	rings_of(WIRE_DEVICE_UNKNOWN, 1, 3);
	rings_of(WIRE_DEVICE_NET, 128, WIRE_QUEUES_MAX);
	rings_of(WIRE_DEVICE_BLK, 100000, WIRE_QUEUES_MAX);
	rings_of(WIRE_DEVICE_NET, UINT64_MAX, WIRE_QUEUES_MAX);
	rings_of(WIRE_DEVICE_NET, WIRE_BIT(63), WIRE_QUEUES_MAX);
}

static void test_an_unknown_message_passes_with_its_descriptors_and_one_warning(void **state)
{
	struct rig *rig = rig_agreed(ALL, ALL);

	for (unsigned int i = 0; i < 3; i++) {
		struct wire_message *message = wire_message_new(1000 + i, WIRE_VERSION, 13);

		message->payload[12] = 0xab;
		rig_relays(rig, PORT_FRONT_MAIN, rig_with_fd(rig, rig_with_fd(rig, message, 0), 0));
	}
	assert_int_equal(rig_lines(rig, LEVEL_WARN), 1);
	assert_non_null(strstr(rig_line(rig, LEVEL_WARN), "1000"));
	rig_relays(rig, PORT_BACK_BACKEND, wire_message_new(1000, WIRE_VERSION, 0));
	rig_relays(rig, PORT_BACK_BACKEND, wire_message_new(1000, WIRE_VERSION, 0));
	assert_int_equal(rig_lines(rig, LEVEL_WARN), 2);
	rig_end(rig);
}

static void test_an_unknown_message_may_be_answered_or_not(void **state)
{
	struct rig *rig = rig_agreed(ALL, ALL);

	rig_relays(rig, PORT_FRONT_MAIN, wire_message_new(1000, WIRE_VERSION, 4));
	rig_relays(rig, PORT_BACK_MAIN,
		   rig_with_fd(rig, wire_message_new(1000, WIRE_VERSION | WIRE_FLAG_REPLY, 77), 0));
	rig_relays(rig, PORT_FRONT_MAIN, wire_message_new(1000, WIRE_VERSION, 4));
	rig_relays(rig, PORT_FRONT_MAIN, wire_request(WIRE_GET_STATUS, 0));
	rig_answers(rig, PORT_BACK_MAIN, WIRE_GET_STATUS, 0);
	rig_end(rig);
}

int main(void)
{
#define T(name) cmocka_unit_test(name)
	const struct CMUnitTest tests[] = {
	    T(test_status_0_waits_until_all_rings_are_stopped),
	    T(test_status_0_goes_before_any_other_message_that_comes),
	    T(test_status_0_goes_before_an_unknown_message_too),
	    T(test_status_0_is_held_once_at_a_time),
	    T(test_other_status_passes_and_so_does_0_where_nothing_runs_or_a_reply_is_due),
	    T(test_a_held_status_is_dropped_with_the_session),
	    T(test_the_status_is_known_from_both_directions),
	    T(test_a_shared_object_asked_for_without_its_name_is_answered_with_none),
	    T(test_a_ring_starts_with_its_kick_and_stops_with_the_reply),
	    T(test_a_rings_place_size_and_descriptors_are_known),
	    T(test_a_ring_the_device_can_not_have_is_refused),
	    T(test_an_unknown_message_passes_with_its_descriptors_and_one_warning),
	    T(test_an_unknown_message_may_be_answered_or_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
