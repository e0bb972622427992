/* SPDX-License-Identifier: BSD-3-Clause */
/* A peer that breaks a rule: one line that names message and rule, and nothing is lost. */
#include "session_rig.h"

#include "wire/encode.h"

#include <string.h>

#define ALL UINT64_MAX

/* The message at `port` ends the session with a line that has both texts. */
static void is_fault(struct rig *rig, enum session_port port, struct wire_message *message,
		     const char *name, const char *rule)
{
	const char *line;

	rig_receive(rig, port, message);
	line = rig_fault(rig, port);
	if (!strstr(line, name) || !strstr(line, rule))
		fail_msg("\"%s\" names not both \"%s\" and \"%s\"", line, name, rule);
	rig_end(rig);
}

static struct rig *asked(void)
{
	struct rig *rig = rig_agreed(ALL, ALL);

	rig_relays(rig, PORT_FRONT_MAIN, wire_request(WIRE_GET_STATUS, 0));
	rig_relays(rig, PORT_BACK_BACKEND, wire_request(WIRE_BACKEND_CONFIG_CHANGE_MSG, NEED));
	return rig;
}

static void test_requests_of_a_wrong_size_are_refused(void **state)
{
	is_fault(rig_agreed(ALL, ALL), PORT_FRONT_MAIN,
		 wire_message_new(WIRE_SET_FEATURES, WIRE_VERSION, 7), "SET_FEATURES", "8");
	is_fault(rig_agreed(ALL, ALL), PORT_FRONT_MAIN,
		 wire_message_new(WIRE_GET_FEATURES, WIRE_VERSION, 1), "GET_FEATURES", "0");
	is_fault(rig_agreed(ALL, ALL), PORT_BACK_BACKEND,
		 wire_message_new(WIRE_BACKEND_IOTLB_MSG, WIRE_VERSION, 25), "BACKEND_IOTLB_MSG",
		 "26 to 32");
}

static void test_a_wrong_number_of_descriptors_is_refused_and_they_are_dropped(void **state)
{
	struct rig *rig = rig_agreed(ALL, ALL);
	struct wire_message *message = wire_request(WIRE_SET_OWNER, 0);

	rig_with_fd(rig, rig_with_fd(rig, message, 5), 6);
	rig_front(rig, message);
	assert_int_equal(rig_fate(rig, RIG_FD_FIRST), RIG_DROPPED);
	assert_int_equal(rig_fate(rig, RIG_FD_FIRST + 1), RIG_DROPPED);
	assert_non_null(strstr(rig_fault(rig, PORT_FRONT_MAIN), "SET_OWNER came with 2"));
	rig_end(rig);
	is_fault(rig_agreed(ALL, ALL), PORT_FRONT_MAIN, wire_request_u64(WIRE_SET_VRING_KICK, 0, 1),
		 "SET_VRING_KICK", "must have 1");
}

static void test_what_was_not_negotiated_is_refused_with_the_bits_name(void **state)
{
	is_fault(rig_new(), PORT_FRONT_MAIN, wire_request(WIRE_GET_PROTOCOL_FEATURES, 0),
		 "GET_PROTOCOL_FEATURES", "PROTOCOL_FEATURES (bit 30)");
	is_fault(rig_agreed(ALL, 0), PORT_FRONT_MAIN, wire_request(WIRE_GET_QUEUE_NUM, 0),
		 "GET_QUEUE_NUM", "MQ (bit 0)");
	is_fault(rig_agreed(WIRE_BIT(WIRE_F_VERSION_1), ALL), PORT_BACK_BACKEND,
		 wire_message_new(WIRE_BACKEND_IOTLB_MSG, WIRE_VERSION, 32), "BACKEND_IOTLB_MSG",
		 "ACCESS_PLATFORM (bit 33)");
}

static void test_a_back_end_may_not_use_a_bit_the_front_end_left_out(void **state)
{
	struct rig *rig = rig_new();

	rig_offer(rig, ALL, WIRE_BIT(WIRE_PF_CONFIG));
	rig_front(rig, wire_request_u64(WIRE_SET_PROTOCOL_FEATURES, 0, 0));
	is_fault(rig, PORT_BACK_BACKEND, wire_request(WIRE_BACKEND_CONFIG_CHANGE_MSG, 0),
		 "BACKEND_CONFIG_CHANGE_MSG", "CONFIG (bit 9)");
}

static void test_flags_that_do_not_exist_are_refused(void **state)
{
	is_fault(rig_agreed(ALL, ALL), PORT_FRONT_MAIN, wire_request(WIRE_GET_FEATURES, 0x10),
		 "GET_FEATURES", "flags 0x11");
}

static void test_a_reply_from_the_requesters_side_is_refused(void **state)
{
	is_fault(asked(), PORT_FRONT_MAIN, wire_reply_u64(WIRE_GET_STATUS, 0), "id 40",
		 "only requests");
	is_fault(asked(), PORT_BACK_BACKEND, wire_reply_u64(WIRE_BACKEND_CONFIG_CHANGE_MSG, 0),
		 "id 2", "only requests");
}

static void test_a_request_from_the_answering_side_is_refused(void **state)
{
	is_fault(asked(), PORT_BACK_MAIN, wire_request(WIRE_GET_STATUS, 0), "id 40",
		 "only replies");
	is_fault(asked(), PORT_FRONT_BACKEND, wire_request(WIRE_BACKEND_CONFIG_CHANGE_MSG, 0),
		 "id 2", "only replies");
}

static void test_a_reply_to_nothing_is_refused(void **state)
{
	is_fault(rig_agreed(ALL, ALL), PORT_BACK_MAIN, wire_reply_u64(WIRE_GET_STATUS, 0),
		 "GET_STATUS", "no request is without one");
	is_fault(rig_agreed(ALL, ALL), PORT_FRONT_BACKEND,
		 wire_reply_u64(WIRE_BACKEND_CONFIG_CHANGE_MSG, 0), "BACKEND_CONFIG_CHANGE_MSG",
		 "no request is without one");
}

static void test_a_reply_to_the_wrong_request_is_refused_with_the_one_due(void **state)
{
	is_fault(asked(), PORT_BACK_MAIN, wire_reply_u64(WIRE_GET_QUEUE_NUM, 0),
		 "a reply to GET_QUEUE_NUM", "GET_STATUS");
	is_fault(asked(), PORT_FRONT_BACKEND, wire_reply_u64(WIRE_BACKEND_IOTLB_MSG, 0),
		 "a reply to BACKEND_IOTLB_MSG", "BACKEND_CONFIG_CHANGE_MSG");
	is_fault(asked(), PORT_BACK_MAIN, wire_reply_u64(1000, 0), "unknown message 1000",
		 "GET_STATUS");
}

static void test_a_reply_of_a_wrong_size_or_with_descriptors_is_refused(void **state)
{
	struct rig *rig = asked();

	is_fault(asked(), PORT_BACK_MAIN,
		 wire_message_new(WIRE_GET_STATUS, WIRE_VERSION | WIRE_FLAG_REPLY, 4), "GET_STATUS",
		 "8");
	is_fault(rig, PORT_BACK_MAIN, rig_with_fd(rig, wire_reply_u64(WIRE_GET_STATUS, 0), 5),
		 "GET_STATUS", "1 descriptors");
}

static void test_after_a_fault_everything_is_dropped_and_no_second_line_comes(void **state)
{
	struct rig *rig = asked();
	unsigned int faults = 0;
	unsigned int before;

	rig_front(rig, wire_request(WIRE_GET_STATUS, 0x100));
	before = rig->count;
	for (enum session_port port = 0; port < PORT_COUNT; port++) {
		struct wire_message *message = wire_request(WIRE_SET_LOG_FD, 0);

		rig_receive(rig, port, rig_with_fd(rig, message, 5));
		assert_int_equal(rig_fate(rig, RIG_FD_FIRST + rig->fds - 1), RIG_DROPPED);
	}
	assert_int_equal(rig->count, before + PORT_COUNT);
	for (unsigned int i = 0; i < rig->count; i++)
		faults += rig->effects[i].kind == EFFECT_FAULT;
	assert_int_equal(faults, 1);
	rig_end(rig);
}

static void test_ending_gives_up_every_message_kept(void **state)
{
	struct rig *rig = rig_agreed(ALL, ALL);
	unsigned int before;

	rig_relays(rig, PORT_FRONT_MAIN, wire_request(WIRE_GET_STATUS, 0));
	for (uint32_t ring = 10; ring < 15; ring++)
		rig_front(rig, wire_request_state(WIRE_GET_VRING_BASE, 0, ring, 0));
	rig_nothing_more(rig);
	before = rig->count;
	session_end(rig->session);
	/* One of them is the question the back-end owes an answer to, to be asked again. */
	assert_int_equal(rig->session->effects_count, 6);
	assert_int_equal(rig->count, before);
	rig_end(rig);
}

int main(void)
{
#define T(name) cmocka_unit_test(name)
	const struct CMUnitTest tests[] = {
	    T(test_requests_of_a_wrong_size_are_refused),
	    T(test_a_wrong_number_of_descriptors_is_refused_and_they_are_dropped),
	    T(test_what_was_not_negotiated_is_refused_with_the_bits_name),
	    T(test_a_back_end_may_not_use_a_bit_the_front_end_left_out),
	    T(test_flags_that_do_not_exist_are_refused),
	    T(test_a_reply_from_the_requesters_side_is_refused),
	    T(test_a_request_from_the_answering_side_is_refused),
	    T(test_a_reply_to_nothing_is_refused),
	    T(test_a_reply_to_the_wrong_request_is_refused_with_the_one_due),
	    T(test_a_reply_of_a_wrong_size_or_with_descriptors_is_refused),
	    T(test_after_a_fault_everything_is_dropped_and_no_second_line_comes),
	    T(test_ending_gives_up_every_message_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
