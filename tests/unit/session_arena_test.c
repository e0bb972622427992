/* SPDX-License-Identifier: BSD-3-Clause */
/* The memory of the daemon's own rings, given to the back-end beside the guest's. */
#include "shadow_rig.h"

#include "mem/arena.h"

#include <string.h>

static void test_the_memory_table_has_our_own_region_at_its_end(void **state)
{
	struct rig *rig = shadow_new(MODE_SHADOW, WIRE_DEVICE_BLK, DISK, PROTOCOL);
	const struct wire_message *table;
	struct wire_region ours;

	shadow_send_table(rig, 3);
	rig_then(rig, EFFECT_MAP, 0);
	table = rig_then_sent(rig, PORT_BACK_MAIN, WIRE_SET_MEM_TABLE);
	assert_int_equal(bytes_load32(table->payload), 4);
	assert_int_equal(table->fds.count, 4);
	for (unsigned int i = 0; i < 3; i++) {
		assert_int_equal(wire_table_region(table, i).gpa, shadow_region(i).gpa);
		assert_int_equal(table->fds.entries[i].inode, 100 + i);
	}
	ours = wire_table_region(table, 3);
	assert_int_equal(table->fds.entries[3].fd, SESSION_FD_ARENA);
	assert_int_equal(ours.gpa, rig->session->arena.gpa);
	assert_int_equal(ours.uva, rig->session->arena.uva);
	assert_int_equal(ours.size, rig->session->arena.size);
	rig_idle(rig);
	/* A later table has it again, in the same place. */
	shadow_send_table(rig, 2);
	rig_then(rig, EFFECT_MAP, 0);
	table = rig_then_sent(rig, PORT_BACK_MAIN, WIRE_SET_MEM_TABLE);
	assert_int_equal(wire_table_region(table, 2).uva, ours.uva);
	rig_idle(rig);
	rig_end(rig);
}

static void test_the_memory_table_is_answered_by_the_back_end(void **state)
{
	struct rig *rig = shadow_new(MODE_SHADOW, WIRE_DEVICE_BLK, DISK, PROTOCOL);
	struct wire_region at = shadow_region(0);

	rig_front(rig, rig_with_fd(rig, wire_request_table(NEED, &at, 1), 100));
	rig_then(rig, EFFECT_MAP, 0);
	assert_int_equal(rig_then_sent(rig, PORT_BACK_MAIN, WIRE_SET_MEM_TABLE)->header.flags,
			 WIRE_VERSION | NEED);
	rig_idle(rig);
	rig_answers(rig, PORT_BACK_MAIN, WIRE_SET_MEM_TABLE, 0);
	rig_idle(rig);
	rig_end(rig);
}

static void test_a_table_of_eight_regions_passes_with_a_warning_and_rings_stay_direct(void **state)
{
	struct rig *rig = shadow_new(MODE_SHADOW, WIRE_DEVICE_BLK, DISK, PROTOCOL);
	const struct wire_message *table;
	struct diag diag;

	shadow_send_table(rig, 8);
	table = rig_then_sent(rig, PORT_BACK_MAIN, WIRE_SET_MEM_TABLE);
	assert_int_equal(table->fds.count, 8);
	rig_idle(rig);
	assert_non_null(strstr(rig_line(rig, LEVEL_WARN), "8 regions"));
	shadow_configures(rig, 0);
	rig_then_sent(rig, PORT_BACK_MAIN, WIRE_SET_VRING_NUM);
	rig_then_sent(rig, PORT_BACK_MAIN, WIRE_SET_VRING_BASE);
	rig_then_sent(rig, PORT_BACK_MAIN, WIRE_SET_VRING_ADDR);
	shadow_kicks(rig, 0);
	rig_then_sent(rig, PORT_BACK_MAIN, WIRE_SET_VRING_KICK);
	rig_idle(rig);
	assert_int_equal(rig_move(rig, MODE_SHADOW, &diag), SESSION_REFUSED);
	rig_idle(rig);
	rig_end(rig);
}

static void leaves(struct rig *rig, unsigned int ring)
{
	rig_drained(rig, ring, 30 + ring);
	rig_then(rig, EFFECT_DETACH, ring);
	shadow_state_sent(rig, WIRE_GET_VRING_BASE, ring, 0);
	rig_back(rig, wire_reply_state(WIRE_GET_VRING_BASE, ring, 1));
	shadow_direct(rig, ring, 30 + ring);
	shadow_state_sent(rig, WIRE_SET_VRING_ENABLE, ring, 1);
	rig_then(rig, EFFECT_NUDGE, ring);
	assert_int_equal(rig->session->queues[ring].path.state, PATH_DIRECT);
}

static void test_a_table_of_eight_regions_passes_when_relayed_rings_have_left(void **state)
{
	struct rig *rig = shadow_disk();
	const struct wire_message *table;
	struct diag diag;

	shadow_runs(rig, 0);
	shadow_runs(rig, 1);
	shadow_send_table(rig, 8);
	rig_then(rig, EFFECT_DRAIN, 0);
	rig_then(rig, EFFECT_DRAIN, 1);
	rig_idle(rig);
	assert_non_null(strstr(rig_line(rig, LEVEL_WARN), "8 regions"));
	leaves(rig, 1);
	rig_idle(rig);
	assert_false(session_wants(rig->session, PORT_FRONT_MAIN));
	leaves(rig, 0);
	table = rig_then_sent(rig, PORT_BACK_MAIN, WIRE_SET_MEM_TABLE);
	assert_int_equal(table->fds.count, 8);
	assert_int_equal(table->fds.entries[7].inode, 107);
	rig_idle(rig);
	assert_true(session_wants(rig->session, PORT_FRONT_MAIN));
	assert_int_equal(rig_lines(rig, LEVEL_WARN), 1);
	assert_int_equal(rig_move(rig, MODE_SHADOW, &diag), SESSION_REFUSED);
	rig_end(rig);
}

static void test_its_acknowledgement_comes_from_the_back_end(void **state)
{
	struct rig *rig = shadow_disk();
	struct wire_region regions[WIRE_REGIONS_MAX];
	struct wire_message *table;

	shadow_runs(rig, 0);
	for (unsigned int i = 0; i < WIRE_REGIONS_MAX; i++)
		regions[i] = shadow_region(i);
	table = wire_request_table(NEED, regions, WIRE_REGIONS_MAX);
	for (unsigned int i = 0; i < WIRE_REGIONS_MAX; i++)
		rig_with_fd(rig, table, 100 + i);
	rig_front(rig, table);
	rig_then(rig, EFFECT_DRAIN, 0);
	leaves(rig, 0);
	assert_int_equal(rig_then_sent(rig, PORT_BACK_MAIN, WIRE_SET_MEM_TABLE)->header.flags,
			 WIRE_VERSION | NEED);
	rig_answers(rig, PORT_BACK_MAIN, WIRE_SET_MEM_TABLE, 0);
	rig_idle(rig);
	rig_end(rig);
}

static void test_a_session_may_end_while_its_table_waits(void **state)
{
	struct rig *rig = shadow_disk();

	shadow_runs(rig, 0);
	shadow_send_table(rig, 8);
	rig_then(rig, EFFECT_DRAIN, 0);
	rig_end(rig);
}

static void add_region(struct rig *rig, unsigned int i)
{
	struct wire_region at = shadow_region(i);

	rig_front(rig, rig_with_fd(rig, wire_request_region(WIRE_ADD_MEM_REG, 0, &at), 100 + i));
	rig_then(rig, EFFECT_MAP, 0);
}

static void test_our_own_region_comes_before_the_first_that_is_added_and_once(void **state)
{
	struct rig *rig = shadow_new(MODE_SHADOW, WIRE_DEVICE_BLK, DISK, SLOTS);
	const struct wire_message *ours;

	add_region(rig, 0);
	ours = rig_then_sent(rig, PORT_BACK_MAIN, WIRE_ADD_MEM_REG);
	assert_int_equal(ours->header.flags, WIRE_VERSION);
	assert_int_equal(wire_slot_region(ours).uva, rig->session->arena.uva);
	assert_int_equal(ours->fds.count, 1);
	assert_int_equal(ours->fds.entries[0].fd, SESSION_FD_ARENA);
	assert_int_equal(wire_slot_region(rig_then_sent(rig, PORT_BACK_MAIN, WIRE_ADD_MEM_REG)).gpa,
			 shadow_region(0).gpa);
	rig_idle(rig);
	add_region(rig, 1);
	rig_then_sent(rig, PORT_BACK_MAIN, WIRE_ADD_MEM_REG);
	rig_idle(rig);
	rig_end(rig);
}

static void test_a_region_taken_out_is_unmapped(void **state)
{
	struct rig *rig = shadow_new(MODE_SHADOW, WIRE_DEVICE_BLK, DISK, SLOTS);
	struct wire_region at = shadow_region(1);

	add_region(rig, 1);
	rig_then_sent(rig, PORT_BACK_MAIN, WIRE_ADD_MEM_REG);
	rig_then_sent(rig, PORT_BACK_MAIN, WIRE_ADD_MEM_REG);
	rig_front(rig, wire_request_region(WIRE_REM_MEM_REG, 0, &at));
	rig_then(rig, EFFECT_UNMAP, 0);
	rig_then_sent(rig, PORT_BACK_MAIN, WIRE_REM_MEM_REG);
	rig_idle(rig);
	rig_end(rig);
}

static void test_a_region_where_our_rings_lie_ends_the_session(void **state)
{
	struct rig *rig = shadow_new(MODE_SHADOW, WIRE_DEVICE_BLK, DISK, SLOTS);
	struct wire_region at = {.gpa = 1 << 30, .size = 1 << 20};

	add_region(rig, 0);
	at.uva = rig->session->arena.uva + 4096;
	rig_front(rig, rig_with_fd(rig, wire_request_region(WIRE_ADD_MEM_REG, 0, &at), 7));
	assert_non_null(strstr(rig_fault(rig, PORT_FRONT_MAIN), "ADD_MEM_REG"));
	rig_end(rig);
}

static void asks_slots(struct rig *rig, uint64_t offered, uint64_t shown)
{
	rig_front(rig, wire_request(WIRE_GET_MAX_MEM_SLOTS, 0));
	rig_then_sent(rig, PORT_BACK_MAIN, WIRE_GET_MAX_MEM_SLOTS);
	rig_back(rig, wire_reply_u64(WIRE_GET_MAX_MEM_SLOTS, offered));
	rig_acknowledged(rig, PORT_FRONT_MAIN, WIRE_GET_MAX_MEM_SLOTS, shown);
	rig_idle(rig);
}

static void test_one_memory_slot_is_ours(void **state)
{
	struct rig *rig = shadow_new(MODE_SHADOW, WIRE_DEVICE_BLK, DISK, SLOTS);

	asks_slots(rig, 32, 31);
	asks_slots(rig, 509, 508);
	/* No front-end can do with none. */
	asks_slots(rig, 1, 1);
	rig_end(rig);
}

static void test_who_only_watches_adds_nothing_and_asks_nothing(void **state)
{
	struct rig *rig = rig_new_with(&(struct session_config){
	    .mode = MODE_DIRECT, .device = WIRE_DEVICE_BLK, .offers.watch_only = true});

	rig_offer(rig, DISK, SLOTS);
	rig_set_features(rig, rig->session->virtio.shown);
	shadow_send_table(rig, 1);
	assert_int_equal(rig_then_sent(rig, PORT_BACK_MAIN, WIRE_SET_MEM_TABLE)->fds.count, 1);
	asks_slots(rig, 32, 32);
	shadow_configures(rig, 0);
	rig_then_sent(rig, PORT_BACK_MAIN, WIRE_SET_VRING_NUM);
	rig_then_sent(rig, PORT_BACK_MAIN, WIRE_SET_VRING_BASE);
	rig_then_sent(rig, PORT_BACK_MAIN, WIRE_SET_VRING_ADDR);
	shadow_kicks(rig, 0);
	rig_then_sent(rig, PORT_BACK_MAIN, WIRE_SET_VRING_KICK);
	rig_idle(rig);
	rig_end(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_the_memory_table_has_our_own_region_at_its_end),
	    cmocka_unit_test(test_the_memory_table_is_answered_by_the_back_end),
	    cmocka_unit_test(
		test_a_table_of_eight_regions_passes_with_a_warning_and_rings_stay_direct),
	    cmocka_unit_test(test_a_table_of_eight_regions_passes_when_relayed_rings_have_left),
	    cmocka_unit_test(test_its_acknowledgement_comes_from_the_back_end),
	    cmocka_unit_test(test_a_session_may_end_while_its_table_waits),
	    cmocka_unit_test(test_our_own_region_comes_before_the_first_that_is_added_and_once),
	    cmocka_unit_test(test_a_region_taken_out_is_unmapped),
	    cmocka_unit_test(test_a_region_where_our_rings_lie_ends_the_session),
	    cmocka_unit_test(test_one_memory_slot_is_ours),
	    cmocka_unit_test(test_who_only_watches_adds_nothing_and_asks_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
