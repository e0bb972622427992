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

/* A refusal is one line that names the message and holds the words of the rule. */
static void check_line(const struct diag *diag, const char *name, const char *rule)
{
	assert_non_null(strstr(diag->text, name));
	assert_non_null(strstr(diag->text, rule));
	assert_null(strchr(diag->text, '\n'));
}

/* Checks and frees the message; `rule` NULL: it must be fine. */
static void expect_in(enum wire_channel channel, const struct wire_agreement *agreement,
		      struct wire_message *message, const char *rule)
{
	struct diag diag = {""};
	int verdict = wire_check_request(channel, agreement, message, &diag);

	if (rule) {
		assert_int_equal(verdict, WIRE_FAULT);
		check_line(&diag, wire_row(channel, message->header.id)->name, rule);
	} else {
		assert_int_equal(verdict, WIRE_FINE);
		assert_string_equal(diag.text, "");
	}
	wire_message_free(message);
}

static void expect(enum wire_channel channel, struct wire_message *message, const char *rule)
{
	const struct wire_agreement agreement = legal_agreement();

	expect_in(channel, &agreement, message, rule);
}

static struct wire_message *legal(const struct wire_row *row)
{
	const struct wire_agreement agreement = legal_agreement();

	return legal_request(row, &agreement);
}

static struct wire_message *front(uint32_t id)
{
	return legal(wire_row(WIRE_MAIN, id));
}

static void row_is_accepted(enum wire_channel channel, const struct wire_row *row, void *context)
{
	struct wire_message *message;

	if (!legal_is_request(channel, row))
		return;
	expect(channel, legal(row), NULL);
	message = legal(row);
	message->header.flags |= WIRE_FLAG_NEED_REPLY;
	expect(channel, message, NULL);
}

static void test_accepts_every_message_built_from_its_row(void **state)
{
	legal_each(row_is_accepted, NULL);
}

static void row_size(enum wire_channel channel, const struct wire_row *row, void *context)
{
	const struct wire_payload *payload = wire_payload(row->payload);

	if (!legal_is_request(channel, row))
		return;
	if (payload->least)
		expect(channel, legal_resize(legal(row), payload->least - 1u), "payload bytes");
	expect(channel, legal_resize(legal(row), payload->most + 1u), "payload bytes");
}

static void test_rejects_every_message_one_byte_too_short_or_too_long(void **state)
{
	legal_each(row_size, NULL);
}

static void row_fds(enum wire_channel channel, const struct wire_row *row, void *context)
{
	struct wire_message *message;
	unsigned int usual;

	if (!legal_is_request(channel, row))
		return;
	message = legal(row);
	usual = message->fds.count;
	/* OPTIONAL has none as a rule and takes one. */
	legal_set_fds(message, row->fds == WIRE_FDS_OPTIONAL ? 2 : usual + 1);
	expect(channel, message, "descriptors");
	if (!usual)
		return;
	message = legal(row);
	legal_set_fds(message, usual - 1);
	expect(channel, message, "descriptors");
}

static void test_rejects_every_message_with_a_descriptor_too_many_or_too_few(void **state)
{
	legal_each(row_fds, NULL);
}

static void row_flags(enum wire_channel channel, const struct wire_row *row, void *context)
{
	for (unsigned int bit = 4; bit < 32; bit++) {
		struct wire_message *message = legal(row);

		message->header.flags |= 1u << bit;
		expect(channel, message, "flags");
	}
}

static void test_rejects_every_message_with_a_flag_nobody_defined(void **state)
{
	legal_each(row_flags, NULL);
}

static void row_reply_flag(enum wire_channel channel, const struct wire_row *row, void *context)
{
	struct wire_message *message = legal(row);

	message->header.flags |= WIRE_FLAG_REPLY;
	expect(channel, message, "reply flag");
}

static void test_rejects_a_request_that_says_it_is_a_reply(void **state)
{
	legal_each(row_reply_flag, NULL);
}

static void row_ring(enum wire_channel channel, const struct wire_row *row, void *context)
{
	static const uint32_t bad[] = {LEGAL_RINGS, 255, 512, 0x80000000u, 0xffffffffu};

	if (row->queue == WIRE_QUEUE_NOWHERE)
		return;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		bool state = row->queue == WIRE_QUEUE_STATE;
		struct wire_message *message = legal(row);

		if (state)
			bytes_store32(message->payload, bad[i]);
		else
			bytes_store64(message->payload, bad[i]);
		if (!state && (bad[i] & WIRE_RING_NOFD))
			legal_set_fds(message, 0);
		expect(channel, message, state || bad[i] < 256 ? "names ring" : "bits 0-7");
	}
}

static void test_rejects_every_ring_message_for_a_ring_the_device_does_not_have(void **state)
{
	legal_each(row_ring, NULL);
}

static void test_the_last_ring_is_accepted_and_256_where_the_count_is_not_known(void **state)
{
	struct wire_agreement agreement = legal_agreement();
	struct wire_message *message = front(WIRE_SET_VRING_NUM);

	bytes_store32(message->payload, LEGAL_RINGS - 1);
	expect(WIRE_MAIN, message, NULL);
	agreement.rings = 0;
	message = front(WIRE_SET_VRING_NUM);
	bytes_store32(message->payload, WIRE_QUEUES_MAX - 1);
	expect_in(WIRE_MAIN, &agreement, message, NULL);
	message = front(WIRE_SET_VRING_NUM);
	bytes_store32(message->payload, WIRE_QUEUES_MAX);
	expect_in(WIRE_MAIN, &agreement, message, "names ring 256");
}

static void row_gate(enum wire_channel channel, const struct wire_row *row, void *context)
{
	struct wire_agreement agreement = legal_agreement();
	const uint64_t without = ~WIRE_BIT(row->gate.bit);
	struct wire_message *message = legal(row);

	switch (row->gate.kind) {
	case WIRE_GATE_ALWAYS:
		wire_message_free(message);
		return;
	case WIRE_GATE_OFFERED:
		agreement.virtio_offered &= without;
		break;
	case WIRE_GATE_VIRTIO:
		agreement.virtio_acked &= without;
		break;
	case WIRE_GATE_PROTOCOL:
		agreement.protocol_acked &= without;
		break;
	}
	expect_in(channel, &agreement, message, "not negotiated");
}

static void test_rejects_every_message_whose_feature_was_not_negotiated(void **state)
{
	legal_each(row_gate, NULL);
}

static void test_a_refused_gate_names_the_feature_by_name_and_number(void **state)
{
	struct wire_agreement agreement = legal_agreement();

	agreement.protocol_acked = 0;
	expect_in(WIRE_MAIN, &agreement, front(WIRE_GET_CONFIG),
		  "protocol feature CONFIG (bit 9) acknowledged");
	agreement.virtio_offered = 0;
	expect_in(WIRE_MAIN, &agreement, front(WIRE_GET_PROTOCOL_FEATURES),
		  "virtio feature PROTOCOL_FEATURES (bit 30) offered");
}

/* QEMU's net front-end enables rings before it acknowledges anything. */
static void test_set_vring_enable_needs_the_bit_offered_not_acknowledged(void **state)
{
	struct wire_agreement agreement = legal_agreement();

	agreement.virtio_acked = 0;
	expect_in(WIRE_MAIN, &agreement, front(WIRE_SET_VRING_ENABLE), NULL);
}

static void test_rejects_mem_table_whose_count_and_size_disagree(void **state)
{
	static const uint32_t counts[] = {0, 1, 3, 8, 9, 0x08000002u, UINT32_MAX};

	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		struct wire_message *message = front(WIRE_SET_MEM_TABLE);

		bytes_store32(message->payload, counts[i]);
		expect(WIRE_MAIN, message, "regions");
	}
}

static void test_a_mem_table_takes_none_to_eight_regions(void **state)
{
	for (uint32_t count = 0; count <= WIRE_REGIONS_MAX + 1; count++) {
		struct wire_message *message =
		    legal_resize(front(WIRE_SET_MEM_TABLE), 8 + 32 * count);

		bytes_store32(message->payload, count);
		legal_set_fds(message, count);
		expect(WIRE_MAIN, message, count <= WIRE_REGIONS_MAX ? NULL : "payload bytes");
	}
}

static void test_rejects_config_whose_length_and_size_disagree(void **state)
{
	static const uint32_t lengths[] = {0, LEGAL_CONFIG - 1, LEGAL_CONFIG + 1, UINT32_MAX,
					   UINT32_MAX - 11};

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		struct wire_message *message = front(WIRE_GET_CONFIG);

		bytes_store32(message->payload + 4, lengths[i]);
		expect(WIRE_MAIN, message, "config space");
	}
}

static void test_the_no_descriptor_bit_decides_whether_one_must_come(void **state)
{
	static const uint32_t ids[] = {WIRE_SET_VRING_KICK, WIRE_SET_VRING_CALL,
				       WIRE_SET_VRING_ERR};

	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		struct wire_message *message = front(ids[i]);

		bytes_store64(message->payload, WIRE_RING_NOFD | 1);
		expect(WIRE_MAIN, message, "descriptors");
		message = front(ids[i]);
		bytes_store64(message->payload, WIRE_RING_NOFD | 1);
		legal_set_fds(message, 0);
		expect(WIRE_MAIN, message, NULL);
	}
}

/* REM_MEM_REG: QEMU 7.2 sends no descriptor, older ones one (specification: accept it). */
static void test_rem_mem_reg_may_bring_one_stray_descriptor(void **state)
{
	struct wire_message *message = front(WIRE_REM_MEM_REG);

	legal_set_fds(message, 1);
	expect(WIRE_MAIN, message, NULL);
}

static void test_set_log_base_without_log_shmfd_is_8_or_16_bytes_and_no_descriptor(void **state)
{
	const struct wire_row *row = wire_row(WIRE_MAIN, WIRE_SET_LOG_BASE);
	struct wire_agreement agreement = legal_agreement();
	struct wire_message *message;

	agreement.protocol_acked &= ~WIRE_BIT(WIRE_PF_LOG_SHMFD);
	expect_in(WIRE_MAIN, &agreement, legal_request(row, &agreement), NULL);
	expect_in(WIRE_MAIN, &agreement, legal_resize(legal_request(row, &agreement), 8), NULL);
	message = legal_resize(legal_request(row, &agreement), 8);
	legal_set_fds(message, 1);
	expect_in(WIRE_MAIN, &agreement, message, "descriptors");
	message = legal_request(row, &agreement);
	legal_set_fds(message, 1);
	expect_in(WIRE_MAIN, &agreement, message, "descriptors");
	expect(WIRE_MAIN, legal_resize(legal(row), 8), "payload bytes");
}

/* docs/quirks.md: QEMU writes the identifier's size as 0. */
static void test_get_shared_object_may_be_empty_as_qemu_sends_it(void **state)
{
	expect(WIRE_MAIN, legal_resize(front(WIRE_GET_SHARED_OBJECT), 0), NULL);
	expect(WIRE_MAIN, legal_resize(front(WIRE_GET_SHARED_OBJECT), 8), "payload bytes");
}

static struct wire_message *postcopy_ack(uint32_t id)
{
	return wire_message_new(id, WIRE_VERSION, 8);
}

/*
 * In postcopy QEMU acknowledges the back-end's addresses with 8 zero bytes and
 * the id of what it sent, 0 where that was nothing.
 */
static void test_postcopy_acknowledgements_are_legal_while_listening_only(void **state)
{
	static const uint32_t ids[] = {WIRE_NONE, WIRE_ADD_MEM_REG};
	struct wire_agreement listening = legal_agreement();
	struct wire_message *message;

	listening.postcopy_listening = true;
	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		expect_in(WIRE_MAIN, &listening, postcopy_ack(ids[i]), NULL);
		message = postcopy_ack(ids[i]);
		legal_set_fds(message, 1);
		expect_in(WIRE_MAIN, &listening, message, "descriptors");
	}
	expect_in(WIRE_MAIN, &listening, postcopy_ack(WIRE_SET_MEM_TABLE), NULL);
	expect(WIRE_MAIN, postcopy_ack(WIRE_ADD_MEM_REG), "payload bytes");
}

static void test_message_0_is_no_request(void **state)
{
	const struct wire_agreement agreement = legal_agreement();
	struct wire_message *message = postcopy_ack(WIRE_NONE);
	struct diag diag;

	assert_int_equal(wire_check_request(WIRE_MAIN, &agreement, message, &diag), WIRE_FAULT);
	assert_non_null(strstr(diag.text, "message id 0"));
	wire_message_free(message);
}

static void test_an_unknown_id_is_neither_fine_nor_a_fault(void **state)
{
	const struct wire_agreement agreement = legal_agreement();
	struct wire_message *message = wire_message_new(WIRE_FRONT_COUNT, WIRE_VERSION, 3);
	struct diag diag;

	assert_int_equal(wire_check_request(WIRE_MAIN, &agreement, message, &diag), WIRE_UNKNOWN);
	assert_int_equal(wire_check_request(WIRE_BACKEND, &agreement, message, &diag),
			 WIRE_UNKNOWN);
	assert_int_equal(wire_check_reply(WIRE_MAIN, &agreement, 0, message, &diag), WIRE_UNKNOWN);
	wire_message_free(message);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_accepts_every_message_built_from_its_row),
	    cmocka_unit_test(test_rejects_every_message_one_byte_too_short_or_too_long),
	    cmocka_unit_test(test_rejects_every_message_with_a_descriptor_too_many_or_too_few),
	    cmocka_unit_test(test_rejects_every_message_with_a_flag_nobody_defined),
	    cmocka_unit_test(test_rejects_a_request_that_says_it_is_a_reply),
	    cmocka_unit_test(test_rejects_every_ring_message_for_a_ring_the_device_does_not_have),
	    cmocka_unit_test(test_the_last_ring_is_accepted_and_256_where_the_count_is_not_known),
	    cmocka_unit_test(test_rejects_every_message_whose_feature_was_not_negotiated),
	    cmocka_unit_test(test_a_refused_gate_names_the_feature_by_name_and_number),
	    cmocka_unit_test(test_set_vring_enable_needs_the_bit_offered_not_acknowledged),
	    cmocka_unit_test(test_rejects_mem_table_whose_count_and_size_disagree),
	    cmocka_unit_test(test_a_mem_table_takes_none_to_eight_regions),
	    cmocka_unit_test(test_rejects_config_whose_length_and_size_disagree),
	    cmocka_unit_test(test_the_no_descriptor_bit_decides_whether_one_must_come),
	    cmocka_unit_test(test_rem_mem_reg_may_bring_one_stray_descriptor),
	    cmocka_unit_test(
		test_set_log_base_without_log_shmfd_is_8_or_16_bytes_and_no_descriptor),
	    cmocka_unit_test(test_get_shared_object_may_be_empty_as_qemu_sends_it),
	    cmocka_unit_test(test_postcopy_acknowledgements_are_legal_while_listening_only),
	    cmocka_unit_test(test_message_0_is_no_request),
	    cmocka_unit_test(test_an_unknown_id_is_neither_fine_nor_a_fault),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
