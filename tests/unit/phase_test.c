/* SPDX-License-Identifier: BSD-3-Clause */
#include "postcopy/phase.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

static struct postcopy postcopy;

static int clean(void **state)
{
	postcopy_init(&postcopy);
	return 0;
}

static void test_the_usual_way_from_off_to_ended(void **state)
{
	assert_false(postcopy_listening(&postcopy));
	postcopy_advise(&postcopy);
	assert_int_equal(postcopy.sm.state, POSTCOPY_ADVISED);
	assert_false(postcopy_listening(&postcopy));
	postcopy_listen(&postcopy);
	assert_int_equal(postcopy.sm.state, POSTCOPY_LISTENING);
	assert_true(postcopy_listening(&postcopy));
	postcopy_ack(&postcopy);
	assert_int_equal(postcopy.sm.state, POSTCOPY_ACKED);
	assert_true(postcopy_listening(&postcopy));
	postcopy_end(&postcopy);
	assert_int_equal(postcopy.sm.state, POSTCOPY_ENDED);
	assert_false(postcopy_listening(&postcopy));
}

static void test_each_queue_pair_may_say_it_again(void **state)
{
	postcopy_advise(&postcopy);
	postcopy_advise(&postcopy);
	postcopy_listen(&postcopy);
	postcopy_listen(&postcopy);
	postcopy_ack(&postcopy);
	postcopy_listen(&postcopy);
	postcopy_ack(&postcopy);
	assert_int_equal(postcopy.sm.state, POSTCOPY_ACKED);
	postcopy_end(&postcopy);
	postcopy_end(&postcopy);
	assert_int_equal(postcopy.sm.state, POSTCOPY_ENDED);
}

static void test_a_further_migration_begins_anew(void **state)
{
	postcopy_listen(&postcopy);
	postcopy_end(&postcopy);
	postcopy_advise(&postcopy);
	assert_int_equal(postcopy.sm.state, POSTCOPY_ADVISED);
	postcopy_listen(&postcopy);
	assert_true(postcopy_listening(&postcopy));
}

static void test_what_makes_no_sense_where_it_comes_changes_nothing(void **state)
{
	postcopy_ack(&postcopy);
	postcopy_end(&postcopy);
	assert_int_equal(postcopy.sm.state, POSTCOPY_OFF);
	postcopy_listen(&postcopy);
	postcopy_advise(&postcopy);
	assert_int_equal(postcopy.sm.state, POSTCOPY_LISTENING);
}

/* The order is a peer's to choose: no sequence may fail an assertion. */
static void test_no_sequence_of_messages_is_fatal(void **state)
{
	static void (*const messages[])(struct postcopy *) = {postcopy_advise, postcopy_listen,
							      postcopy_ack, postcopy_end};

	for (unsigned int sequence = 0; sequence < 4096; sequence++) {
		postcopy_init(&postcopy);
		for (unsigned int digits = sequence, i = 0; i < 6; i++, digits /= 4)
			messages[digits % 4](&postcopy);
		assert_in_range(postcopy.sm.state, POSTCOPY_OFF, POSTCOPY_ENDED);
	}
}

int main(void)
{
#define T(name) cmocka_unit_test_setup(name, clean)
	const struct CMUnitTest tests[] = {
	    T(test_the_usual_way_from_off_to_ended),
	    T(test_each_queue_pair_may_say_it_again),
	    T(test_a_further_migration_begins_anew),
	    T(test_what_makes_no_sense_where_it_comes_changes_nothing),
	    T(test_no_sequence_of_messages_is_fatal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
