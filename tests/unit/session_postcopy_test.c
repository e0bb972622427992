/* SPDX-License-Identifier: BSD-3-Clause */
/* Postcopy's memory tables, their answers, and the acknowledgements QEMU sends for those. */
#include "session_rig.h"

#include "wire/encode.h"

#include <string.h>

#define ALL UINT64_MAX
/* Bits that are passed on as they are, whatever is hidden. */
#define ALL_PASSED (WIRE_BIT(WIRE_F_VERSION_1) | WIRE_BIT(WIRE_F_PROTOCOL_FEATURES))

static const struct wire_region regions[] = {
    {.gpa = 0, .size = 0x100000, .uva = 0x7f0000000000},
    {.gpa = 0x100000, .size = 0x100000, .uva = 0x7f0000100000},
};

static struct rig *listening(void)
{
	struct rig *rig = rig_agreed(ALL, ALL);

	rig_relays(rig, PORT_FRONT_MAIN, wire_request(WIRE_POSTCOPY_ADVISE, 0));
	rig_relays(rig, PORT_BACK_MAIN,
		   rig_with_fd(rig, wire_message_new(WIRE_POSTCOPY_ADVISE, 5, 0), 0));
	rig_relays(rig, PORT_FRONT_MAIN, wire_request(WIRE_POSTCOPY_LISTEN, NEED));
	rig_answers(rig, PORT_BACK_MAIN, WIRE_POSTCOPY_LISTEN, 0);
	return rig;
}

static struct wire_message *reply_of(struct wire_message *request)
{
	request->header.flags |= WIRE_FLAG_REPLY;
	return request;
}

static void give_table(struct rig *rig)
{
	struct wire_message *table = wire_request_table(0, regions, 2);

	rig_with_fd(rig, rig_with_fd(rig, table, 5), 6);
	rig_relays(rig, PORT_FRONT_MAIN, table);
	rig_relays(rig, PORT_BACK_MAIN, reply_of(wire_request_table(0, regions, 2)));
}

static void give_region(struct rig *rig, unsigned int i)
{
	rig_relays(rig, PORT_FRONT_MAIN,
		   rig_with_fd(rig, wire_request_region(WIRE_ADD_MEM_REG, 0, &regions[i]), i + 5));
	rig_relays(rig, PORT_BACK_MAIN,
		   reply_of(wire_request_region(WIRE_ADD_MEM_REG, 0, &regions[i])));
}

static unsigned int phase(const struct rig *rig)
{
	return rig->session->postcopy.sm.state;
}

static void test_the_tables_acknowledgement_passes_and_the_regions_stay(void **state)
{
	struct rig *rig = listening();

	give_table(rig);
	assert_int_equal(regions_live(&rig->session->regions), 2);
	rig_relays(rig, PORT_FRONT_MAIN, wire_request_u64(WIRE_SET_MEM_TABLE, 0, 0));
	assert_int_equal(regions_live(&rig->session->regions), 2);
	assert_int_equal(phase(rig), POSTCOPY_ACKED);
	/* Nothing is due for it. */
	rig_relays(rig, PORT_FRONT_MAIN, wire_request(WIRE_GET_STATUS, 0));
	rig_answers(rig, PORT_BACK_MAIN, WIRE_GET_STATUS, 0);
	rig_end(rig);
}

static void listen_again(struct rig *rig)
{
	rig_relays(rig, PORT_FRONT_MAIN, wire_request(WIRE_POSTCOPY_LISTEN, NEED));
	rig_answers(rig, PORT_BACK_MAIN, WIRE_POSTCOPY_LISTEN, 0);
}

/* QEMU 7.2 and 10: the pair sends no SET_MEM_TABLE and reads the reply to one. */
static void test_a_further_pair_gets_the_reply_it_reads_and_never_asked_for(void **state)
{
	struct rig *rig = listening();
	const struct wire_message *again;

	listen_again(rig);
	give_table(rig);
	rig_relays(rig, PORT_FRONT_MAIN, wire_request_u64(WIRE_SET_MEM_TABLE, 0, 0));
	rig_front(rig, wire_request_u64(WIRE_SET_FEATURES, 0, ALL_PASSED));
	rig_sent_id(rig, PORT_BACK_MAIN, WIRE_SET_FEATURES);
	again = rig_sent_id(rig, PORT_FRONT_MAIN, WIRE_SET_MEM_TABLE);
	assert_int_equal(again->header.flags, WIRE_VERSION | WIRE_FLAG_REPLY);
	assert_int_equal(wire_table_region(again, 1).uva, regions[1].uva);
	/* There was one further pair, hence one. */
	rig_relays(rig, PORT_FRONT_MAIN, wire_request_u64(WIRE_SET_FEATURES, 0, ALL_PASSED));
	rig_nothing_more(rig);
	rig_end(rig);
}

static void test_a_device_of_one_pair_gets_no_reply_unasked(void **state)
{
	struct rig *rig = listening();

	give_table(rig);
	rig_relays(rig, PORT_FRONT_MAIN, wire_request_u64(WIRE_SET_MEM_TABLE, 0, 0));
	rig_relays(rig, PORT_FRONT_MAIN, wire_request_u64(WIRE_SET_FEATURES, 0, ALL_PASSED));
	rig_nothing_more(rig);
	rig_end(rig);
}

/* No region had changed: QEMU never set the id, which is still that of the last removal. */
static void test_an_acknowledgement_with_the_id_of_a_removal_is_kept_back(void **state)
{
	struct rig *rig = listening();

	give_region(rig, 0);
	rig_front(rig, wire_request_u64(WIRE_REM_MEM_REG, 0, 0));
	rig_nothing_more(rig);
	assert_int_equal(phase(rig), POSTCOPY_ACKED);
	assert_int_equal(regions_live(&rig->session->regions), 1);
	rig_end(rig);
}

static void test_the_regions_acknowledgement_is_kept_back(void **state)
{
	struct rig *rig = listening();

	give_region(rig, 0);
	give_region(rig, 1);
	rig_front(rig, wire_request_u64(WIRE_ADD_MEM_REG, 0, 0));
	rig_nothing_more(rig);
	assert_int_equal(phase(rig), POSTCOPY_ACKED);
	assert_int_equal(regions_live(&rig->session->regions), 2);
	rig_end(rig);
}

static void test_the_acknowledgement_with_id_0_is_kept_back(void **state)
{
	struct rig *rig = listening();

	rig_front(rig, wire_request_u64(WIRE_NONE, 0, 0));
	rig_nothing_more(rig);
	assert_int_equal(phase(rig), POSTCOPY_ACKED);
	rig_end(rig);
}

static void test_a_region_twice_while_listening_is_the_back_ends_to_answer(void **state)
{
	struct rig *rig = listening();

	give_region(rig, 0);
	give_region(rig, 0);
	assert_int_equal(regions_live(&rig->session->regions), 1);
	rig_end(rig);
}

static void test_after_the_end_tables_are_as_usual(void **state)
{
	struct rig *rig = listening();

	give_table(rig);
	rig_relays(rig, PORT_FRONT_MAIN, wire_request_u64(WIRE_SET_MEM_TABLE, 0, 0));
	rig_relays(rig, PORT_FRONT_MAIN, wire_request(WIRE_POSTCOPY_END, NEED));
	rig_answers(rig, PORT_BACK_MAIN, WIRE_POSTCOPY_END, 0);
	rig_relays(rig, PORT_FRONT_MAIN, wire_request_table(NEED, NULL, 0));
	rig_answers(rig, PORT_BACK_MAIN, WIRE_SET_MEM_TABLE, 0);
	assert_int_equal(regions_live(&rig->session->regions), 0);
	rig_end(rig);
}

static void test_a_reply_in_the_old_layout_is_known_by_when_it_was_asked_for(void **state)
{
	struct rig *rig = listening();
	struct wire_message *table = wire_request_table(0, regions, 2);

	rig_with_fd(rig, rig_with_fd(rig, table, 5), 6);
	rig_relays(rig, PORT_FRONT_MAIN, table);
	rig_relays(rig, PORT_FRONT_MAIN, wire_request(WIRE_POSTCOPY_END, 0));
	rig_relays(rig, PORT_BACK_MAIN, reply_of(wire_request_table(0, regions, 2)));
	rig_answers(rig, PORT_BACK_MAIN, WIRE_POSTCOPY_END, 0);
	rig_end(rig);
}

static void test_acknowledgements_outside_postcopy_are_refused(void **state)
{
	struct rig *rig = rig_agreed(ALL, ALL);

	rig_front(rig, wire_request_u64(WIRE_NONE, 0, 0));
	assert_non_null(strstr(rig_fault(rig, PORT_FRONT_MAIN), "id 0"));
	rig_end(rig);
	rig = rig_agreed(ALL, ALL);
	rig_front(rig, wire_request_u64(WIRE_ADD_MEM_REG, 0, 0));
	assert_non_null(strstr(rig_fault(rig, PORT_FRONT_MAIN), "ADD_MEM_REG"));
	rig_end(rig);
}

static void test_an_empty_table_outside_postcopy_clears_the_regions(void **state)
{
	struct rig *rig = rig_agreed(ALL, ALL);

	rig_relays(rig, PORT_FRONT_MAIN, rig_with_fd(rig, wire_request_table(0, regions, 1), 5));
	assert_int_equal(regions_live(&rig->session->regions), 1);
	rig_relays(rig, PORT_FRONT_MAIN, wire_request_table(0, NULL, 0));
	assert_int_equal(regions_live(&rig->session->regions), 0);
	rig_end(rig);
}

int main(void)
{
#define T(name) cmocka_unit_test(name)
	const struct CMUnitTest tests[] = {
	    T(test_the_tables_acknowledgement_passes_and_the_regions_stay),
	    T(test_a_further_pair_gets_the_reply_it_reads_and_never_asked_for),
	    T(test_a_device_of_one_pair_gets_no_reply_unasked),
	    T(test_an_acknowledgement_with_the_id_of_a_removal_is_kept_back),
	    T(test_the_regions_acknowledgement_is_kept_back),
	    T(test_the_acknowledgement_with_id_0_is_kept_back),
	    T(test_a_region_twice_while_listening_is_the_back_ends_to_answer),
	    T(test_after_the_end_tables_are_as_usual),
	    T(test_a_reply_in_the_old_layout_is_known_by_when_it_was_asked_for),
	    T(test_acknowledgements_outside_postcopy_are_refused),
	    T(test_an_empty_table_outside_postcopy_clears_the_regions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
