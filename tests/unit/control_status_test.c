/* SPDX-License-Identifier: BSD-3-Clause */
#include "control_rig.h"

/* The names of the interface, which scripts rely on. */
static const char *const status_keys[] = {
    "state",
    "uptime_s",
    "frontend.connected",
    "frontend.path",
    "frontend.pid",
    "frontend.features",
    "frontend.protocol_features",
    "backend.connected",
    "backend.path",
    "backend.pid",
    "backend.features",
    "backend.protocol_features",
    "synthesized",
    "reconnects",
    "replays",
    "last_outage_us",
    "messages",
    "queues",
    "log.active",
    "log.size",
    "log.pages_marked",
    "log.source",
    "postcopy.state",
    "postcopy.faults",
    "postcopy.pages_waited",
    "postcopy.longest_wait_us",
    "iotlb.entries",
    "iotlb.hits",
    "iotlb.misses",
    "iotlb.invalidations",
    "rss_kb",
};

static void test_every_promised_key_is_there_with_and_without_a_front_end(void **state)
{
	struct rig *rig = rig_agreed(DISK, PROTOCOL);
	const struct session *const sessions[] = {NULL, rig->session};

	for (size_t s = 0; s < 2; s++) {
		struct view view = view_of(sessions[s]);
		json_t *status = status_summary(&view);

		for (size_t i = 0; i < sizeof(status_keys) / sizeof(status_keys[0]); i++)
			at(status, status_keys[i]);
		assert_json(status, "reconnects", "3");
		assert_json(status, "rss_kb", "1234");
		assert_json(status, "uptime_s", "1.5");
		json_decref(status);
	}
	rig_end(rig);
}

static void test_without_a_front_end_everything_is_off_empty_and_zero(void **state)
{
	struct view view = view_of(NULL);
	json_t *status = status_summary(&view);

	assert_json(status, "state", "\"listening\"");
	assert_json(status, "frontend.connected", "false");
	assert_json(status, "frontend.features", "[]");
	assert_json(status, "backend.path", "null");
	assert_json(status, "backend.pid", "null");
	assert_json(status, "messages", "{}");
	assert_json(status, "queues", "[]");
	assert_json(status, "log",
		    "{\"active\":false,\"size\":0,\"pages_marked\":0,\"source\":null}");
	assert_json(status, "postcopy.state", "\"off\"");
	json_decref(status);
}

static void test_the_front_end_shows_what_it_took_and_the_back_end_what_it_has(void **state)
{
	struct rig *rig = rig_new();
	struct view view;
	json_t *status;

	rig_offer(rig, DISK | NAMELESS, PROTOCOL | XEN);
	rig_set_features(rig, DISK);
	view = view_of(rig->session);
	status = status_summary(&view);
	assert_json(status, "device", "\"blk\"");
	assert_json(status, "frontend.features",
		    "[\"BLK_SIZE\",\"FLUSH\",\"PROTOCOL_FEATURES\",\"VERSION_1\"]");
	assert_json(status, "backend.features",
		    "[\"BLK_SIZE\",\"FLUSH\",\"PROTOCOL_FEATURES\",\"VERSION_1\",\"bit52\"]");
	assert_json(status, "frontend.protocol_features",
		    "[\"LOG_SHMFD\",\"REPLY_ACK\",\"CONFIG\"]");
	assert_json(status, "backend.protocol_features",
		    "[\"LOG_SHMFD\",\"REPLY_ACK\",\"CONFIG\",\"XEN_MMAP\"]");
	json_decref(status);
	rig_end(rig);
}

static void test_messages_count_by_name_and_direction_and_leave_out_what_never_came(void **state)
{
	struct rig *rig = rig_new();
	struct view view;
	json_t *status;

	rig_front(rig, wire_request(WIRE_GET_FEATURES, 0));
	rig_front(rig, wire_request(WIRE_GET_FEATURES, 0));
	rig_back(rig, wire_reply_u64(WIRE_GET_FEATURES, DISK));
	rig_front(rig, wire_request(4711, 0));
	rig_front(rig, wire_request(4712, 0));
	view = view_of(rig->session);
	status = status_summary(&view);
	assert_json(status, "messages.GET_FEATURES", "{\"front-to-back\":2,\"back-to-front\":1}");
	assert_json(status, "messages.unknown", "{\"front-to-back\":2,\"back-to-front\":0}");
	assert_int_equal(json_object_size(at(status, "messages")), 2);
	json_decref(status);
	rig_end(rig);
}

static void test_messages_of_the_back_end_channel_count_under_their_own_names(void **state)
{
	struct rig *rig = rig_agreed(DISK, PROTOCOL);
	struct view view;
	json_t *status;

	rig_receive(rig, PORT_BACK_BACKEND, wire_request(WIRE_BACKEND_CONFIG_CHANGE_MSG, 0));
	view = view_of(rig->session);
	status = status_summary(&view);
	assert_json(status, "messages.BACKEND_CONFIG_CHANGE_MSG",
		    "{\"front-to-back\":0,\"back-to-front\":1}");
	json_decref(status);
	rig_end(rig);
}

static void test_a_path_that_is_no_utf8_spoils_nothing(void **state)
{
	struct view view = view_of(NULL);
	json_t *status;

	view.frontend.path = "/run/\xff\xfe.sock";
	status = status_summary(&view);
	assert_json(status, "frontend.path", "\"/run/??.sock\"");
	json_decref(status);
}

static int allowed, live;

static void *failing_malloc(size_t size)
{
	void *memory = allowed-- == 0 ? NULL : malloc(size);

	live += memory != NULL;
	return memory;
}

static void counting_free(void *memory)
{
	live -= memory != NULL;
	free(memory);
}

/* Every allocation of every object fails once. */
static void test_without_memory_there_is_no_object_and_nothing_leaks(void **state)
{
	static json_t *(*const makers[])(const struct view *) = {
	    status_summary, status_features, status_queues, status_memory, status_iotlb, status_log,
	};
	struct rig *rig = rig_agreed(DISK, PROTOCOL | XEN);
	struct view view;

	set_up_ring(rig, 0);
	view = view_of(rig->session);
	json_set_alloc_funcs(failing_malloc, counting_free);
	for (size_t i = 0; i < sizeof(makers) / sizeof(makers[0]); i++) {
		json_t *object = NULL;

		allowed = -1;
		for (int n = 0; allowed < 0 && n < 10000; n++) {
			json_decref(object);
			allowed = n;
			object = makers[i](&view);
			if (!object)
				assert_int_equal(live, 0);
		}
		assert_non_null(object);
		json_decref(object);
		assert_int_equal(live, 0);
	}
	json_set_alloc_funcs(malloc, free);
	rig_end(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_every_promised_key_is_there_with_and_without_a_front_end),
	    cmocka_unit_test(test_without_a_front_end_everything_is_off_empty_and_zero),
	    cmocka_unit_test(test_the_front_end_shows_what_it_took_and_the_back_end_what_it_has),
	    cmocka_unit_test(
		test_messages_count_by_name_and_direction_and_leave_out_what_never_came),
	    cmocka_unit_test(test_messages_of_the_back_end_channel_count_under_their_own_names),
	    cmocka_unit_test(test_a_path_that_is_no_utf8_spoils_nothing),
	    cmocka_unit_test(test_without_memory_there_is_no_object_and_nothing_leaks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
