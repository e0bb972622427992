/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Driver and device of one ring played against each other in a seeded random
 * order, with sleeping: every chain comes back once, with what was written into
 * it, and nobody is left asleep with work to do.
 */
#include "ring_rig.h"

#define CHAINS_MAX 32768u

struct pair {
	struct rig *rig;
	struct driver driver;
	struct device device;
	uint64_t seed;
	bool indirect;
	bool kick, call; /* raised and not yet seen */
	bool driver_sleeps, device_sleeps;
	uint64_t added, done, limit;
	struct ring_chain held[CHAINS_MAX]; /* popped, not pushed */
	uint64_t held_token[CHAINS_MAX];
	unsigned int held_count;
	uint8_t state[CHAINS_MAX * 2]; /* by token modulo its size: 1 in flight */
};

static uint32_t pick(struct pair *pair, uint32_t below)
{
	pair->seed = pair->seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(pair->seed >> 33) % below;
}

/* The length a chain's writable part has, made from its token; its address is the token. */
static uint32_t room(uint64_t token)
{
	return (uint32_t)(token % 1000 + 1);
}

static bool driver_adds(struct pair *pair)
{
	uint64_t token = pair->added;
	struct ring_buffer buffers[3] = {
	    {.addr = token + 1, .len = 16, .writable = false},
	    {.addr = token + 2, .len = 512, .writable = false},
	    {.addr = token + 3, .len = room(token), .writable = true},
	};
	unsigned int count = 1 + pick(pair, 3);
	const struct ring_buffer *from = buffers + 3 - count;
	unsigned int slot = (unsigned int)(token % (RIG_GUEST_BYTES / 64));
	int result;

	if (pair->indirect && driver_chains(&pair->driver) < RIG_GUEST_BYTES / 64) {
		uint32_t len =
		    driver_table(&pair->driver, pair->rig->guest + slot * 64u, from, count);

		result =
		    driver_add_table(&pair->driver, RIG_GPA + slot * 64u, len, room(token), token);
	} else {
		result = driver_add(&pair->driver, from, count, token);
	}
	if (result == RING_FULL || result == RING_TOO_LONG)
		return false;
	assert_outcome(result, RING_OK);
	pair->state[token % sizeof(pair->state)] = 1;
	pair->added++;
	return true;
}

static void driver_step(struct pair *pair)
{
	struct ring_done done;
	int result;

	if (pair->driver_sleeps && !pair->call)
		return;
	pair->driver_sleeps = false;
	pair->call = false;
	while ((result = driver_take(&pair->driver, &done, &pair->rig->diag)) == RING_OK) {
		uint8_t *state = &pair->state[done.token % sizeof(pair->state)];

		assert_int_equal(*state, 1);
		assert_int_equal(done.length, room(done.token) - done.token % 2);
		*state = 0;
		pair->done++;
		if (pick(pair, 4) == 0)
			break;
	}
	assert_true(result == RING_OK || result == RING_EMPTY);
	for (unsigned int n = pick(pair, 9); n > 0 && pair->added < pair->limit; n--)
		if (!driver_adds(pair))
			break;
	driver_publish(&pair->driver);
	if (driver_kick_wanted(&pair->driver))
		pair->kick = true;
	if (pick(pair, 3) == 0)
		driver_calls(&pair->driver, false);
	else if (result == RING_EMPTY && !driver_calls(&pair->driver, true))
		pair->driver_sleeps = driver_chains(&pair->driver) > 0;
}

static void device_pops(struct pair *pair)
{
	struct rig *rig = pair->rig;
	uint64_t token;

	token = rig->list[rig->chain.count - 1].addr - 3;
	assert_true(rig->list[rig->chain.count - 1].writable);
	assert_int_equal(rig->chain.writable, room(token));
	assert_int_equal(pair->state[token % sizeof(pair->state)], 1);
	for (unsigned int i = 0; i < rig->chain.count; i++)
		assert_int_equal(rig->list[i].addr, token + 4 - rig->chain.count + i);
	pair->held_token[pair->held_count] = token;
	pair->held[pair->held_count++] = rig->chain;
}

static void device_step(struct pair *pair)
{
	bool awake = !pair->device_sleeps || pair->kick;
	int result = RING_EMPTY;

	pair->device_sleeps = false;
	pair->kick = false;
	while (awake && (result = device_pop(&pair->device, &pair->rig->memory, &pair->rig->chain,
					     &pair->rig->diag)) == RING_OK) {
		device_pops(pair);
		if (pick(pair, 5) == 0)
			break;
	}
	assert_true(result == RING_OK || result == RING_EMPTY);
	/* What is in flight completes whether or not the device sleeps. */
	for (unsigned int n = pick(pair, 9); n > 0 && pair->held_count > 0; n--) {
		unsigned int at = pick(pair, pair->held_count);
		uint64_t token = pair->held_token[at];

		device_push(&pair->device, &pair->held[at], room(token) - (uint32_t)(token % 2));
		pair->held_count--;
		pair->held[at] = pair->held[pair->held_count];
		pair->held_token[at] = pair->held_token[pair->held_count];
	}
	device_publish(&pair->device);
	if (device_call_wanted(&pair->device))
		pair->call = true;
	if (!awake)
		pair->device_sleeps = true;
	else if (pick(pair, 3) == 0)
		device_kicks(&pair->device, false);
	else if (result == RING_EMPTY && !device_kicks(&pair->device, true))
		pair->device_sleeps = true;
}

static void play(enum ring_format format, unsigned int num, bool event_idx, bool indirect,
		 uint32_t base)
{
	struct pair *pair = calloc(1, sizeof(*pair));
	uint64_t steps = 0, quiet = 0, before = 0;

	assert_non_null(pair);
	pair->rig = rig_new(format, num);
	pair->seed = num * 4u + event_idx * 2u + indirect;
	pair->indirect = indirect;
	pair->limit = num > 4096 ? 3 * num : 2000 + 5 * num;
	assert_int_equal(driver_init(&pair->driver, format, &pair->rig->areas, num, event_idx, base,
				     &pair->rig->diag),
			 0);
	assert_int_equal(device_init(&pair->device, format, &pair->rig->areas, num, event_idx, true,
				     base, &pair->rig->diag),
			 0);
	for (; pair->done < pair->limit; steps++) {
		if (pick(pair, 2))
			driver_step(pair);
		else
			device_step(pair);
		quiet = pair->done == before ? quiet + 1 : 0;
		before = pair->done;
		assert_true(quiet < 1000);
	}
	assert_int_equal(pair->added, pair->done);
	assert_int_equal(driver_chains(&pair->driver), 0);
	assert_int_equal(driver_base(&pair->driver), device_base(&pair->device));
	driver_deinit(&pair->driver);
	device_deinit(&pair->device);
	rig_free(pair->rig);
	free(pair);
}

static void play_all(enum ring_format format, unsigned int num, uint32_t base)
{
	for (unsigned int mix = 0; mix < 4; mix++)
		play(format, num, mix & 1, mix & 2, base);
}

static void test_split_of_one(void **state)
{
	play_all(RING_SPLIT, 1, 0);
}

static void test_split_small_across_the_index_wrap(void **state)
{
	play_all(RING_SPLIT, 2, 65500);
	play_all(RING_SPLIT, 16, 65500);
	play_all(RING_SPLIT, 256, 65000);
}

static void test_split_of_32768(void **state)
{
	play_all(RING_SPLIT, 32768, 65535);
}

static void test_packed_of_one(void **state)
{
	play_all(RING_PACKED, 1, RING_PACKED_BASE);
	play_all(RING_PACKED, 1, 0);
}

static void test_packed_odd_sizes(void **state)
{
	play_all(RING_PACKED, 3, RING_PACKED_BASE);
	play_all(RING_PACKED, 7, 0x80058005);
	play_all(RING_PACKED, 255, 0x00070007);
}

static void test_packed_of_32768_and_one_less(void **state)
{
	play_all(RING_PACKED, 32768, 0xffffffff);
	play_all(RING_PACKED, 32767, 0x7ffe7ffe);
}

static void test_a_moved_ring_goes_on_in_the_new_place(void **state)
{
	for (enum ring_format format = RING_SPLIT; format <= RING_PACKED; format++) {
		uint32_t base = format == RING_PACKED ? RING_PACKED_BASE : 0;
		const struct ring_buffer buffer = {.addr = 1, .len = 8, .writable = true};
		struct rig *rig = rig_new(format, 4), *other = rig_new(format, 4);
		struct driver driver;
		struct device device;
		struct ring_done done;

		driver_init(&driver, format, &other->areas, 4, false, base, &rig->diag);
		device_init(&device, format, &rig->areas, 4, false, true, base, &rig->diag);
		driver_add(&driver, &buffer, 1, 9);
		driver_publish(&driver);
		device_move(&device, &other->areas);
		assert_outcome(device_pop(&device, &rig->memory, &rig->chain, &rig->diag), RING_OK);
		device_push(&device, &rig->chain, 8);
		device_publish(&device);
		assert_outcome(driver_take(&driver, &done, &rig->diag), RING_OK);
		assert_int_equal(done.token, 9);
		driver_deinit(&driver);
		device_deinit(&device);
		rig_free(rig);
		rig_free(other);
	}
}

/* Something comes between the last look and the wish to be woken: both ends must see it. */
static void test_no_wake_up_is_lost_between_look_and_wish(void **state)
{
	for (unsigned int mix = 0; mix < 4; mix++) {
		enum ring_format format = mix & 1 ? RING_PACKED : RING_SPLIT;
		uint32_t base = format == RING_PACKED ? RING_PACKED_BASE : 0;
		const struct ring_buffer buffer = {.addr = 1, .len = 8, .writable = true};
		struct rig *rig = rig_new(format, 4);
		struct ring_done done;
		struct driver driver;
		struct device device;

		driver_init(&driver, format, &rig->areas, 4, mix & 2, base, &rig->diag);
		device_init(&device, format, &rig->areas, 4, mix & 2, true, base, &rig->diag);
		assert_outcome(device_pop(&device, &rig->memory, &rig->chain, &rig->diag),
			       RING_EMPTY);
		driver_add(&driver, &buffer, 1, 1);
		driver_publish(&driver);
		assert_true(device_kicks(&device, true));
		assert_outcome(device_pop(&device, &rig->memory, &rig->chain, &rig->diag), RING_OK);
		assert_false(device_kicks(&device, true));
		assert_outcome(driver_take(&driver, &done, &rig->diag), RING_EMPTY);
		assert_false(driver_calls(&driver, true));
		device_push(&device, &rig->chain, 8);
		device_publish(&device);
		assert_true(device_call_wanted(&device));
		assert_false(device_call_wanted(&device));
		assert_true(driver_calls(&driver, true));
		driver_deinit(&driver);
		device_deinit(&device);
		rig_free(rig);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_split_of_one),
	    cmocka_unit_test(test_split_small_across_the_index_wrap),
	    cmocka_unit_test(test_split_of_32768),
	    cmocka_unit_test(test_packed_of_one),
	    cmocka_unit_test(test_packed_odd_sizes),
	    cmocka_unit_test(test_packed_of_32768_and_one_less),
	    cmocka_unit_test(test_a_moved_ring_goes_on_in_the_new_place),
	    cmocka_unit_test(test_no_wake_up_is_lost_between_look_and_wish),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
