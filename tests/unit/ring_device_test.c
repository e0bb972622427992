/* SPDX-License-Identifier: BSD-3-Clause */
/* What a driver may make available that it must not, and when the device calls. */
#include "ring_rig.h"

static struct rig *open_device(enum ring_format format, unsigned int num, uint32_t base,
			       struct device *device)
{
	struct rig *rig = rig_new(format, num);

	assert_int_equal(
	    device_init(device, format, &rig->areas, num, true, true, base, &rig->diag), 0);
	return rig;
}

static int pop(struct rig *rig, struct device *device)
{
	return device_pop(device, &rig->memory, &rig->chain, &rig->diag);
}

static void split_put(struct rig *rig, unsigned int at, uint64_t addr, uint32_t len, uint16_t flags,
		      uint16_t next)
{
	struct ring_desc *desc = rig->areas.desc;

	desc[at] = (struct ring_desc){.addr = addr, .len = len, .flags = flags, .next = next};
}

static void split_avail(struct rig *rig, uint16_t head)
{
	struct ring_avail *avail = rig->areas.driver;

	avail->ring[avail->idx % rig->num] = head;
	avail->idx++;
}

static void table_put(struct rig *rig, unsigned int at, uint32_t len, uint16_t flags, uint16_t next)
{
	struct ring_desc desc = {.addr = 1, .len = len, .flags = flags, .next = next};

	memcpy(rig->guest + at * RING_DESC_SIZE, &desc, sizeof(desc));
}

/* One split chain of up to two descriptors and what popping it gives. */
static const struct split_row {
	const char *claim;
	struct ring_desc desc[2];
	uint16_t head;
	int outcome;
} split_rows[] = {
    {"a plain pair", {{1, 16, RING_DESC_NEXT, 1}, {64, 8, RING_DESC_WRITE, 0}}, 0, RING_OK},
    {"a head outside", {{1, 16, 0, 0}}, 4, RING_BAD_HEAD},
    {"a next outside", {{1, 16, RING_DESC_NEXT, 4}}, 0, RING_BAD_NEXT},
    {"a loop of one", {{1, 16, RING_DESC_NEXT, 0}}, 0, RING_LOOP},
    {"a loop of two", {{1, 16, RING_DESC_NEXT, 1}, {1, 16, RING_DESC_NEXT, 0}}, 0, RING_LOOP},
    {"no bytes", {{1, 0, 0, 0}}, 0, RING_ZERO},
    {"past 2^64", {{UINT64_MAX - 14, 16, 0, 0}}, 0, RING_OVERFLOW},
    {"up to 2^64", {{UINT64_MAX - 15, 16, 0, 0}}, 0, RING_OK},
    {"2^32 bytes", {{0, UINT32_MAX, RING_DESC_NEXT, 1}, {0, 1, 0, 0}}, 0, RING_OVERFLOW},
    {"readable last", {{1, 16, RING_DESC_NEXT | RING_DESC_WRITE, 1}, {1, 16, 0, 0}}, 0, RING_ORDER},
    {"indirect and next", {{RIG_GPA, 16, RING_DESC_NEXT | RING_DESC_INDIRECT, 1}}, 0, RING_NESTED},
    {"a table of 15 bytes", {{RIG_GPA, 15, RING_DESC_INDIRECT, 0}}, 0, RING_BAD_TABLE},
    {"a table of no bytes", {{RIG_GPA, 0, RING_DESC_INDIRECT, 0}}, 0, RING_BAD_TABLE},
    {"a table nowhere", {{RIG_GPA - 16, 16, RING_DESC_INDIRECT, 0}}, 0, RING_BAD_TABLE},
    {"a table past 2^64", {{UINT64_MAX - 15, 32, RING_DESC_INDIRECT, 0}}, 0, RING_BAD_TABLE},
    {"a table in half",
     {{RIG_GPA + RIG_GUEST_BYTES - 16, 32, RING_DESC_INDIRECT, 0}},
     0,
     RING_BAD_TABLE},
};

static void test_split_outcomes(void **state)
{
	for (size_t i = 0; i < sizeof(split_rows) / sizeof(split_rows[0]); i++) {
		const struct split_row *row = &split_rows[i];
		struct device device;
		struct rig *rig = open_device(RING_SPLIT, 4, 0, &device);
		int got;

		/* One more than the table, so that a walk too far shows as another outcome. */
		rig->chain.capacity = 5;
		/* The last entry of guest memory, for a table that continues where nothing is. */
		table_put(rig, RIG_GUEST_BYTES / RING_DESC_SIZE - 1, 8, RING_DESC_NEXT, 1);
		memcpy(rig->areas.desc, row->desc, sizeof(row->desc));
		split_avail(rig, row->head);
		got = pop(rig, &device);
		if (got != row->outcome)
			print_error("%s: %s\n", row->claim, rig->diag.text);
		assert_outcome(got, row->outcome);
		device_deinit(&device);
		rig_free(rig);
	}
}

static void test_split_table_outcomes(void **state)
{
	static const struct {
		uint16_t flags, next;
		uint32_t len;
		int outcome;
	} rows[] = {
	    {RING_DESC_NEXT, 1, 8, RING_OK},
	    {RING_DESC_NEXT, 0, 8, RING_LOOP},
	    {RING_DESC_NEXT, 2, 8, RING_BAD_NEXT},
	    {RING_DESC_INDIRECT, 0, 16, RING_NESTED},
	    {0, 0, 0, RING_ZERO},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct device device;
		struct rig *rig = open_device(RING_SPLIT, 4, 0, &device);

		rig->chain.capacity = 3;
		table_put(rig, 0, rows[i].len, rows[i].flags, rows[i].next);
		table_put(rig, 1, 100, RING_DESC_WRITE, 0);
		split_put(rig, 0, RIG_GPA, 32, RING_DESC_INDIRECT, 0);
		split_avail(rig, 0);
		assert_outcome(pop(rig, &device), rows[i].outcome);
		if (rows[i].outcome == RING_OK) {
			assert_int_equal(rig->chain.slots, 1);
			assert_int_equal(rig->chain.count, 2);
			assert_int_equal(rig->chain.readable, 8);
			assert_int_equal(rig->chain.writable, 100);
		}
		device_deinit(&device);
		rig_free(rig);
	}
}

static void test_split_indirect_after_a_direct_descriptor(void **state)
{
	struct device device;
	struct rig *rig = open_device(RING_SPLIT, 4, 0, &device);

	split_put(rig, 2, 5, 16, RING_DESC_NEXT, 3);
	split_put(rig, 3, RIG_GPA, 16, RING_DESC_INDIRECT, 0);
	table_put(rig, 0, 9, RING_DESC_WRITE, 0);
	split_avail(rig, 2);
	assert_outcome(pop(rig, &device), RING_OK);
	assert_int_equal(rig->chain.slots, 2);
	assert_int_equal(rig->chain.count, 2);
	device_deinit(&device);
	rig_free(rig);
}

static void test_split_refuses_a_head_in_flight_and_takes_it_after_push(void **state)
{
	struct device device;
	struct rig *rig = open_device(RING_SPLIT, 4, 0, &device);

	split_put(rig, 1, 5, 16, 0, 0);
	split_avail(rig, 1);
	assert_outcome(pop(rig, &device), RING_OK);
	split_avail(rig, 1);
	assert_outcome(pop(rig, &device), RING_TWICE);
	device_push(&device, &rig->chain, 0);
	device_publish(&device);
	assert_outcome(pop(rig, &device), RING_OK);
	device_deinit(&device);
	rig_free(rig);
}

static void test_split_refuses_more_heads_than_there_are(void **state)
{
	struct device device;
	struct rig *rig = open_device(RING_SPLIT, 4, 0, &device);
	struct ring_avail *avail = rig->areas.driver;

	avail->idx = 5;
	assert_outcome(pop(rig, &device), RING_BAD_INDEX);
	avail->idx = 65535;
	assert_outcome(pop(rig, &device), RING_BAD_INDEX);
	device_deinit(&device);
	rig_free(rig);
}

static void test_too_many_buffers_for_the_list(void **state)
{
	struct device device;
	struct rig *rig = open_device(RING_SPLIT, 4, 0, &device);

	rig->chain.capacity = 1;
	split_put(rig, 0, 5, 16, RING_DESC_NEXT, 1);
	split_put(rig, 1, 5, 16, 0, 0);
	split_avail(rig, 0);
	assert_outcome(pop(rig, &device), RING_TOO_LONG);
	device_deinit(&device);
	rig_free(rig);
}

static void test_indirect_is_refused_unless_agreed(void **state)
{
	for (enum ring_format format = RING_SPLIT; format <= RING_PACKED; format++) {
		struct rig *rig = rig_new(format, 4);
		struct driver driver;
		struct device device;

		driver_init(&driver, format, &rig->areas, 4, false,
			    format == RING_PACKED ? RING_PACKED_BASE : 0, &rig->diag);
		device_init(&device, format, &rig->areas, 4, false, false,
			    format == RING_PACKED ? RING_PACKED_BASE : 0, &rig->diag);
		driver_add_table(&driver, RIG_GPA, 16, 1, 1);
		driver_publish(&driver);
		assert_outcome(pop(rig, &device), RING_BAD_TABLE);
		driver_deinit(&driver);
		device_deinit(&device);
		rig_free(rig);
	}
}

static void packed_put(struct rig *rig, unsigned int at, uint32_t len, uint16_t id, uint16_t flags)
{
	struct ring_packed_desc *desc = rig->areas.desc;

	desc[at] = (struct ring_packed_desc){.addr = RIG_GPA, .len = len, .id = id, .flags = flags};
}

static void test_packed_outcomes(void **state)
{
	static const struct {
		uint32_t len;
		uint16_t flags[3];
		int outcome;
	} rows[] = {
	    {16, {RING_DESC_NEXT, RING_DESC_WRITE, 0}, RING_OK},
	    {16, {RING_DESC_NEXT, RING_DESC_NEXT, RING_DESC_NEXT}, RING_LOOP},
	    {0, {0, 0, 0}, RING_ZERO},
	    {16, {RING_DESC_WRITE | RING_DESC_NEXT, 0, 0}, RING_ORDER},
	    {16, {RING_DESC_INDIRECT | RING_DESC_NEXT, 0, 0}, RING_NESTED},
	    {16, {RING_DESC_NEXT, RING_DESC_INDIRECT, 0}, RING_NESTED},
	    {15, {RING_DESC_INDIRECT, 0, 0}, RING_BAD_TABLE},
	    {UINT32_MAX, {RING_DESC_NEXT, 0, 0}, RING_OVERFLOW},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct device device;
		struct rig *rig = open_device(RING_PACKED, 3, RING_PACKED_BASE, &device);

		for (unsigned int at = 0; at < 3; at++)
			packed_put(rig, at, rows[i].len, (uint16_t)(at + 9),
				   rows[i].flags[at] | RING_DESC_AVAIL);
		assert_outcome(pop(rig, &device), rows[i].outcome);
		if (rows[i].outcome == RING_OK)
			assert_int_equal(rig->chain.id, 10);
		device_deinit(&device);
		rig_free(rig);
	}
}

static void test_packed_nested_table_and_id_in_flight(void **state)
{
	struct device device;
	struct rig *rig = open_device(RING_PACKED, 3, RING_PACKED_BASE, &device);

	table_put(rig, 0, 8, 0, 0);
	packed_put(rig, 0, 16, 65535, RING_DESC_AVAIL | RING_DESC_INDIRECT);
	packed_put(rig, 1, 16, 65535, RING_DESC_AVAIL);
	assert_outcome(pop(rig, &device), RING_OK);
	assert_outcome(pop(rig, &device), RING_TWICE);
	/* The flags of a packed entry are where a split one has its next. */
	table_put(rig, 0, 16, 0, RING_DESC_INDIRECT);
	packed_put(rig, 1, 16, 1, RING_DESC_AVAIL | RING_DESC_INDIRECT);
	assert_outcome(pop(rig, &device), RING_NESTED);
	device_deinit(&device);
	rig_free(rig);
}

static void test_packed_refuses_slots_in_flight(void **state)
{
	struct device device;
	struct rig *rig = open_device(RING_PACKED, 2, RING_PACKED_BASE, &device);

	packed_put(rig, 0, 16, 0, RING_DESC_AVAIL);
	assert_outcome(pop(rig, &device), RING_OK);
	packed_put(rig, 1, 16, 0, RING_DESC_AVAIL | RING_DESC_NEXT);
	assert_outcome(pop(rig, &device), RING_BAD_INDEX);
	device_deinit(&device);
	rig_free(rig);
}

static void test_packed_completions_are_seen_only_after_publish(void **state)
{
	struct device device;
	struct rig *rig = open_device(RING_PACKED, 2, RING_PACKED_BASE, &device);
	struct ring_packed_desc *desc = rig->areas.desc;
	struct ring_chain first;

	packed_put(rig, 0, 16, 4, RING_DESC_AVAIL);
	packed_put(rig, 1, 16, 5, RING_DESC_AVAIL);
	assert_outcome(pop(rig, &device), RING_OK);
	first = rig->chain;
	assert_outcome(pop(rig, &device), RING_OK);
	assert_outcome(pop(rig, &device), RING_EMPTY);
	device_push(&device, &rig->chain, 7);
	device_push(&device, &first, 0);
	assert_int_equal(ring_flags_state(desc[0].flags), RING_DESC_AVAIL);
	device_publish(&device);
	assert_int_equal(desc[0].flags, ring_flags_used(true) | RING_DESC_WRITE);
	assert_int_equal(desc[0].id, 5);
	assert_int_equal(desc[0].len, 7);
	assert_int_equal(desc[1].flags, ring_flags_used(true));
	assert_int_equal(device_base(&device), 0);
	device_deinit(&device);
	rig_free(rig);
}

static void test_next_used_is_where_push_writes(void **state)
{
	struct device device;
	struct rig *rig = open_device(RING_SPLIT, 4, 65535, &device);
	struct ring_avail *avail = rig->areas.driver;
	size_t offset, size;
	uint32_t id;

	avail->idx = 65535;
	split_put(rig, 3, 5, 16, RING_DESC_WRITE, 0);
	split_avail(rig, 3);
	assert_outcome(pop(rig, &device), RING_OK);
	device_next_used(&device, &offset, &size);
	device_push(&device, &rig->chain, 1);
	memcpy(&id, (uint8_t *)rig->areas.device + offset, sizeof(id));
	assert_int_equal(id, 3);
	assert_int_equal(size, 8);
	device_deinit(&device);
	rig_free(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_split_outcomes),
	    cmocka_unit_test(test_split_table_outcomes),
	    cmocka_unit_test(test_split_indirect_after_a_direct_descriptor),
	    cmocka_unit_test(test_split_refuses_a_head_in_flight_and_takes_it_after_push),
	    cmocka_unit_test(test_split_refuses_more_heads_than_there_are),
	    cmocka_unit_test(test_too_many_buffers_for_the_list),
	    cmocka_unit_test(test_indirect_is_refused_unless_agreed),
	    cmocka_unit_test(test_packed_outcomes),
	    cmocka_unit_test(test_packed_nested_table_and_id_in_flight),
	    cmocka_unit_test(test_packed_refuses_slots_in_flight),
	    cmocka_unit_test(test_packed_completions_are_seen_only_after_publish),
	    cmocka_unit_test(test_next_used_is_where_push_writes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
