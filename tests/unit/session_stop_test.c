/* SPDX-License-Identifier: BSD-3-Clause */
/* Relayed rings that are stopped, disabled and reset, and start again. */
#include "shadow_rig.h"

#include <string.h>

static void test_a_stop_drains_then_asks_the_back_end_then_answers(void **state)
{
	struct rig *rig = shadow_disk();

	shadow_runs(rig, 0);
	shadow_asks_base(rig, 0);
	rig_then(rig, EFFECT_DRAIN, 0);
	rig_idle(rig);
	assert_false(session_wants(rig->session, PORT_FRONT_MAIN));
	assert_true(session_wants(rig->session, PORT_BACK_MAIN));
	rig_drained(rig, 0, 77);
	rig_then(rig, EFFECT_DETACH, 0);
	shadow_state_sent(rig, WIRE_GET_VRING_BASE, 0, 0);
	rig_idle(rig);
	assert_false(session_wants(rig->session, PORT_FRONT_MAIN));
	/* What the back-end says is of our ring: the guest's base is the answer. */
	rig_back(rig, wire_reply_state(WIRE_GET_VRING_BASE, 0, 4000));
	shadow_base_answered(rig, 0, 77);
	rig_idle(rig);
	assert_true(session_wants(rig->session, PORT_FRONT_MAIN));
	assert_int_equal(rig_events(rig, "QUEUE_STOPPED"), 1);
	assert_int_equal(rig->session->queues[0].path.state, PATH_STOPPED);
	rig_end(rig);
}

static void test_the_answer_to_a_stop_waits_for_the_replies_before_it(void **state)
{
	struct rig *rig = shadow_disk();

	shadow_runs(rig, 0);
	rig_front(rig, wire_request(WIRE_GET_QUEUE_NUM, 0));
	rig_then_sent(rig, PORT_BACK_MAIN, WIRE_GET_QUEUE_NUM);
	shadow_asks_base(rig, 0);
	rig_then(rig, EFFECT_DRAIN, 0);
	rig_drained(rig, 0, 77);
	rig_then(rig, EFFECT_DETACH, 0);
	shadow_state_sent(rig, WIRE_GET_VRING_BASE, 0, 0);
	rig_idle(rig);
	rig_back(rig, wire_reply_u64(WIRE_GET_QUEUE_NUM, 4));
	rig_acknowledged(rig, PORT_FRONT_MAIN, WIRE_GET_QUEUE_NUM, 4);
	rig_idle(rig);
	rig_back(rig, wire_reply_state(WIRE_GET_VRING_BASE, 0, 3));
	shadow_base_answered(rig, 0, 77);
	rig_idle(rig);
	rig_end(rig);
}

#define STOPPED_AT 9u /* the back-end, in the ring it had */

static void stops(struct rig *rig, unsigned int ring, uint32_t base)
{
	shadow_asks_base(rig, ring);
	rig_then(rig, EFFECT_DRAIN, ring);
	rig_drained(rig, ring, base);
	rig_then(rig, EFFECT_DETACH, ring);
	shadow_state_sent(rig, WIRE_GET_VRING_BASE, ring, 0);
	rig_back(rig, wire_reply_state(WIRE_GET_VRING_BASE, ring, STOPPED_AT));
	shadow_base_answered(rig, ring, base);
	rig_idle(rig);
}

static void test_a_ring_is_stopped_and_started_again_and_the_other_runs_on(void **state)
{
	struct rig *rig = shadow_disk();

	shadow_runs(rig, 0);
	shadow_runs(rig, 1);
	for (uint32_t base = 10; base < 13; base++) {
		stops(rig, 0, base);
		assert_int_equal(rig->session->queues[1].path.state, PATH_SHADOW);
		shadow_starts_again(rig, 0, STOPPED_AT);
	}
	rig_end(rig);
}

static void test_a_status_that_waits_for_the_rings_goes_with_the_last_of_them(void **state)
{
	struct rig *rig =
	    shadow_ready(MODE_SHADOW, WIRE_DEVICE_BLK, DISK, PROTOCOL | WIRE_BIT(WIRE_PF_STATUS));

	shadow_runs(rig, 0);
	shadow_runs(rig, 1);
	rig_front(rig, wire_request_u64(WIRE_SET_STATUS, 0, 0));
	rig_idle(rig);
	stops(rig, 0, 3);
	shadow_asks_base(rig, 1);
	rig_then(rig, EFFECT_DRAIN, 1);
	rig_drained(rig, 1, 4);
	rig_then(rig, EFFECT_DETACH, 1);
	shadow_state_sent(rig, WIRE_GET_VRING_BASE, 1, 0);
	rig_back(rig, wire_reply_state(WIRE_GET_VRING_BASE, 1, 9));
	rig_then_sent(rig, PORT_BACK_MAIN, WIRE_SET_STATUS);
	shadow_base_answered(rig, 1, 4);
	rig_idle(rig);
	rig_end(rig);
}

static void disables(struct rig *rig, unsigned int ring)
{
	rig_front(rig, wire_request_state(WIRE_SET_VRING_ENABLE, NEED, ring, 0));
	rig_acknowledged(rig, PORT_FRONT_MAIN, WIRE_SET_VRING_ENABLE, 0);
	rig_idle(rig);
}

/* A disabled ring is not worked on: what is in flight would never complete. */
static void test_a_disk_is_disabled_when_its_ring_is_drained(void **state)
{
	struct rig *rig = shadow_disk();

	shadow_runs(rig, 0);
	disables(rig, 0);
	shadow_asks_base(rig, 0);
	rig_then(rig, EFFECT_DRAIN, 0);
	rig_drained(rig, 0, 7);
	rig_then(rig, EFFECT_DETACH, 0);
	shadow_state_sent(rig, WIRE_GET_VRING_BASE, 0, 0);
	rig_idle(rig);
	rig_back(rig, wire_reply_state(WIRE_GET_VRING_BASE, 0, 7));
	shadow_state_sent(rig, WIRE_SET_VRING_ENABLE, 0, 0);
	shadow_base_answered(rig, 0, 7);
	rig_idle(rig);
	shadow_starts(rig, 0);
	rig_then(rig, EFFECT_KEEP_KICK, 0);
	shadow_attached(rig, 0, 7);
	rig_idle(rig);
	shadow_enabled(rig, 0);
	rig_end(rig);
}

static void test_a_disable_waits_for_nothing_but_a_stop(void **state)
{
	struct rig *rig = shadow_disk();

	shadow_runs(rig, 0);
	shadow_runs(rig, 1);
	disables(rig, 0);
	disables(rig, 1);
	shadow_enabled(rig, 1);
	rig_front(rig, wire_request(WIRE_GET_QUEUE_NUM, 0));
	shadow_state_sent(rig, WIRE_SET_VRING_ENABLE, 0, 0);
	rig_then_sent(rig, PORT_BACK_MAIN, WIRE_GET_QUEUE_NUM);
	rig_idle(rig);
	rig_end(rig);
}

static void test_a_ring_configured_and_never_started_is_answered_here(void **state)
{
	struct rig *rig = shadow_disk();

	shadow_configures(rig, 3);
	shadow_asks_base(rig, 3);
	shadow_base_answered(rig, 3, RING_BASE);
	rig_idle(rig);
	rig_end(rig);
}

static void test_a_reset_detaches_every_ring_and_they_start_again(void **state)
{
	struct rig *rig = shadow_ready(MODE_SHADOW, WIRE_DEVICE_BLK, DISK,
				       PROTOCOL | WIRE_BIT(WIRE_PF_RESET_DEVICE));

	shadow_runs(rig, 0);
	shadow_runs(rig, 1);
	shadow_configures(rig, 2);
	rig_front(rig, wire_request(WIRE_RESET_DEVICE, 0));
	rig_then(rig, EFFECT_DETACH, 0);
	rig_then(rig, EFFECT_DETACH, 1);
	rig_then_sent(rig, PORT_BACK_MAIN, WIRE_RESET_DEVICE);
	rig_idle(rig);
	for (unsigned int i = 0; i < 3; i++) {
		assert_int_equal(rig->session->queues[i].path.state, PATH_STOPPED);
		assert_false(rig->session->queues[i].absorbed);
	}
	rig_set_features(rig, rig->session->virtio.shown);
	shadow_runs(rig, 0);
	rig_end(rig);
}

/* The shell holds the front-end back; should a reset come all the same, nothing waits for ever. */
static void test_a_reset_in_the_middle_of_a_drain_answers_and_lets_the_front_end_go_on(void **state)
{
	struct rig *rig = shadow_ready(MODE_SHADOW, WIRE_DEVICE_BLK, DISK,
				       PROTOCOL | WIRE_BIT(WIRE_PF_RESET_DEVICE));

	shadow_runs(rig, 0);
	shadow_asks_base(rig, 0);
	rig_then(rig, EFFECT_DRAIN, 0);
	rig_front(rig, wire_request(WIRE_RESET_DEVICE, 0));
	rig_then(rig, EFFECT_DETACH, 0);
	rig_then_sent(rig, PORT_BACK_MAIN, WIRE_RESET_DEVICE);
	shadow_base_answered(rig, 0, RING_BASE);
	rig_idle(rig);
	assert_true(session_wants(rig->session, PORT_FRONT_MAIN));
	/* The data thread's report was on its way. */
	rig_drained(rig, 0, 77);
	rig_idle(rig);
	rig_end(rig);
}

static void test_what_the_back_end_says_of_a_ring_after_its_reset_is_not_listened_to(void **state)
{
	struct rig *rig = shadow_ready(MODE_SHADOW, WIRE_DEVICE_BLK, DISK,
				       PROTOCOL | WIRE_BIT(WIRE_PF_RESET_DEVICE));

	shadow_runs(rig, 0);
	shadow_asks_base(rig, 0);
	rig_then(rig, EFFECT_DRAIN, 0);
	rig_drained(rig, 0, 77);
	rig_then(rig, EFFECT_DETACH, 0);
	shadow_state_sent(rig, WIRE_GET_VRING_BASE, 0, 0);
	rig_front(rig, wire_request(WIRE_RESET_DEVICE, 0));
	rig_then(rig, EFFECT_DETACH, 0);
	rig_then_sent(rig, PORT_BACK_MAIN, WIRE_RESET_DEVICE);
	shadow_base_answered(rig, 0, 77);
	rig_back(rig, wire_reply_state(WIRE_GET_VRING_BASE, 0, 9));
	rig_idle(rig);
	assert_int_equal(rig->session->holding, 0);
	assert_int_equal(rig->session->queues[0].path.state, PATH_STOPPED);
	rig_end(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_a_stop_drains_then_asks_the_back_end_then_answers),
	    cmocka_unit_test(test_the_answer_to_a_stop_waits_for_the_replies_before_it),
	    cmocka_unit_test(test_a_ring_is_stopped_and_started_again_and_the_other_runs_on),
	    cmocka_unit_test(test_a_status_that_waits_for_the_rings_goes_with_the_last_of_them),
	    cmocka_unit_test(test_a_disk_is_disabled_when_its_ring_is_drained),
	    cmocka_unit_test(test_a_disable_waits_for_nothing_but_a_stop),
	    cmocka_unit_test(test_a_ring_configured_and_never_started_is_answered_here),
	    cmocka_unit_test(test_a_reset_detaches_every_ring_and_they_start_again),
	    cmocka_unit_test(
		test_a_reset_in_the_middle_of_a_drain_answers_and_lets_the_front_end_go_on),
	    cmocka_unit_test(
		test_what_the_back_end_says_of_a_ring_after_its_reset_is_not_listened_to),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
