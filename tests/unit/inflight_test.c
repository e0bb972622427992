/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The record byte by byte, as the specification has it, and what settle() makes of
 * records that an earlier process, or nobody honest, left.
 */
#include "ring_rig.h"

#include "base/bytes.h"
#include "ring/inflight.h"

#define NUM 4u

struct record_rig {
	struct rig *guest;
	uint8_t *region;
	struct inflight record;
	struct ring_buffer buffers[NUM];
	struct ring_chain chain;
	uint32_t base;
	struct diag diag;
};

static struct record_rig *record_rig_new(enum ring_format format)
{
	struct record_rig *rig = calloc(1, sizeof(*rig));

	assert_non_null(rig);
	rig->guest = rig_new(format, NUM);
	rig->region = rig_area(inflight_bytes(format, NUM));
	assert_int_equal(inflight_init(&rig->record, format, NUM, rig->region, NUM, &rig->diag), 0);
	inflight_reset(&rig->record, format == RING_SPLIT ? 0 : RING_WRAP);
	rig->chain.buffers = rig->buffers;
	return rig;
}

static void record_rig_free(struct record_rig *rig)
{
	inflight_deinit(&rig->record);
	rig_free(rig->guest);
	free(rig->region);
	free(rig);
}

static uint16_t fetch(struct record_rig *rig, uint16_t id, uint16_t slots)
{
	for (unsigned int i = 0; i < slots; i++)
		rig->buffers[i] = (struct ring_buffer){
		    .addr = id * 0x100u + i, .len = 10 + i, .writable = i + 1 == slots};
	rig->chain.id = id;
	rig->chain.slots = slots;
	rig->chain.direct = slots;
	return inflight_fetch(&rig->record, &rig->chain);
}

/* As a process that died: what it knew is gone. */
static int settle(struct record_rig *rig)
{
	inflight_deinit(&rig->record);
	assert_int_equal(
	    inflight_init(&rig->record, rig->guest->format, NUM, rig->region, NUM, &rig->diag), 0);
	return inflight_settle(&rig->record, &rig->guest->areas, &rig->base, &rig->diag);
}

static void split_indices(struct record_rig *rig, uint16_t avail, uint16_t used)
{
	((struct ring_avail *)rig->guest->areas.driver)->idx = avail;
	((struct ring_used *)rig->guest->areas.device)->idx = used;
}

static void packed_flags(struct record_rig *rig, unsigned int slot, uint16_t flags)
{
	((struct ring_packed_desc *)rig->guest->areas.desc)[slot].flags = flags;
}

static void test_strides_are_those_of_other_back_ends(void **state)
{
	assert_int_equal(inflight_bytes(RING_SPLIT, 128), 2112);
	for (unsigned int n = 1; n <= RING_SIZE_MAX; n *= 2)
		assert_int_equal(inflight_bytes(RING_SPLIT, n), (16 * n + 16 + 63) / 64 * 64);
	for (unsigned int n = 1; n <= 300; n++)
		assert_int_equal(inflight_bytes(RING_PACKED, n), (32 * n + 29 + 63) / 64 * 64);
}

static void test_split_is_laid_out_as_specified(void **state)
{
	struct record_rig *rig = record_rig_new(RING_SPLIT);
	const uint8_t *at = rig->region;

	assert_int_equal(bytes_load64(at), 0);
	assert_int_equal(bytes_load16(at + 8), 1);
	assert_int_equal(bytes_load16(at + 10), NUM);
	fetch(rig, 2, 1);
	fetch(rig, 1, 2);
	fetch(rig, 3, 1);
	assert_int_equal(at[16 + 16 * 2], 1);
	assert_int_equal(bytes_load64(at + 16 + 16 * 2 + 8), 0);
	assert_int_equal(at[16 + 16 * 1], 1);
	assert_int_equal(bytes_load64(at + 16 + 16 * 1 + 8), 1);
	assert_int_equal(at[16], 0);
	inflight_complete(&rig->record, 1);
	inflight_complete(&rig->record, 2);
	assert_int_equal(bytes_load16(at + 12), 2);
	assert_int_equal(bytes_load16(at + 16 + 16 * 2 + 6), 1);
	assert_int_equal(at[16 + 16 * 2], 1);
	assert_int_equal(bytes_load16(at + 14), 0);
	inflight_before_publish(&rig->record, 2);
	inflight_after_publish(&rig->record, 2);
	assert_int_equal(at[16 + 16 * 1], 0);
	assert_int_equal(at[16 + 16 * 2], 0);
	assert_int_equal(at[16 + 16 * 3], 1);
	assert_int_equal(bytes_load16(at + 14), 2);
	record_rig_free(rig);
}

static void test_packed_is_laid_out_as_specified(void **state)
{
	struct record_rig *rig = record_rig_new(RING_PACKED);
	const uint8_t *at = rig->region, *desc = at + 32;

	assert_int_equal(bytes_load16(at + 8), 1);
	assert_int_equal(bytes_load16(at + 10), NUM);
	assert_int_equal(at[20], 1);
	assert_int_equal(at[21], 1);
	assert_int_equal(fetch(rig, 7, 2), 0);
	assert_int_equal(desc[0], 1);
	assert_int_equal(bytes_load16(desc + 2), 1);
	assert_int_equal(bytes_load16(desc + 4), 1);
	assert_int_equal(bytes_load16(desc + 6), 2);
	assert_int_equal(bytes_load64(desc + 8), 0);
	assert_int_equal(bytes_load16(desc + 16), 7);
	assert_int_equal(bytes_load16(desc + 18), RING_DESC_NEXT);
	assert_int_equal(bytes_load32(desc + 20), 10);
	assert_int_equal(bytes_load64(desc + 24), 0x700);
	assert_int_equal(bytes_load16(desc + 32 + 18), RING_DESC_WRITE);
	assert_int_equal(bytes_load64(desc + 32 + 24), 0x701);
	assert_int_equal(bytes_load16(at + 12), 2);
	assert_int_equal(bytes_load16(at + 14), 2);
	inflight_complete(&rig->record, 0);
	assert_int_equal(bytes_load16(at + 12), 0);
	assert_int_equal(bytes_load16(at + 14), 2);
	assert_int_equal(bytes_load16(desc + 32 + 2), 2);
	inflight_before_publish(&rig->record, 2 | RING_WRAP);
	assert_int_equal(bytes_load16(at + 16), 2);
	assert_int_equal(bytes_load16(at + 18), 0);
	inflight_after_publish(&rig->record, 2 | RING_WRAP);
	assert_int_equal(bytes_load16(at + 18), 2);
	assert_int_equal(bytes_load16(at + 14), 0);
	assert_int_equal(desc[0], 0);
	record_rig_free(rig);
}

static void test_an_indirect_descriptor_is_kept_as_one(void **state)
{
	struct record_rig *rig = record_rig_new(RING_PACKED);
	const uint8_t *desc = rig->region + 32;

	rig->chain.id = 3;
	rig->chain.slots = 1;
	rig->chain.table = 0x1234560;
	rig->chain.table_len = 48;
	inflight_fetch(&rig->record, &rig->chain);
	assert_int_equal(bytes_load16(desc + 18), RING_DESC_INDIRECT);
	assert_int_equal(bytes_load32(desc + 20), 48);
	assert_int_equal(bytes_load64(desc + 24), 0x1234560);
	record_rig_free(rig);
}

static void test_chains_are_resubmitted_in_the_order_of_fetching(void **state)
{
	const enum ring_format formats[] = {RING_SPLIT, RING_PACKED};

	for (unsigned int i = 0; i < 2; i++) {
		struct record_rig *rig = record_rig_new(formats[i]);

		fetch(rig, 3, 1);
		fetch(rig, 0, 1);
		fetch(rig, 2, 1);
		split_indices(rig, 3, 0);
		for (unsigned int slot = 0; slot < 3 && i; slot++)
			packed_flags(rig, slot, ring_flags_available(true));
		assert_outcome(settle(rig), RING_OK);
		assert_int_equal(rig->record.count, 3);
		assert_int_equal(rig->record.order[0].id, 3);
		assert_int_equal(rig->record.order[1].id, 0);
		assert_int_equal(rig->record.order[2].id, 2);
		assert_int_equal(rig->base, i ? 0x80008003 : 3);
		/* And goes on counting behind them. */
		fetch(rig, 1, 1);
		split_indices(rig, 4, 0);
		assert_outcome(settle(rig), RING_OK);
		assert_int_equal(rig->record.order[3].id, 1);
		record_rig_free(rig);
	}
}

static void test_split_a_published_batch_is_finished(void **state)
{
	struct record_rig *rig = record_rig_new(RING_SPLIT);

	for (uint16_t head = 0; head < 3; head++)
		fetch(rig, head, 1);
	inflight_complete(&rig->record, 2);
	inflight_complete(&rig->record, 0);
	split_indices(rig, 3, 2);
	assert_outcome(settle(rig), RING_OK);
	assert_int_equal(rig->record.count, 1);
	assert_int_equal(rig->record.order[0].id, 1);
	assert_int_equal(rig->base, 3);
	assert_int_equal(bytes_load16(rig->region + 14), 2);
	record_rig_free(rig);
}

/* The whole ring at once: the used slot is where it was, only the wrap counter differs. */
static void test_packed_a_batch_as_long_as_the_ring_is_finished(void **state)
{
	struct record_rig *rig = record_rig_new(RING_PACKED);

	for (uint16_t id = 0; id < NUM; id++)
		inflight_complete(&rig->record, fetch(rig, id, 1));
	inflight_before_publish(&rig->record, 0);
	packed_flags(rig, 0, ring_flags_used(true));
	assert_outcome(settle(rig), RING_OK);
	assert_int_equal(rig->record.count, 0);
	assert_int_equal(rig->base, 0);
	record_rig_free(rig);
}

static void test_packed_completions_that_nobody_saw_are_taken_out_of_the_ring(void **state)
{
	struct record_rig *rig = record_rig_new(RING_PACKED);
	const struct ring_packed_desc *desc = rig->guest->areas.desc;
	uint16_t first = fetch(rig, 8, 1), second = fetch(rig, 9, 1);

	inflight_complete(&rig->record, first);
	inflight_complete(&rig->record, second);
	inflight_before_publish(&rig->record, 2 | RING_WRAP);
	packed_flags(rig, 0, ring_flags_available(true));
	packed_flags(rig, 1, ring_flags_used(true) | RING_DESC_WRITE);
	packed_flags(rig, 2, ring_flags_used(true));
	assert_outcome(settle(rig), RING_OK);
	assert_int_equal(rig->record.count, 2);
	assert_int_equal(desc[1].flags, ring_flags_available(true));
	/* Not in flight: the driver's. */
	assert_int_equal(desc[2].flags, ring_flags_used(true));
	assert_int_equal(rig->base, 0x80008002);
	record_rig_free(rig);
}

static void test_a_forgotten_record_was_never_written(void **state)
{
	struct record_rig *rig = record_rig_new(RING_SPLIT);

	assert_true(inflight_written(&rig->record));
	inflight_forget(&rig->record);
	assert_false(inflight_written(&rig->record));
	assert_outcome(settle(rig), RING_BAD_RECORD);
	record_rig_free(rig);
}

/* One field of a record with two chains in flight, changed. */
struct lie {
	enum ring_format format;
	unsigned int offset, bytes;
	uint64_t value;
	const char *says;
};

static const struct lie lies[] = {
    {RING_SPLIT, 8, 2, 2, "version 2"},
    {RING_SPLIT, 10, 2, 3, "3 descriptors"},
    {RING_SPLIT, 14, 2, 0xfff0, "used index 65520"},
    {RING_SPLIT, 16 + 16 * 3, 1, 1, "3 chains in flight"},
    {RING_SPLIT, 16 + 16 * 1 + 8, 8, UINT64_MAX, "2^64 - 1"},
    {RING_PACKED, 8, 2, 0x0100, "version 256"},
    {RING_PACKED, 10, 2, 5, "5 descriptors"},
    {RING_PACKED, 14, 2, 0xffff, "0 entries free and 3"},
    {RING_PACKED, 18, 2, NUM, "used slots 0 and 4"},
    {RING_PACKED, 16, 2, 0x7fff, "used slots 32767 and 0"},
    {RING_PACKED, 32 + 6, 2, 0, "heads 0"},
    {RING_PACKED, 32 + 6, 2, 1, "1 entries free and 2"},
    {RING_PACKED, 32 + 6, 2, 0xffff, "two lists"},
    {RING_PACKED, 32 + 2, 2, 0, "two lists"},
    {RING_PACKED, 32 + 2, 2, 0xffff, "1 of them there"},
    {RING_PACKED, 32 * 2, 1, 1, "entry 1 heads 0"},
    {RING_PACKED, 32 * 4 + 2, 2, 3, "two lists"},
    {RING_PACKED, 32 + 8, 8, UINT64_MAX, "2^64 - 1"},
};

static void test_a_record_that_lies_is_refused(void **state)
{
	for (unsigned int i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		const struct lie *lie = &lies[i];
		struct record_rig *rig = record_rig_new(lie->format);

		fetch(rig, 0, 2);
		fetch(rig, 1, 1);
		split_indices(rig, 2, 0);
		memcpy(rig->region + lie->offset, &lie->value, lie->bytes);
		rig->diag.text[0] = '\0';
		if (settle(rig) != RING_BAD_RECORD || !strstr(rig->diag.text, lie->says))
			fail_msg("lie %u: \"%s\" does not say \"%s\"", i, rig->diag.text,
				 lie->says);
		record_rig_free(rig);
	}
}

static void test_a_batch_list_that_leads_outside_is_refused(void **state)
{
	struct record_rig *rig = record_rig_new(RING_SPLIT);

	fetch(rig, 0, 1);
	fetch(rig, 1, 1);
	split_indices(rig, 2, 2);
	bytes_store16(rig->region + 12, 1);
	bytes_store16(rig->region + 16 + 16 * 1 + 6, NUM);
	assert_outcome(settle(rig), RING_BAD_RECORD);
	assert_non_null(strstr(rig->diag.text, "4 in the list"));
	record_rig_free(rig);
}

/* The queue size that was agreed on may be more than the driver uses. */
static void test_a_head_beyond_the_ring_is_refused(void **state)
{
	struct record_rig *rig = record_rig_new(RING_SPLIT);
	struct inflight small;

	fetch(rig, 3, 1);
	split_indices(rig, 1, 0);
	assert_int_equal(inflight_init(&small, RING_SPLIT, 2, rig->region, NUM, &rig->diag), 0);
	assert_outcome(inflight_settle(&small, &rig->guest->areas, &rig->base, &rig->diag),
		       RING_BAD_RECORD);
	inflight_deinit(&small);
	record_rig_free(rig);
}

static void test_a_record_that_can_not_hold_the_ring_is_refused(void **state)
{
	struct inflight record;
	struct diag diag;
	uint64_t region[64] = {0};

	assert_int_equal(inflight_init(&record, RING_SPLIT, 8, region, 4, &diag), -EINVAL);
	assert_int_equal(inflight_init(&record, RING_SPLIT, 8, region, 65536, &diag), -EINVAL);
	assert_int_equal(inflight_init(&record, RING_SPLIT, 8, (uint8_t *)region + 4, 8, &diag),
			 -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_strides_are_those_of_other_back_ends),
	    cmocka_unit_test(test_split_is_laid_out_as_specified),
	    cmocka_unit_test(test_packed_is_laid_out_as_specified),
	    cmocka_unit_test(test_an_indirect_descriptor_is_kept_as_one),
	    cmocka_unit_test(test_chains_are_resubmitted_in_the_order_of_fetching),
	    cmocka_unit_test(test_split_a_published_batch_is_finished),
	    cmocka_unit_test(test_packed_a_batch_as_long_as_the_ring_is_finished),
	    cmocka_unit_test(test_packed_completions_that_nobody_saw_are_taken_out_of_the_ring),
	    cmocka_unit_test(test_a_forgotten_record_was_never_written),
	    cmocka_unit_test(test_a_record_that_lies_is_refused),
	    cmocka_unit_test(test_a_batch_list_that_leads_outside_is_refused),
	    cmocka_unit_test(test_a_head_beyond_the_ring_is_refused),
	    cmocka_unit_test(test_a_record_that_can_not_hold_the_ring_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
