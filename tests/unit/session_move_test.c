/* SPDX-License-Identifier: BSD-3-Clause */
/* Rings that run are moved into the daemon and out of it, and what refuses that. */
#include "shadow_rig.h"

#include <string.h>

static struct diag diag;

static void assert_moved(struct rig *rig, enum session_mode mode)
{
	if (rig_move(rig, mode, &diag) != SESSION_MOVED)
		fail_msg("refused: %s", diag.text);
}

static void assert_refused(struct rig *rig, enum session_mode mode, const char *says)
{
	assert_int_equal(rig_move(rig, mode, &diag), SESSION_REFUSED);
	if (!strstr(diag.text, says))
		fail_msg("\"%s\" does not say \"%s\"", diag.text, says);
	rig_idle(rig);
}

static struct rig *direct_disk(uint64_t virtio)
{
	struct rig *rig =
	    rig_new_with(&(struct session_config){.mode = MODE_AUTO, .device = WIRE_DEVICE_BLK});

	rig_offer(rig, virtio, PROTOCOL);
	rig_set_features(rig, rig->session->virtio.shown);
	shadow_table(rig, 1);
	shadow_runs_direct(rig, 0);
	return rig;
}

static void base_asked(struct rig *rig, unsigned int ring)
{
	shadow_state_sent(rig, WIRE_GET_VRING_BASE, ring, 0);
	rig_idle(rig);
}

static void assert_arrived(struct rig *rig, unsigned int ring, enum path_state state)
{
	assert_int_equal(rig->session->queues[ring].path.state, state);
	assert_true(rig->session->queues[ring].started);
	assert_true(session_wants(rig->session, PORT_FRONT_MAIN));
	rig_idle(rig);
}

static void test_a_ring_leaves_drained_and_goes_on_at_the_guests_base(void **state)
{
	struct rig *rig = shadow_disk();

	shadow_runs(rig, 0);
	assert_moved(rig, MODE_DIRECT);
	rig_then(rig, EFFECT_DRAIN, 0);
	rig_idle(rig);
	assert_false(session_wants(rig->session, PORT_FRONT_MAIN));
	rig_drained(rig, 0, 300);
	rig_then(rig, EFFECT_DETACH, 0);
	base_asked(rig, 0);
	rig_back(rig, wire_reply_state(WIRE_GET_VRING_BASE, 0, 12));
	shadow_direct(rig, 0, 300);
	shadow_state_sent(rig, WIRE_SET_VRING_ENABLE, 0, 1);
	rig_then(rig, EFFECT_NUDGE, 0);
	assert_arrived(rig, 0, PATH_DIRECT);
	assert_int_equal(rig_events(rig, "QUEUE_MOVED"), 1);
	assert_int_equal(rig_events(rig, "QUEUE_STOPPED"), 0);
	rig_end(rig);
}

static void test_each_ring_arrives_by_itself_and_the_front_end_waits_for_the_last(void **state)
{
	struct rig *rig = shadow_disk();

	shadow_runs(rig, 0);
	shadow_runs(rig, 1);
	assert_moved(rig, MODE_DIRECT);
	rig_then(rig, EFFECT_DRAIN, 0);
	rig_then(rig, EFFECT_DRAIN, 1);
	rig_drained(rig, 1, 5);
	rig_then(rig, EFFECT_DETACH, 1);
	base_asked(rig, 1);
	rig_back(rig, wire_reply_state(WIRE_GET_VRING_BASE, 1, 12));
	shadow_direct(rig, 1, 5);
	shadow_state_sent(rig, WIRE_SET_VRING_ENABLE, 1, 1);
	rig_then(rig, EFFECT_NUDGE, 1);
	rig_idle(rig);
	assert_false(session_wants(rig->session, PORT_FRONT_MAIN));
	rig_drained(rig, 0, 6);
	rig_then(rig, EFFECT_DETACH, 0);
	base_asked(rig, 0);
	rig_back(rig, wire_reply_state(WIRE_GET_VRING_BASE, 0, 12));
	shadow_direct(rig, 0, 6);
	shadow_state_sent(rig, WIRE_SET_VRING_ENABLE, 0, 1);
	rig_then(rig, EFFECT_NUDGE, 0);
	assert_arrived(rig, 0, PATH_DIRECT);
	rig_end(rig);
}

/* The kick that stays silent, a round trip so that it is heard of, and no more is in flight. */
static void silenced(struct rig *rig)
{
	assert_moved(rig, MODE_SHADOW);
	shadow_fd_sent(rig, WIRE_SET_VRING_KICK, 0, SESSION_FD_SILENT);
	rig_then_sent(rig, PORT_BACK_MAIN, WIRE_GET_FEATURES);
	rig_idle(rig);
	assert_false(session_wants(rig->session, PORT_FRONT_MAIN));
	rig_back(rig, wire_reply_u64(WIRE_GET_FEATURES, 0));
}

static void quieted(struct rig *rig)
{
	silenced(rig);
	rig_then(rig, EFFECT_WATCH, 0);
	rig_idle(rig);
	rig_became_quiet(rig, 0);
}

static void entered(struct rig *rig, uint32_t base)
{
	base_asked(rig, 0);
	rig_back(rig, wire_reply_state(WIRE_GET_VRING_BASE, 0, base));
	/* Where the back-end is already. */
	shadow_attached(rig, 0, base);
	shadow_state_sent(rig, WIRE_SET_VRING_ENABLE, 0, 1);
	rig_then(rig, EFFECT_NUDGE, 0);
	assert_arrived(rig, 0, PATH_SHADOW);
	assert_int_equal(rig->session->queues[0].base, base);
}

static void test_a_disk_is_watched_before_its_ring_enters(void **state)
{
	struct rig *rig = direct_disk(DISK);

	quieted(rig);
	entered(rig, 4711);
	rig_end(rig);
}

static void test_what_the_back_end_offers_in_the_round_trip_changes_nothing(void **state)
{
	struct rig *rig = direct_disk(DISK);
	uint64_t offered = rig->session->virtio.offered;

	quieted(rig);
	entered(rig, 42);
	assert_int_equal(rig->session->virtio.offered, offered);
	rig_end(rig);
}

static void test_in_and_out_and_in_again(void **state)
{
	struct rig *rig = direct_disk(DISK);

	for (uint32_t base = 1; base < 4; base++) {
		quieted(rig);
		entered(rig, base * 10);
		assert_moved(rig, MODE_DIRECT);
		rig_then(rig, EFFECT_DRAIN, 0);
		rig_drained(rig, 0, base * 10 + 1);
		rig_then(rig, EFFECT_DETACH, 0);
		base_asked(rig, 0);
		rig_back(rig, wire_reply_state(WIRE_GET_VRING_BASE, 0, 1));
		shadow_direct(rig, 0, base * 10 + 1);
		shadow_state_sent(rig, WIRE_SET_VRING_ENABLE, 0, 1);
		rig_then(rig, EFFECT_NUDGE, 0);
		assert_arrived(rig, 0, PATH_DIRECT);
	}
	assert_int_equal(rig_events(rig, "QUEUE_MOVED"), 6);
	rig_end(rig);
}

static void test_a_ring_without_a_call_or_kick_of_the_guests_gets_none_back(void **state)
{
	struct rig *rig = shadow_disk();
	const struct wire_message *message;

	shadow_configures(rig, 0);
	rig_front(rig, wire_request_u64(WIRE_SET_VRING_KICK, 0, 0 | WIRE_RING_NOFD));
	rig_then(rig, EFFECT_KEEP_KICK, 0);
	shadow_attached(rig, 0, 0);
	assert_moved(rig, MODE_DIRECT);
	rig_then(rig, EFFECT_DRAIN, 0);
	rig_drained(rig, 0, 1);
	rig_then(rig, EFFECT_DETACH, 0);
	base_asked(rig, 0);
	rig_back(rig, wire_reply_state(WIRE_GET_VRING_BASE, 0, 1));
	for (unsigned int i = 0; i < 2; i++)
		rig_sent(rig, PORT_BACK_MAIN);
	message = rig_sent_id(rig, PORT_BACK_MAIN, WIRE_SET_VRING_CALL);
	assert_int_equal(bytes_load64(message->payload), WIRE_RING_NOFD);
	assert_int_equal(message->fds.count, 0);
	rig_sent_id(rig, PORT_BACK_MAIN, WIRE_SET_VRING_ADDR);
	message = rig_sent_id(rig, PORT_BACK_MAIN, WIRE_SET_VRING_KICK);
	assert_int_equal(bytes_load64(message->payload), WIRE_RING_NOFD);
	assert_int_equal(message->fds.count, 0);
	rig_end(rig);
}

static void test_a_ring_configured_for_us_starts_direct_after_a_move(void **state)
{
	struct rig *rig = shadow_disk();

	shadow_calls(rig, 0);
	rig_then(rig, EFFECT_KEEP_CALL, 0);
	rig_then_sent(rig, PORT_BACK_MAIN, WIRE_SET_VRING_CALL);
	shadow_configures(rig, 0);
	assert_moved(rig, MODE_DIRECT);
	rig_idle(rig);
	shadow_kicks(rig, 0);
	rig_then(rig, EFFECT_KEEP_KICK, 0);
	shadow_direct(rig, 0, RING_BASE);
	assert_arrived(rig, 0, PATH_DIRECT);
	rig_end(rig);
}

static void test_a_move_to_where_the_rings_are_does_nothing(void **state)
{
	struct rig *rig = shadow_disk();

	shadow_runs(rig, 0);
	assert_moved(rig, MODE_SHADOW);
	assert_moved(rig, MODE_AUTO);
	assert_arrived(rig, 0, PATH_SHADOW);
	rig_end(rig);
	rig = direct_disk(DISK);
	assert_moved(rig, MODE_DIRECT);
	assert_moved(rig, MODE_AUTO);
	assert_arrived(rig, 0, PATH_DIRECT);
	rig_end(rig);
}

static void test_without_a_started_ring_a_move_is_for_those_to_come(void **state)
{
	struct rig *rig = shadow_ready(MODE_DIRECT, WIRE_DEVICE_BLK, DISK, PROTOCOL);

	assert_moved(rig, MODE_SHADOW);
	rig_idle(rig);
	shadow_runs(rig, 0);
	rig_end(rig);
}

static void test_a_reset_in_the_middle_of_a_move_ends_it(void **state)
{
	struct rig *rig = shadow_ready(MODE_DIRECT, WIRE_DEVICE_BLK, DISK,
				       PROTOCOL | WIRE_BIT(WIRE_PF_RESET_DEVICE));

	shadow_runs_direct(rig, 0);
	assert_moved(rig, MODE_SHADOW);
	shadow_fd_sent(rig, WIRE_SET_VRING_KICK, 0, SESSION_FD_SILENT);
	rig_then_sent(rig, PORT_BACK_MAIN, WIRE_GET_FEATURES);
	rig_front(rig, wire_request(WIRE_RESET_DEVICE, 0));
	rig_then(rig, EFFECT_DETACH, 0);
	rig_then_sent(rig, PORT_BACK_MAIN, WIRE_RESET_DEVICE);
	rig_back(rig, wire_reply_u64(WIRE_GET_FEATURES, 0));
	rig_became_quiet(rig, 0);
	rig_idle(rig);
	assert_true(session_wants(rig->session, PORT_FRONT_MAIN));
	rig_end(rig);
}

static void test_a_second_move_is_refused_until_the_first_has_arrived(void **state)
{
	struct rig *rig = shadow_disk();

	shadow_runs(rig, 0);
	assert_moved(rig, MODE_DIRECT);
	rig_then(rig, EFFECT_DRAIN, 0);
	assert_refused(rig, MODE_SHADOW, "1 rings are on the move");
	assert_int_equal(rig->session->mode, MODE_DIRECT);
	rig_end(rig);
}

static void test_who_only_watches_never_moves(void **state)
{
	struct rig *rig = rig_new();

	rig_offer(rig, DISK, PROTOCOL);
	rig_set_features(rig, rig->session->virtio.shown);
	assert_refused(rig, MODE_SHADOW, "started to watch only");
	rig_end(rig);
}

static void test_a_back_end_with_a_record_of_its_own_is_left_alone(void **state)
{
	struct rig *rig = shadow_ready(MODE_AUTO, WIRE_DEVICE_BLK, DISK, PROTOCOL | INFLIGHT);

	assert_refused(rig, MODE_SHADOW, "inflight record");
	shadow_runs_direct(rig, 0);
	assert_refused(rig, MODE_SHADOW, "inflight record");
	assert_int_equal(rig->session->mode, MODE_AUTO);
	rig_end(rig);
}

static void test_what_is_in_flight_must_be_seen(void **state)
{
	struct rig *rig = direct_disk(DISK & ~WIRE_BIT(WIRE_F_RING_EVENT_IDX));

	assert_refused(rig, MODE_SHADOW, "without RING_EVENT_IDX");
	/* Those that start from now on go there, as the line says. */
	assert_int_equal(rig->session->mode, MODE_SHADOW);
	shadow_runs(rig, 1);
	rig_end(rig);
	rig = direct_disk(PACKED);
	assert_refused(rig, MODE_SHADOW, "split ring");
	rig_end(rig);
}

static void test_guests_that_can_not_be_relayed_are_refused(void **state)
{
	struct rig *rig = direct_disk(DISK & ~WIRE_BIT(WIRE_F_VERSION_1));

	assert_refused(rig, MODE_SHADOW, "VERSION_1");
	rig_end(rig);
	rig = direct_disk(DISK | WIRE_BIT(WIRE_F_ACCESS_PLATFORM));
	assert_refused(rig, MODE_SHADOW, "ACCESS_PLATFORM");
	rig_end(rig);
}

static void test_a_back_end_that_owes_too_much_is_not_asked_more(void **state)
{
	struct rig *rig = shadow_disk();
	unsigned int asked = 0;

	shadow_runs(rig, 0);
	for (; session_wants(rig->session, PORT_FRONT_MAIN); asked++) {
		rig_front(rig, wire_request(WIRE_GET_QUEUE_NUM, 0));
		rig_then_sent(rig, PORT_BACK_MAIN, WIRE_GET_QUEUE_NUM);
	}
	assert_refused(rig, MODE_DIRECT, "owes");
	rig_answers(rig, PORT_BACK_MAIN, WIRE_GET_QUEUE_NUM, 1);
	assert_moved(rig, MODE_DIRECT);
	rig_then(rig, EFFECT_DRAIN, 0);
	rig_end(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_a_ring_leaves_drained_and_goes_on_at_the_guests_base),
	    cmocka_unit_test(test_each_ring_arrives_by_itself_and_the_front_end_waits_for_the_last),
	    cmocka_unit_test(test_a_disk_is_watched_before_its_ring_enters),
	    cmocka_unit_test(test_what_the_back_end_offers_in_the_round_trip_changes_nothing),
	    cmocka_unit_test(test_in_and_out_and_in_again),
	    cmocka_unit_test(test_a_ring_without_a_call_or_kick_of_the_guests_gets_none_back),
	    cmocka_unit_test(test_a_ring_configured_for_us_starts_direct_after_a_move),
	    cmocka_unit_test(test_a_move_to_where_the_rings_are_does_nothing),
	    cmocka_unit_test(test_without_a_started_ring_a_move_is_for_those_to_come),
	    cmocka_unit_test(test_a_reset_in_the_middle_of_a_move_ends_it),
	    cmocka_unit_test(test_a_second_move_is_refused_until_the_first_has_arrived),
	    cmocka_unit_test(test_who_only_watches_never_moves),
	    cmocka_unit_test(test_a_back_end_with_a_record_of_its_own_is_left_alone),
	    cmocka_unit_test(test_what_is_in_flight_must_be_seen),
	    cmocka_unit_test(test_guests_that_can_not_be_relayed_are_refused),
	    cmocka_unit_test(test_a_back_end_that_owes_too_much_is_not_asked_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
