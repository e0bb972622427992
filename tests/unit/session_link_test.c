/* SPDX-License-Identifier: BSD-3-Clause */
/* A session that loses its back-end: what it says meanwhile, and what to the next. */
#include <string.h>

#include "link_rig.h"

static bool did(const struct rig *rig, enum effect_kind kind)
{
	for (unsigned int i = 0; i < rig->count; i++)
		if (rig->effects[i].kind == kind)
			return true;
	return false;
}

static void refused(struct rig *rig, const char *says)
{
	assert_false(rig_lost(rig, &diag));
	if (!strstr(diag.text, says))
		fail_msg("\"%s\" does not say \"%s\"", diag.text, says);
}

static void test_requests_in_flight_of_a_relayed_ring_go_to_the_next(void **state)
{
	struct rig *rig = shadow_disk();

	shadow_runs(rig, 0);
	lost(rig);
	assert_true(rig_then(rig, EFFECT_LOSE, 0)->resubmit);
	rig_ring_lost(rig, 0, 40, 3);
	rig_idle(rig);
	rig_adopted(rig);
	rig_then_sent(rig, PORT_BACK_MAIN, WIRE_SET_FEATURES);
	rig_then_sent(rig, PORT_BACK_MAIN, WIRE_SET_MEM_TABLE);
	assert_true(rig_then(rig, EFFECT_ATTACH, 0)->resubmit);
	assert_false(session_wants(rig->session, PORT_FRONT_MAIN));
	rig_back(rig, wire_reply_u64(WIRE_SET_MEM_TABLE, 0));
	replayed(rig);
	assert_true(did(rig, EFFECT_NUDGE));
	assert_int_equal(rig_events(rig, "BACKEND_BACK"), 1);
	assert_int_equal(rig->session->link.parked, 3);
	assert_true(session_wants(rig->session, PORT_FRONT_MAIN));
	rig_end(rig);
}

static void test_a_ring_told_not_to_resubmit_is_emptied(void **state)
{
	struct rig *rig = rig_new_with(&(struct session_config){
	    .mode = MODE_SHADOW, .device = WIRE_DEVICE_BLK, .drop_inflight = true});

	rig_offer(rig, DISK, PROTOCOL);
	rig_set_features(rig, rig->session->virtio.shown);
	shadow_table(rig, 1);
	shadow_runs(rig, 0);
	lost(rig);
	assert_false(rig_then(rig, EFFECT_LOSE, 0)->resubmit);
	rig_end(rig);
}

/* Ring 0 runs, and its back-end is lost with so many chains in flight. */
static void runs_and_parks(struct rig *rig, unsigned int parked)
{
	shadow_runs(rig, 0);
	lost(rig);
	rig_ring_lost(rig, 0, 40, parked);
	forget_effects(rig);
}

/* A stop means that nothing is in flight: a guest that was told so may be migrated. */
static void test_a_stop_waits_for_the_next_back_end_to_complete_what_is_parked(void **state)
{
	struct rig *rig = shadow_disk();

	runs_and_parks(rig, 3);
	shadow_asks_base(rig, 0);
	rig_idle(rig);
	rig_adopted(rig);
	assert_int_equal(rig->session->queues[0].path.state, PATH_DRAINING);
	forget_effects(rig);
	rig_back(rig, wire_reply_u64(WIRE_SET_MEM_TABLE, 0));
	replayed(rig);
	rig_then(rig, EFFECT_NUDGE, 0);
	rig_drained(rig, 0, 43);
	rig_then(rig, EFFECT_DETACH, 0);
	shadow_state_sent(rig, WIRE_GET_VRING_BASE, 0, 0);
	rig_back(rig, wire_reply_state(WIRE_GET_VRING_BASE, 0, 0));
	shadow_base_answered(rig, 0, 43);
	assert_false(rig->session->queues[0].started);
	rig_end(rig);
}

static void test_a_stop_with_nothing_parked_is_answered_at_once(void **state)
{
	struct rig *rig = shadow_disk();

	runs_and_parks(rig, 0);
	shadow_asks_base(rig, 0);
	shadow_base_answered(rig, 0, 40);
	rig_adopted(rig);
	assert_int_equal(rig->session->queues[0].path.state, PATH_STOPPED);
	rig_end(rig);
}

static void test_a_stop_that_was_draining_goes_on_with_the_next(void **state)
{
	struct rig *rig = shadow_disk();

	shadow_runs(rig, 0);
	shadow_asks_base(rig, 0);
	lost(rig);
	rig_then(rig, EFFECT_LOSE, 0);
	rig_ring_lost(rig, 0, 40, 2);
	rig_idle(rig);
	rig_adopted(rig);
	assert_int_equal(rig->session->queues[0].path.state, PATH_DRAINING);
	rig_end(rig);
}

/* The drain was complete: only the lost back-end's word for it is missing. */
static void test_a_stop_that_was_drained_is_answered_without_the_back_end(void **state)
{
	struct rig *rig = shadow_disk();

	shadow_runs(rig, 0);
	shadow_asks_base(rig, 0);
	rig_drained(rig, 0, 41);
	lost(rig);
	shadow_base_answered(rig, 0, 41);
	rig_end(rig);
}

static void test_a_reset_forgets_what_is_parked(void **state)
{
	struct rig *rig = shadow_ready(MODE_SHADOW, WIRE_DEVICE_BLK, DISK,
				       PROTOCOL | WIRE_BIT(WIRE_PF_RESET_DEVICE));

	runs_and_parks(rig, 3);
	rig_front(rig, wire_request(WIRE_RESET_DEVICE, 0));
	assert_false(rig->session->queues[0].resubmit);
	shadow_asks_base(rig, 0);
	shadow_base_answered(rig, 0, 40);
	rig_end(rig);
}

static void test_a_question_that_only_a_back_end_can_answer_waits(void **state)
{
	struct rig *rig = shadow_disk();

	lost(rig);
	rig_front(rig, wire_request(WIRE_GET_QUEUE_NUM, 0));
	assert_false(session_wants(rig->session, PORT_FRONT_MAIN));
	rig_idle(rig);
	rig_adopted(rig);
	forget_effects(rig);
	rig_back(rig, wire_reply_u64(WIRE_SET_MEM_TABLE, 0));
	replayed(rig);
	rig_sent_id(rig, PORT_BACK_MAIN, WIRE_GET_QUEUE_NUM);
	rig_back(rig, wire_reply_u64(WIRE_GET_QUEUE_NUM, 4));
	rig_sent_id(rig, PORT_FRONT_MAIN, WIRE_GET_QUEUE_NUM);
	rig_end(rig);
}

static void test_what_can_not_be_given_again_ends_the_session_with_the_reason(void **state)
{
	struct rig *rig =
	    rig_new_with(&(struct session_config){.mode = MODE_AUTO, .device = WIRE_DEVICE_BLK});

	rig_offer(rig, DISK, PROTOCOL);
	rig_set_features(rig, rig->session->virtio.shown);
	shadow_table(rig, 1);
	shadow_runs_direct(rig, 0);
	refused(rig, "of ring 0, which is direct, is known to nobody");
	rig_end(rig);
	rig = rig_agreed(DISK, PROTOCOL);
	refused(rig, "the daemon only watches");
	rig_end(rig);
	rig = rig_new_with(&(struct session_config){.mode = MODE_AUTO});
	rig_offer(rig, DISK | WIRE_BIT(WIRE_F_PROTOCOL_FEATURES), wire_protocol_known());
	rig_front(rig, wire_request(WIRE_POSTCOPY_ADVISE, 0));
	refused(rig, "postcopy");
	rig_end(rig);
}

static struct wire_message *record_reply(struct rig *rig)
{
	struct wire_message *reply =
	    wire_message_new(WIRE_GET_INFLIGHT_FD, WIRE_VERSION | WIRE_FLAG_REPLY, 24);

	bytes_store64(reply->payload, 4096);
	bytes_store16(reply->payload + 16, 1);
	bytes_store16(reply->payload + 18, RING_SIZE);
	return rig_with_fd(rig, reply, 11);
}

/* A back-end that keeps a record itself, and a front-end that knows of none. */
static struct rig *recording_until_start(void)
{
	const uint64_t virtio = DISK | WIRE_BIT(WIRE_F_PROTOCOL_FEATURES);
	struct rig *rig = rig_new_with(&(struct session_config){
	    .mode = MODE_AUTO, .device = WIRE_DEVICE_BLK, .keep_record = true});

	rig_front(rig, wire_request(WIRE_GET_FEATURES, 0));
	rig_back(rig, wire_reply_u64(WIRE_GET_FEATURES, virtio));
	rig_front(rig, wire_request(WIRE_GET_PROTOCOL_FEATURES, 0));
	rig_back(rig, wire_reply_u64(WIRE_GET_PROTOCOL_FEATURES, PROTOCOL | INFLIGHT));
	rig_front(rig, wire_request_u64(WIRE_SET_PROTOCOL_FEATURES, 0, PROTOCOL));
	forget_effects(rig);
	rig_set_features(rig, rig->session->virtio.shown);
	shadow_table(rig, 1);
	shadow_configures(rig, 0);
	forget_effects(rig);
	return rig;
}

static struct rig *recording(void)
{
	struct rig *rig = recording_until_start();

	shadow_kicks(rig, 0);
	rig_then_sent(rig, PORT_BACK_MAIN, WIRE_GET_INFLIGHT_FD);
	rig_idle(rig);
	assert_false(session_wants(rig->session, PORT_FRONT_MAIN));
	return rig;
}

static void record_comes(struct rig *rig)
{
	rig_back(rig, record_reply(rig));
	rig_then(rig, EFFECT_KEEP_RECORD, 0);
	rig_then_sent(rig, PORT_BACK_MAIN, WIRE_SET_INFLIGHT_FD);
	rig_then(rig, EFFECT_KEEP_KICK, 0);
	rig_then_sent(rig, PORT_BACK_MAIN, WIRE_SET_VRING_KICK);
	assert_true(session_wants(rig->session, PORT_FRONT_MAIN));
}

static void test_a_record_nobody_asked_for_is_asked_for_before_the_first_start(void **state)
{
	struct rig *rig = recording();

	record_comes(rig);
	lost(rig);
	rig_then(rig, EFFECT_STAND, 0);
	rig_ring_stood(rig, 0, 9);
	rig_adopted(rig);
	rig_then_sent(rig, PORT_BACK_MAIN, WIRE_SET_FEATURES);
	rig_then_sent(rig, PORT_BACK_MAIN, WIRE_SET_MEM_TABLE);
	rig_then_sent(rig, PORT_BACK_MAIN, WIRE_SET_INFLIGHT_FD);
	shadow_state_sent(rig, WIRE_SET_VRING_NUM, 0, RING_SIZE);
	shadow_state_sent(rig, WIRE_SET_VRING_BASE, 0, 9);
	rig_end(rig);
}

static void test_one_that_died_before_it_gave_its_record_is_followed_by_one_that_does(void **state)
{
	struct rig *rig = recording();

	lost(rig);
	rig_adopted(rig);
	rig_back(rig, wire_reply_u64(WIRE_SET_MEM_TABLE, 0));
	forget_effects(rig);
	replayed(rig);
	rig_then_sent(rig, PORT_BACK_MAIN, WIRE_GET_INFLIGHT_FD);
	record_comes(rig);
	rig_end(rig);
}

static void test_a_ring_started_while_it_is_away_waits_for_the_next_ones_record(void **state)
{
	struct rig *rig = recording_until_start();

	lost(rig);
	shadow_kicks(rig, 0);
	rig_idle(rig);
	assert_false(session_wants(rig->session, PORT_FRONT_MAIN));
	rig_adopted(rig);
	rig_back(rig, wire_reply_u64(WIRE_SET_MEM_TABLE, 0));
	forget_effects(rig);
	replayed(rig);
	rig_then_sent(rig, PORT_BACK_MAIN, WIRE_GET_INFLIGHT_FD);
	record_comes(rig);
	rig_end(rig);
}

static void test_five_deaths_in_a_moment_are_the_end(void **state)
{
	struct rig *rig = shadow_disk();

	for (unsigned int i = 1; i < 5; i++) {
		lost(rig);
		rig_adopted(rig);
	}
	refused(rig, "it ended 5 times in a row within a second and with nothing completed, at "
		     "last after GET_FEATURES");
	rig_end(rig);
}

static void test_a_swap_drains_and_goes_on_elsewhere(void **state)
{
	struct rig *rig = shadow_disk();

	shadow_runs(rig, 0);
	assert_int_equal(rig_swap(rig, &diag), SESSION_MOVED);
	rig_then(rig, EFFECT_DRAIN, 0);
	assert_false(session_wants(rig->session, PORT_FRONT_MAIN));
	rig_drained(rig, 0, 50);
	rig_then(rig, EFFECT_DETACH, 0);
	shadow_state_sent(rig, WIRE_GET_VRING_BASE, 0, 0);
	rig_back(rig, wire_reply_state(WIRE_GET_VRING_BASE, 0, 0));
	assert_true(did(rig, EFFECT_SWAP));
	rig_adopted(rig);
	rig_then_sent(rig, PORT_BACK_MAIN, WIRE_SET_FEATURES);
	rig_then_sent(rig, PORT_BACK_MAIN, WIRE_SET_MEM_TABLE);
	shadow_attached(rig, 0, 0);
	rig_end(rig);
}

static void test_a_swap_whose_old_back_end_dies_is_a_loss(void **state)
{
	struct rig *rig = shadow_disk();

	shadow_runs(rig, 0);
	rig_swap(rig, &diag);
	lost(rig);
	rig_then(rig, EFFECT_LOSE, 0);
	rig_ring_lost(rig, 0, 40, 1);
	rig_adopted(rig);
	assert_int_equal(rig->session->queues[0].path.state, PATH_SHADOW);
	rig_end(rig);
}

static void test_a_swap_of_a_direct_disk_is_refused(void **state)
{
	struct rig *rig =
	    rig_new_with(&(struct session_config){.mode = MODE_AUTO, .device = WIRE_DEVICE_BLK});

	rig_offer(rig, DISK, PROTOCOL);
	rig_set_features(rig, rig->session->virtio.shown);
	shadow_table(rig, 1);
	shadow_runs_direct(rig, 0);
	assert_int_equal(rig_swap(rig, &diag), SESSION_REFUSED);
	assert_non_null(strstr(diag.text, "ring 0 is direct"));
	rig_end(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_requests_in_flight_of_a_relayed_ring_go_to_the_next),
	    cmocka_unit_test(test_a_ring_told_not_to_resubmit_is_emptied),
	    cmocka_unit_test(test_a_stop_waits_for_the_next_back_end_to_complete_what_is_parked),
	    cmocka_unit_test(test_a_stop_with_nothing_parked_is_answered_at_once),
	    cmocka_unit_test(test_a_stop_that_was_draining_goes_on_with_the_next),
	    cmocka_unit_test(test_a_stop_that_was_drained_is_answered_without_the_back_end),
	    cmocka_unit_test(test_a_reset_forgets_what_is_parked),
	    cmocka_unit_test(test_a_question_that_only_a_back_end_can_answer_waits),
	    cmocka_unit_test(test_what_can_not_be_given_again_ends_the_session_with_the_reason),
	    cmocka_unit_test(test_a_record_nobody_asked_for_is_asked_for_before_the_first_start),
	    cmocka_unit_test(
		test_one_that_died_before_it_gave_its_record_is_followed_by_one_that_does),
	    cmocka_unit_test(test_a_ring_started_while_it_is_away_waits_for_the_next_ones_record),
	    cmocka_unit_test(test_five_deaths_in_a_moment_are_the_end),
	    cmocka_unit_test(test_a_swap_drains_and_goes_on_elsewhere),
	    cmocka_unit_test(test_a_swap_whose_old_back_end_dies_is_a_loss),
	    cmocka_unit_test(test_a_swap_of_a_direct_disk_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
