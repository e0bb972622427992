/* SPDX-License-Identifier: BSD-3-Clause */
#include "probe/config.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

/* What qemu-storage-daemon 7.2 answered for a file of 64 MiB. */
static const uint8_t disk[57] = {
    0, 0, 2, 0, 0, 0, 0, 0, 0,    0, 0, 0, 0x7e, 0, 0, 0, 0, 0, 0, 0, 0,    2, 0, 0, 0, 0, 1, 0, 1,
    0, 0, 0, 0, 0, 1, 0, 0, 0x80, 0, 0, 1, 0,    0, 0, 1, 0, 0, 0, 0, 0x80, 0, 0, 1, 0, 0, 0, 0,
};
/* vhost-device-scsi. */
static const uint8_t scsi[36] = {1,   0, 0, 0, 126, 0, 0,    0, 0xff, 0xff, 0, 0,
				 128, 0, 0, 0, 16,  0, 0,    0, 96,   0,    0, 0,
				 32,  0, 0, 0, 0,   0, 0xff, 0, 0xff, 0x3f};

static uint64_t number_of(enum wire_device device, const uint8_t *config, size_t size,
			  const char *name)
{
	const struct config_field *field = NULL;

	while ((field = config_next(device, size, field)))
		if (strcmp(field->name, name) == 0)
			return config_number(field, config);
	fail_msg("no field %s", name);
	return 0;
}

static void test_reads_the_fields_of_a_real_disk(void **state)
{
	assert_int_equal(number_of(WIRE_DEVICE_BLK, disk, sizeof(disk), "capacity"), 131072);
	assert_int_equal(number_of(WIRE_DEVICE_BLK, disk, sizeof(disk), "seg_max"), 126);
	assert_int_equal(number_of(WIRE_DEVICE_BLK, disk, sizeof(disk), "blk_size"), 512);
	assert_int_equal(number_of(WIRE_DEVICE_BLK, disk, sizeof(disk), "num_queues"), 1);
	assert_int_equal(number_of(WIRE_DEVICE_BLK, disk, sizeof(disk), "max_discard_sectors"),
			 32768);
	assert_int_equal(number_of(WIRE_DEVICE_BLK, disk, sizeof(disk), "max_write_zeroes_seg"), 1);
}

static void test_a_field_beyond_the_bytes_there_are_is_left_out(void **state)
{
	for (size_t size = 0; size <= sizeof(disk); size++) {
		const struct config_field *field = NULL;

		while ((field = config_next(WIRE_DEVICE_BLK, size, field))) {
			assert_int_equal(field->device, WIRE_DEVICE_BLK);
			assert_true((size_t)field->offset + field->width <= size);
		}
	}
	assert_null(config_next(WIRE_DEVICE_UNKNOWN, 256, NULL));
}

static void expect_text(enum wire_device device, const void *config, size_t size, const char *text)
{
	const struct config_field *field = config_next(device, size, NULL);
	char shown[64];

	assert_non_null(field);
	config_print(field, config, shown, sizeof(shown));
	assert_string_equal(shown, text);
}

static void test_prints_a_mac_a_tag_and_a_number(void **state)
{
	const uint8_t net[12] = {0x52, 0x54, 0, 0x12, 0x34, 0x56};
	const uint8_t fs[40] = "my\tfs";

	expect_text(WIRE_DEVICE_NET, net, sizeof(net), "52:54:00:12:34:56");
	expect_text(WIRE_DEVICE_FS, fs, sizeof(fs), "my?fs");
	expect_text(WIRE_DEVICE_BLK, disk, sizeof(disk), "131072");
}

static void test_a_tag_that_fills_its_field_is_terminated(void **state)
{
	uint8_t fs[40];
	char want[37];

	memset(fs, 'x', sizeof(fs));
	memset(want, 'x', 36);
	want[36] = '\0';
	expect_text(WIRE_DEVICE_FS, fs, sizeof(fs), want);
}

static void test_tells_devices_by_bits_first_and_then_by_config_space(void **state)
{
	const uint8_t fs[40] = "myfs";
	const uint8_t cid[8] = {7};
	const uint8_t host_cid[8] = {2};

	assert_int_equal(config_guess(0x175007e46, 0x8f2b, 1, disk, sizeof(disk)), WIRE_DEVICE_BLK);
	assert_int_equal(config_guess(0xd7c66e7cb, 0x10cbf, 128, NULL, 0), WIRE_DEVICE_NET);
	assert_int_equal(config_guess(0x174000000, 0x8a62b, 2, fs, sizeof(fs)), WIRE_DEVICE_FS);
	assert_int_equal(config_guess(0x170000002, 0x201, 3, scsi, sizeof(scsi)), WIRE_DEVICE_SCSI);
	assert_int_equal(config_guess(0x161000000, 0x209, 3, cid, sizeof(cid)), WIRE_DEVICE_VSOCK);
	assert_int_equal(config_guess(0x161000000, 0x209, 3, host_cid, sizeof(host_cid)),
			 WIRE_DEVICE_UNKNOWN);
}

/* The C virtiofsd has no config space and no bits of its own, but two queues. */
static void test_no_bits_no_config_and_two_queues_look_like_a_file_system(void **state)
{
	assert_int_equal(config_guess(0x175000000, 0x8c2b, 2, NULL, 0), WIRE_DEVICE_FS);
	assert_int_equal(config_guess(0x175000000, 0x8c2b, 1, NULL, 0), WIRE_DEVICE_UNKNOWN);
	assert_int_equal(config_guess(0x175000000, 0x8c2a, -1, NULL, 0), WIRE_DEVICE_UNKNOWN);
	assert_int_equal(config_guess(0x175000001, 0x8c2b, 2, NULL, 0), WIRE_DEVICE_UNKNOWN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_reads_the_fields_of_a_real_disk),
	    cmocka_unit_test(test_a_field_beyond_the_bytes_there_are_is_left_out),
	    cmocka_unit_test(test_prints_a_mac_a_tag_and_a_number),
	    cmocka_unit_test(test_a_tag_that_fills_its_field_is_terminated),
	    cmocka_unit_test(test_tells_devices_by_bits_first_and_then_by_config_space),
	    cmocka_unit_test(test_no_bits_no_config_and_two_queues_look_like_a_file_system),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
