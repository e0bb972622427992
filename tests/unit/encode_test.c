/* SPDX-License-Identifier: BSD-3-Clause */
#include "legal.h"

#include "base/bytes.h"
#include "wire/encode.h"
#include "wire/features.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

/* Whatever the encoder makes must pass the check that peers' messages pass. */
static void expect_legal(struct wire_message *message, unsigned int fds)
{
	const struct wire_agreement agreement = legal_agreement();
	struct diag diag = {""};

	assert_non_null(message);
	legal_set_fds(message, fds);
	assert_int_equal(wire_check_request(WIRE_MAIN, &agreement, message, &diag), WIRE_FINE);
	wire_message_free(message);
}

static void test_requests_carry_version_1_and_the_flag_asked_for(void **state)
{
	struct wire_message *message = wire_request(WIRE_GET_FEATURES, 0);

	assert_int_equal(message->header.flags, 0x1);
	assert_int_equal(message->header.size, 0);
	expect_legal(message, 0);
	message = wire_request_u64(WIRE_SET_FEATURES, WIRE_FLAG_NEED_REPLY, 0x140000000);
	assert_int_equal(message->header.flags, 0x9);
	assert_true(bytes_load64(message->payload) == 0x140000000);
	expect_legal(message, 0);
}

static void test_a_state_is_index_then_number(void **state)
{
	const uint32_t words[] = {3, 0x80008000u};
	struct wire_message *message =
	    wire_request_state(WIRE_SET_VRING_BASE, 0, words[0], words[1]);

	assert_int_equal(message->header.size, sizeof(words));
	assert_memory_equal(message->payload, words, sizeof(words));
	expect_legal(message, 0);
}

/* Specification, "A vring address description": used stands before avail. */
static void test_ring_addresses_are_desc_used_avail_log(void **state)
{
	const uint64_t words[] = {0x1000, 0x2000, 0x3000, 0x4000};
	struct wire_message *message =
	    wire_request_addr(0, 2, 1, words[0], words[1], words[2], words[3]);

	assert_int_equal(message->header.id, WIRE_SET_VRING_ADDR);
	assert_int_equal(message->header.size, 40);
	assert_int_equal(bytes_load32(message->payload), 2);
	assert_int_equal(bytes_load32(message->payload + 4), 1);
	assert_memory_equal(message->payload + 8, words, sizeof(words));
	expect_legal(message, 0);
}

static void test_config_carries_its_length_and_data_or_zeros(void **state)
{
	const uint8_t data[] = {1, 2, 3};
	const uint8_t zeros[3] = {0};
	struct wire_message *message = wire_request_config(WIRE_SET_CONFIG, 0, 32, 3, 1, data);

	assert_int_equal(message->header.size, 15);
	assert_int_equal(bytes_load32(message->payload), 32);
	assert_int_equal(bytes_load32(message->payload + 4), 3);
	assert_int_equal(bytes_load32(message->payload + 8), 1);
	assert_memory_equal(message->payload + 12, data, sizeof(data));
	expect_legal(message, 0);
	message = wire_request_config(WIRE_GET_CONFIG, 0, 0, 3, 0, NULL);
	assert_memory_equal(message->payload + 12, zeros, sizeof(zeros));
	expect_legal(message, 0);
}

static struct wire_region region_of(unsigned int i)
{
	return (struct wire_region){
	    .gpa = UINT64_C(0x100000000) * i,
	    .size = 0x200000,
	    .uva = UINT64_C(0x7f0000000000) + i,
	    .mmap_offset = 0x1000 * i,
	};
}

static void test_a_table_gives_its_regions_back(void **state)
{
	struct wire_region regions[WIRE_REGIONS_MAX];

	for (unsigned int i = 0; i < WIRE_REGIONS_MAX; i++)
		regions[i] = region_of(i);
	for (unsigned int count = 0; count <= WIRE_REGIONS_MAX; count++) {
		struct wire_message *message = wire_request_table(0, regions, count);

		assert_int_equal(message->header.size, 8 + 32 * count);
		assert_int_equal(bytes_load64(message->payload), count);
		for (unsigned int i = 0; i < count; i++) {
			struct wire_region region = wire_table_region(message, i);

			assert_memory_equal(&region, &regions[i], sizeof(region));
		}
		expect_legal(message, count);
	}
}

static void test_a_slot_gives_its_region_back_behind_8_bytes_of_padding(void **state)
{
	const struct wire_region region = region_of(5);
	struct wire_message *message = wire_request_region(WIRE_ADD_MEM_REG, 0, &region);
	struct wire_region back = wire_slot_region(message);

	assert_int_equal(message->header.size, 40);
	assert_int_equal(bytes_load64(message->payload), 0);
	assert_int_equal(bytes_load64(message->payload + 8), region.gpa);
	assert_memory_equal(&back, &region, sizeof(back));
	expect_legal(message, 1);
	expect_legal(wire_request_region(WIRE_REM_MEM_REG, 0, &region), 0);
}

/* QEMU takes a reply only with flags of exactly 0x5. */
static void test_replies_have_flags_5_and_8_bytes(void **state)
{
	const struct wire_agreement agreement = legal_agreement();
	struct wire_message *replies[] = {
	    wire_reply_u64(WIRE_GET_FEATURES, UINT64_C(0xfedcba9876543210)),
	    wire_reply_state(WIRE_GET_VRING_BASE, 1, 77),
	};

	assert_true(bytes_load64(replies[0]->payload) == UINT64_C(0xfedcba9876543210));
	assert_int_equal(bytes_load32(replies[1]->payload), 1);
	assert_int_equal(bytes_load32(replies[1]->payload + 4), 77);
	for (unsigned int i = 0; i < 2; i++) {
		struct diag diag = {""};

		assert_int_equal(replies[i]->header.flags, 0x5);
		assert_int_equal(replies[i]->header.size, 8);
		assert_int_equal(
		    wire_check_reply(WIRE_MAIN, &agreement, WIRE_VERSION, replies[i], &diag),
		    WIRE_FINE);
		wire_message_free(replies[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_requests_carry_version_1_and_the_flag_asked_for),
	    cmocka_unit_test(test_a_state_is_index_then_number),
	    cmocka_unit_test(test_ring_addresses_are_desc_used_avail_log),
	    cmocka_unit_test(test_config_carries_its_length_and_data_or_zeros),
	    cmocka_unit_test(test_a_table_gives_its_regions_back),
	    cmocka_unit_test(test_a_slot_gives_its_region_back_behind_8_bytes_of_padding),
	    cmocka_unit_test(test_replies_have_flags_5_and_8_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
