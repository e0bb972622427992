/* SPDX-License-Identifier: BSD-3-Clause */
#include "relay_rig.h"

static const enum ring_format formats[] = {RING_SPLIT, RING_PACKED};

#define EACH_FORMAT(i) for (unsigned int i = 0; i < 2; i++)

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

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_a_chain_goes_through_and_comes_back),
	    cmocka_unit_test(test_a_new_relay_takes_up_what_the_record_has),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
