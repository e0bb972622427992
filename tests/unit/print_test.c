/* SPDX-License-Identifier: BSD-3-Clause */
#include "legal.h"

#include "base/bytes.h"
#include "wire/encode.h"
#include "wire/print.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

static void expect(enum wire_channel channel, struct wire_message *message, const char *line)
{
	char text[2048];

	wire_print(channel, WIRE_DEVICE_BLK, message, text, sizeof(text));
	assert_string_equal(text, line);
	wire_message_free(message);
}

static void test_prints_a_request_with_flags_fields_and_descriptors(void **state)
{
	struct wire_message *message =
	    wire_request_u64(WIRE_SET_VRING_KICK, WIRE_FLAG_NEED_REPLY, 0x102);

	expect(WIRE_MAIN, message, "SET_VRING_KICK need_reply ring=2(nofd)");
	message = wire_request_u64(WIRE_SET_VRING_CALL, 0, 3);
	legal_set_fds(message, 1);
	expect(WIRE_MAIN, message, "SET_VRING_CALL ring=3 fds=1");
	expect(WIRE_MAIN, wire_request_state(WIRE_SET_VRING_NUM, 0, 1, 256),
	       "SET_VRING_NUM index=1 num=256");
	expect(WIRE_MAIN, wire_request(WIRE_SET_OWNER, 0), "SET_OWNER");
}

static void test_prints_features_by_name_and_in_a_reply_by_its_own_layout(void **state)
{
	expect(WIRE_MAIN, wire_request_u64(WIRE_SET_PROTOCOL_FEATURES, 0, 0x9),
	       "SET_PROTOCOL_FEATURES protocol_features=MQ REPLY_ACK");
	expect(WIRE_MAIN, wire_reply_u64(WIRE_GET_FEATURES, UINT64_C(0x100000200)),
	       "GET_FEATURES reply features=FLUSH VERSION_1");
	expect(WIRE_MAIN, wire_reply_u64(WIRE_GET_QUEUE_NUM, 4), "GET_QUEUE_NUM reply value=0x4");
}

/* An 8-byte answer to a message with a larger layout is an acknowledgement, not its first field. */
static void test_prints_an_acknowledgement_as_a_value(void **state)
{
	expect(WIRE_MAIN, wire_reply_u64(WIRE_SET_OWNER, 0), "SET_OWNER reply value=0x0");
	expect(WIRE_MAIN, wire_reply_u64(WIRE_SET_MEM_TABLE, 1), "SET_MEM_TABLE reply value=0x1");
	expect(WIRE_MAIN, wire_reply_u64(WIRE_GET_INFLIGHT_FD, 1),
	       "GET_INFLIGHT_FD reply value=0x1");
}

static void test_prints_each_region_of_a_table(void **state)
{
	const struct wire_region regions[] = {{0, 0x1000, 0x7f0000000000, 0},
					      {0x100000000, 0x2000, 0x7f0000100000, 0x1000}};
	struct wire_message *message = wire_request_table(0, regions, 2);

	legal_set_fds(message, 2);
	expect(WIRE_MAIN, message,
	       "SET_MEM_TABLE nregions=2"
	       " regions[0].gpa=0x0 regions[0].size=0x1000 regions[0].uva=0x7f0000000000"
	       " regions[0].mmap_offset=0x0"
	       " regions[1].gpa=0x100000000 regions[1].size=0x2000 regions[1].uva=0x7f0000100000"
	       " regions[1].mmap_offset=0x1000 fds=2");
}

static void test_names_what_an_iotlb_message_asks(void **state)
{
	struct wire_message *message = wire_message_new(WIRE_IOTLB_MSG, WIRE_VERSION, 32);

	bytes_store64(message->payload, 0xfee00000);
	bytes_store64(message->payload + 8, 0x1000);
	message->payload[24] = 3;
	message->payload[25] = 2;
	expect(WIRE_MAIN, message,
	       "IOTLB_MSG iova=0xfee00000 size=0x1000 uaddr=0x0 perm=RW type=update");
	message = wire_message_new(WIRE_BACKEND_IOTLB_MSG, WIRE_VERSION, 32);
	message->payload[24] = 9;
	message->payload[25] = 0;
	expect(WIRE_BACKEND, message,
	       "BACKEND_IOTLB_MSG iova=0x0 size=0x0 uaddr=0x0 perm=9 type=0");
}

static void test_prints_a_mac_and_cuts_long_bytes(void **state)
{
	static const uint8_t mac[] = {0x52, 0x54, 0, 0x12, 0x34, 0x56};
	struct wire_message *message = wire_message_new(WIRE_SEND_RARP, WIRE_VERSION, 8);

	memcpy(message->payload, mac, sizeof(mac));
	expect(WIRE_MAIN, message, "SEND_RARP mac=52:54:00:12:34:56");
	expect(WIRE_MAIN, wire_request_config(WIRE_GET_CONFIG, 0, 0, 20, 0, NULL),
	       "GET_CONFIG offset=0 size=20 flags=0x0"
	       " data=00000000000000000000000000000000..(20 bytes)");
}

static void test_prints_an_unknown_message_by_number_and_bytes(void **state)
{
	struct wire_message *message = wire_message_new(99, WIRE_VERSION, 2);

	message->payload[0] = 0xab;
	expect(WIRE_MAIN, message, "unknown message 99 bytes=ab00");
}

struct counted {
	const struct wire_message *message;
	unsigned int visits;
};

static void check_inside(const struct wire_value *value, void *context)
{
	struct counted *counted = context;
	const uint8_t *end = counted->message->payload + counted->message->header.size;

	assert_true(value->bytes >= counted->message->payload);
	assert_true(value->bytes + value->size <= end);
	counted->visits++;
}

static void row_any_size(enum wire_channel channel, const struct wire_row *row, void *context)
{
	for (uint32_t flags = WIRE_VERSION; flags <= (WIRE_VERSION | WIRE_FLAG_REPLY); flags += 4)
		for (uint32_t size = 0; size <= 300; size++) {
			struct wire_message *message = wire_message_new(row->id, flags, size);
			struct counted counted = {.message = message};
			char text[512];

			memset(message->payload, 0xff, size);
			wire_visit(channel, message, check_inside, &counted);
			wire_print(channel, WIRE_DEVICE_NET, message, text, sizeof(text));
			assert_true(strlen(text) < sizeof(text));
			wire_message_free(message);
		}
}

/* The bounds of each message are also watched by the address sanitizer. */
static void test_any_message_of_any_size_is_printed_within_its_bounds(void **state)
{
	legal_each(row_any_size, NULL);
}

static void row_all_fields(enum wire_channel channel, const struct wire_row *row, void *context)
{
	const struct wire_agreement agreement = legal_agreement();
	struct wire_message *message = legal_request(row, &agreement);
	struct counted counted = {.message = message};
	const struct wire_field *field = NULL;
	unsigned int want = 0, elements = 0;

	while ((field = wire_field_next(row->payload, field)))
		want++;
	while ((field = wire_element_next(row->payload, field)))
		elements++;
	wire_visit(channel, message, check_inside, &counted);
	assert_int_equal(counted.visits, want + elements * LEGAL_REGIONS);
	wire_message_free(message);
}

static void test_every_field_of_a_whole_message_is_visited(void **state)
{
	legal_each(row_all_fields, NULL);
}

static void test_a_line_is_cut_and_terminated_in_any_room(void **state)
{
	const struct wire_row *row = wire_row(WIRE_MAIN, WIRE_SET_MEM_TABLE);
	const struct wire_agreement agreement = legal_agreement();
	struct wire_message *message = legal_request(row, &agreement);
	char text[400];

	for (size_t size = 1; size < sizeof(text); size++) {
		memset(text, '#', sizeof(text));
		wire_print(WIRE_MAIN, WIRE_DEVICE_BLK, message, text, size);
		assert_true(strlen(text) < size);
		assert_int_equal(text[size], '#');
	}
	wire_message_free(message);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_prints_a_request_with_flags_fields_and_descriptors),
	    cmocka_unit_test(test_prints_features_by_name_and_in_a_reply_by_its_own_layout),
	    cmocka_unit_test(test_prints_an_acknowledgement_as_a_value),
	    cmocka_unit_test(test_prints_each_region_of_a_table),
	    cmocka_unit_test(test_names_what_an_iotlb_message_asks),
	    cmocka_unit_test(test_prints_a_mac_and_cuts_long_bytes),
	    cmocka_unit_test(test_prints_an_unknown_message_by_number_and_bytes),
	    cmocka_unit_test(test_any_message_of_any_size_is_printed_within_its_bounds),
	    cmocka_unit_test(test_every_field_of_a_whole_message_is_visited),
	    cmocka_unit_test(test_a_line_is_cut_and_terminated_in_any_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
