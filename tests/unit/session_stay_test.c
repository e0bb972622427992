/* SPDX-License-Identifier: BSD-3-Clause */
/* Rings that are to be relayed, and whose back-end is not done in time: they stay direct. */
#include "shadow_rig.h"

#include <string.h>

#define MS 1000000ull

static struct diag diag;

/* Two rings of a disk, asked to come in, and watched. */
static struct rig *watched_disk(void)
{
	struct rig *rig = shadow_ready(MODE_DIRECT, WIRE_DEVICE_BLK, DISK, PROTOCOL);

	shadow_runs_direct(rig, 0);
	shadow_runs_direct(rig, 1);
	session_clock(rig->session, 0);
	assert_int_equal(rig_move(rig, MODE_SHADOW, &diag), SESSION_MOVED);
	shadow_fd_sent(rig, WIRE_SET_VRING_KICK, 0, SESSION_FD_SILENT);
	shadow_fd_sent(rig, WIRE_SET_VRING_KICK, 1, SESSION_FD_SILENT);
	rig_then_sent(rig, PORT_BACK_MAIN, WIRE_GET_FEATURES);
	rig_back(rig, wire_reply_u64(WIRE_GET_FEATURES, 0));
	rig_then(rig, EFFECT_WATCH, 0);
	rig_then(rig, EFFECT_WATCH, 1);
	rig_idle(rig);
	return rig;
}

static void stays(struct rig *rig, unsigned int ring)
{
	rig_stayed_busy(rig, ring);
	shadow_fd_sent(rig, WIRE_SET_VRING_KICK, ring, SESSION_FD_GUEST_KICK);
	rig_then(rig, EFFECT_NUDGE, ring);
	rig_idle(rig);
	assert_int_equal(rig->session->queues[ring].path.state, PATH_DIRECT);
	assert_true(rig->session->queues[ring].started);
}

static void comes_in(struct rig *rig, unsigned int ring)
{
	rig_became_quiet(rig, ring);
	shadow_state_sent(rig, WIRE_GET_VRING_BASE, ring, 0);
	rig_back(rig, wire_reply_state(WIRE_GET_VRING_BASE, ring, 7));
	shadow_attached(rig, ring, 7);
	shadow_state_sent(rig, WIRE_SET_VRING_ENABLE, ring, 1);
	rig_then(rig, EFFECT_NUDGE, ring);
	rig_idle(rig);
	assert_int_equal(rig->session->queues[ring].path.state, PATH_SHADOW);
}

static void test_a_busy_ring_gets_its_kick_back_and_stays_direct(void **state)
{
	struct rig *rig = watched_disk();

	session_clock(rig->session, 501 * MS);
	stays(rig, 0);
	assert_false(session_wants(rig->session, PORT_FRONT_MAIN));
	stays(rig, 1);
	assert_true(session_wants(rig->session, PORT_FRONT_MAIN));
	assert_int_equal(rig->session->stayed, 2);
	assert_int_equal(rig_events(rig, "QUEUE_STAYED"), 2);
	assert_int_equal(rig_events(rig, "QUEUE_MOVED"), 0);
	assert_int_equal(rig_lines(rig, LEVEL_WARN), 2);
	/* As long as that the guest's kicks were not heard. */
	assert_int_equal(rig->session->queues[0].longest_pause_us, 501000);
	assert_int_equal(rig->session->queues[0].moves, 0);
	rig_end(rig);
}

static void test_one_that_is_done_in_time_moves_beside_one_that_is_not(void **state)
{
	struct rig *rig = watched_disk();

	comes_in(rig, 1);
	stays(rig, 0);
	assert_int_equal(rig->session->stayed, 1);
	assert_true(session_wants(rig->session, PORT_FRONT_MAIN));
	rig_end(rig);
}

static void test_what_stayed_can_be_asked_again_and_comes_in(void **state)
{
	struct rig *rig = watched_disk();

	comes_in(rig, 1);
	stays(rig, 0);
	assert_int_equal(rig_move(rig, MODE_SHADOW, &diag), SESSION_MOVED);
	assert_int_equal(rig->session->stayed, 0);
	shadow_fd_sent(rig, WIRE_SET_VRING_KICK, 0, SESSION_FD_SILENT);
	rig_then_sent(rig, PORT_BACK_MAIN, WIRE_GET_FEATURES);
	rig_back(rig, wire_reply_u64(WIRE_GET_FEATURES, 0));
	rig_then(rig, EFFECT_WATCH, 0);
	comes_in(rig, 0);
	rig_end(rig);
}

static void test_what_stayed_is_relayed_when_the_guest_starts_it_next(void **state)
{
	struct rig *rig = watched_disk();

	stays(rig, 0);
	stays(rig, 1);
	shadow_asks_base(rig, 0);
	rig_then_sent(rig, PORT_BACK_MAIN, WIRE_GET_VRING_BASE);
	rig_back(rig, wire_reply_state(WIRE_GET_VRING_BASE, 0, 9));
	shadow_base_answered(rig, 0, 9);
	shadow_starts(rig, 0);
	rig_then(rig, EFFECT_KEEP_KICK, 0);
	shadow_attached(rig, 0, 9);
	rig_end(rig);
}

static void test_a_reset_before_its_time_is_over_ends_the_wait(void **state)
{
	struct rig *rig = watched_disk();

	rig_front(rig, wire_request(WIRE_RESET_OWNER, 0));
	rig_then(rig, EFFECT_DETACH, 0);
	rig_then(rig, EFFECT_DETACH, 1);
	rig_then_sent(rig, PORT_BACK_MAIN, WIRE_RESET_OWNER);
	rig_stayed_busy(rig, 0);
	rig_idle(rig);
	assert_int_equal(rig->session->stayed, 0);
	rig_end(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_a_busy_ring_gets_its_kick_back_and_stays_direct),
	    cmocka_unit_test(test_one_that_is_done_in_time_moves_beside_one_that_is_not),
	    cmocka_unit_test(test_what_stayed_can_be_asked_again_and_comes_in),
	    cmocka_unit_test(test_what_stayed_is_relayed_when_the_guest_starts_it_next),
	    cmocka_unit_test(test_a_reset_before_its_time_is_over_ends_the_wait),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
