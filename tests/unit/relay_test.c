/* SPDX-License-Identifier: BSD-3-Clause */
#include "relay_rig.h"

static void test_a_chain_goes_through_and_comes_back(void **state)
{
	EACH_FORMAT(i)
	{
		struct relay_rig *rig =
		    relay_rig_new(formats[i], 4, (struct relay_config){0}, false);

		relay_rig_adds(rig, 3, 7);
		assert_outcome(relay_pull(&rig->relay, 9, &rig->diag), RING_OK);
		assert_int_equal(relay_in_flight(&rig->relay), 1);
		assert_int_equal(relay_rig_pops(rig), 7);
		assert_int_equal(rig->shadow->chain.count, 3);
		assert_int_equal(rig->shadow->list[1].addr, 0x70100);
		assert_int_equal(rig->shadow->list[2].len, 100);
		assert_true(rig->shadow->list[2].writable);
		relay_rig_pushes(rig, &rig->shadow->chain, 60);
		assert_outcome(relay_complete(&rig->relay, 9, &rig->diag), RING_OK);
		assert_int_equal(relay_in_flight(&rig->relay), 0);
		assert_guest_gets(rig, 7, 60);
		assert_int_equal(rig->relay.counters.relayed, 1);
		assert_int_equal(rig->relay.counters.bytes_written, 60);
		relay_rig_free(rig);
	}
}

static void test_a_table_is_handed_on_as_one_descriptor(void **state)
{
	EACH_FORMAT(i)
	{
		struct relay_rig *rig =
		    relay_rig_new(formats[i], 2, (struct relay_config){.indirect = true}, true);
		struct ring_buffer buffers[3] = {{.addr = 1, .len = 10},
						 {.addr = 2, .len = 20, .writable = true},
						 {.addr = 3, .len = 30, .writable = true}};
		uint32_t len = driver_table(&rig->driver, rig->guest->guest + 64, buffers, 3);

		driver_add_table(&rig->driver, RIG_GPA + 64, len, 50, 9);
		driver_publish(&rig->driver);
		assert_outcome(relay_pull(&rig->relay, 9, &rig->diag), RING_OK);
		relay_rig_pops(rig);
		assert_int_equal(rig->shadow->chain.slots, 1);
		assert_int_equal(rig->shadow->chain.table, RIG_GPA + 64);
		assert_int_equal(rig->shadow->chain.count, 3);
		relay_rig_pushes(rig, &rig->shadow->chain, 50);
		assert_outcome(relay_complete(&rig->relay, 9, &rig->diag), RING_OK);
		assert_guest_gets(rig, 9, 50);
		relay_rig_free(rig);
	}
}

static void test_a_table_after_direct_descriptors_stays_one_descriptor(void **state)
{
	struct relay_rig *rig =
	    relay_rig_new(RING_SPLIT, 2, (struct relay_config){.indirect = true}, true);
	struct ring_buffer buffers[3] = {
	    {.addr = 1, .len = 10}, {.addr = 2, .len = 20}, {.addr = 3, .len = 30}};
	struct ring_chain chain = {.buffers = buffers, .direct = 1, .slots = 2, .table = RIG_GPA};

	chain.table_len = driver_table(&rig->driver, rig->guest->guest, buffers + 1, 2);
	assert_outcome(driver_add_chain(&rig->driver, &chain, 5), RING_OK);
	driver_publish(&rig->driver);
	assert_outcome(relay_pull(&rig->relay, 9, &rig->diag), RING_OK);
	relay_rig_pops(rig);
	assert_int_equal(rig->shadow->chain.slots, 2);
	assert_int_equal(rig->shadow->chain.direct, 1);
	assert_int_equal(rig->shadow->chain.count, 3);
	assert_int_equal(rig->shadow->list[2].addr, 3);
	relay_rig_free(rig);
}

/* Two heads of a split ring may lead to the same descriptors: more of them than the table has. */

static void test_a_chain_that_does_not_fit_waits_in_the_guest_s_ring(void **state)
{
	struct relay_rig *rig = relay_rig_new(RING_SPLIT, 4, (struct relay_config){0}, true);
	struct ring_desc *desc = rig->guest->areas.desc;
	struct ring_avail *avail = rig->guest->areas.driver;
	const struct ring_used *used = rig->guest->areas.device;

	for (uint16_t i = 0; i < 4; i++)
		desc[i] = (struct ring_desc){.addr = 0x10000u + i,
					     .len = 1,
					     .flags = i < 3 ? RING_DESC_NEXT : 0,
					     .next = (uint16_t)(i + 1)};
	avail->ring[0] = 1;
	avail->ring[1] = 0;
	avail->ring[2] = 3;
	avail->idx = 3;
	assert_outcome(relay_pull(&rig->relay, 9, &rig->diag), RING_FULL);
	assert_int_equal(relay_in_flight(&rig->relay), 1);
	assert_int_equal(relay_base(&rig->relay), 1);
	assert_outcome(relay_pull(&rig->relay, 9, &rig->diag), RING_FULL);
	assert_false(relay_sleep(&rig->relay));
	relay_rig_serves(rig, 1, 0);
	assert_true(relay_sleep(&rig->relay));
	assert_outcome(relay_complete(&rig->relay, 9, &rig->diag), RING_OK);
	assert_outcome(relay_pull(&rig->relay, 9, &rig->diag), RING_FULL);
	relay_rig_serves(rig, 1, 0);
	assert_outcome(relay_complete(&rig->relay, 9, &rig->diag), RING_OK);
	assert_outcome(relay_pull(&rig->relay, 9, &rig->diag), RING_OK);
	relay_rig_serves(rig, 1, 0);
	assert_outcome(relay_complete(&rig->relay, 9, &rig->diag), RING_OK);
	assert_int_equal(used->idx, 3);
	assert_int_equal(used->ring[0].id, 1);
	assert_int_equal(used->ring[1].id, 0);
	assert_int_equal(used->ring[2].id, 3);
	relay_rig_free(rig);
}

static void test_the_budget_bounds_both_directions(void **state)
{
	EACH_FORMAT(i)
	{
		struct relay_rig *rig =
		    relay_rig_new(formats[i], 8, (struct relay_config){0}, false);

		for (unsigned int token = 1; token <= 5; token++)
			relay_rig_adds(rig, 1, token);
		assert_outcome(relay_pull(&rig->relay, 0, &rig->diag), RING_EMPTY);
		assert_outcome(relay_pull(&rig->relay, 3, &rig->diag), RING_OK);
		assert_int_equal(relay_in_flight(&rig->relay), 3);
		assert_outcome(relay_pull(&rig->relay, 3, &rig->diag), RING_OK);
		assert_outcome(relay_pull(&rig->relay, 3, &rig->diag), RING_EMPTY);
		relay_rig_serves(rig, 5, 0);
		assert_outcome(relay_complete(&rig->relay, 4, &rig->diag), RING_OK);
		assert_int_equal(relay_in_flight(&rig->relay), 1);
		assert_outcome(relay_complete(&rig->relay, 4, &rig->diag), RING_OK);
		assert_outcome(relay_complete(&rig->relay, 4, &rig->diag), RING_EMPTY);
		relay_rig_free(rig);
	}
}

static void test_each_end_is_notified_by_its_own_wish(void **state)
{
	for (unsigned int i = 0; i < 4; i++) {
		struct relay_rig *rig = relay_rig_new(
		    formats[i / 2], 8, (struct relay_config){.event_idx = i % 2}, false);

		device_kicks(&rig->device, true);
		driver_calls(&rig->driver, false);
		relay_rig_adds(rig, 1, 1);
		relay_rig_adds(rig, 1, 2);
		assert_outcome(relay_pull(&rig->relay, 9, &rig->diag), RING_OK);
		assert_true(rig->relay.kick);
		relay_rig_serves(rig, 1, 0);
		assert_outcome(relay_complete(&rig->relay, 9, &rig->diag), RING_OK);
		assert_false(rig->relay.call);

		rig->relay.kick = false;
		device_kicks(&rig->device, false);
		driver_calls(&rig->driver, true);
		assert_guest_gets(rig, 1, 0);
		driver_calls(&rig->driver, true);
		relay_rig_adds(rig, 1, 3);
		assert_outcome(relay_pull(&rig->relay, 9, &rig->diag), RING_OK);
		assert_false(rig->relay.kick);
		relay_rig_serves(rig, 1, 0);
		assert_outcome(relay_complete(&rig->relay, 9, &rig->diag), RING_OK);
		assert_true(rig->relay.call);
		relay_rig_free(rig);
	}
}

static void test_notify_on_empty_calls_a_guest_that_wants_no_call(void **state)
{
	struct relay_rig *rig =
	    relay_rig_new(RING_SPLIT, 8, (struct relay_config){.notify_on_empty = true}, false);

	driver_calls(&rig->driver, false);
	relay_rig_adds(rig, 1, 1);
	relay_rig_adds(rig, 1, 2);
	relay_pull(&rig->relay, 9, &rig->diag);
	relay_rig_serves(rig, 1, 0);
	relay_complete(&rig->relay, 9, &rig->diag);
	assert_false(rig->relay.call);
	relay_rig_serves(rig, 1, 0);
	relay_rig_adds(rig, 1, 3);
	relay_complete(&rig->relay, 9, &rig->diag);
	assert_false(rig->relay.call);
	relay_pull(&rig->relay, 9, &rig->diag);
	relay_rig_serves(rig, 1, 0);
	relay_complete(&rig->relay, 9, &rig->diag);
	assert_true(rig->relay.call);
	relay_rig_free(rig);
}

static void test_a_length_beyond_the_room_is_cut_and_counted(void **state)
{
	EACH_FORMAT(i)
	{
		struct relay_rig *rig =
		    relay_rig_new(formats[i], 4, (struct relay_config){0}, false);

		relay_rig_adds(rig, 2, 3);
		relay_pull(&rig->relay, 9, &rig->diag);
		relay_rig_serves(rig, 1, 101);
		assert_outcome(relay_complete(&rig->relay, 9, &rig->diag), RING_OK);
		assert_guest_gets(rig, 3, 100);
		assert_int_equal(rig->relay.counters.clamped, 1);
		assert_int_equal(rig->relay.counters.bytes_written, 100);
		relay_rig_free(rig);
	}
}

static void test_the_guest_s_fault_is_named_and_what_came_before_is_relayed(void **state)
{
	EACH_FORMAT(i)
	{
		struct relay_rig *rig =
		    relay_rig_new(formats[i], 4, (struct relay_config){0}, false);
		struct ring_buffer empty = {.addr = 1, .len = 0};

		relay_rig_adds(rig, 1, 1);
		driver_add(&rig->driver, &empty, 1, 2);
		driver_publish(&rig->driver);
		assert_outcome(relay_pull(&rig->relay, 9, &rig->diag), RING_ZERO);
		assert_memory_equal(rig->diag.text, "guest ring: ", 12);
		assert_int_equal(relay_rig_pops(rig), 1);
		assert_outcome(relay_pull(&rig->relay, 9, &rig->diag), RING_ZERO);
		relay_rig_free(rig);
	}
}

static void test_the_back_end_s_fault_is_named_and_what_came_before_is_relayed(void **state)
{
	EACH_FORMAT(i)
	{
		struct relay_rig *rig =
		    relay_rig_new(formats[i], 4, (struct relay_config){0}, false);
		struct ring_used *used = rig->shadow->areas.device;
		struct ring_packed_desc *desc = rig->shadow->areas.desc;

		relay_rig_adds(rig, 1, 1);
		relay_rig_adds(rig, 1, 2);
		relay_pull(&rig->relay, 9, &rig->diag);
		relay_rig_serves(rig, 1, 7);
		if (formats[i] == RING_SPLIT) {
			used->ring[1].id = 77;
			used->idx = 2;
		} else {
			desc[1].id = 77;
			desc[1].flags = ring_flags_used(true);
		}
		assert_outcome(relay_complete(&rig->relay, 9, &rig->diag), RING_BAD_ID);
		assert_memory_equal(rig->diag.text, "back-end ring: ", 15);
		assert_guest_gets(rig, 1, 7);
		assert_guest_gets_nothing(rig);
		relay_rig_free(rig);
	}
}

static void test_sleep_sees_what_came_before_the_wish(void **state)
{
	for (unsigned int i = 0; i < 4; i++) {
		struct relay_rig *rig = relay_rig_new(
		    formats[i / 2], 4, (struct relay_config){.event_idx = i % 2}, false);

		assert_false(relay_sleep(&rig->relay));
		relay_wake(&rig->relay);
		relay_rig_adds(rig, 1, 1);
		assert_true(relay_sleep(&rig->relay));
		relay_pull(&rig->relay, 9, &rig->diag);
		assert_false(relay_sleep(&rig->relay));
		relay_rig_serves(rig, 1, 0);
		assert_true(relay_sleep(&rig->relay));
		relay_rig_free(rig);
	}
}

static void test_awake_it_is_not_notified(void **state)
{
	EACH_FORMAT(i)
	{
		struct relay_rig *rig =
		    relay_rig_new(formats[i], 4, (struct relay_config){0}, false);

		relay_wake(&rig->relay);
		relay_rig_adds(rig, 1, 1);
		assert_false(driver_kick_wanted(&rig->driver));
		relay_pull(&rig->relay, 9, &rig->diag);
		relay_rig_serves(rig, 1, 0);
		assert_false(device_call_wanted(&rig->device));
		relay_complete(&rig->relay, 9, &rig->diag);
		relay_sleep(&rig->relay);
		relay_rig_adds(rig, 1, 2);
		assert_true(driver_kick_wanted(&rig->driver));
		relay_rig_free(rig);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_a_chain_goes_through_and_comes_back),
	    cmocka_unit_test(test_a_table_is_handed_on_as_one_descriptor),
	    cmocka_unit_test(test_a_table_after_direct_descriptors_stays_one_descriptor),
	    cmocka_unit_test(test_a_chain_that_does_not_fit_waits_in_the_guest_s_ring),
	    cmocka_unit_test(test_the_budget_bounds_both_directions),
	    cmocka_unit_test(test_each_end_is_notified_by_its_own_wish),
	    cmocka_unit_test(test_notify_on_empty_calls_a_guest_that_wants_no_call),
	    cmocka_unit_test(test_a_length_beyond_the_room_is_cut_and_counted),
	    cmocka_unit_test(test_the_guest_s_fault_is_named_and_what_came_before_is_relayed),
	    cmocka_unit_test(test_the_back_end_s_fault_is_named_and_what_came_before_is_relayed),
	    cmocka_unit_test(test_sleep_sees_what_came_before_the_wish),
	    cmocka_unit_test(test_awake_it_is_not_notified),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
