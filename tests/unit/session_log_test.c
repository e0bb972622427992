/* SPDX-License-Identifier: BSD-3-Clause */
/* The dirty log, kept here where the back-end can not. */
#include "shadow_rig.h"

#include <string.h>

#define LOG_ALL  WIRE_BIT(WIRE_F_VHOST_F_LOG_ALL)
#define SHMFD    WIRE_BIT(WIRE_PF_LOG_SHMFD)
#define NO_LOG   (WIRE_BIT(WIRE_PF_REPLY_ACK) | WIRE_BIT(WIRE_PF_MQ))
#define LOG_SIZE 32768u /* of the 1 GiB that shadow_ready() gives */

static struct rig *offered(const struct session_config *config, uint64_t virtio, uint64_t protocol)
{
	struct rig *rig = rig_new_with(config);

	rig_offer(rig, virtio, protocol);
	return rig;
}

/* A session that keeps a log, before LOG_ALL, with 1 GiB of memory. */
static struct rig *ready(uint64_t virtio, bool keep_record)
{
	struct rig *rig = offered(&(struct session_config){.mode = MODE_AUTO,
							   .device = WIRE_DEVICE_BLK,
							   .keep_record = keep_record,
							   .log = LOG_WHERE_LACKING},
				  virtio, NO_LOG);

	assert_true(rig->session->log_ours);
	rig_set_features(rig, rig->session->virtio.shown & ~LOG_ALL);
	shadow_table(rig, 1);
	return rig;
}

static struct wire_message *log_base(struct rig *rig, uint64_t size, uint64_t offset,
				     uint64_t inode)
{
	struct wire_message *message = wire_message_new(WIRE_SET_LOG_BASE, WIRE_VERSION, 16);

	bytes_store64(message->payload, size);
	bytes_store64(message->payload + 8, offset);
	rig_with_fd(rig, message, inode);
	message->fds.entries[0].size = LOG_SIZE * 4;
	return message;
}

static void sends_log(struct rig *rig, uint64_t inode)
{
	rig_front(rig, log_base(rig, LOG_SIZE, 0, inode));
	rig_then(rig, EFFECT_MAP_LOG, 0);
	rig_then_sent(rig, PORT_FRONT_MAIN, WIRE_SET_LOG_BASE);
	rig_idle(rig);
}

static void orders(struct rig *rig, bool on)
{
	uint64_t bits = rig->session->virtio.agreed;

	rig_front(rig,
		  wire_request_u64(WIRE_SET_FEATURES, NEED, on ? bits | LOG_ALL : bits & ~LOG_ALL));
}

static void acknowledged(struct rig *rig)
{
	const struct wire_message *reply = rig_then_sent(rig, PORT_FRONT_MAIN, WIRE_SET_FEATURES);

	assert_int_equal(bytes_load64(reply->payload), 0);
	rig_idle(rig);
}

static void test_it_is_offered_where_the_back_end_lacks_it_and_not_passed_on(void **state)
{
	struct rig *rig = ready(DISK, true);

	assert_true(rig->session->virtio.shown & LOG_ALL);
	assert_true(rig->session->protocol.shown & SHMFD);
	assert_false(rig->session->protocol.passed & SHMFD);
	rig_end(rig);
	rig = offered(&(struct session_config){.mode = MODE_AUTO,
					       .device = WIRE_DEVICE_BLK,
					       .log = LOG_WHERE_LACKING},
		      DISK, NO_LOG);
	rig_set_features(rig, rig->session->virtio.shown);
	assert_true(rig->session->virtio.agreed & LOG_ALL);
	assert_false(rig->session->virtio.passed & LOG_ALL);
	assert_non_null(strstr(rig_line(rig, LEVEL_INFO), "synthesised: LOG_ALL, LOG_SHMFD"));
	rig_end(rig);
}

static void test_what_the_back_end_offers_is_known_when_it_is_offered(void **state)
{
	struct rig *rig = rig_new_with(&(struct session_config){
	    .mode = MODE_AUTO, .device = WIRE_DEVICE_BLK, .log = LOG_WHERE_LACKING});

	rig_offer(rig, DISK, NO_LOG);
	rig_relays(rig, PORT_FRONT_MAIN, wire_request(WIRE_GET_FEATURES, 0));
	rig_back(rig, wire_reply_u64(WIRE_GET_FEATURES, DISK));
	rig_acknowledged(rig, PORT_FRONT_MAIN, WIRE_GET_FEATURES, DISK | LOG_ALL);
	rig_end(rig);
}

static void test_either_bit_the_back_end_lacks_makes_the_log_ours(void **state)
{
	const struct session_config config = {
	    .mode = MODE_AUTO, .device = WIRE_DEVICE_BLK, .log = LOG_WHERE_LACKING};
	struct rig *rig = offered(&config, DISK | LOG_ALL, NO_LOG);

	assert_true(rig->session->log_ours);
	rig_end(rig);
	rig = offered(&config, DISK, PROTOCOL);
	assert_true(rig->session->log_ours);
	rig_end(rig);
	rig = offered(&config, DISK | LOG_ALL, PROTOCOL);
	assert_false(rig->session->log_ours);
	rig_end(rig);
}

static void test_asked_for_it_is_ours_whatever_the_back_end_has(void **state)
{
	struct rig *rig = offered(
	    &(struct session_config){.mode = MODE_AUTO, .device = WIRE_DEVICE_BLK, .log = LOG_OURS},
	    DISK | LOG_ALL, PROTOCOL);

	assert_true(rig->session->log_ours);
	rig_set_features(rig, rig->session->virtio.shown);
	assert_false(rig->session->virtio.passed & LOG_ALL);
	rig_end(rig);
}

static void not_ours(const struct session_config *config)
{
	struct rig *rig = offered(config, DISK, NO_LOG);

	assert_false(rig->session->log_ours);
	assert_false(rig->session->virtio.shown & LOG_ALL);
	assert_false(rig->session->protocol.shown & SHMFD);
	rig_end(rig);
}

static void test_it_is_not_offered_where_nobody_would_keep_it(void **state)
{
	not_ours(&(struct session_config){.device = WIRE_DEVICE_BLK});
	not_ours(&(struct session_config){
	    .device = WIRE_DEVICE_BLK, .log = LOG_OURS, .offers.watch_only = true});
	not_ours(&(struct session_config){
	    .device = WIRE_DEVICE_BLK, .log = LOG_OURS, .offers.hide_virtio = LOG_ALL});
	not_ours(&(struct session_config){
	    .device = WIRE_DEVICE_BLK, .log = LOG_OURS, .offers.hide_protocol = SHMFD});
}

/* Its record would be of the guest's ring, which then could not be relayed for the log. */
static void test_with_it_the_inflight_record_is_ours_too(void **state)
{
	struct rig *rig = offered(&(struct session_config){.mode = MODE_AUTO,
							   .device = WIRE_DEVICE_BLK,
							   .log = LOG_WHERE_LACKING},
				  DISK, NO_LOG | INFLIGHT);

	assert_true(rig->session->record_ours);
	assert_false(rig->session->protocol.passed & INFLIGHT);
	rig_end(rig);
}

static void test_the_log_s_memory_is_taken_here_and_answered(void **state)
{
	struct rig *rig = ready(DISK, true);

	sends_log(rig, 7);
	assert_int_equal(rig->session->dirty.sm.state, DIRTY_BASED);
	/* QEMU 7.2 sends it once a queue pair. */
	rig_front(rig, log_base(rig, LOG_SIZE, 0, 7));
	rig_then_sent(rig, PORT_FRONT_MAIN, WIRE_SET_LOG_BASE);
	rig_idle(rig);
	sends_log(rig, 8);
	rig_end(rig);
}

static void refused(uint64_t size, uint64_t offset, const char *why)
{
	struct rig *rig = ready(DISK, true);

	rig_front(rig, log_base(rig, size, offset, 7));
	assert_non_null(strstr(rig_fault(rig, PORT_FRONT_MAIN), why));
	rig_end(rig);
}

static void test_a_log_that_can_not_hold_the_memory_is_refused_with_the_numbers(void **state)
{
	refused(LOG_SIZE - 8, 0,
		"a log of 32760 bytes is too small: guest memory up to 0x40000000 needs 32768");
	refused(1ull << 46, 0, "a log of 70368744177664 bytes is absurd");
	refused(LOG_SIZE + 4, 0, "whole 8-byte words");
	refused(LOG_SIZE, 12, "whole 8-byte words");
	refused(LOG_SIZE * 4, 8, "its file has 131072");
	refused(LOG_SIZE, UINT64_MAX - 7, "its file has 131072");
}

static void test_a_log_without_memory_is_refused(void **state)
{
	struct rig *rig = offered(&(struct session_config){.mode = MODE_AUTO,
							   .device = WIRE_DEVICE_BLK,
							   .log = LOG_WHERE_LACKING},
				  DISK, NO_LOG);

	rig_front(rig, wire_request_u64(WIRE_SET_PROTOCOL_FEATURES, 0, NO_LOG));
	rig_sent_id(rig, PORT_BACK_MAIN, WIRE_SET_PROTOCOL_FEATURES);
	rig_front(rig, wire_request_u64(WIRE_SET_LOG_BASE, 0, LOG_SIZE));
	assert_non_null(strstr(rig_fault(rig, PORT_FRONT_MAIN), "needs LOG_SHMFD acknowledged"));
	rig_end(rig);
}

static void test_memory_that_outgrows_the_log_is_refused(void **state)
{
	struct rig *rig = ready(DISK, true);

	sends_log(rig, 7);
	orders(rig, true);
	rig_then(rig, EFFECT_LOGGING, 0);
	acknowledged(rig);
	shadow_send_table(rig, 2);
	assert_non_null(strstr(rig_fault(rig, PORT_FRONT_MAIN),
			       "SET_MEM_TABLE: guest memory up to 0x80000000 does not fit into the "
			       "log in use of 32768 bytes"));
	rig_end(rig);
}

static void
test_memory_that_leaves_no_room_for_relayed_rings_is_refused_while_it_is_on(void **state)
{
	struct rig *rig = ready(DISK, true);

	sends_log(rig, 7);
	orders(rig, true);
	rig_then(rig, EFFECT_LOGGING, 0);
	acknowledged(rig);
	shadow_send_table(rig, 8);
	assert_non_null(strstr(rig_fault(rig, PORT_FRONT_MAIN),
			       "SET_MEM_TABLE of 8 regions leaves none for rings of our own"));
	rig_end(rig);
}

static void test_who_is_to_be_told_of_marks_is_kept_here(void **state)
{
	struct rig *rig = ready(DISK, true);

	rig_front(rig, rig_with_fd(rig, wire_request(WIRE_SET_LOG_FD, NEED), 0));
	rig_then(rig, EFFECT_KEEP_LOG_CALL, 0);
	rig_then_sent(rig, PORT_FRONT_MAIN, WIRE_SET_LOG_FD);
	rig_idle(rig);
	rig_end(rig);
}

static void test_relayed_rings_are_logged_at_once_and_the_back_end_hears_nothing(void **state)
{
	struct rig *rig = ready(DISK, true);

	shadow_runs(rig, 0);
	sends_log(rig, 7);
	for (unsigned int round = 0; round < 3; round++) {
		orders(rig, true);
		rig_then(rig, EFFECT_LOGGING, 0);
		acknowledged(rig);
		assert_int_equal(rig->session->dirty.sm.state, DIRTY_ON);
		orders(rig, false);
		rig_then(rig, EFFECT_LOGGING, 0);
		acknowledged(rig);
		assert_int_equal(rig->session->dirty.sm.state, DIRTY_BASED);
		assert_int_equal(rig->session->queues[0].path.state, PATH_SHADOW);
	}
	rig_end(rig);
}

/* The ring was direct and is asked to come in. */
static void enters(struct rig *rig)
{
	shadow_fd_sent(rig, WIRE_SET_VRING_KICK, 0, SESSION_FD_SILENT);
	rig_then_sent(rig, PORT_BACK_MAIN, WIRE_GET_FEATURES);
}

static void comes_in(struct rig *rig)
{
	rig_back(rig, wire_reply_u64(WIRE_GET_FEATURES, DISK));
	assert_int_equal(rig_then(rig, EFFECT_WATCH, 0)->size, SESSION_LOG_QUIET_MS);
	rig_became_quiet(rig, 0);
	rig_then_sent(rig, PORT_BACK_MAIN, WIRE_GET_VRING_BASE);
	rig_idle(rig);
	rig_back(rig, wire_reply_state(WIRE_GET_VRING_BASE, 0, 9));
	shadow_attached(rig, 0, 9);
	shadow_state_sent(rig, WIRE_SET_VRING_ENABLE, 0, 1);
	rig_then(rig, EFFECT_NUDGE, 0);
}

static void test_direct_rings_come_in_before_the_order_is_acknowledged(void **state)
{
	struct rig *rig = ready(DISK, false);

	shadow_runs_direct(rig, 0);
	sends_log(rig, 7);
	orders(rig, true);
	enters(rig);
	rig_then(rig, EFFECT_LOGGING, 0);
	rig_idle(rig);
	assert_false(session_wants(rig->session, PORT_FRONT_MAIN));
	comes_in(rig);
	acknowledged(rig);
	assert_int_equal(rig->session->queues[0].path.state, PATH_SHADOW);
	rig_end(rig);
}

static void test_a_withdrawn_order_lets_the_rings_go_direct_again(void **state)
{
	struct rig *rig = ready(DISK, false);

	shadow_runs_direct(rig, 0);
	sends_log(rig, 7);
	for (unsigned int round = 0; round < 3; round++) {
		orders(rig, true);
		enters(rig);
		rig_then(rig, EFFECT_LOGGING, 0);
		comes_in(rig);
		acknowledged(rig);
		orders(rig, false);
		rig_then(rig, EFFECT_DRAIN, 0);
		rig_then(rig, EFFECT_LOGGING, 0);
		rig_idle(rig);
		rig_drained(rig, 0, 11);
		rig_then(rig, EFFECT_DETACH, 0);
		rig_then_sent(rig, PORT_BACK_MAIN, WIRE_GET_VRING_BASE);
		rig_back(rig, wire_reply_state(WIRE_GET_VRING_BASE, 0, 6));
		shadow_direct(rig, 0, 11);
		shadow_state_sent(rig, WIRE_SET_VRING_ENABLE, 0, 1);
		rig_then(rig, EFFECT_NUDGE, 0);
		acknowledged(rig);
		assert_int_equal(rig->session->queues[0].path.state, PATH_DIRECT);
	}
	rig_end(rig);
}

static void test_an_order_nobody_waits_for_is_not_answered(void **state)
{
	struct rig *rig = ready(DISK, false);

	shadow_runs_direct(rig, 0);
	sends_log(rig, 7);
	rig_front(rig,
		  wire_request_u64(WIRE_SET_FEATURES, 0, rig->session->virtio.agreed | LOG_ALL));
	enters(rig);
	rig_then(rig, EFFECT_LOGGING, 0);
	comes_in(rig);
	rig_idle(rig);
	rig_end(rig);
}

static void test_a_ring_that_can_not_come_in_ends_the_session_with_the_reason(void **state)
{
	struct rig *rig = ready(DISK, false);

	shadow_runs_direct(rig, 0);
	sends_log(rig, 7);
	orders(rig, true);
	enters(rig);
	rig_then(rig, EFFECT_LOGGING, 0);
	rig_back(rig, wire_reply_u64(WIRE_GET_FEATURES, DISK));
	rig_then(rig, EFFECT_WATCH, 0);
	rig_stayed_busy(rig, 0);
	assert_non_null(
	    strstr(rig_fault(rig, PORT_BACK_MAIN), "LOG_ALL: ring 0 can not be logged"));
	rig_end(rig);
}

/* The device starts in the middle of a migration: the order comes first, the memory last. */
static void test_a_device_that_starts_under_an_order_is_relayed_from_the_start(void **state)
{
	struct rig *rig = ready(DISK, false);

	rig_front(rig,
		  wire_request_u64(WIRE_SET_FEATURES, 0, rig->session->virtio.agreed | LOG_ALL));
	rig_then(rig, EFFECT_LOGGING, 0);
	rig_idle(rig);
	assert_int_equal(rig->session->dirty.sm.state, DIRTY_WANTED);
	shadow_runs(rig, 0);
	sends_log(rig, 7);
	assert_int_equal(rig->session->dirty.sm.state, DIRTY_ON);
	rig_end(rig);
}

static void test_rings_that_could_not_come_in_later_are_relayed_all_the_time(void **state)
{
	struct rig *rig = ready(PACKED, false);
	struct diag diag;

	assert_false(rig->session->record_ours);
	shadow_runs(rig, 0);
	assert_int_equal(rig_move(rig, MODE_DIRECT, &diag), SESSION_REFUSED);
	assert_non_null(strstr(diag.text, "keeps the dirty log"));
	rig_end(rig);
}

static void test_rings_stay_relayed_while_the_log_is_on(void **state)
{
	struct rig *rig = ready(DISK, true);
	struct diag diag;

	shadow_runs(rig, 0);
	sends_log(rig, 7);
	orders(rig, true);
	rig_then(rig, EFFECT_LOGGING, 0);
	acknowledged(rig);
	assert_int_equal(rig_move(rig, MODE_DIRECT, &diag), SESSION_REFUSED);
	orders(rig, false);
	rig_then(rig, EFFECT_LOGGING, 0);
	acknowledged(rig);
	assert_int_equal(rig_move(rig, MODE_DIRECT, &diag), SESSION_MOVED);
	rig_then(rig, EFFECT_DRAIN, 0);
	rig_end(rig);
}

static void test_no_unknown_message_passes_what_the_log_knows_nothing_of(void **state)
{
	struct rig *rig = ready(DISK, false);

	rig_front(rig, wire_message_new(4000, WIRE_VERSION, 0));
	assert_non_null(strstr(rig_fault(rig, PORT_FRONT_MAIN), "message id 4000"));
	rig_end(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_it_is_offered_where_the_back_end_lacks_it_and_not_passed_on),
	    cmocka_unit_test(test_what_the_back_end_offers_is_known_when_it_is_offered),
	    cmocka_unit_test(test_either_bit_the_back_end_lacks_makes_the_log_ours),
	    cmocka_unit_test(test_asked_for_it_is_ours_whatever_the_back_end_has),
	    cmocka_unit_test(test_it_is_not_offered_where_nobody_would_keep_it),
	    cmocka_unit_test(test_with_it_the_inflight_record_is_ours_too),
	    cmocka_unit_test(test_the_log_s_memory_is_taken_here_and_answered),
	    cmocka_unit_test(test_a_log_that_can_not_hold_the_memory_is_refused_with_the_numbers),
	    cmocka_unit_test(test_a_log_without_memory_is_refused),
	    cmocka_unit_test(test_memory_that_outgrows_the_log_is_refused),
	    cmocka_unit_test(
		test_memory_that_leaves_no_room_for_relayed_rings_is_refused_while_it_is_on),
	    cmocka_unit_test(test_who_is_to_be_told_of_marks_is_kept_here),
	    cmocka_unit_test(test_relayed_rings_are_logged_at_once_and_the_back_end_hears_nothing),
	    cmocka_unit_test(test_direct_rings_come_in_before_the_order_is_acknowledged),
	    cmocka_unit_test(test_a_withdrawn_order_lets_the_rings_go_direct_again),
	    cmocka_unit_test(test_an_order_nobody_waits_for_is_not_answered),
	    cmocka_unit_test(test_a_ring_that_can_not_come_in_ends_the_session_with_the_reason),
	    cmocka_unit_test(test_a_device_that_starts_under_an_order_is_relayed_from_the_start),
	    cmocka_unit_test(test_rings_that_could_not_come_in_later_are_relayed_all_the_time),
	    cmocka_unit_test(test_rings_stay_relayed_while_the_log_is_on),
	    cmocka_unit_test(test_no_unknown_message_passes_what_the_log_knows_nothing_of),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
