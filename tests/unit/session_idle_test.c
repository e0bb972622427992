/* SPDX-License-Identifier: BSD-3-Clause */
/* Devices whose back-end holds buffers that it may never take: relayed, stopped and moved. */
#include "shadow_rig.h"

#include <string.h>

static struct diag diag;

static struct rig *relayed(enum wire_device device, uint64_t virtio)
{
	struct rig *rig = shadow_ready(MODE_SHADOW, device, virtio, PROTOCOL);

	shadow_runs(rig, 0);
	return rig;
}

static struct rig *direct(enum wire_device device, uint64_t virtio, uint64_t protocol)
{
	struct rig *rig = rig_new_with(&(struct session_config){.device = device});

	rig_offer(rig, virtio, protocol);
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

/* The back-end has read up to `read`, of which the rest of the ring is handed back. */
static void recalled(struct rig *rig, unsigned int ring, uint32_t read, uint32_t base)
{
	const struct effect *effect;

	rig_back(rig, wire_reply_state(WIRE_GET_VRING_BASE, ring, read));
	effect = rig_then(rig, EFFECT_RECALL, ring);
	assert_int_equal(effect->base, read);
	rig_idle(rig);
	assert_false(session_wants(rig->session, PORT_FRONT_MAIN));
	rig_drained(rig, ring, base);
	rig_then(rig, EFFECT_DETACH, ring);
}

static void test_auto_relays_what_is_no_network_device(void **state)
{
	static const enum wire_device devices[] = {WIRE_DEVICE_UNKNOWN, WIRE_DEVICE_VSOCK,
						   WIRE_DEVICE_SCSI, WIRE_DEVICE_FS};

	for (size_t i = 0; i < sizeof(devices) / sizeof(devices[0]); i++) {
		struct rig *rig = shadow_ready(MODE_AUTO, devices[i], DISK, PROTOCOL);

		shadow_runs(rig, 0);
		rig_end(rig);
	}
}

static void test_a_network_ring_is_stopped_at_once_and_hands_back_what_was_not_read(void **state)
{
	struct rig *rig = relayed(WIRE_DEVICE_NET, DISK);

	shadow_asks_base(rig, 0);
	rig_then(rig, EFFECT_HOLD, 0);
	base_asked(rig, 0);
	recalled(rig, 0, 12, 300);
	shadow_base_answered(rig, 0, 300);
	rig_idle(rig);
	assert_true(session_wants(rig->session, PORT_FRONT_MAIN));
	assert_int_equal(rig->session->queues[0].path.state, PATH_STOPPED);
	shadow_starts(rig, 0);
	rig_then(rig, EFFECT_KEEP_KICK, 0);
	shadow_attached(rig, 0, 12);
	rig_end(rig);
}

static void test_the_report_of_a_network_ring_that_was_stopped_already_is_late(void **state)
{
	struct rig *rig = relayed(WIRE_DEVICE_NET, DISK);

	shadow_asks_base(rig, 0);
	rig_then(rig, EFFECT_HOLD, 0);
	base_asked(rig, 0);
	rig_became_quiet(rig, 0);
	rig_idle(rig);
	rig_back(rig, wire_reply_state(WIRE_GET_VRING_BASE, 0, 12));
	rig_then(rig, EFFECT_RECALL, 0);
	rig_became_quiet(rig, 0);
	rig_idle(rig);
	rig_drained(rig, 0, 300);
	rig_then(rig, EFFECT_DETACH, 0);
	shadow_base_answered(rig, 0, 300);
	rig_end(rig);
}

static void test_any_other_is_stopped_when_it_is_not_seen_at_work(void **state)
{
	struct rig *rig = relayed(WIRE_DEVICE_VSOCK, DISK);

	shadow_asks_base(rig, 0);
	rig_then(rig, EFFECT_HOLD, 0);
	rig_idle(rig);
	rig_became_quiet(rig, 0);
	base_asked(rig, 0);
	recalled(rig, 0, 65535, 4);
	shadow_base_answered(rig, 0, 4);
	rig_end(rig);
}

static void test_of_scsi_the_rings_of_requests_are_drained(void **state)
{
	struct rig *rig = shadow_ready(MODE_SHADOW, WIRE_DEVICE_SCSI, DISK, PROTOCOL);

	for (unsigned int i = 0; i < 3; i++)
		shadow_runs(rig, i);
	for (unsigned int i = 0; i < 3; i++) {
		shadow_asks_base(rig, i);
		rig_then(rig, i < 2 ? EFFECT_HOLD : EFFECT_DRAIN, i);
		if (i < 2) {
			rig_became_quiet(rig, i);
			base_asked(rig, i);
			recalled(rig, i, 0, 0);
		} else {
			rig_drained(rig, i, 5);
			rig_then(rig, EFFECT_DETACH, i);
			base_asked(rig, i);
			rig_back(rig, wire_reply_state(WIRE_GET_VRING_BASE, i, 5));
		}
		shadow_base_answered(rig, i, i < 2 ? 0 : 5);
		rig_idle(rig);
	}
	rig_end(rig);
}

/* Nothing waits for the back-end to take what is left. */
static void test_disabling_a_ring_of_idle_buffers_is_not_held(void **state)
{
	struct rig *rig = relayed(WIRE_DEVICE_NET, DISK);

	rig_front(rig, wire_request_state(WIRE_SET_VRING_ENABLE, 0, 0, 0));
	shadow_state_sent(rig, WIRE_SET_VRING_ENABLE, 0, 0);
	rig_idle(rig);
	rig_end(rig);
}

static void test_a_packed_network_ring_leaves_at_the_guest_s_position(void **state)
{
	struct rig *rig = relayed(WIRE_DEVICE_NET, PACKED);

	assert_int_equal(rig_move(rig, MODE_DIRECT, &diag), SESSION_MOVED);
	rig_then(rig, EFFECT_HOLD, 0);
	base_asked(rig, 0);
	recalled(rig, 0, 0x8007, 0x00030003);
	shadow_direct(rig, 0, 0x00030003);
	shadow_state_sent(rig, WIRE_SET_VRING_ENABLE, 0, 1);
	rig_then(rig, EFFECT_NUDGE, 0);
	rig_idle(rig);
	assert_int_equal(rig->session->queues[0].path.state, PATH_DIRECT);
	assert_int_equal(rig_events(rig, "QUEUE_MOVED"), 1);
	rig_end(rig);
}

static void test_the_half_of_a_packed_base_that_virtio_user_leaves_out_is_added(void **state)
{
	struct rig *rig = shadow_ready(MODE_SHADOW, WIRE_DEVICE_NET, PACKED, PROTOCOL);

	rig_front(rig, wire_request_state(WIRE_SET_VRING_BASE, 0, 0, 0x8005));
	assert_int_equal(rig->session->queues[0].base, 0x80058005);
	rig_front(rig, wire_request_state(WIRE_SET_VRING_BASE, 0, 0, 0x00048005));
	assert_int_equal(rig->session->queues[0].base, 0x00048005);
	rig_end(rig);
}

static void comes_in(struct rig *rig, uint32_t fresh)
{
	shadow_attached(rig, 0, fresh);
	shadow_state_sent(rig, WIRE_SET_VRING_ENABLE, 0, 1);
	rig_then(rig, EFFECT_NUDGE, 0);
	rig_idle(rig);
	assert_int_equal(rig->session->queues[0].path.state, PATH_SHADOW);
	assert_true(session_wants(rig->session, PORT_FRONT_MAIN));
}

static void test_a_network_ring_comes_in_where_the_back_end_stopped(void **state)
{
	struct rig *rig = direct(WIRE_DEVICE_NET, DISK, PROTOCOL);

	assert_int_equal(rig_move(rig, MODE_SHADOW, &diag), SESSION_MOVED);
	base_asked(rig, 0);
	rig_back(rig, wire_reply_state(WIRE_GET_VRING_BASE, 0, 4711));
	comes_in(rig, 4711);
	assert_int_equal(rig->session->queues[0].base, 4711);
	rig_end(rig);
	/* DPDK's answer for a packed ring has one half. */
	rig = direct(WIRE_DEVICE_NET, PACKED, PROTOCOL);
	assert_int_equal(rig_move(rig, MODE_SHADOW, &diag), SESSION_MOVED);
	base_asked(rig, 0);
	rig_back(rig, wire_reply_state(WIRE_GET_VRING_BASE, 0, 0x8003));
	comes_in(rig, FRESH_PACK);
	assert_int_equal(rig->session->queues[0].base, 0x80038003);
	rig_end(rig);
}

static void awaited(struct rig *rig, uint32_t base)
{
	assert_int_equal(rig_move(rig, MODE_SHADOW, &diag), SESSION_MOVED);
	base_asked(rig, 0);
	rig_back(rig, wire_reply_state(WIRE_GET_VRING_BASE, 0, base));
	assert_int_equal(rig_then(rig, EFFECT_AWAIT, 0)->base, base);
	rig_idle(rig);
	assert_false(session_wants(rig->session, PORT_FRONT_MAIN));
}

static void test_a_file_system_comes_in_when_all_it_had_read_is_used(void **state)
{
	struct rig *rig = direct(WIRE_DEVICE_FS, DISK, PROTOCOL);

	awaited(rig, 40);
	rig_became_quiet(rig, 0);
	comes_in(rig, 40);
	rig_end(rig);
}

static void test_one_that_does_not_use_what_it_had_read_starts_again_where_it_was(void **state)
{
	struct rig *rig = direct(WIRE_DEVICE_FS, DISK, PROTOCOL);

	awaited(rig, 40);
	rig_stayed_busy(rig, 0);
	shadow_direct(rig, 0, 40);
	shadow_state_sent(rig, WIRE_SET_VRING_ENABLE, 0, 1);
	rig_then(rig, EFFECT_NUDGE, 0);
	rig_idle(rig);
	assert_int_equal(rig->session->queues[0].path.state, PATH_DIRECT);
	assert_int_equal(rig_events(rig, "QUEUE_STAYED"), 1);
	assert_int_equal(rig_events(rig, "QUEUE_MOVED"), 0);
	assert_true(session_wants(rig->session, PORT_FRONT_MAIN));
	rig_end(rig);
}

static void assert_refused(struct rig *rig, enum session_mode mode, const char *says)
{
	assert_int_equal(rig_move(rig, mode, &diag), SESSION_REFUSED);
	if (!strstr(diag.text, says))
		fail_msg("\"%s\" does not say \"%s\"", diag.text, says);
	rig_idle(rig);
	rig_end(rig);
}

static void test_who_may_break_when_stopped_at_work_does_not_come_in(void **state)
{
	const uint64_t library = PROTOCOL | WIRE_BIT(WIRE_PF_HOST_NOTIFIER);

	assert_refused(direct(WIRE_DEVICE_FS, DISK, library), MODE_SHADOW, "HOST_NOTIFIER");
	assert_refused(direct(WIRE_DEVICE_FS, PACKED, PROTOCOL), MODE_SHADOW,
		       "without a split ring");
}

static void test_who_may_not_bear_a_ring_that_stops_is_not_moved(void **state)
{
	static const enum wire_device devices[] = {WIRE_DEVICE_UNKNOWN, WIRE_DEVICE_VSOCK,
						   WIRE_DEVICE_SCSI};

	for (size_t i = 0; i < sizeof(devices) / sizeof(devices[0]); i++) {
		assert_refused(direct(devices[i], DISK, PROTOCOL), MODE_SHADOW, "others run");
		assert_refused(relayed(devices[i], DISK), MODE_DIRECT, "others run");
	}
}

static void test_a_reset_while_a_ring_settles_answers_and_detaches_it(void **state)
{
	struct rig *rig = shadow_ready(MODE_SHADOW, WIRE_DEVICE_NET, DISK,
				       PROTOCOL | WIRE_BIT(WIRE_PF_RESET_DEVICE));

	shadow_runs(rig, 0);
	shadow_asks_base(rig, 0);
	rig_then(rig, EFFECT_HOLD, 0);
	base_asked(rig, 0);
	rig_back(rig, wire_reply_state(WIRE_GET_VRING_BASE, 0, 12));
	rig_then(rig, EFFECT_RECALL, 0);
	rig_front(rig, wire_request(WIRE_RESET_DEVICE, 0));
	rig_then(rig, EFFECT_DETACH, 0);
	rig_then_sent(rig, PORT_BACK_MAIN, WIRE_RESET_DEVICE);
	shadow_base_answered(rig, 0, RING_BASE);
	rig_drained(rig, 0, 77);
	rig_idle(rig);
	assert_int_equal(rig->session->holding, 0);
	rig_end(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_auto_relays_what_is_no_network_device),
	    cmocka_unit_test(
		test_a_network_ring_is_stopped_at_once_and_hands_back_what_was_not_read),
	    cmocka_unit_test(test_the_report_of_a_network_ring_that_was_stopped_already_is_late),
	    cmocka_unit_test(test_any_other_is_stopped_when_it_is_not_seen_at_work),
	    cmocka_unit_test(test_of_scsi_the_rings_of_requests_are_drained),
	    cmocka_unit_test(test_disabling_a_ring_of_idle_buffers_is_not_held),
	    cmocka_unit_test(test_a_packed_network_ring_leaves_at_the_guest_s_position),
	    cmocka_unit_test(test_the_half_of_a_packed_base_that_virtio_user_leaves_out_is_added),
	    cmocka_unit_test(test_a_network_ring_comes_in_where_the_back_end_stopped),
	    cmocka_unit_test(test_a_file_system_comes_in_when_all_it_had_read_is_used),
	    cmocka_unit_test(test_one_that_does_not_use_what_it_had_read_starts_again_where_it_was),
	    cmocka_unit_test(test_who_may_break_when_stopped_at_work_does_not_come_in),
	    cmocka_unit_test(test_who_may_not_bear_a_ring_that_stops_is_not_moved),
	    cmocka_unit_test(test_a_reset_while_a_ring_settles_answers_and_detaches_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
