/* SPDX-License-Identifier: BSD-3-Clause */
/* How a relay begins, ends and begins again, and the order it keeps. */
#include "relay_rig.h"

/* As after a crash of the daemon, or of the back-end: a fresh shadow ring, the same record. */
static void start_over(struct relay_rig *rig, unsigned int pulled)
{
	relay_deinit(&rig->relay);
	device_deinit(&rig->device);
	rig->config.resubmit = true;
	assert_int_equal(relay_init(&rig->relay, &rig->config, &rig->diag), 0);
	relay_rig_backend(rig);
	assert_int_equal(relay_in_flight(&rig->relay), pulled);
}

static void test_a_new_relay_takes_up_what_the_record_has(void **state)
{
	EACH_FORMAT(i)
	{
		struct relay_rig *rig =
		    relay_rig_new(formats[i], 8, (struct relay_config){0}, true);
		struct ring_chain first;

		for (unsigned int token = 1; token <= 4; token++)
			relay_rig_adds(rig, token == 2 ? 3 : 1, token);
		assert_outcome(relay_pull(&rig->relay, 3, &rig->diag), RING_OK);
		relay_rig_pops(rig);
		first = rig->shadow->chain;
		assert_int_equal(relay_rig_pops(rig), 2);
		relay_rig_pushes(rig, &first, 10);
		assert_outcome(relay_complete(&rig->relay, 9, &rig->diag), RING_OK);
		start_over(rig, 2);
		assert_outcome(relay_pull(&rig->relay, 9, &rig->diag), RING_OK);
		assert_int_equal(rig->relay.counters.resubmitted, 2);
		for (unsigned int token = 2; token <= 4; token++) {
			assert_int_equal(relay_rig_pops(rig), token);
			assert_int_equal(rig->shadow->chain.slots, token == 2 ? 3 : 1);
			relay_rig_pushes(rig, &rig->shadow->chain, 20);
		}
		assert_outcome(relay_complete(&rig->relay, 9, &rig->diag), RING_OK);
		assert_guest_gets(rig, 1, 10);
		for (unsigned int token = 2; token <= 4; token++)
			assert_guest_gets(rig, token, 20);
		assert_guest_gets_nothing(rig);
		relay_rig_free(rig);
	}
}

static void test_held_it_drains_and_says_where_the_ring_goes_on(void **state)
{
	EACH_FORMAT(i)
	{
		struct relay_rig *rig =
		    relay_rig_new(formats[i], 4, (struct relay_config){0}, true);
		struct device direct;
		uint32_t base;

		relay_rig_adds(rig, 1, 1);
		relay_rig_adds(rig, 3, 2);
		relay_pull(&rig->relay, 1, &rig->diag);
		relay_wake(&rig->relay);
		relay_hold(&rig->relay, true);
		assert_outcome(relay_pull(&rig->relay, 9, &rig->diag), RING_EMPTY);
		assert_false(relay_sleep(&rig->relay));
		relay_rig_serves(rig, 1, 0);
		relay_complete(&rig->relay, 9, &rig->diag);
		assert_int_equal(relay_in_flight(&rig->relay), 0);
		base = relay_leave(&rig->relay);
		assert_int_equal(base, formats[i] == RING_SPLIT ? 1 : 0x80018001);
		assert_false(inflight_written(&rig->relay.inflight));
		assert_int_equal(device_init(&direct, formats[i], &rig->guest->areas, 4, false,
					     false, base, &rig->diag),
				 0);
		assert_outcome(
		    device_pop(&direct, &rig->guest->memory, &rig->shadow->chain, &rig->diag),
		    RING_OK);
		assert_int_equal(rig->shadow->chain.count, 3);
		/* Whoever comes next is kicked. */
		assert_guest_gets(rig, 1, 0);
		relay_rig_adds(rig, 1, 3);
		assert_true(driver_kick_wanted(&rig->driver));
		device_deinit(&direct);
		relay_rig_free(rig);
	}
}

static void test_it_goes_on_where_the_memory_was_mapped_anew(void **state)
{
	EACH_FORMAT(i)
	{
		struct relay_rig *rig =
		    relay_rig_new(formats[i], 4, (struct relay_config){0}, false);
		struct rig *moved = rig_new(formats[i], 4);

		relay_rig_adds(rig, 1, 1);
		relay_pull(&rig->relay, 9, &rig->diag);
		memcpy(moved->areas.desc, rig->guest->areas.desc, ring_desc_bytes(formats[i], 4));
		memcpy(moved->areas.driver, rig->guest->areas.driver,
		       ring_driver_bytes(formats[i], 4));
		memcpy(moved->areas.device, rig->guest->areas.device,
		       ring_device_bytes(formats[i], 4));
		memset(rig->guest->areas.desc, 0xff, ring_desc_bytes(formats[i], 4));
		relay_move(&rig->relay, &moved->areas, &moved->memory);
		relay_rig_serves(rig, 1, 3);
		assert_outcome(relay_complete(&rig->relay, 9, &rig->diag), RING_OK);
		memcpy(rig->guest->areas.desc, moved->areas.desc, ring_desc_bytes(formats[i], 4));
		memcpy(rig->guest->areas.device, moved->areas.device,
		       ring_device_bytes(formats[i], 4));
		assert_guest_gets(rig, 1, 3);
		rig_free(moved);
		relay_rig_free(rig);
	}
}

/* VIRTIO_F_IN_ORDER: the last of `count` chains is written where the first would be. */
static void one_entry_for(struct relay_rig *rig, unsigned int count, uint32_t written)
{
	struct device *device = &rig->device;
	unsigned int slots = 0;

	for (unsigned int i = 0; i < count; i++) {
		relay_rig_pops(rig);
		if (i + 1 < count)
			slots += rig->shadow->chain.slots;
	}
	device_push(device, &rig->shadow->chain, written);
	if (device->format == RING_SPLIT)
		device->split.used_idx = (uint16_t)(device->split.used_idx + count - 1);
	else
		ring_position_move(&device->packed.used, slots, device->packed.num);
	device_publish(device);
}

static void test_in_order_one_used_entry_gives_back_all_before_it(void **state)
{
	EACH_FORMAT(i)
	{
		struct relay_rig *rig =
		    relay_rig_new(formats[i], 8, (struct relay_config){.in_order = true}, true);

		for (unsigned int token = 1; token <= 4; token++)
			relay_rig_adds(rig, token == 1 ? 3 : 1, token);
		relay_pull(&rig->relay, 9, &rig->diag);
		one_entry_for(rig, 3, 5);
		assert_outcome(relay_complete(&rig->relay, 2, &rig->diag), RING_OK);
		assert_guest_gets(rig, 1, 100);
		assert_guest_gets(rig, 2, 100);
		assert_guest_gets_nothing(rig);
		assert_true(relay_sleep(&rig->relay));
		assert_outcome(relay_complete(&rig->relay, 9, &rig->diag), RING_OK);
		assert_guest_gets(rig, 3, 5);
		relay_rig_serves(rig, 1, 6);
		assert_outcome(relay_complete(&rig->relay, 9, &rig->diag), RING_OK);
		assert_guest_gets(rig, 4, 6);
		relay_rig_free(rig);
	}
}

static void test_in_order_an_entry_for_more_than_the_index_has_is_a_fault(void **state)
{
	struct relay_rig *rig =
	    relay_rig_new(RING_SPLIT, 4, (struct relay_config){.in_order = true}, false);
	struct ring_used *used = rig->shadow->areas.device;

	for (unsigned int token = 1; token <= 3; token++)
		relay_rig_adds(rig, 1, token);
	relay_pull(&rig->relay, 9, &rig->diag);
	one_entry_for(rig, 3, 5);
	used->idx = 2;
	assert_outcome(relay_complete(&rig->relay, 9, &rig->diag), RING_BAD_INDEX);
	assert_memory_equal(rig->diag.text, "back-end ring: ", 15);
	relay_rig_free(rig);
}

static void test_a_record_that_changes_under_us_is_a_fault(void **state)
{
	struct relay_rig *rig = relay_rig_new(RING_PACKED, 4, (struct relay_config){0}, true);
	struct inflight_packed_region *region = rig->config.record;

	relay_rig_adds(rig, 1, 1);
	relay_pull(&rig->relay, 9, &rig->diag);
	start_over(rig, 1);
	region->desc[0].id = 9;
	assert_outcome(relay_pull(&rig->relay, 9, &rig->diag), RING_BAD_RECORD);
	assert_memory_equal(rig->diag.text, "inflight record: ", 17);
	relay_rig_free(rig);
}

static void test_a_bad_record_is_refused_and_nothing_is_held(void **state)
{
	EACH_FORMAT(i)
	{
		struct relay_rig *rig =
		    relay_rig_new(formats[i], 4, (struct relay_config){0}, true);
		struct inflight_split_region *region = rig->config.record;
		struct relay second;

		region->version = 2;
		rig->config.resubmit = true;
		assert_outcome(relay_init(&second, &rig->config, &rig->diag), RING_BAD_RECORD);
		relay_deinit(&second);
		rig->config.resubmit = false;
		assert_int_equal(relay_init(&second, &rig->config, &rig->diag), 0);
		assert_int_equal(region->version, INFLIGHT_VERSION);
		relay_deinit(&second);
		relay_rig_free(rig);
	}
}

static void test_a_wrong_base_or_area_is_refused(void **state)
{
	EACH_FORMAT(i)
	{
		struct relay_rig *rig =
		    relay_rig_new(formats[i], 4, (struct relay_config){0}, true);
		struct relay_config config = rig->config;
		struct relay second;

		config.shadow.desc = NULL;
		assert_int_equal(relay_init(&second, &config, &rig->diag), -EINVAL);
		config = rig->config;
		config.guest.device = (uint8_t *)config.guest.device + 1;
		assert_int_equal(relay_init(&second, &config, &rig->diag), -EINVAL);
		config = rig->config;
		config.record_num = 3;
		assert_int_equal(relay_init(&second, &config, &rig->diag), -EINVAL);
		config = rig->config;
		config.base = 0x80048004;
		assert_int_equal(relay_init(&second, &config, &rig->diag),
				 formats[i] == RING_SPLIT ? 0 : -EINVAL);
		relay_deinit(&second);
		relay_rig_free(rig);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_a_new_relay_takes_up_what_the_record_has),
	    cmocka_unit_test(test_held_it_drains_and_says_where_the_ring_goes_on),
	    cmocka_unit_test(test_it_goes_on_where_the_memory_was_mapped_anew),
	    cmocka_unit_test(test_in_order_one_used_entry_gives_back_all_before_it),
	    cmocka_unit_test(test_in_order_an_entry_for_more_than_the_index_has_is_a_fault),
	    cmocka_unit_test(test_a_record_that_changes_under_us_is_a_fault),
	    cmocka_unit_test(test_a_bad_record_is_refused_and_nothing_is_held),
	    cmocka_unit_test(test_a_wrong_base_or_area_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
