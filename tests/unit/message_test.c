/* SPDX-License-Identifier: BSD-3-Clause */
#include "wire/message.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

static void test_a_new_message_is_zeroed_and_empty(void **state)
{
	struct wire_message *message = wire_message_new(WIRE_SET_VRING_NUM, WIRE_VERSION, 64);

	assert_non_null(message);
	assert_int_equal(message->header.id, 8);
	assert_int_equal(message->header.flags, 1);
	assert_int_equal(message->header.size, 64);
	assert_int_equal(message->capacity, 64);
	assert_int_equal(message->fds.count, 0);
	for (unsigned int i = 0; i < 64; i++)
		assert_int_equal(message->payload[i], 0);
	assert_null(wire_message_free(message));
}

static void test_freeing_nothing_is_allowed(void **state)
{
	assert_null(wire_message_free(NULL));
}

/* The order of the three words is what every peer relies on. */
static void test_a_header_is_id_flags_and_size_in_that_order(void **state)
{
	const struct wire_header header = {.id = 0x01020304, .flags = 0x5, .size = 40};
	const uint32_t words[] = {0x01020304, 0x5, 40};
	uint8_t bytes[WIRE_HEADER_SIZE];
	struct wire_header back;

	wire_header_encode(&header, bytes);
	assert_memory_equal(bytes, words, sizeof(words));
	wire_header_decode(bytes, &back);
	assert_memory_equal(&back, &header, sizeof(header));
}

static void test_reply_and_need_reply_are_bits_2_and_3(void **state)
{
	struct wire_message *message = wire_message_new(1, 0x1, 0);

	assert_false(wire_is_reply(message));
	assert_false(wire_needs_reply(message));
	message->header.flags = 0x5;
	assert_true(wire_is_reply(message));
	assert_false(wire_needs_reply(message));
	message->header.flags = 0x9;
	assert_false(wire_is_reply(message));
	assert_true(wire_needs_reply(message));
	wire_message_free(message);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_a_new_message_is_zeroed_and_empty),
	    cmocka_unit_test(test_freeing_nothing_is_allowed),
	    cmocka_unit_test(test_a_header_is_id_flags_and_size_in_that_order),
	    cmocka_unit_test(test_reply_and_need_reply_are_bits_2_and_3),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
