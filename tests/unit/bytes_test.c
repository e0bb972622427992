/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/bytes.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

static void test_what_is_stored_at_an_odd_address_is_loaded_again(void **state)
{
	uint8_t room[24] = {0};

	for (unsigned int at = 0; at < 8; at++) {
		bytes_store16(room + at, 0x1234);
		assert_int_equal(bytes_load16(room + at), 0x1234);
		bytes_store32(room + at, 0x89abcdef);
		assert_int_equal(bytes_load32(room + at), 0x89abcdef);
		bytes_store64(room + at, UINT64_C(0xfedcba9876543210));
		assert_true(bytes_load64(room + at) == UINT64_C(0xfedcba9876543210));
	}
}

/* Everything but room[4 .. 4 + size) must be as it was. */
static void check_beside(const uint8_t room[16], unsigned int size)
{
	for (unsigned int i = 0; i < 16; i++)
		assert_int_equal(room[i], i >= 4 && i < 4 + size ? 0 : 0xaa);
}

static void test_a_store_touches_no_byte_beside_its_own(void **state)
{
	uint8_t room[16];

	memset(room, 0xaa, sizeof(room));
	bytes_store16(room + 4, 0);
	check_beside(room, 2);
	bytes_store32(room + 4, 0);
	check_beside(room, 4);
	bytes_store64(room + 4, 0);
	check_beside(room, 8);
}

static void test_the_byte_order_is_the_machines(void **state)
{
	const uint32_t value = 0x01020304;
	uint8_t room[4];

	bytes_store32(room, value);
	assert_memory_equal(room, &value, sizeof(value));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_what_is_stored_at_an_odd_address_is_loaded_again),
	    cmocka_unit_test(test_a_store_touches_no_byte_beside_its_own),
	    cmocka_unit_test(test_the_byte_order_is_the_machines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
