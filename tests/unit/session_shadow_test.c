/* SPDX-License-Identifier: BSD-3-Clause */
/* A session whose rings are relayed: configuration, start, stop, reset, faults. */
#include "shadow_rig.h"

static void test_the_configuration_of_a_relayed_ring_is_kept_and_acknowledged(void **state)
{
	struct rig *rig = shadow_disk();

	rig_front(rig, wire_request_state(WIRE_SET_VRING_NUM, NEED, 0, RING_SIZE));
	rig_acknowledged(rig, PORT_FRONT_MAIN, WIRE_SET_VRING_NUM, 0);
	rig_front(rig, wire_request_state(WIRE_SET_VRING_BASE, NEED, 0, RING_BASE));
	rig_acknowledged(rig, PORT_FRONT_MAIN, WIRE_SET_VRING_BASE, 0);
	rig_front(rig, shadow_addr(NEED, 0));
	rig_acknowledged(rig, PORT_FRONT_MAIN, WIRE_SET_VRING_ADDR, 0);
	rig_idle(rig);
	rig_end(rig);
}

static void test_a_start_gives_the_back_end_our_ring_in_order(void **state)
{
	struct rig *rig = shadow_disk();

	shadow_starts(rig, 2);
	rig_then(rig, EFFECT_KEEP_KICK, 2);
	shadow_attached(rig, 2, 0);
	rig_idle(rig);
	assert_int_equal(rig->session->queues[2].path.state, PATH_SHADOW);
	assert_int_equal(rig->session->queues[2].size, RING_SIZE);
	assert_int_equal(rig->session->queues[2].base, RING_BASE);
	assert_int_equal(rig_events(rig, "QUEUE_STARTED"), 1);
	rig_end(rig);
}

static void test_a_packed_ring_of_ours_starts_with_both_wrap_counters_set(void **state)
{
	struct rig *rig = shadow_ready(MODE_SHADOW, WIRE_DEVICE_BLK, PACKED, PROTOCOL);

	shadow_starts(rig, 0);
	rig_then(rig, EFFECT_KEEP_KICK, 0);
	shadow_attached(rig, 0, FRESH_PACK);
	rig_idle(rig);
	rig_end(rig);
}

static void test_a_ring_enabled_before_its_start_is_enabled_after_it(void **state)
{
	struct rig *rig = shadow_disk();

	shadow_enabled(rig, 0);
	shadow_starts_again(rig, 0, 0);
	rig_end(rig);
}

/* Rust back-ends take no SET_VRING_ENABLE then. */
static void test_without_protocol_features_nothing_is_enabled(void **state)
{
	struct rig *rig =
	    rig_new_with(&(struct session_config){.mode = MODE_SHADOW, .device = WIRE_DEVICE_BLK});

	rig_front(rig, wire_request(WIRE_GET_FEATURES, 0));
	rig_back(rig, wire_reply_u64(WIRE_GET_FEATURES, DISK));
	rig_sent_id(rig, PORT_BACK_MAIN, WIRE_GET_FEATURES);
	rig_sent_id(rig, PORT_FRONT_MAIN, WIRE_GET_FEATURES);
	rig_set_features(rig, DISK);
	shadow_table(rig, 1);
	shadow_starts(rig, 0);
	rig_then(rig, EFFECT_KEEP_KICK, 0);
	shadow_attached(rig, 0, 0);
	rig_idle(rig);
	rig_end(rig);
}

static void test_the_kick_is_acknowledged_in_turn(void **state)
{
	struct rig *rig = shadow_disk();

	shadow_calls(rig, 0);
	shadow_configures(rig, 0);
	rig_front(rig, rig_with_fd(rig, wire_request_u64(WIRE_SET_VRING_KICK, NEED, 0), 0));
	rig_acknowledged(rig, PORT_FRONT_MAIN, WIRE_SET_VRING_KICK, 0);
	assert_int_equal(rig->session->queues[0].path.state, PATH_SHADOW);
	rig_end(rig);
}

static void test_a_new_call_of_a_relayed_ring_is_for_the_data_path_alone(void **state)
{
	struct rig *rig = shadow_disk();

	shadow_runs(rig, 1);
	shadow_calls(rig, 1);
	rig_then(rig, EFFECT_KEEP_CALL, 1);
	rig_then(rig, EFFECT_RETARGET, 1);
	rig_idle(rig);
	/* QEMU takes it away while the guest masks its vector. */
	rig_front(rig, wire_request_u64(WIRE_SET_VRING_CALL, NEED, 1 | WIRE_RING_NOFD));
	rig_then(rig, EFFECT_KEEP_CALL, 1);
	rig_then(rig, EFFECT_RETARGET, 1);
	rig_acknowledged(rig, PORT_FRONT_MAIN, WIRE_SET_VRING_CALL, 0);
	rig_idle(rig);
	assert_false(rig->session->queues[1].has_call);
	rig_end(rig);
}

static void test_a_new_kick_of_a_relayed_ring_is_for_the_data_path_alone(void **state)
{
	struct rig *rig = shadow_disk();

	shadow_runs(rig, 1);
	shadow_kicks(rig, 1);
	rig_then(rig, EFFECT_KEEP_KICK, 1);
	rig_then(rig, EFFECT_RETARGET, 1);
	rig_idle(rig);
	rig_end(rig);
}

static void test_logging_of_a_relayed_ring_is_turned_on_for_the_data_path_alone(void **state)
{
	struct rig *rig = shadow_disk();

	shadow_runs(rig, 1);
	shadow_sends_addr(rig, 1, 1);
	rig_then(rig, EFFECT_RETARGET, 1);
	rig_idle(rig);
	assert_int_equal(rig->session->queues[1].flags, 1);
	rig_end(rig);
}

static void test_the_log_is_mapped_before_the_back_end_has_it(void **state)
{
	struct rig *rig = shadow_disk();
	struct wire_message *base = wire_message_new(WIRE_SET_LOG_BASE, WIRE_VERSION, 16);

	bytes_store64(base->payload, 8192);
	rig_front(rig, rig_with_fd(rig, base, 55));
	rig_then(rig, EFFECT_MAP_LOG, 0);
	rig_then_sent(rig, PORT_BACK_MAIN, WIRE_SET_LOG_BASE);
	rig_idle(rig);
	rig_end(rig);
}

static void test_a_broken_ring_ends_the_session_for_who_broke_it(void **state)
{
	struct rig *rig = shadow_disk();

	shadow_runs(rig, 6);
	rig_ring_fault(rig, 6, true, "head 700 of 128");
	assert_string_equal(rig_fault(rig, PORT_FRONT_MAIN), "ring 6: head 700 of 128");
	rig_end(rig);
	rig = shadow_disk();
	shadow_runs(rig, 6);
	rig_ring_fault(rig, 6, false, "used id 9 was not given");
	assert_string_equal(rig_fault(rig, PORT_BACK_MAIN), "ring 6: used id 9 was not given");
	/* Once only, and what is reported after it changes nothing. */
	rig_ring_fault(rig, 6, true, "again");
	rig_drained(rig, 6, 1);
	rig_end(rig);
}

static void assert_direct(struct rig *rig)
{
	shadow_runs_direct(rig, 0);
	assert_int_equal(rig->session->queues[0].path.state, PATH_DIRECT);
	shadow_asks_base(rig, 0);
	rig_then_sent(rig, PORT_BACK_MAIN, WIRE_GET_VRING_BASE);
	rig_back(rig, wire_reply_state(WIRE_GET_VRING_BASE, 0, 17));
	shadow_base_answered(rig, 0, 17);
	rig_idle(rig);
	assert_int_equal(rig->session->queues[0].path.state, PATH_STOPPED);
	rig_end(rig);
}

static void test_what_can_not_be_relayed_stays_direct(void **state)
{
	const uint64_t legacy = DISK & ~WIRE_BIT(WIRE_F_VERSION_1);
	const uint64_t iommu = DISK | WIRE_BIT(WIRE_F_ACCESS_PLATFORM);

	assert_direct(shadow_ready(MODE_SHADOW, WIRE_DEVICE_BLK, legacy, PROTOCOL));
	assert_direct(shadow_ready(MODE_SHADOW, WIRE_DEVICE_BLK, iommu, PROTOCOL));
}

static void test_in_postcopy_rings_stay_direct(void **state)
{
	struct rig *rig = shadow_ready(MODE_SHADOW, WIRE_DEVICE_BLK, DISK,
				       PROTOCOL | WIRE_BIT(WIRE_PF_PAGEFAULT));
	struct wire_message *reply = wire_reply_u64(WIRE_POSTCOPY_ADVISE, 0);

	rig_front(rig, wire_request(WIRE_POSTCOPY_ADVISE, 0));
	rig_then_sent(rig, PORT_BACK_MAIN, WIRE_POSTCOPY_ADVISE);
	rig_back(rig, rig_with_fd(rig, reply, 0));
	rig_then_sent(rig, PORT_FRONT_MAIN, WIRE_POSTCOPY_ADVISE);
	rig_idle(rig);
	assert_direct(rig);
}

static void test_auto_relays_a_disk_whose_back_end_keeps_no_record(void **state)
{
	struct rig *rig = shadow_ready(MODE_AUTO, WIRE_DEVICE_BLK, DISK, PROTOCOL);

	shadow_runs(rig, 0);
	rig_end(rig);
}

static void test_auto_leaves_the_rest_direct(void **state)
{
	assert_direct(shadow_ready(MODE_AUTO, WIRE_DEVICE_NET, DISK, PROTOCOL));
	assert_direct(shadow_ready(MODE_AUTO, WIRE_DEVICE_BLK, DISK, PROTOCOL | INFLIGHT));
	assert_direct(shadow_ready(MODE_DIRECT, WIRE_DEVICE_BLK, DISK, PROTOCOL));
}

static void test_an_unknown_message_is_refused_while_rings_are_relayed(void **state)
{
	struct rig *rig = shadow_ready(MODE_AUTO, WIRE_DEVICE_BLK, DISK, PROTOCOL);

	rig_front(rig, wire_request(1000, 0));
	assert_non_null(strstr(rig_fault(rig, PORT_FRONT_MAIN), "message id 1000"));
	rig_end(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_the_configuration_of_a_relayed_ring_is_kept_and_acknowledged),
	    cmocka_unit_test(test_a_start_gives_the_back_end_our_ring_in_order),
	    cmocka_unit_test(test_a_packed_ring_of_ours_starts_with_both_wrap_counters_set),
	    cmocka_unit_test(test_a_ring_enabled_before_its_start_is_enabled_after_it),
	    cmocka_unit_test(test_without_protocol_features_nothing_is_enabled),
	    cmocka_unit_test(test_the_kick_is_acknowledged_in_turn),
	    cmocka_unit_test(test_a_new_call_of_a_relayed_ring_is_for_the_data_path_alone),
	    cmocka_unit_test(test_a_new_kick_of_a_relayed_ring_is_for_the_data_path_alone),
	    cmocka_unit_test(test_logging_of_a_relayed_ring_is_turned_on_for_the_data_path_alone),
	    cmocka_unit_test(test_the_log_is_mapped_before_the_back_end_has_it),
	    cmocka_unit_test(test_a_broken_ring_ends_the_session_for_who_broke_it),
	    cmocka_unit_test(test_what_can_not_be_relayed_stays_direct),
	    cmocka_unit_test(test_in_postcopy_rings_stay_direct),
	    cmocka_unit_test(test_auto_relays_a_disk_whose_back_end_keeps_no_record),
	    cmocka_unit_test(test_auto_leaves_the_rest_direct),
	    cmocka_unit_test(test_an_unknown_message_is_refused_while_rings_are_relayed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
