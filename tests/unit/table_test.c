/* SPDX-License-Identifier: BSD-3-Clause */
#include "legal.h"

#include "base/bytes.h"
#include "wire/features.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

static const struct wire_row *row_at(enum wire_channel channel, uint32_t index)
{
	return wire_row(channel, channel == WIRE_MAIN ? index : index + 1);
}

static void test_every_row_is_found_by_its_own_id_and_name(void **state)
{
	for (int channel = WIRE_MAIN; channel <= WIRE_BACKEND; channel++)
		for (uint32_t i = 0; row_at(channel, i); i++) {
			const struct wire_row *row = row_at(channel, i);
			char buffer[WIRE_NAME_MAX];

			assert_int_equal(row->id, channel == WIRE_MAIN ? i : i + 1);
			assert_string_equal(wire_name(channel, row->id, buffer), row->name);
			assert_ptr_equal(wire_row_by_name(channel, row->name), row);
			assert_true(strlen(row->name) < WIRE_NAME_MAX);
		}
}

static void test_no_two_rows_of_a_channel_share_a_name(void **state)
{
	for (int channel = WIRE_MAIN; channel <= WIRE_BACKEND; channel++)
		for (uint32_t i = 0; row_at(channel, i); i++)
			for (uint32_t j = 0; j < i; j++)
				assert_string_not_equal(row_at(channel, i)->name,
							row_at(channel, j)->name);
}

/* RESET_DEVICE is the old name of message 4 and the present one of 34: the present one wins. */
static void test_old_names_resolve_unless_another_message_took_them(void **state)
{
	for (int channel = WIRE_MAIN; channel <= WIRE_BACKEND; channel++)
		for (uint32_t i = 0; row_at(channel, i); i++) {
			const struct wire_row *row = row_at(channel, i);

			if (row->old_name[0] == '\0' || row->id == WIRE_RESET_OWNER)
				continue;
			assert_ptr_equal(wire_row_by_name(channel, row->old_name), row);
		}
	assert_int_equal(wire_row_by_name(WIRE_MAIN, "RESET_DEVICE")->id, WIRE_RESET_DEVICE);
	assert_int_equal(wire_row_by_name(WIRE_MAIN, "SET_SLAVE_REQ_FD")->id, 21);
	assert_int_equal(wire_row_by_name(WIRE_BACKEND, "SLAVE_IOTLB_MSG")->id, 1);
}

static void test_a_name_or_id_the_table_does_not_have_is_unknown(void **state)
{
	char buffer[WIRE_NAME_MAX];

	assert_null(wire_row(WIRE_MAIN, WIRE_FRONT_COUNT));
	assert_null(wire_row(WIRE_MAIN, UINT32_MAX));
	assert_null(wire_row(WIRE_BACKEND, 0));
	assert_null(wire_row(WIRE_BACKEND, WIRE_BACK_COUNT));
	assert_null(wire_row_by_name(WIRE_MAIN, ""));
	assert_null(wire_row_by_name(WIRE_MAIN, "SET_NOTHING"));
	assert_null(wire_row_by_name(WIRE_BACKEND, "SET_OWNER"));
	assert_string_equal(wire_name(WIRE_MAIN, 4000000000u, buffer),
			    "unknown message 4000000000");
}

/* Numbers of the specification, so that a row that slipped is seen. */
static void test_ids_are_the_specifications(void **state)
{
	static const struct {
		uint32_t id;
		const char *name;
	} known[] = {
	    {1, "GET_FEATURES"},       {5, "SET_MEM_TABLE"}, {11, "GET_VRING_BASE"},
	    {18, "SET_VRING_ENABLE"},  {24, "GET_CONFIG"},   {31, "GET_INFLIGHT_FD"},
	    {36, "GET_MAX_MEM_SLOTS"}, {40, "GET_STATUS"},   {42, "SET_DEVICE_STATE_FD"},
	    {44, "GET_SHMEM_CONFIG"},
	};
	char buffer[WIRE_NAME_MAX];

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		assert_string_equal(wire_name(WIRE_MAIN, known[i].id, buffer), known[i].name);
	assert_int_equal(WIRE_FRONT_COUNT, 46);
	assert_int_equal(WIRE_BACK_COUNT, 11);
	assert_string_equal(wire_name(WIRE_BACKEND, 9, buffer), "BACKEND_SHMEM_MAP");
}

static void test_every_layout_fits_a_message(void **state)
{
	for (int id = 0; id < WIRE_PAYLOAD_COUNT; id++) {
		const struct wire_payload *payload = wire_payload(id);

		assert_true(payload->least <= payload->most);
		assert_true(payload->most <= WIRE_PAYLOAD_MAX);
	}
}

static void test_fields_of_a_layout_are_inside_it_and_do_not_overlap(void **state)
{
	for (int id = 0; id < WIRE_PAYLOAD_COUNT; id++) {
		const struct wire_payload *payload = wire_payload(id);
		const struct wire_field *field = NULL;
		unsigned int end = 0;

		while ((field = wire_field_next(id, field))) {
			assert_int_equal(field->payload, id);
			assert_true(field->offset >= end);
			end = field->offset + field->width;
			assert_true(end <= payload->most);
			if (field->format != WIRE_BYTES)
				assert_true(field->width <= sizeof(uint64_t));
		}
	}
}

static void test_elements_are_inside_their_stride_and_the_tail_inside_its_layout(void **state)
{
	for (int id = 0; id < WIRE_PAYLOAD_COUNT; id++) {
		const struct wire_tail *tail = wire_tail(id);
		const struct wire_field *field = NULL;

		if (!tail) {
			assert_null(wire_element_next(id, NULL));
			continue;
		}
		assert_true(tail->count_at + sizeof(uint32_t) <= wire_payload(id)->least);
		assert_true(tail->offset >= wire_payload(id)->least);
		assert_int_equal((wire_payload(id)->most - tail->offset) % tail->stride, 0);
		while ((field = wire_element_next(id, field)))
			assert_true(field->offset + field->width <= tail->stride);
	}
}

static void check_row(enum wire_channel channel, const struct wire_row *row, void *context)
{
	const struct wire_payload *payload = wire_payload(row->payload);

	assert_true(row->payload < WIRE_PAYLOAD_COUNT);
	assert_true(row->reply_payload < WIRE_PAYLOAD_COUNT);
	assert_true(row->reply_fds <= 1);
	/* What the columns look at must be there whenever the size is legal. */
	if (row->queue == WIRE_QUEUE_STATE)
		assert_true(payload->least >= 4);
	if (row->queue == WIRE_QUEUE_U64 || row->fds == WIRE_FDS_BY_NOFD_BIT)
		assert_true(payload->least >= 8);
	if (row->fds == WIRE_FDS_PER_REGION)
		assert_non_null(wire_tail(row->payload));
	/* Only a reply of its own has descriptors or a layout. */
	if (row->reply == WIRE_REPLY_ACK) {
		assert_int_equal(row->reply_payload, WIRE_PAYLOAD_EMPTY);
		assert_int_equal(row->reply_fds, 0);
	}
	assert_true(row->gate.bit < 64);
	/* A rank orders what is replayed to a new back-end, hence comes with a class. */
	if (row->replay == WIRE_REPLAY_NONE)
		assert_int_equal(row->rank, 0);
	if (channel == WIRE_MAIN && row->replay != WIRE_REPLAY_NONE)
		assert_true(row->rank > 0);
}

static void test_the_columns_of_each_row_agree_with_each_other(void **state)
{
	legal_each(check_row, NULL);
}

/* The order in which a back-end must be told things. */
static void test_replay_ranks_keep_the_order_back_ends_need(void **state)
{
	static const uint32_t order[] = {
	    WIRE_GET_FEATURES,          WIRE_SET_OWNER,      WIRE_GET_PROTOCOL_FEATURES,
	    WIRE_SET_PROTOCOL_FEATURES, WIRE_GET_QUEUE_NUM,  WIRE_GET_CONFIG,
	    WIRE_SET_BACKEND_REQ_FD,    WIRE_SET_FEATURES,   WIRE_SET_MEM_TABLE,
	    WIRE_SET_LOG_BASE,          WIRE_IOTLB_MSG,      WIRE_SET_INFLIGHT_FD,
	    WIRE_SET_VRING_ERR,         WIRE_SET_VRING_NUM,  WIRE_SET_VRING_BASE,
	    WIRE_SET_VRING_CALL,        WIRE_SET_VRING_ADDR, WIRE_SET_VRING_KICK,
	    WIRE_SET_VRING_ENABLE,      WIRE_SET_STATUS,
	};

	for (size_t i = 1; i < sizeof(order) / sizeof(order[0]); i++)
		assert_true(wire_row(WIRE_MAIN, order[i - 1])->rank <
			    wire_row(WIRE_MAIN, order[i])->rank);
}

static int index_of(uint32_t id, uint64_t value)
{
	const struct wire_row *row = wire_row(WIRE_MAIN, id);
	struct wire_message *message = wire_message_new(id, WIRE_VERSION, 40);
	int index;

	bytes_store64(message->payload, value);
	index = wire_queue_index(row, message);
	wire_message_free(message);
	return index;
}

static void test_the_ring_index_is_where_the_message_has_it(void **state)
{
	assert_int_equal(index_of(WIRE_SET_VRING_NUM, UINT64_C(0x8000000003)), 3);
	assert_int_equal(index_of(WIRE_SET_VRING_ADDR, 255), 255);
	assert_int_equal(index_of(WIRE_SET_VRING_KICK, 0x107), 7);
	assert_int_equal(index_of(WIRE_SET_VRING_CALL, 0xff), 255);
	assert_int_equal(index_of(WIRE_SET_OWNER, 3), -1);
}

/* A negative index would be taken for "about no ring" and pass every later check. */
static void test_a_huge_ring_index_never_turns_negative(void **state)
{
	assert_int_equal(index_of(WIRE_SET_VRING_NUM, 0x80000000u), INT32_MAX);
	assert_int_equal(index_of(WIRE_SET_VRING_NUM, 0xffffffffu), INT32_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_every_row_is_found_by_its_own_id_and_name),
	    cmocka_unit_test(test_no_two_rows_of_a_channel_share_a_name),
	    cmocka_unit_test(test_old_names_resolve_unless_another_message_took_them),
	    cmocka_unit_test(test_a_name_or_id_the_table_does_not_have_is_unknown),
	    cmocka_unit_test(test_ids_are_the_specifications),
	    cmocka_unit_test(test_every_layout_fits_a_message),
	    cmocka_unit_test(test_fields_of_a_layout_are_inside_it_and_do_not_overlap),
	    cmocka_unit_test(test_elements_are_inside_their_stride_and_the_tail_inside_its_layout),
	    cmocka_unit_test(test_the_columns_of_each_row_agree_with_each_other),
	    cmocka_unit_test(test_replay_ranks_keep_the_order_back_ends_need),
	    cmocka_unit_test(test_the_ring_index_is_where_the_message_has_it),
	    cmocka_unit_test(test_a_huge_ring_index_never_turns_negative),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
