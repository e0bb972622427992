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

/* Checks and frees the reply; `rule` NULL: it must be fine. */
static void expect_in(enum wire_channel channel, const struct wire_agreement *agreement,
		      uint32_t request_flags, struct wire_message *reply, const char *rule)
{
	const char *name = wire_row(channel, reply->header.id)->name;
	struct diag diag = {""};
	int verdict = wire_check_reply(channel, agreement, request_flags, reply, &diag);

	if (rule) {
		assert_int_equal(verdict, WIRE_FAULT);
		assert_non_null(strstr(diag.text, name));
		assert_non_null(strstr(diag.text, rule));
		assert_null(strchr(diag.text, '\n'));
	} else {
		assert_int_equal(verdict, WIRE_FINE);
		assert_string_equal(diag.text, "");
	}
	wire_message_free(reply);
}

static struct wire_agreement listening(void)
{
	struct wire_agreement agreement = legal_agreement();

	agreement.postcopy_listening = true;
	return agreement;
}

static void row_is_accepted(enum wire_channel channel, const struct wire_row *row, void *context)
{
	const struct wire_agreement *agreement = context;

	expect_in(channel, agreement, WIRE_VERSION, legal_reply(row, agreement), NULL);
}

static void test_accepts_every_reply_built_from_its_row(void **state)
{
	struct wire_agreement agreement = legal_agreement();
	struct wire_agreement postcopy = listening();

	legal_each(row_is_accepted, &agreement);
	legal_each(row_is_accepted, &postcopy);
}

/* OPAQUE and CONFIG are long as their sender likes: one byte over the most there may be. */
static uint32_t too_long(const struct wire_message *reply, const struct wire_row *row)
{
	if (row->reply == WIRE_REPLY_ALWAYS)
		return wire_payload(row->reply_payload)->most + 1u;
	return reply->header.size + 1;
}

static void row_size(enum wire_channel channel, const struct wire_row *row, void *context)
{
	const struct wire_agreement *agreement = context;
	struct wire_message *reply = legal_reply(row, agreement);

	expect_in(channel, agreement, WIRE_VERSION, legal_resize(reply, too_long(reply, row)),
		  " bytes");
}

static void test_rejects_every_reply_one_byte_too_long(void **state)
{
	struct wire_agreement agreement = legal_agreement();
	struct wire_agreement postcopy = listening();

	legal_each(row_size, &agreement);
	legal_each(row_size, &postcopy);
}

static void row_short(enum wire_channel channel, const struct wire_row *row, void *context)
{
	const struct wire_agreement *agreement = context;
	struct wire_message *reply = legal_reply(row, agreement);
	uint32_t least = wire_payload(row->reply_payload)->least;

	if (row->reply == WIRE_REPLY_ALWAYS && least > 0)
		reply = legal_resize(reply, least - 1);
	else if (row->reply == WIRE_REPLY_ACK)
		reply = legal_resize(reply, 7);
	else {
		wire_message_free(reply);
		return;
	}
	expect_in(channel, agreement, WIRE_VERSION, reply, "payload bytes");
}

static void test_rejects_every_reply_one_byte_too_short(void **state)
{
	struct wire_agreement agreement = legal_agreement();

	legal_each(row_short, &agreement);
}

static void row_fds(enum wire_channel channel, const struct wire_row *row, void *context)
{
	const struct wire_agreement *agreement = context;
	struct wire_message *reply = legal_reply(row, agreement);

	legal_set_fds(reply, reply->fds.count + 1);
	expect_in(channel, agreement, WIRE_VERSION, reply, "descriptors");
}

static void test_rejects_every_reply_with_a_descriptor_too_many(void **state)
{
	struct wire_agreement agreement = legal_agreement();
	struct wire_agreement postcopy = listening();

	legal_each(row_fds, &agreement);
	legal_each(row_fds, &postcopy);
}

static void row_flags(enum wire_channel channel, const struct wire_row *row, void *context)
{
	const struct wire_agreement agreement = legal_agreement();

	for (unsigned int bit = 4; bit < 32; bit++) {
		struct wire_message *reply = legal_reply(row, &agreement);

		reply->header.flags |= 1u << bit;
		expect_in(channel, &agreement, WIRE_VERSION, reply, "flags");
	}
}

static void test_rejects_every_reply_with_a_flag_nobody_defined(void **state)
{
	legal_each(row_flags, NULL);
}

static void row_reply_flag(enum wire_channel channel, const struct wire_row *row, void *context)
{
	const struct wire_agreement agreement = legal_agreement();
	struct wire_message *reply = legal_reply(row, &agreement);

	reply->header.flags = WIRE_VERSION;
	expect_in(channel, &agreement, WIRE_VERSION, reply, "reply flag");
}

static void test_rejects_a_reply_that_does_not_say_it_is_one(void **state)
{
	legal_each(row_reply_flag, NULL);
}

static struct wire_message *reply_of(uint32_t id, uint32_t size)
{
	return wire_message_new(id, WIRE_VERSION | WIRE_FLAG_REPLY, size);
}

/* DPDK sends 0 bytes, libvhost-user 8, rust-vmm 16. */
static void test_set_log_base_is_answered_with_any_size_peers_use(void **state)
{
	static const uint32_t sizes[] = {0, 8, 16};
	const struct wire_agreement agreement = legal_agreement();

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		expect_in(WIRE_MAIN, &agreement, WIRE_VERSION,
			  reply_of(WIRE_SET_LOG_BASE, sizes[i]), NULL);
	expect_in(WIRE_MAIN, &agreement, WIRE_VERSION, reply_of(WIRE_SET_LOG_BASE, 17),
		  "payload bytes");
}

static void test_an_acknowledgement_without_payload_is_as_good_as_zero(void **state)
{
	const struct wire_agreement agreement = legal_agreement();

	expect_in(WIRE_MAIN, &agreement, WIRE_VERSION, reply_of(WIRE_SET_MEM_TABLE, 0), NULL);
	expect_in(WIRE_MAIN, &agreement, WIRE_VERSION, reply_of(WIRE_SET_MEM_TABLE, 4),
		  "payload bytes");
}

/* Specification, GET_CONFIG: a payload of size 0 says it failed. */
static void test_get_config_may_be_refused_with_an_empty_reply(void **state)
{
	const struct wire_agreement agreement = legal_agreement();

	expect_in(WIRE_MAIN, &agreement, WIRE_VERSION, reply_of(WIRE_GET_CONFIG, 0), NULL);
	expect_in(WIRE_MAIN, &agreement, WIRE_VERSION, reply_of(WIRE_GET_CONFIG, 11),
		  "payload bytes");
}

/* DPDK refuses any request with a u64 where NEED_REPLY was set. */
static void test_a_u64_refusal_is_taken_where_need_reply_was_set(void **state)
{
	const struct wire_agreement agreement = legal_agreement();
	const uint32_t asked = WIRE_VERSION | WIRE_FLAG_NEED_REPLY;

	expect_in(WIRE_MAIN, &agreement, asked, reply_of(WIRE_GET_INFLIGHT_FD, 8), NULL);
	expect_in(WIRE_MAIN, &agreement, WIRE_VERSION, reply_of(WIRE_GET_INFLIGHT_FD, 8),
		  "payload bytes");
}

static void test_a_postcopy_table_reply_must_have_as_many_regions_as_it_says(void **state)
{
	const struct wire_agreement agreement = listening();
	struct wire_message *reply = reply_of(WIRE_SET_MEM_TABLE, 8 + 2 * 32);

	bytes_store32(reply->payload, 3);
	expect_in(WIRE_MAIN, &agreement, WIRE_VERSION, reply, "regions");
}

static enum wire_expect expected(const struct wire_agreement *agreement, uint32_t id,
				 uint32_t flags, uint32_t size)
{
	struct wire_message *request = wire_message_new(id, WIRE_VERSION | flags, size);
	enum wire_expect result = wire_reply_expected(WIRE_MAIN, agreement, request);

	wire_message_free(request);
	return result;
}

static void row_expects(enum wire_channel channel, const struct wire_row *row, void *context)
{
	const struct wire_agreement agreement = legal_agreement();
	struct wire_message *request = legal_request(row, &agreement);
	bool own = row->reply == WIRE_REPLY_ALWAYS || row->reply == WIRE_REPLY_LOG;

	assert_int_equal(wire_reply_expected(channel, &agreement, request),
			 own ? WIRE_EXPECT_REPLY : WIRE_EXPECT_NOTHING);
	request->header.flags |= WIRE_FLAG_NEED_REPLY;
	assert_int_equal(wire_reply_expected(channel, &agreement, request), WIRE_EXPECT_REPLY);
	wire_message_free(request);
}

static void test_a_reply_is_expected_by_nature_or_when_asked_for(void **state)
{
	legal_each(row_expects, NULL);
}

/* QEMU sets NEED_REPLY on IOTLB_MSG without REPLY_ACK; some back-ends answer even so. */
static void test_need_reply_without_reply_ack_may_or_may_not_be_answered(void **state)
{
	struct wire_agreement agreement = legal_agreement();

	agreement.protocol_acked &= ~WIRE_BIT(WIRE_PF_REPLY_ACK);
	assert_int_equal(expected(&agreement, WIRE_IOTLB_MSG, WIRE_FLAG_NEED_REPLY, 32),
			 WIRE_EXPECT_PERHAPS);
	assert_int_equal(expected(&agreement, WIRE_IOTLB_MSG, 0, 32), WIRE_EXPECT_NOTHING);
	assert_int_equal(expected(&agreement, WIRE_GET_FEATURES, 0, 0), WIRE_EXPECT_REPLY);
	assert_int_equal(expected(&agreement, 4000, WIRE_FLAG_NEED_REPLY, 0), WIRE_EXPECT_PERHAPS);
}

static void test_set_log_base_is_answered_only_with_log_shmfd(void **state)
{
	struct wire_agreement agreement = legal_agreement();

	assert_int_equal(expected(&agreement, WIRE_SET_LOG_BASE, 0, 16), WIRE_EXPECT_REPLY);
	agreement.protocol_acked &= ~WIRE_BIT(WIRE_PF_LOG_SHMFD);
	assert_int_equal(expected(&agreement, WIRE_SET_LOG_BASE, 0, 16), WIRE_EXPECT_NOTHING);
}

/* docs/quirks.md: the table comes back with the back-end's addresses, the 8 bytes do not. */
static void test_in_postcopy_a_table_is_answered_and_its_acknowledgement_is_not(void **state)
{
	const struct wire_agreement agreement = listening();

	assert_int_equal(expected(&agreement, WIRE_SET_MEM_TABLE, 0, 72), WIRE_EXPECT_REPLY);
	assert_int_equal(expected(&agreement, WIRE_SET_MEM_TABLE, 0, 8), WIRE_EXPECT_NOTHING);
	assert_int_equal(expected(&agreement, WIRE_ADD_MEM_REG, 0, 40), WIRE_EXPECT_REPLY);
	assert_int_equal(expected(&agreement, WIRE_ADD_MEM_REG, 0, 8), WIRE_EXPECT_NOTHING);
	assert_int_equal(expected(&agreement, WIRE_REM_MEM_REG, 0, 8), WIRE_EXPECT_NOTHING);
	assert_int_equal(expected(&agreement, WIRE_NONE, 0, 8), WIRE_EXPECT_NOTHING);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_accepts_every_reply_built_from_its_row),
	    cmocka_unit_test(test_rejects_every_reply_one_byte_too_long),
	    cmocka_unit_test(test_rejects_every_reply_one_byte_too_short),
	    cmocka_unit_test(test_rejects_every_reply_with_a_descriptor_too_many),
	    cmocka_unit_test(test_rejects_every_reply_with_a_flag_nobody_defined),
	    cmocka_unit_test(test_rejects_a_reply_that_does_not_say_it_is_one),
	    cmocka_unit_test(test_set_log_base_is_answered_with_any_size_peers_use),
	    cmocka_unit_test(test_an_acknowledgement_without_payload_is_as_good_as_zero),
	    cmocka_unit_test(test_get_config_may_be_refused_with_an_empty_reply),
	    cmocka_unit_test(test_a_u64_refusal_is_taken_where_need_reply_was_set),
	    cmocka_unit_test(test_a_postcopy_table_reply_must_have_as_many_regions_as_it_says),
	    cmocka_unit_test(test_a_reply_is_expected_by_nature_or_when_asked_for),
	    cmocka_unit_test(test_need_reply_without_reply_ack_may_or_may_not_be_answered),
	    cmocka_unit_test(test_set_log_base_is_answered_only_with_log_shmfd),
	    cmocka_unit_test(test_in_postcopy_a_table_is_answered_and_its_acknowledgement_is_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
