/* SPDX-License-Identifier: BSD-3-Clause */
/* A ring that is filled in advance: what the back-end never took goes back to the guest. */
#include "relay_rig.h"

#define NUM 8u

static uint32_t stops(struct relay_rig *rig)
{
	return device_base(&rig->device);
}

/* Adds chains of 1, 2, 1, 2... descriptors, numbered from `token` on, and has them relayed. */
static void fill(struct relay_rig *rig, unsigned int count, uint64_t token)
{
	for (unsigned int i = 0; i < count; i++)
		relay_rig_adds(rig, 1 + i % 2, token + i);
	assert_outcome(relay_pull(&rig->relay, 99, &rig->diag), RING_OK);
}

static void serve(struct relay_rig *rig, unsigned int count)
{
	relay_rig_serves(rig, count, 9);
	assert_outcome(relay_complete(&rig->relay, 99, &rig->diag), RING_OK);
}

/* The next device, at `base` of the guest's ring, finds these chains and no more. */
static void assert_found(struct relay_rig *rig, uint32_t base, uint64_t token, unsigned int count)
{
	struct device direct;

	assert_int_equal(device_init(&direct, rig->config.format, &rig->guest->areas, NUM, false,
				     rig->config.indirect, base, &rig->diag),
			 0);
	for (unsigned int i = 0; i < count; i++) {
		assert_outcome(
		    device_pop(&direct, &rig->guest->memory, &rig->guest->chain, &rig->diag),
		    RING_OK);
		assert_int_equal(rig->guest->list[0].addr / 0x10000, token + i);
		device_push(&direct, &rig->guest->chain, 5);
	}
	assert_outcome(device_pop(&direct, &rig->guest->memory, &rig->guest->chain, &rig->diag),
		       RING_EMPTY);
	device_publish(&direct);
	for (unsigned int i = 0; i < count; i++)
		assert_guest_gets(rig, token + i, 5);
	assert_guest_gets_nothing(rig);
	device_deinit(&direct);
}

static void test_what_was_never_taken_goes_back_across_the_wrap(void **state)
{
	EACH_FORMAT(i)
	{
		struct relay_rig *rig =
		    relay_rig_new(formats[i], NUM, (struct relay_config){0}, true);
		uint32_t base;

		/* 7 of 8 descriptors are past when the ones that stay come. */
		fill(rig, 5, 1);
		serve(rig, 5);
		for (uint64_t token = 1; token <= 5; token++)
			assert_guest_gets(rig, token, 9);
		fill(rig, 5, 6);
		serve(rig, 2);
		assert_guest_gets(rig, 6, 9);
		assert_guest_gets(rig, 7, 9);
		relay_hold(&rig->relay, true);
		assert_outcome(relay_recall(&rig->relay, stops(rig), &rig->diag), RING_OK);
		assert_int_equal(relay_in_flight(&rig->relay), 0);
		base = relay_leave(&rig->relay);
		assert_int_equal(base, formats[i] == RING_SPLIT ? 7 : 0x00020002);
		assert_false(inflight_written(&rig->relay.inflight));
		assert_found(rig, base, 8, 3);
		relay_rig_free(rig);
	}
}

static void test_a_whole_ring_that_was_never_looked_at_goes_back(void **state)
{
	EACH_FORMAT(i)
	{
		struct relay_rig *rig =
		    relay_rig_new(formats[i], NUM, (struct relay_config){0}, false);
		uint32_t base;

		for (uint64_t token = 1; token <= NUM; token++)
			relay_rig_adds(rig, 1, token);
		relay_pull(&rig->relay, 99, &rig->diag);
		relay_hold(&rig->relay, true);
		assert_outcome(relay_recall(&rig->relay, stops(rig), &rig->diag), RING_OK);
		base = relay_leave(&rig->relay);
		assert_int_equal(base, formats[i] == RING_SPLIT ? 0 : RING_PACKED_BASE);
		assert_found(rig, base, 1, NUM);
		relay_rig_free(rig);
	}
}

static void test_indirect_chains_go_back_as_their_one_descriptor(void **state)
{
	EACH_FORMAT(i)
	{
		struct relay_rig *rig =
		    relay_rig_new(formats[i], NUM, (struct relay_config){.indirect = true}, true);
		uint32_t base;

		for (uint64_t token = 1; token <= 3; token++) {
			uint32_t at = (uint32_t)token * 64;
			struct ring_buffer buffers[2] = {{.addr = token * 0x10000, .len = 10},
							 {.addr = 7, .len = 20, .writable = true}};
			uint32_t len =
			    driver_table(&rig->driver, rig->guest->guest + at, buffers, 2);

			driver_add_table(&rig->driver, RIG_GPA + at, len, 20, token);
		}
		driver_publish(&rig->driver);
		relay_pull(&rig->relay, 99, &rig->diag);
		serve(rig, 1);
		assert_guest_gets(rig, 1, 9);
		relay_hold(&rig->relay, true);
		assert_outcome(relay_recall(&rig->relay, stops(rig), &rig->diag), RING_OK);
		base = relay_leave(&rig->relay);
		assert_int_equal(base, formats[i] == RING_SPLIT ? 1 : 0x80018001);
		assert_found(rig, base, 2, 2);
		relay_rig_free(rig);
	}
}

static void test_what_was_taken_is_waited_for(void **state)
{
	EACH_FORMAT(i)
	{
		struct relay_rig *rig =
		    relay_rig_new(formats[i], NUM, (struct relay_config){0}, false);
		struct ring_chain taken;
		uint32_t answer, base;

		fill(rig, 3, 1);
		relay_rig_pops(rig);
		taken = rig->shadow->chain;
		relay_hold(&rig->relay, true);
		answer = stops(rig);
		assert_outcome(relay_recall(&rig->relay, answer, &rig->diag), RING_EMPTY);
		assert_int_equal(relay_in_flight(&rig->relay), 3);
		relay_rig_pushes(rig, &taken, 4);
		assert_outcome(relay_recall(&rig->relay, answer, &rig->diag), RING_EMPTY);
		assert_outcome(relay_complete(&rig->relay, 99, &rig->diag), RING_OK);
		assert_outcome(relay_recall(&rig->relay, answer, &rig->diag), RING_OK);
		base = relay_leave(&rig->relay);
		assert_guest_gets(rig, 1, 4);
		assert_found(rig, base, 2, 2);
		relay_rig_free(rig);
	}
}

static void test_a_base_the_back_end_can_not_have_is_its_fault(void **state)
{
	EACH_FORMAT(i)
	{
		static const uint32_t split[] = {0, 4, 0x10001},
				      packed[] = {0x8000, 0x8006, 0x8008};
		const uint32_t *wrong = formats[i] == RING_SPLIT ? split : packed;

		for (unsigned int n = 0; n < 3; n++) {
			struct relay_rig *rig =
			    relay_rig_new(formats[i], NUM, (struct relay_config){0}, false);

			fill(rig, 3, 1);
			serve(rig, 1);
			relay_hold(&rig->relay, true);
			assert_outcome(relay_recall(&rig->relay, wrong[n], &rig->diag),
				       RING_BAD_INDEX);
			assert_memory_equal(rig->diag.text, "back-end ring: ", 15);
			relay_rig_free(rig);
		}
	}
}

static void test_a_chain_that_was_used_unread_leaves_a_hole_that_is_found(void **state)
{
	EACH_FORMAT(i)
	{
		struct relay_rig *rig =
		    relay_rig_new(formats[i], NUM, (struct relay_config){0}, false);
		uint32_t answer;

		fill(rig, 3, 1);
		relay_rig_pops(rig);
		/* Just as much as is used, but it is the second chain that is. */
		answer = formats[i] == RING_SPLIT ? 1 : 0x8002;
		relay_rig_pops(rig);
		relay_rig_pushes(rig, &rig->shadow->chain, 4);
		assert_outcome(relay_complete(&rig->relay, 99, &rig->diag), RING_OK);
		relay_hold(&rig->relay, true);
		assert_outcome(relay_recall(&rig->relay, answer, &rig->diag), RING_BAD_HEAD);
		assert_memory_equal(rig->diag.text, "guest ring: ", 12);
		relay_rig_free(rig);
	}
}

/* A daemon that died, and one that follows: the record has the chains of the first. */
static void start_over(struct relay_rig *rig)
{
	relay_deinit(&rig->relay);
	device_deinit(&rig->device);
	rig->config.resubmit = true;
	assert_int_equal(relay_init(&rig->relay, &rig->config, &rig->diag), 0);
	relay_rig_backend(rig);
	relay_pull(&rig->relay, 99, &rig->diag);
	relay_hold(&rig->relay, true);
}

static void
test_untaken_chains_of_an_earlier_process_go_back_if_the_ring_still_has_them(void **state)
{
	EACH_FORMAT(i)
	{
		struct relay_rig *rig =
		    relay_rig_new(formats[i], NUM, (struct relay_config){0}, true);

		fill(rig, 4, 1);
		serve(rig, 2);
		assert_guest_gets(rig, 1, 9);
		assert_guest_gets(rig, 2, 9);
		start_over(rig);
		assert_outcome(relay_recall(&rig->relay, stops(rig), &rig->diag), RING_OK);
		assert_found(rig, relay_leave(&rig->relay), 3, 2);
		relay_rig_free(rig);
	}
}

/* As a process leaves it that dies within a batch: the id and the length of a completion. */
static void test_a_packed_descriptor_that_was_written_over_is_not_handed_back(void **state)
{
	struct relay_rig *rig = relay_rig_new(RING_PACKED, NUM, (struct relay_config){0}, true);
	struct ring_packed_desc *desc = rig->guest->areas.desc;

	fill(rig, 2, 1);
	desc[0].len = 7;
	start_over(rig);
	assert_outcome(relay_recall(&rig->relay, stops(rig), &rig->diag), RING_BAD_RECORD);
	assert_true(inflight_written(&rig->relay.inflight));
	relay_rig_free(rig);
}

static void test_those_that_only_the_record_knows_are_not_given_up(void **state)
{
	EACH_FORMAT(i)
	{
		struct relay_rig *rig =
		    relay_rig_new(formats[i], NUM, (struct relay_config){0}, true);

		fill(rig, 3, 1);
		relay_rig_pops(rig);
		relay_rig_pops(rig);
		relay_rig_pushes(rig, &rig->shadow->chain, 4);
		relay_complete(&rig->relay, 99, &rig->diag);
		start_over(rig);
		assert_outcome(relay_recall(&rig->relay, stops(rig), &rig->diag),
			       formats[i] == RING_SPLIT ? RING_BAD_HEAD : RING_BAD_RECORD);
		assert_true(inflight_written(&rig->relay.inflight));
		relay_rig_free(rig);
	}
}

static void test_the_event_index_says_that_the_back_end_is_at_work(void **state)
{
	for (unsigned int i = 0; i < 4; i++) {
		struct relay_rig *rig = relay_rig_new(
		    formats[i / 2], NUM, (struct relay_config){.event_idx = i % 2}, false);
		bool told = formats[i / 2] == RING_SPLIT && i % 2;

		fill(rig, 3, 1);
		assert_false(relay_busy(&rig->relay));
		relay_rig_pops(rig);
		device_kicks(&rig->device, true);
		assert_int_equal(relay_busy(&rig->relay), told);
		relay_rig_pushes(rig, &rig->shadow->chain, 4);
		relay_complete(&rig->relay, 99, &rig->diag);
		assert_false(relay_busy(&rig->relay));
		relay_rig_free(rig);
	}
}

static void test_a_wish_that_lies_behind_says_nothing(void **state)
{
	struct relay_rig *rig =
	    relay_rig_new(RING_SPLIT, NUM, (struct relay_config){.event_idx = true}, false);

	fill(rig, 5, 1);
	serve(rig, 3);
	assert_false(relay_busy(&rig->relay));
	relay_rig_free(rig);
}

static void test_the_shadow_ring_may_start_anywhere(void **state)
{
	const uint16_t base = 65534;
	struct relay_rig *rig = relay_rig_new(
	    RING_SPLIT, NUM, (struct relay_config){.shadow_base = base, .event_idx = true}, false);

	device_deinit(&rig->device);
	assert_int_equal(device_init(&rig->device, RING_SPLIT, &rig->shadow->areas, NUM, true,
				     false, base, &rig->diag),
			 0);
	fill(rig, 5, 1);
	assert_true(rig->relay.kick);
	serve(rig, 3);
	relay_hold(&rig->relay, true);
	assert_int_equal(stops(rig), 1);
	assert_outcome(relay_recall(&rig->relay, 1, &rig->diag), RING_OK);
	assert_int_equal(relay_leave(&rig->relay), 3);
	relay_rig_free(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_what_was_never_taken_goes_back_across_the_wrap),
	    cmocka_unit_test(test_a_whole_ring_that_was_never_looked_at_goes_back),
	    cmocka_unit_test(test_indirect_chains_go_back_as_their_one_descriptor),
	    cmocka_unit_test(test_what_was_taken_is_waited_for),
	    cmocka_unit_test(test_a_base_the_back_end_can_not_have_is_its_fault),
	    cmocka_unit_test(test_a_chain_that_was_used_unread_leaves_a_hole_that_is_found),
	    cmocka_unit_test(
		test_untaken_chains_of_an_earlier_process_go_back_if_the_ring_still_has_them),
	    cmocka_unit_test(test_a_packed_descriptor_that_was_written_over_is_not_handed_back),
	    cmocka_unit_test(test_those_that_only_the_record_knows_are_not_given_up),
	    cmocka_unit_test(test_the_event_index_says_that_the_back_end_is_at_work),
	    cmocka_unit_test(test_a_wish_that_lies_behind_says_nothing),
	    cmocka_unit_test(test_the_shadow_ring_may_start_anywhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
