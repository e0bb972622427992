/* SPDX-License-Identifier: BSD-3-Clause */
#include "wire/features.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

static const struct {
	enum wire_space space;
	const char *device;
	unsigned int bit;
	const char *name;
	const char *old;
} rows[] = {
#define VIRTIO_BIT(bit, name)         {WIRE_SPACE_VIRTIO, "", bit, #name, ""},
#define DEVICE_BIT(device, bit, name) {WIRE_SPACE_VIRTIO, #device, bit, #name, ""},
#define PROTOCOL_BIT(bit, name, old)  {WIRE_SPACE_PROTOCOL, "", bit, #name, old},
#include "wire/features.def"
#undef VIRTIO_BIT
#undef DEVICE_BIT
#undef PROTOCOL_BIT
};

#define ROWS (sizeof(rows) / sizeof(rows[0]))

/* Two rows are seen together when one back-end can show both. */
static bool together(size_t a, size_t b)
{
	return rows[a].space == rows[b].space &&
	       (rows[a].device[0] == '\0' || rows[b].device[0] == '\0' ||
		strcmp(rows[a].device, rows[b].device) == 0);
}

static void test_no_device_has_two_bits_of_one_name_or_two_names_of_one_bit(void **state)
{
	for (size_t a = 0; a < ROWS; a++) {
		assert_true(rows[a].bit < 64);
		for (size_t b = 0; b < a; b++) {
			if (!together(a, b))
				continue;
			assert_string_not_equal(rows[a].name, rows[b].name);
			assert_int_not_equal(rows[a].bit, rows[b].bit);
		}
	}
}

static void test_device_bits_stay_in_the_ranges_virtio_leaves_to_devices(void **state)
{
	for (size_t i = 0; i < ROWS; i++) {
		bool low_or_high = rows[i].bit < 24 || rows[i].bit >= 50;

		if (rows[i].space == WIRE_SPACE_VIRTIO)
			assert_int_equal(low_or_high, rows[i].device[0] != '\0');
	}
}

static void test_every_bit_is_found_by_its_name_old_name_and_number(void **state)
{
	for (size_t i = 0; i < ROWS; i++) {
		if (rows[i].device[0] != '\0')
			continue;
		assert_int_equal(wire_bit_by_name(rows[i].space, rows[i].name), rows[i].bit);
		if (rows[i].old[0] != '\0')
			assert_int_equal(wire_bit_by_name(rows[i].space, rows[i].old), rows[i].bit);
	}
	assert_int_equal(wire_bit_by_name(WIRE_SPACE_PROTOCOL, "slave_req"), 5);
	assert_int_equal(wire_bit_by_name(WIRE_SPACE_VIRTIO, "34"), 34);
	assert_int_equal(wire_bit_by_name(WIRE_SPACE_VIRTIO, "0"), 0);
	assert_int_equal(wire_bit_by_name(WIRE_SPACE_VIRTIO, "63"), 63);
}

static void test_what_names_no_bit_is_refused(void **state)
{
	static const char *const bad[] = {
	    "", "64", "-1", "+3", " 3", "3 ", "0x3", "MQQ", "99999999999999999999"};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(wire_bit_by_name(WIRE_SPACE_PROTOCOL, bad[i]), -1);
	assert_int_equal(wire_bit_by_name(WIRE_SPACE_VIRTIO, "LOG_SHMFD"), -1);
}

static void test_a_device_bit_has_a_name_only_when_the_device_is_known(void **state)
{
	assert_null(wire_bit_name(WIRE_SPACE_VIRTIO, WIRE_DEVICE_UNKNOWN, 9));
	assert_string_equal(wire_bit_name(WIRE_SPACE_VIRTIO, WIRE_DEVICE_BLK, 9), "FLUSH");
	assert_string_equal(wire_bit_name(WIRE_SPACE_VIRTIO, WIRE_DEVICE_NET, 9), "GUEST_ECN");
	assert_string_equal(wire_bit_name(WIRE_SPACE_VIRTIO, WIRE_DEVICE_NET, 34), "RING_PACKED");
	assert_null(wire_bit_name(WIRE_SPACE_PROTOCOL, WIRE_DEVICE_BLK, 63));
}

/* The numbers that decide migration, from the specification. */
static void test_bit_numbers_are_the_specifications(void **state)
{
	assert_int_equal(WIRE_F_VHOST_F_LOG_ALL, 26);
	assert_int_equal(WIRE_F_PROTOCOL_FEATURES, 30);
	assert_int_equal(WIRE_F_ACCESS_PLATFORM, 33);
	assert_int_equal(WIRE_PF_LOG_SHMFD, 1);
	assert_int_equal(WIRE_PF_PAGEFAULT, 8);
	assert_int_equal(WIRE_PF_INFLIGHT_SHMFD, 12);
	assert_int_equal(WIRE_PF_CONFIGURE_MEM_SLOTS, 15);
	assert_int_equal(WIRE_PF_DEVICE_STATE, 19);
}

static void test_known_bits_are_those_with_a_name_or_of_a_device(void **state)
{
	assert_true(wire_virtio_known() & WIRE_BIT(0));
	assert_true(wire_virtio_known() & WIRE_BIT(63));
	assert_false(wire_virtio_known() & WIRE_BIT(25));
	assert_false(wire_virtio_known() & WIRE_BIT(49));
	assert_true(wire_protocol_known() == WIRE_BIT(WIRE_PF_COUNT) - 1);
}

/* What qemu-storage-daemon 7.2 was seen to offer. */
static void test_prints_the_bits_of_a_real_disk_by_name(void **state)
{
	char text[512];

	wire_bits_print(WIRE_SPACE_VIRTIO, WIRE_DEVICE_BLK, 0x175007e46, text, sizeof(text));
	assert_string_equal(text, "SIZE_MAX SEG_MAX BLK_SIZE FLUSH TOPOLOGY CONFIG_WCE MQ DISCARD "
				  "WRITE_ZEROES NOTIFY_ON_EMPTY VHOST_F_LOG_ALL RING_INDIRECT_DESC "
				  "RING_EVENT_IDX PROTOCOL_FEATURES VERSION_1");
	wire_bits_print(WIRE_SPACE_PROTOCOL, WIRE_DEVICE_BLK, 0x8f2b, text, sizeof(text));
	assert_string_equal(text, "MQ LOG_SHMFD REPLY_ACK BACKEND_REQ PAGEFAULT CONFIG "
				  "BACKEND_SEND_FD HOST_NOTIFIER CONFIGURE_MEM_SLOTS");
}

static void test_prints_no_bits_as_none_and_nameless_ones_by_number(void **state)
{
	char text[64];

	wire_bits_print(WIRE_SPACE_PROTOCOL, WIRE_DEVICE_UNKNOWN, 0, text, sizeof(text));
	assert_string_equal(text, "none");
	wire_bits_print(WIRE_SPACE_PROTOCOL, WIRE_DEVICE_UNKNOWN, WIRE_BIT(0) | WIRE_BIT(63), text,
			sizeof(text));
	assert_string_equal(text, "MQ bit63");
}

static void test_cuts_the_list_inside_any_room_and_says_so(void **state)
{
	char whole[2048];
	char text[2049];

	wire_bits_print(WIRE_SPACE_VIRTIO, WIRE_DEVICE_NET, UINT64_MAX, whole, sizeof(whole));
	for (size_t size = 1; size <= strlen(whole) + 1; size++) {
		memset(text, '#', sizeof(text));
		wire_bits_print(WIRE_SPACE_VIRTIO, WIRE_DEVICE_NET, UINT64_MAX, text, size);
		assert_true(strlen(text) < size);
		assert_int_equal(text[size], '#');
		if (size > 4 && size <= strlen(whole))
			assert_string_equal(text + strlen(text) - 3, "...");
	}
}

static void test_tells_a_disk_and_a_network_device_and_leaves_the_rest_open(void **state)
{
	assert_int_equal(wire_device_guess(0x175007e46, 0x8f2b), WIRE_DEVICE_BLK);
	assert_int_equal(wire_device_guess(0xd7c66e7cb, 0x10cbf), WIRE_DEVICE_NET);
	assert_int_equal(wire_device_guess(0x175000000, 0x8c2b), WIRE_DEVICE_UNKNOWN);
	assert_int_equal(wire_device_guess(0, 0), WIRE_DEVICE_UNKNOWN);
}

static void test_device_names_resolve_both_ways(void **state)
{
	for (int device = WIRE_DEVICE_NET; device < WIRE_DEVICE_COUNT; device++)
		assert_int_equal(wire_device_by_name(wire_device_name(device)), device);
	assert_int_equal(wire_device_by_name("auto"), WIRE_DEVICE_UNKNOWN);
	assert_int_equal(wire_device_by_name("floppy"), WIRE_DEVICE_COUNT);
	assert_int_equal(wire_device_by_name("unknown"), WIRE_DEVICE_COUNT);
	assert_string_equal(wire_device_name(WIRE_DEVICE_COUNT), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_no_device_has_two_bits_of_one_name_or_two_names_of_one_bit),
	    cmocka_unit_test(test_device_bits_stay_in_the_ranges_virtio_leaves_to_devices),
	    cmocka_unit_test(test_every_bit_is_found_by_its_name_old_name_and_number),
	    cmocka_unit_test(test_what_names_no_bit_is_refused),
	    cmocka_unit_test(test_a_device_bit_has_a_name_only_when_the_device_is_known),
	    cmocka_unit_test(test_bit_numbers_are_the_specifications),
	    cmocka_unit_test(test_known_bits_are_those_with_a_name_or_of_a_device),
	    cmocka_unit_test(test_prints_the_bits_of_a_real_disk_by_name),
	    cmocka_unit_test(test_prints_no_bits_as_none_and_nameless_ones_by_number),
	    cmocka_unit_test(test_cuts_the_list_inside_any_room_and_says_so),
	    cmocka_unit_test(test_tells_a_disk_and_a_network_device_and_leaves_the_rest_open),
	    cmocka_unit_test(test_device_names_resolve_both_ways),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
