/* SPDX-License-Identifier: BSD-3-Clause */
#include "control_rig.h"

static void test_features_say_why_a_bit_is_hidden(void **state)
{
	struct rig *rig = rig_new();
	struct view view;
	json_t *features;

	rig_offer(rig, DISK, PROTOCOL | XEN);
	view = view_of(rig->session);
	features = status_features(&view);
	assert_json(features, "protocol.offered.hex", "\"0x2020a\"");
	assert_json(features, "protocol.shown.hex", "\"0x20a\"");
	assert_json(features, "protocol.hidden.names", "[\"XEN_MMAP\"]");
	assert_json(features, "protocol.hidden.bits.0.bit", "17");
	assert_true(strlen(json_string_value(at(features, "protocol.hidden.bits.0.reason"))) > 10);
	assert_json(features, "virtio.hidden.bits", "[]");
	assert_json(features, "virtio.known", "true");
	assert_json(features, "virtio.acknowledged.names", "[]");
	json_decref(features);
	rig_end(rig);
}

static void test_queues_are_those_seen_and_the_daemon_claims_no_work_on_them(void **state)
{
	struct rig *rig = rig_agreed(DISK, PROTOCOL);
	struct view view;
	json_t *status, *queues;

	set_up_ring(rig, 2);
	rig_front(rig, wire_request_state(WIRE_SET_VRING_ENABLE, 0, 2, 1));
	view = view_of(rig->session);
	status = status_summary(&view);
	assert_json(status, "queues",
		    "[{\"index\":2,\"format\":\"split\",\"size\":128,\"enabled\":true,"
		    "\"started\":true,\"path\":\"direct\",\"moving\":false,\"moves\":0,"
		    "\"longest_pause_us\":0,\"kicks\":0,\"calls\":0,\"relayed\":0,"
		    "\"inflight\":0,\"bytes_written\":0}]");
	queues = status_queues(&view);
	assert_json(queues, "queues.0.base", "7");
	assert_json(queues, "queues.0.flags", "1");
	assert_json(queues, "queues.0.desc", "4096");
	assert_json(queues, "queues.0.avail", "8192");
	assert_json(queues, "queues.0.used", "12288");
	assert_json(queues, "queues.0.log", "16384");
	assert_json(queues, "queues.0.kick_fd", "true");
	assert_json(queues, "queues.0.call_fd", "true");
	assert_json(queues, "queues.0.err_fd", "false");
	assert_json(queues, "addresses", "\"user\"");
	assert_json(queues, "queue_num", "null");
	json_decref(queues);
	json_decref(status);
	rig_end(rig);
}

static void test_a_ring_is_packed_and_its_addresses_are_iovas_when_agreed_so(void **state)
{
	uint64_t more = WIRE_BIT(WIRE_F_RING_PACKED) | WIRE_BIT(WIRE_F_ACCESS_PLATFORM);
	struct rig *rig = rig_agreed(DISK | more, PROTOCOL);
	struct view view;
	json_t *queues, *iotlb;

	set_up_ring(rig, 0);
	view = view_of(rig->session);
	queues = status_queues(&view);
	iotlb = status_iotlb(&view);
	assert_json(queues, "queues.0.format", "\"packed\"");
	assert_json(queues, "addresses", "\"iova\"");
	assert_json(iotlb, "active", "true");
	json_decref(iotlb);
	json_decref(queues);
	rig_end(rig);
}

static void test_memory_lists_the_regions_in_force(void **state)
{
	const struct wire_region regions[] = {
	    {.gpa = 0, .size = 0x200000, .uva = 0x7f0000000000},
	    {.gpa = 0x100000000, .size = 0x400000, .uva = 0x7f0000200000, .mmap_offset = 0x200000},
	};
	struct rig *rig = rig_agreed(DISK, PROTOCOL);
	struct wire_message *table = wire_request_table(0, regions, 2);
	struct view view;
	json_t *memory;

	rig_with_fd(rig, table, 501);
	rig_with_fd(rig, table, 502);
	rig_front(rig, table);
	view = view_of(rig->session);
	memory = status_memory(&view);
	assert_int_equal(json_array_size(at(memory, "regions")), 2);
	assert_json(memory, "regions.1.gpa", "4294967296");
	assert_json(memory, "regions.1.size", "4194304");
	assert_json(memory, "regions.1.uva", "139637978824704");
	assert_json(memory, "regions.1.mmap_offset", "2097152");
	assert_json(memory, "regions.1.inode", "502");
	at(memory, "regions.1.file_size");
	assert_json(memory, "bytes", "6291456");
	assert_json(memory, "slots_used", "2");
	assert_json(memory, "slots_max", "null");
	json_decref(memory);
	rig_end(rig);
}

static struct wire_message *log_base(struct rig *rig, uint64_t size)
{
	struct wire_message *message = wire_message_new(WIRE_SET_LOG_BASE, WIRE_VERSION, 16);

	bytes_store64(message->payload, size);
	bytes_store64(message->payload + 8, 4096);
	rig_with_fd(rig, message, 77);
	message->fds.entries[0].size = size + 4096;
	return message;
}

static void test_the_log_is_the_back_ends_and_active_once_it_is_ordered(void **state)
{
	struct rig *rig = rig_new();
	struct view view;
	json_t *log;

	rig_offer(rig, DISK | LOG_ALL, PROTOCOL);
	rig_set_features(rig, DISK);
	rig_front(rig, log_base(rig, 65536));
	view = view_of(rig->session);
	log = status_log(&view);
	assert_json(log, "active", "false");
	assert_json(log, "state", "\"based\"");
	json_decref(log);
	rig_front(rig, wire_request_u64(WIRE_SET_FEATURES, 0, DISK | LOG_ALL));
	log = status_log(&view);
	assert_json(log, "active", "true");
	assert_json(log, "size", "65536");
	assert_json(log, "offset", "4096");
	assert_json(log, "inode", "77");
	assert_json(log, "source", "\"backend\"");
	assert_json(log, "pages_marked", "0");
	json_decref(log);
	rig_end(rig);
}

static void test_a_log_of_the_daemon_s_own_says_so_and_counts_its_pages(void **state)
{
	struct rig *rig = rig_new_with(&(struct session_config){
	    .mode = MODE_AUTO, .device = WIRE_DEVICE_BLK, .log = LOG_WHERE_LACKING});
	struct view_ring rings[WIRE_QUEUES_MAX] = {{.pages_marked = 5}, {.pages_marked = 37}};
	struct view view;
	json_t *status;

	rig_offer(rig, DISK, PROTOCOL);
	rig_set_features(rig, rig->session->virtio.shown);
	rig_front(rig, log_base(rig, 65536));
	view = view_of(rig->session);
	view.rings = rings;
	status = status_summary(&view);
	assert_json(status, "synthesized", "[\"log\"]");
	assert_json(status, "log",
		    "{\"active\":true,\"size\":65536,\"pages_marked\":42,\"source\":\"ferry\"}");
	json_decref(status);
	rig_end(rig);
}

static void test_numbers_a_peer_sets_out_of_range_never_turn_negative(void **state)
{
	const struct wire_region region = {.gpa = UINT64_MAX - 0xfff, .size = 0x1000};
	struct rig *rig = rig_agreed(DISK, PROTOCOL);
	struct wire_message *table = wire_request_table(0, &region, 1);
	struct view view;
	json_t *memory, *features;

	rig_front(rig, rig_with_fd(rig, table, 501));
	rig->session->virtio.acked = UINT64_MAX;
	view = view_of(rig->session);
	memory = status_memory(&view);
	features = status_features(&view);
	assert_true(json_number_value(at(memory, "regions.0.gpa")) > 1e19);
	assert_json(features, "virtio.acknowledged.hex", "\"0xffffffffffffffff\"");
	assert_int_equal(json_array_size(at(features, "virtio.acknowledged.names")), 64);
	json_decref(features);
	json_decref(memory);
	rig_end(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_features_say_why_a_bit_is_hidden),
	    cmocka_unit_test(test_queues_are_those_seen_and_the_daemon_claims_no_work_on_them),
	    cmocka_unit_test(test_a_ring_is_packed_and_its_addresses_are_iovas_when_agreed_so),
	    cmocka_unit_test(test_memory_lists_the_regions_in_force),
	    cmocka_unit_test(test_the_log_is_the_back_ends_and_active_once_it_is_ordered),
	    cmocka_unit_test(test_a_log_of_the_daemon_s_own_says_so_and_counts_its_pages),
	    cmocka_unit_test(test_numbers_a_peer_sets_out_of_range_never_turn_negative),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
