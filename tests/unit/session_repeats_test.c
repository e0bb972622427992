/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What QEMU 7.2 multi-queue net sends once for each queue pair and a back-end
 * may see once only; and what a back-end must not be asked, or answers short.
 */
#include "session_rig.h"

#include "wire/encode.h"

#include <stdio.h>
#include <string.h>

#define PACKED (WIRE_BIT(WIRE_F_RING_PACKED) | WIRE_BIT(WIRE_F_VERSION_1))
#define ALL    UINT64_MAX

static const struct wire_region region = {.gpa = 0x100000, .size = 0x200000, .uva = 0x7f0000000000};

static struct wire_message *log_base(struct rig *rig, uint64_t inode)
{
	struct wire_message *message = wire_message_new(WIRE_SET_LOG_BASE, WIRE_VERSION, 16);

	bytes_store64(message->payload, 8192);
	return rig_with_fd(rig, message, inode);
}

/* libvhost-user leaves the size of the log in its reply. */
static struct wire_message *log_reply(uint32_t size, uint64_t value)
{
	struct wire_message *message =
	    wire_message_new(WIRE_SET_LOG_BASE, WIRE_VERSION | WIRE_FLAG_REPLY, size);

	for (uint32_t i = 8; i < size; i++)
		message->payload[i] = (uint8_t)i;
	if (size)
		bytes_store64(message->payload, value);
	return message;
}

static struct wire_message *add(struct rig *rig, uint32_t flags, uint64_t inode)
{
	return rig_with_fd(rig, wire_request_region(WIRE_ADD_MEM_REG, flags, &region), inode);
}

static struct wire_message *rem(uint32_t flags)
{
	return wire_request_region(WIRE_REM_MEM_REG, flags, &region);
}

static void test_a_log_given_twice_is_answered_as_the_first_was_and_not_passed_on(void **state)
{
	static const uint32_t sizes[] = {0, 8, 16};

	for (unsigned int i = 0; i < 3; i++) {
		struct rig *rig = rig_agreed(ALL, ALL);
		struct wire_message *expected = log_reply(sizes[i], 8192);
		const struct wire_message *reply;

		rig_relays(rig, PORT_FRONT_MAIN, log_base(rig, 5));
		rig_relays(rig, PORT_BACK_MAIN, log_reply(sizes[i], 8192));
		rig_front(rig, log_base(rig, 5));
		reply = rig_sent_id(rig, PORT_FRONT_MAIN, WIRE_SET_LOG_BASE);
		assert_int_equal(reply->header.flags, WIRE_VERSION | WIRE_FLAG_REPLY);
		assert_int_equal(reply->header.size, sizes[i]);
		assert_memory_equal(reply->payload, expected->payload, sizes[i]);
		rig_nothing_more(rig);
		wire_message_free(expected);
		rig_end(rig);
	}
}

static void test_the_second_descriptor_of_a_log_is_dropped(void **state)
{
	struct rig *rig = rig_agreed(ALL, ALL);

	rig_relays(rig, PORT_FRONT_MAIN, log_base(rig, 5));
	rig_relays(rig, PORT_BACK_MAIN, log_reply(8, 0));
	rig_front(rig, log_base(rig, 5));
	assert_int_equal(rig_fate(rig, RIG_FD_FIRST + 1), RIG_DROPPED);
	rig_end(rig);
}

static void test_another_log_is_passed_on(void **state)
{
	struct rig *rig = rig_agreed(ALL, ALL);

	rig_relays(rig, PORT_FRONT_MAIN, log_base(rig, 5));
	rig_relays(rig, PORT_FRONT_MAIN, log_base(rig, 6));
	rig_relays(rig, PORT_FRONT_MAIN, log_base(rig, 5));
	rig_end(rig);
}

static void test_a_log_repeated_before_the_first_reply_is_answered_after_it(void **state)
{
	struct rig *rig = rig_agreed(ALL, ALL);

	rig_relays(rig, PORT_FRONT_MAIN, log_base(rig, 5));
	rig_front(rig, log_base(rig, 5));
	rig_nothing_more(rig);
	rig_back(rig, log_reply(8, 0));
	rig_acknowledged(rig, PORT_FRONT_MAIN, WIRE_SET_LOG_BASE, 0);
	rig_sent_id(rig, PORT_FRONT_MAIN, WIRE_SET_LOG_BASE);
	rig_nothing_more(rig);
	rig_end(rig);
}

static void test_a_region_added_twice_is_acknowledged_and_passed_on_once(void **state)
{
	struct rig *rig = rig_agreed(ALL, ALL);

	rig_relays(rig, PORT_FRONT_MAIN, add(rig, NEED, 5));
	rig_answers(rig, PORT_BACK_MAIN, WIRE_ADD_MEM_REG, 0);
	rig_front(rig, add(rig, NEED, 5));
	rig_acknowledged(rig, PORT_FRONT_MAIN, WIRE_ADD_MEM_REG, 0);
	assert_int_equal(rig_fate(rig, RIG_FD_FIRST + 1), RIG_DROPPED);
	rig_front(rig, add(rig, 0, 5));
	rig_nothing_more(rig);
	assert_int_equal(regions_live(&rig->session->regions), 1);
	rig_end(rig);
}

static void test_a_region_of_another_file_is_no_repetition(void **state)
{
	struct rig *rig = rig_agreed(ALL, ALL);

	rig_relays(rig, PORT_FRONT_MAIN, add(rig, 0, 5));
	rig_relays(rig, PORT_FRONT_MAIN, add(rig, 0, 6));
	rig_end(rig);
}

static void test_a_region_removed_twice_is_acknowledged_and_passed_on_once(void **state)
{
	struct rig *rig = rig_agreed(ALL, ALL);

	rig_relays(rig, PORT_FRONT_MAIN, add(rig, 0, 5));
	rig_relays(rig, PORT_FRONT_MAIN, rem(NEED));
	rig_answers(rig, PORT_BACK_MAIN, WIRE_REM_MEM_REG, 0);
	rig_front(rig, rig_with_fd(rig, rem(NEED), 5));
	rig_acknowledged(rig, PORT_FRONT_MAIN, WIRE_REM_MEM_REG, 0);
	assert_int_equal(rig_fate(rig, RIG_FD_FIRST + 1), RIG_DROPPED);
	rig_nothing_more(rig);
	rig_relays(rig, PORT_FRONT_MAIN, add(rig, 0, 5));
	rig_relays(rig, PORT_FRONT_MAIN, rem(0));
	rig_end(rig);
}

static void test_removing_what_was_never_added_is_the_back_ends_to_refuse(void **state)
{
	struct rig *rig = rig_agreed(ALL, ALL);

	rig_relays(rig, PORT_FRONT_MAIN, rem(NEED));
	rig_answers(rig, PORT_BACK_MAIN, WIRE_REM_MEM_REG, 1);
	rig_end(rig);
}

static void test_a_region_the_back_end_refused_may_be_added_again(void **state)
{
	struct rig *rig = rig_agreed(ALL, ALL);

	rig_relays(rig, PORT_FRONT_MAIN, add(rig, NEED, 5));
	rig_answers(rig, PORT_BACK_MAIN, WIRE_ADD_MEM_REG, 1);
	assert_int_equal(regions_live(&rig->session->regions), 0);
	rig_relays(rig, PORT_FRONT_MAIN, add(rig, NEED, 5));
	rig_answers(rig, PORT_BACK_MAIN, WIRE_ADD_MEM_REG, 0);
	assert_int_equal(regions_live(&rig->session->regions), 1);
	rig_end(rig);
}

static void test_a_removal_the_back_end_refused_may_be_asked_again(void **state)
{
	struct rig *rig = rig_agreed(ALL, ALL);

	rig_relays(rig, PORT_FRONT_MAIN, add(rig, 0, 5));
	rig_relays(rig, PORT_FRONT_MAIN, rem(NEED));
	rig_answers(rig, PORT_BACK_MAIN, WIRE_REM_MEM_REG, 1);
	assert_int_equal(regions_live(&rig->session->regions), 1);
	rig_relays(rig, PORT_FRONT_MAIN, rem(NEED));
	rig_end(rig);
}

static void test_too_many_regions_end_the_session(void **state)
{
	struct rig *rig = rig_agreed(ALL, ALL);
	struct wire_region at = region;

	for (unsigned int i = 0; i < WIRE_SLOTS_MAX; i++) {
		at.gpa += at.size;
		rig_relays(rig, PORT_FRONT_MAIN,
			   rig_with_fd(rig, wire_request_region(WIRE_ADD_MEM_REG, 0, &at), 5));
	}
	at.gpa += at.size;
	rig_front(rig, rig_with_fd(rig, wire_request_region(WIRE_ADD_MEM_REG, 0, &at), 5));
	assert_non_null(strstr(rig_fault(rig, PORT_FRONT_MAIN), "ADD_MEM_REG"));
	rig_end(rig);
}

static void test_a_region_longer_than_its_file_is_passed_on_with_a_warning(void **state)
{
	struct rig *rig = rig_agreed(ALL, ALL);
	struct wire_message *message = add(rig, 0, 5);

	message->fds.entries[0].size = region.size - 1;
	rig_relays(rig, PORT_FRONT_MAIN, message);
	assert_non_null(strstr(rig_line(rig, LEVEL_WARN), "0x100000"));
	rig_end(rig);
}

static struct wire_message *get_base(uint32_t ring)
{
	return wire_request_state(WIRE_GET_VRING_BASE, 0, ring, 0);
}

static void base_is(struct rig *rig, uint32_t ring, uint32_t base)
{
	const struct wire_message *reply = rig_sent_id(rig, PORT_FRONT_MAIN, WIRE_GET_VRING_BASE);

	assert_int_equal(reply->header.flags, WIRE_VERSION | WIRE_FLAG_REPLY);
	assert_int_equal(bytes_load32(reply->payload), ring);
	assert_int_equal(bytes_load32(reply->payload + 4), base);
	rig_nothing_more(rig);
}

static void test_the_base_of_a_ring_never_seen_is_answered_here(void **state)
{
	struct rig *rig = rig_agreed(WIRE_BIT(WIRE_F_VERSION_1), ALL);

	rig_front(rig, get_base(3));
	base_is(rig, 3, 0);
	rig_end(rig);
	rig = rig_agreed(PACKED, ALL);
	rig_front(rig, get_base(3));
	base_is(rig, 3, 0x80008000);
	rig_end(rig);
}

static void test_the_base_of_a_ring_whose_enable_is_held_is_answered_here(void **state)
{
	struct rig *rig = rig_new();

	rig_offer(rig, 0, 0);
	rig_front(rig, wire_request_state(WIRE_SET_VRING_ENABLE, 0, 2, 1));
	rig_front(rig, get_base(2));
	base_is(rig, 2, 0);
	rig_end(rig);
}

static void test_a_ring_the_back_end_heard_of_is_asked(void **state)
{
	static const uint32_t ids[] = {WIRE_SET_VRING_NUM, WIRE_SET_VRING_BASE,
				       WIRE_SET_VRING_ENABLE, WIRE_SET_VRING_ENDIAN};

	for (unsigned int i = 0; i < 4; i++) {
		struct rig *rig = rig_agreed(ALL, ALL);

		rig_relays(rig, PORT_FRONT_MAIN, wire_request_state(ids[i], 0, 2, 1));
		rig_relays(rig, PORT_FRONT_MAIN, get_base(2));
		rig_end(rig);
	}
}

static void replies_base(struct rig *rig, uint32_t given, uint32_t expected)
{
	rig_relays(rig, PORT_FRONT_MAIN, wire_request_state(WIRE_SET_VRING_NUM, 0, 1, 256));
	rig_relays(rig, PORT_FRONT_MAIN, get_base(1));
	rig_back(rig, wire_reply_state(WIRE_GET_VRING_BASE, 1, given));
	base_is(rig, 1, expected);
	assert_int_equal(rig->session->queues[1].base, expected);
}

static void test_a_packed_base_without_its_upper_half_is_completed(void **state)
{
	struct rig *rig = rig_agreed(PACKED, ALL);

	replies_base(rig, 0x8005, 0x80058005);
	replies_base(rig, 0x0007, 0x00070007);
	rig_end(rig);
}

static void test_a_back_end_that_gives_whole_packed_bases_is_believed(void **state)
{
	struct rig *rig = rig_agreed(PACKED, ALL);

	replies_base(rig, 0x80048005, 0x80048005);
	/* Used index 0 and wrap 0: a zero half that is meant. */
	replies_base(rig, 0x0007, 0x0007);
	rig_end(rig);
}

static void test_a_split_base_is_left_alone(void **state)
{
	struct rig *rig = rig_agreed(WIRE_BIT(WIRE_F_VERSION_1), ALL);

	replies_base(rig, 0x8005, 0x8005);
	rig_end(rig);
}

int main(void)
{
#define T(name) cmocka_unit_test(name)
	const struct CMUnitTest tests[] = {
	    T(test_a_log_given_twice_is_answered_as_the_first_was_and_not_passed_on),
	    T(test_the_second_descriptor_of_a_log_is_dropped),
	    T(test_another_log_is_passed_on),
	    T(test_a_log_repeated_before_the_first_reply_is_answered_after_it),
	    T(test_a_region_added_twice_is_acknowledged_and_passed_on_once),
	    T(test_a_region_of_another_file_is_no_repetition),
	    T(test_a_region_removed_twice_is_acknowledged_and_passed_on_once),
	    T(test_removing_what_was_never_added_is_the_back_ends_to_refuse),
	    T(test_a_region_the_back_end_refused_may_be_added_again),
	    T(test_a_removal_the_back_end_refused_may_be_asked_again),
	    T(test_too_many_regions_end_the_session),
	    T(test_a_region_longer_than_its_file_is_passed_on_with_a_warning),
	    T(test_the_base_of_a_ring_never_seen_is_answered_here),
	    T(test_the_base_of_a_ring_whose_enable_is_held_is_answered_here),
	    T(test_a_ring_the_back_end_heard_of_is_asked),
	    T(test_a_packed_base_without_its_upper_half_is_completed),
	    T(test_a_back_end_that_gives_whole_packed_bases_is_believed),
	    T(test_a_split_base_is_left_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
