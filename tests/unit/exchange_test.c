/* SPDX-License-Identifier: BSD-3-Clause */
#include "session/exchange.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

static void push(struct exchange *exchange, enum exchange_origin origin, enum wire_expect expect,
		 uint32_t id)
{
	struct exchange_entry entry = {.origin = origin, .expect = expect, .id = id};

	exchange_push(exchange, &entry);
}

static void push_asked(struct exchange *exchange, uint32_t id)
{
	push(exchange, EXCHANGE_PEER, WIRE_EXPECT_REPLY, id);
}

static void push_perhaps(struct exchange *exchange, uint32_t id)
{
	push(exchange, EXCHANGE_PEER, WIRE_EXPECT_PERHAPS, id);
}

/* The answer is never looked at: any address does. */
static void push_answered(struct exchange *exchange, uint32_t id, struct wire_message *answer)
{
	struct exchange_entry entry = {
	    .origin = EXCHANGE_ANSWERED, .expect = WIRE_EXPECT_REPLY, .id = id, .answer = answer};

	exchange_push(exchange, &entry);
}

static bool match(struct exchange *exchange, uint32_t id)
{
	struct exchange_entry entry;

	if (!exchange_match(exchange, id, &entry, NULL))
		return false;
	assert_int_equal(entry.id, id);
	return true;
}

static struct exchange exchange;
static struct wire_message answers[2];

static int clean(void **state)
{
	exchange = (struct exchange){.count = 0};
	return 0;
}

static void test_replies_match_their_requests_in_order(void **state)
{
	push_asked(&exchange, 1);
	push_asked(&exchange, 15);
	assert_true(match(&exchange, 1));
	assert_true(match(&exchange, 15));
	assert_int_equal(exchange.count, 0);
}

static void test_a_reply_to_a_later_request_is_refused_and_names_the_one_due(void **state)
{
	const struct exchange_entry *oldest;
	struct exchange_entry entry;

	push_asked(&exchange, 1);
	push_asked(&exchange, 15);
	assert_false(exchange_match(&exchange, 15, &entry, &oldest));
	assert_non_null(oldest);
	assert_int_equal(oldest->id, 1);
	assert_int_equal(exchange.count, 2);
}

static void test_a_reply_to_nothing_is_refused(void **state)
{
	const struct exchange_entry *oldest;
	struct exchange_entry entry;

	assert_false(exchange_match(&exchange, 1, &entry, &oldest));
	assert_null(oldest);
	/* Nor does what was answered stay where a second reply could find it. */
	push_asked(&exchange, 2);
	push_asked(&exchange, 1);
	assert_true(match(&exchange, 2));
	assert_true(match(&exchange, 1));
	assert_false(match(&exchange, 1));
	exchange.first = 0;
	assert_false(match(&exchange, 2));
}

static void test_what_was_perhaps_answered_is_passed_over_by_the_next_reply(void **state)
{
	push_perhaps(&exchange, 22);
	push_asked(&exchange, 11);
	assert_true(match(&exchange, 11));
	assert_int_equal(exchange.count, 0);
	assert_false(match(&exchange, 22));
}

static void test_what_was_perhaps_answered_may_be_answered(void **state)
{
	push_perhaps(&exchange, 22);
	push_asked(&exchange, 11);
	assert_true(match(&exchange, 22));
	assert_true(match(&exchange, 11));
}

static void test_an_answer_of_our_own_waits_for_the_replies_before_it(void **state)
{
	push_asked(&exchange, 1);
	push_answered(&exchange, 11, &answers[0]);
	assert_null(exchange_due(&exchange));
	assert_true(match(&exchange, 1));
	assert_ptr_equal(exchange_due(&exchange), &answers[0]);
	assert_null(exchange_due(&exchange));
	assert_int_equal(exchange.count, 0);
}

static void test_a_reply_is_never_taken_for_one_to_what_we_answer(void **state)
{
	push_answered(&exchange, 11, &answers[0]);
	assert_false(match(&exchange, 11));
	push_asked(&exchange, 11);
	assert_true(match(&exchange, 11));
	assert_ptr_equal(exchange_due(&exchange), &answers[0]);
	assert_int_equal(exchange.count, 0);
}

/* A relayed ring is stopped: the back-end is asked after the front-end's question was kept. */
static void test_an_answer_not_known_yet_keeps_its_place_until_it_is_filled(void **state)
{
	struct exchange_entry ours = {
	    .origin = EXCHANGE_OURS, .expect = WIRE_EXPECT_REPLY, .id = 11, .queue = 3};
	struct exchange_entry entry = {
	    .origin = EXCHANGE_ANSWERED, .expect = WIRE_EXPECT_REPLY, .id = 11, .queue = 3};

	exchange_push(&exchange, &entry);
	push_answered(&exchange, 18, &answers[1]);
	assert_null(exchange_due(&exchange));
	exchange_push(&exchange, &ours);
	assert_true(match(&exchange, 11));
	assert_null(exchange_due(&exchange));
	assert_true(exchange_fill(&exchange, 11, 3, &answers[0]));
	assert_ptr_equal(exchange_due(&exchange), &answers[0]);
	assert_ptr_equal(exchange_due(&exchange), &answers[1]);
	assert_int_equal(exchange.count, 0);
}

static void test_only_the_answer_that_is_missing_is_filled(void **state)
{
	struct exchange_entry entry = {
	    .origin = EXCHANGE_ANSWERED, .expect = WIRE_EXPECT_REPLY, .id = 11, .queue = 3};

	push_asked(&exchange, 11);
	exchange_push(&exchange, &entry);
	assert_false(exchange_fill(&exchange, 11, 4, &answers[0]));
	assert_false(exchange_fill(&exchange, 12, 3, &answers[0]));
	assert_true(exchange_fill(&exchange, 11, 3, &answers[0]));
	assert_false(exchange_fill(&exchange, 11, 3, &answers[1]));
}

static void test_answers_kept_while_a_reply_passes_them_stay_in_order(void **state)
{
	push_perhaps(&exchange, 22);
	push_answered(&exchange, 18, &answers[0]);
	push_perhaps(&exchange, 77);
	push_answered(&exchange, 18, &answers[1]);
	push_asked(&exchange, 1);
	push_asked(&exchange, 2);
	assert_true(match(&exchange, 1));
	assert_ptr_equal(exchange_due(&exchange), &answers[0]);
	assert_ptr_equal(exchange_due(&exchange), &answers[1]);
	assert_false(match(&exchange, 77));
	assert_true(match(&exchange, 2));
}

static void test_answers_of_our_own_come_in_the_order_they_were_given(void **state)
{
	push_answered(&exchange, 18, &answers[0]);
	push_answered(&exchange, 18, &answers[1]);
	assert_ptr_equal(exchange_due(&exchange), &answers[0]);
	assert_ptr_equal(exchange_due(&exchange), &answers[1]);
}

static void test_an_own_answer_does_not_wait_for_a_reply_that_may_never_come(void **state)
{
	push_perhaps(&exchange, 22);
	push_answered(&exchange, 11, &answers[0]);
	assert_ptr_equal(exchange_due(&exchange), &answers[0]);
}

static void test_a_late_reply_still_matches_after_our_own_answer_went_past_it(void **state)
{
	push_perhaps(&exchange, 22);
	push_perhaps(&exchange, 77);
	push_answered(&exchange, 11, &answers[0]);
	push_asked(&exchange, 1);
	assert_ptr_equal(exchange_due(&exchange), &answers[0]);
	assert_true(match(&exchange, 22));
	assert_true(match(&exchange, 77));
	assert_true(match(&exchange, 1));
	assert_int_equal(exchange.count, 0);
}

static void test_the_peer_is_held_up_before_the_daemon_runs_out_of_places(void **state)
{
	for (unsigned int i = 0; i < EXCHANGE_MAX - EXCHANGE_RESERVE; i++) {
		assert_false(exchange_full(&exchange));
		push_asked(&exchange, 1);
	}
	assert_true(exchange_full(&exchange));
	for (unsigned int i = 0; i < EXCHANGE_RESERVE; i++)
		push(&exchange, EXCHANGE_OURS, WIRE_EXPECT_REPLY, 18);
	assert_int_equal(exchange.count, EXCHANGE_MAX);
	assert_true(match(&exchange, 1));
	assert_true(exchange_full(&exchange));
}

static void test_requests_never_answered_do_not_fill_the_queue(void **state)
{
	for (unsigned int i = 0; i < 4 * EXCHANGE_MAX; i++) {
		push_perhaps(&exchange, 22);
		assert_false(exchange_full(&exchange));
	}
	push_asked(&exchange, 1);
	assert_true(match(&exchange, 1));
	assert_int_equal(exchange.count, 0);
}

static void test_the_queue_goes_round_its_ring_for_ever(void **state)
{
	for (unsigned int i = 0; i < 5 * EXCHANGE_MAX; i++) {
		push_asked(&exchange, i);
		push_perhaps(&exchange, i + 1);
		push_answered(&exchange, i + 2, &answers[0]);
		assert_true(match(&exchange, i));
		assert_ptr_equal(exchange_due(&exchange), &answers[0]);
		assert_true(match(&exchange, i + 1));
	}
	assert_int_equal(exchange.count, 0);
}

static void test_the_oldest_is_one_that_must_be_answered(void **state)
{
	assert_null(exchange_oldest(&exchange));
	push_perhaps(&exchange, 22);
	assert_null(exchange_oldest(&exchange));
	push_asked(&exchange, 11);
	push_asked(&exchange, 12);
	assert_int_equal(exchange_oldest(&exchange)->id, 11);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup(name, clean)
	const struct CMUnitTest tests[] = {
	    T(test_replies_match_their_requests_in_order),
	    T(test_a_reply_to_a_later_request_is_refused_and_names_the_one_due),
	    T(test_a_reply_to_nothing_is_refused),
	    T(test_what_was_perhaps_answered_is_passed_over_by_the_next_reply),
	    T(test_what_was_perhaps_answered_may_be_answered),
	    T(test_an_answer_of_our_own_waits_for_the_replies_before_it),
	    T(test_a_reply_is_never_taken_for_one_to_what_we_answer),
	    T(test_an_answer_not_known_yet_keeps_its_place_until_it_is_filled),
	    T(test_only_the_answer_that_is_missing_is_filled),
	    T(test_answers_kept_while_a_reply_passes_them_stay_in_order),
	    T(test_answers_of_our_own_come_in_the_order_they_were_given),
	    T(test_an_own_answer_does_not_wait_for_a_reply_that_may_never_come),
	    T(test_a_late_reply_still_matches_after_our_own_answer_went_past_it),
	    T(test_the_peer_is_held_up_before_the_daemon_runs_out_of_places),
	    T(test_requests_never_answered_do_not_fill_the_queue),
	    T(test_the_queue_goes_round_its_ring_for_ever),
	    T(test_the_oldest_is_one_that_must_be_answered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
