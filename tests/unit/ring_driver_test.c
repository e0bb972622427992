/* SPDX-License-Identifier: BSD-3-Clause */
/* What a device may write that it must not, and when the driver kicks. */
#include "ring_rig.h"

static struct rig *open_split(unsigned int num, bool event_idx, uint16_t base,
			      struct split_driver *driver)
{
	struct rig *rig = rig_new(RING_SPLIT, num);

	assert_int_equal(split_driver_init(driver, &rig->areas, num, event_idx, base, &rig->diag),
			 0);
	return rig;
}

static struct rig *open_packed(unsigned int num, bool event_idx, uint16_t base,
			       struct packed_driver *driver)
{
	struct rig *rig = rig_new(RING_PACKED, num);

	assert_int_equal(packed_driver_init(driver, &rig->areas, num, event_idx, base, &rig->diag),
			 0);
	return rig;
}

static const struct ring_buffer one[] = {{.addr = 64, .len = 100, .writable = true}};
static const struct ring_buffer three[] = {
    {.addr = 64, .len = 16, .writable = false},
    {.addr = 128, .len = 100, .writable = true},
    {.addr = 256, .len = 1, .writable = true},
};

/* The device's part by hand. */
static void split_use(struct rig *rig, uint32_t id, uint32_t len)
{
	struct ring_used *used = rig->areas.device;

	used->ring[used->idx % rig->num] = (struct ring_used_elem){.id = id, .len = len};
	used->idx++;
}

static void packed_use(struct rig *rig, unsigned int slot, uint16_t id, uint32_t len, bool wrap)
{
	struct ring_packed_desc *desc = rig->areas.desc;

	desc[slot].id = id;
	desc[slot].len = len;
	desc[slot].flags = ring_flags_used(wrap) | RING_DESC_WRITE;
}

static void test_split_refuses_a_used_id_outside_the_table(void **state)
{
	struct split_driver driver;
	struct rig *rig = open_split(4, false, 0, &driver);
	struct ring_done done = {.token = 77};

	split_driver_add(&driver, one, 1, 5);
	split_driver_publish(&driver);
	split_use(rig, 4, 1);
	assert_outcome(split_driver_take(&driver, &done, &rig->diag), RING_BAD_ID);
	assert_int_equal(done.token, 77);
	assert_string_equal(rig->diag.text, "used id 4 at index 0: no chain in flight has it");
	split_driver_deinit(&driver);
	rig_free(rig);
}

static void test_split_refuses_a_second_completion(void **state)
{
	struct split_driver driver;
	struct rig *rig = open_split(4, false, 0, &driver);
	struct ring_done done;

	split_driver_add(&driver, one, 1, 5);
	split_driver_add(&driver, one, 1, 6);
	split_driver_publish(&driver);
	split_use(rig, 0, 1);
	split_use(rig, 0, 1);
	assert_outcome(split_driver_take(&driver, &done, &rig->diag), RING_OK);
	assert_int_equal(done.token, 5);
	assert_outcome(split_driver_take(&driver, &done, &rig->diag), RING_BAD_ID);
	split_driver_deinit(&driver);
	rig_free(rig);
}

static void test_split_refuses_the_middle_of_a_chain(void **state)
{
	struct split_driver driver;
	struct rig *rig = open_split(4, false, 0, &driver);
	struct ring_done done;

	split_driver_add(&driver, three, 3, 5);
	split_driver_publish(&driver);
	split_use(rig, 1, 1);
	assert_outcome(split_driver_take(&driver, &done, &rig->diag), RING_BAD_ID);
	split_driver_deinit(&driver);
	rig_free(rig);
}

static void test_split_refuses_an_index_beyond_what_is_in_flight(void **state)
{
	struct split_driver driver;
	struct rig *rig = open_split(4, false, 0, &driver);
	struct ring_done done;

	split_driver_add(&driver, one, 1, 5);
	split_driver_publish(&driver);
	split_use(rig, 0, 1);
	split_use(rig, 0, 1);
	assert_outcome(split_driver_take(&driver, &done, &rig->diag), RING_BAD_INDEX);
	split_driver_deinit(&driver);
	rig_free(rig);
}

static void test_split_returns_the_chain_with_a_bad_length(void **state)
{
	struct split_driver driver;
	struct rig *rig = open_split(4, false, 0, &driver);
	struct ring_done done;

	split_driver_add(&driver, three, 3, 5);
	split_driver_publish(&driver);
	split_use(rig, 0, 102);
	assert_outcome(split_driver_take(&driver, &done, &rig->diag), RING_BAD_LENGTH);
	assert_int_equal(done.token, 5);
	assert_int_equal(driver.free, 4);
	split_driver_deinit(&driver);
	rig_free(rig);
}

static void test_split_trusts_no_descriptor_it_wrote(void **state)
{
	struct split_driver driver;
	struct rig *rig = open_split(4, false, 0, &driver);
	struct ring_desc *desc = rig->areas.desc;
	struct ring_done done;

	split_driver_add(&driver, three, 3, 5);
	split_driver_publish(&driver);
	memset(desc, 0xff, 4 * sizeof(*desc));
	split_use(rig, 0, 101);
	assert_outcome(split_driver_take(&driver, &done, &rig->diag), RING_OK);
	assert_outcome(split_driver_add(&driver, three, 3, 6), RING_OK);
	assert_outcome(split_driver_add(&driver, one, 1, 7), RING_OK);
	assert_outcome(split_driver_add(&driver, one, 1, 8), RING_FULL);
	split_driver_deinit(&driver);
	rig_free(rig);
}

static void test_split_refuses_what_never_fits(void **state)
{
	struct split_driver driver;
	struct rig *rig = open_split(2, false, 0, &driver);

	assert_outcome(split_driver_add(&driver, three, 3, 5), RING_TOO_LONG);
	assert_int_equal(split_driver_init(&driver, &rig->areas, 3, false, 0, &rig->diag), -EINVAL);
	assert_string_equal(rig->diag.text, "ring size 3: a split ring needs a power of two");
	split_driver_deinit(&driver);
	rig_free(rig);
}

static void test_split_shows_nothing_before_publish(void **state)
{
	struct split_driver driver;
	struct rig *rig = open_split(4, false, 65535, &driver);
	struct ring_avail *avail = rig->areas.driver;

	split_driver_add(&driver, one, 1, 5);
	assert_int_equal(avail->idx, 65535);
	split_driver_publish(&driver);
	assert_int_equal(avail->idx, 0);
	split_driver_deinit(&driver);
	rig_free(rig);
}

/* Batches from `base`, with the device wanting a kick when `event` is passed. */
static bool split_kicks(uint16_t base, unsigned int batch, uint16_t event)
{
	struct split_driver driver;
	struct rig *rig = open_split(8, true, base, &driver);
	struct ring_used *used = rig->areas.device;
	bool kick;

	memcpy(&used->ring[8], &event, sizeof(event));
	for (unsigned int i = 0; i < batch; i++)
		split_driver_add(&driver, one, 1, i);
	split_driver_publish(&driver);
	kick = split_driver_kick_wanted(&driver);
	assert_false(split_driver_kick_wanted(&driver));
	split_driver_deinit(&driver);
	rig_free(rig);
	return kick;
}

static void test_split_kicks_exactly_when_the_event_is_passed(void **state)
{
	assert_true(split_kicks(0, 1, 0));
	assert_false(split_kicks(0, 1, 1));
	assert_false(split_kicks(0, 1, 65535));
	assert_true(split_kicks(0, 4, 3));
	assert_false(split_kicks(0, 4, 4));
	assert_true(split_kicks(65534, 4, 65535));
	assert_true(split_kicks(65534, 4, 1));
	assert_false(split_kicks(65534, 4, 2));
	assert_false(split_kicks(65534, 4, 65533));
	assert_false(split_kicks(0, 0, 0));
}

static void test_split_kicks_by_flag_without_event_index(void **state)
{
	struct split_driver driver;
	struct rig *rig = open_split(4, false, 0, &driver);
	struct ring_used *used = rig->areas.device;

	used->flags = RING_USED_NO_KICK;
	split_driver_add(&driver, one, 1, 5);
	split_driver_publish(&driver);
	assert_false(split_driver_kick_wanted(&driver));
	used->flags = 0;
	split_driver_add(&driver, one, 1, 6);
	split_driver_publish(&driver);
	assert_true(split_driver_kick_wanted(&driver));
	split_driver_deinit(&driver);
	rig_free(rig);
}

static void test_packed_refuses_used_ids_never_given(void **state)
{
	struct packed_driver driver;
	struct rig *rig = open_packed(3, false, RING_WRAP, &driver);
	struct ring_done done;

	packed_driver_add(&driver, one, 1, 5);
	packed_driver_publish(&driver);
	packed_use(rig, 0, 3, 1, true);
	assert_outcome(packed_driver_take(&driver, &done, &rig->diag), RING_BAD_ID);
	packed_use(rig, 0, 1, 1, true);
	assert_outcome(packed_driver_take(&driver, &done, &rig->diag), RING_BAD_ID);
	packed_use(rig, 0, 0, 101, true);
	assert_outcome(packed_driver_take(&driver, &done, &rig->diag), RING_BAD_LENGTH);
	assert_int_equal(done.token, 5);
	packed_use(rig, 1, 0, 1, true);
	assert_outcome(packed_driver_take(&driver, &done, &rig->diag), RING_BAD_ID);
	packed_driver_deinit(&driver);
	rig_free(rig);
}

static void test_packed_length_counts_only_with_the_write_flag(void **state)
{
	struct packed_driver driver;
	struct rig *rig = open_packed(3, false, RING_WRAP, &driver);
	struct ring_packed_desc *desc = rig->areas.desc;
	struct ring_done done;

	packed_driver_add(&driver, one, 1, 5);
	packed_driver_publish(&driver);
	packed_use(rig, 0, 0, 5000, true);
	desc[0].flags = ring_flags_used(true);
	assert_outcome(packed_driver_take(&driver, &done, &rig->diag), RING_OK);
	assert_int_equal(done.length, 0);
	packed_driver_deinit(&driver);
	rig_free(rig);
}

static void test_packed_batch_is_seen_only_after_publish(void **state)
{
	struct packed_driver driver;
	struct rig *rig = open_packed(5, false, 3, &driver);
	struct ring_packed_desc *desc = rig->areas.desc;

	assert_int_equal(ring_flags_state(desc[3].flags), ring_flags_used(true));
	packed_driver_add(&driver, three, 3, 5);
	packed_driver_add(&driver, one, 1, 6);
	assert_int_equal(ring_flags_state(desc[3].flags), ring_flags_used(true));
	assert_int_equal(ring_flags_state(desc[4].flags), ring_flags_available(false));
	assert_int_equal(ring_flags_state(desc[0].flags), ring_flags_available(true));
	packed_driver_publish(&driver);
	assert_int_equal(ring_flags_state(desc[3].flags), ring_flags_available(false));
	assert_int_equal(desc[3].flags & RING_DESC_NEXT, RING_DESC_NEXT);
	assert_outcome(packed_driver_add(&driver, three, 3, 7), RING_FULL);
	packed_driver_deinit(&driver);
	rig_free(rig);
}

static bool packed_kicks(uint16_t base, unsigned int batch, uint16_t event, uint16_t flags)
{
	struct packed_driver driver;
	struct rig *rig = open_packed(5, true, base, &driver);
	struct ring_event *device = rig->areas.device;
	bool kick;

	device->off_wrap_flags = (uint32_t)flags << 16 | event;
	for (unsigned int i = 0; i < batch; i++)
		packed_driver_add(&driver, one, 1, i);
	packed_driver_publish(&driver);
	kick = packed_driver_kick_wanted(&driver);
	assert_false(packed_driver_kick_wanted(&driver));
	packed_driver_deinit(&driver);
	rig_free(rig);
	return kick;
}

static void test_packed_kicks_exactly_when_the_event_is_passed(void **state)
{
	const uint16_t at_event = RING_EVENT_DESC;

	assert_true(packed_kicks(RING_WRAP, 1, RING_WRAP, at_event));
	assert_false(packed_kicks(RING_WRAP, 1, RING_WRAP | 1, at_event));
	assert_false(packed_kicks(RING_WRAP, 1, 0, at_event));
	assert_true(packed_kicks(RING_WRAP | 3, 4, RING_WRAP | 4, at_event));
	assert_true(packed_kicks(RING_WRAP | 3, 4, 1, at_event));
	assert_false(packed_kicks(RING_WRAP | 3, 4, RING_WRAP | 1, at_event));
	assert_false(packed_kicks(RING_WRAP | 3, 4, 2, at_event));
	assert_true(packed_kicks(3, 4, RING_WRAP | 0, at_event));
	assert_true(packed_kicks(3, 5, 3, at_event));
	assert_false(packed_kicks(3, 5, RING_WRAP | 3, at_event));
	assert_true(packed_kicks(3, 1, 5, at_event));
	assert_true(packed_kicks(0, 1, 7, RING_EVENT_ENABLE));
	assert_false(packed_kicks(0, 1, 0, RING_EVENT_DISABLE));
	assert_true(packed_kicks(0, 1, 0, 0xffff));
	assert_false(packed_kicks(0, 0, 0, RING_EVENT_ENABLE));
}

static void test_packed_refuses_a_base_outside_the_ring(void **state)
{
	struct packed_driver driver;
	struct rig *rig = rig_new(RING_PACKED, 5);

	assert_int_equal(packed_driver_init(&driver, &rig->areas, 5, false, 5, &rig->diag),
			 -EINVAL);
	assert_int_equal(packed_driver_init(&driver, &rig->areas, 0, false, 0, &rig->diag),
			 -EINVAL);
	assert_int_equal(packed_driver_init(&driver, &rig->areas, 32769, false, 0, &rig->diag),
			 -EINVAL);
	rig->areas.desc = (uint8_t *)rig->areas.desc + 8;
	assert_int_equal(packed_driver_init(&driver, &rig->areas, 4, false, 0, &rig->diag),
			 -EINVAL);
	rig->areas.desc = (uint8_t *)rig->areas.desc - 8;
	rig_free(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_split_refuses_a_used_id_outside_the_table),
	    cmocka_unit_test(test_split_refuses_a_second_completion),
	    cmocka_unit_test(test_split_refuses_the_middle_of_a_chain),
	    cmocka_unit_test(test_split_refuses_an_index_beyond_what_is_in_flight),
	    cmocka_unit_test(test_split_returns_the_chain_with_a_bad_length),
	    cmocka_unit_test(test_split_trusts_no_descriptor_it_wrote),
	    cmocka_unit_test(test_split_refuses_what_never_fits),
	    cmocka_unit_test(test_split_shows_nothing_before_publish),
	    cmocka_unit_test(test_split_kicks_exactly_when_the_event_is_passed),
	    cmocka_unit_test(test_split_kicks_by_flag_without_event_index),
	    cmocka_unit_test(test_packed_refuses_used_ids_never_given),
	    cmocka_unit_test(test_packed_length_counts_only_with_the_write_flag),
	    cmocka_unit_test(test_packed_batch_is_seen_only_after_publish),
	    cmocka_unit_test(test_packed_kicks_exactly_when_the_event_is_passed),
	    cmocka_unit_test(test_packed_refuses_a_base_outside_the_ring),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
