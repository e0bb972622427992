/* SPDX-License-Identifier: BSD-3-Clause */
/* A front-end that goes on with a restarted daemon as if nothing had been. */
#include "link_rig.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void restart(struct rig *rig, const char *options)
{
	assert_int_equal(daemon_end(&rig->daemon, SIGKILL), -SIGKILL);
	rig_start(rig, options);
}

/* QEMU 7.2 whose device is stopped when the connection is lost asks nothing on the next. */
static void a_front_end_that_goes_on_with_a_restarted_daemon_is_served(void **state)
{
	struct rig *rig = *state;
	char path[RIG_PATH], options[RIG_PATH + 32];
	struct ends ends;

	rig_path(rig, path, "state");
	snprintf(options, sizeof(options), "--state=%s", path);
	begin(rig, &ends, options);
	restart(rig, options);
	ends_close(&ends);
	rig_front(&ends.front, rig->front);
	rig_accept(&ends.back, rig->listener);
	rig_send(&ends.front, wire_request_u64(WIRE_SET_FEATURES, WIRE_FLAG_NEED_REPLY, VIRTIO));
	message_dispose(rig_receive(&ends.front, WIRE_SET_FEATURES));
	rig_closed(&ends.back);
	client_close(&ends.back);
	fit(rig, &ends);
	back_hears(&ends.back, WIRE_SET_FEATURES, VIRTIO);
	back_answers(&ends.back, WIRE_GET_FEATURES, VIRTIO);
	assert_int_equal(ends_ask(&ends, WIRE_GET_QUEUE_NUM, 2), 2);
	client_close(&ends.front);
	rig_closed(&ends.back);
	ends_close(&ends);
	/* It ended by itself: nobody will go on with that. */
	assert_false(rig_exists(path));
}

/* The file of its memory is found again: the front-end does not send it a second time. */
static void its_memory_is_found_among_its_files(void **state)
{
	struct wire_region at = {.gpa = 0, .size = 4096, .uva = 0x7f0000000000};
	const uint64_t protocol = PROTOCOL | WIRE_BIT(WIRE_PF_CONFIGURE_MEM_SLOTS);
	struct rig *rig = *state;
	struct wire_message *message;
	struct fd_entry sent, come;
	char path[RIG_PATH], options[RIG_PATH + 32];
	int file = rig_file(1);
	struct ends ends;

	rig_path(rig, path, "state");
	snprintf(options, sizeof(options), "--state=%s", path);
	rig_start(rig, options);
	ends_open(&ends, rig);
	ends_ask(&ends, WIRE_GET_FEATURES, VIRTIO);
	ends_ask(&ends, WIRE_GET_PROTOCOL_FEATURES, protocol);
	ends_tell(&ends, wire_request_u64(WIRE_SET_PROTOCOL_FEATURES, 0, protocol));
	message = wire_request_region(WIRE_ADD_MEM_REG, 0, &at);
	fds_look(&sent, dup(file));
	assert_int_equal(fdset_push(&message->fds, &sent), 0);
	rig_send(&ends.front, message);
	message_dispose(rig_receive(&ends.back, WIRE_ADD_MEM_REG));
	restart(rig, options);
	ends_close(&ends);
	rig_front(&ends.front, rig->front);
	rig_accept(&ends.back, rig->listener);
	rig_send(&ends.front, wire_request_u64(WIRE_SET_FEATURES, WIRE_FLAG_NEED_REPLY, VIRTIO));
	message_dispose(rig_receive(&ends.front, WIRE_SET_FEATURES));
	client_close(&ends.back);
	rig_accept(&ends.back, rig->listener);
	back_answers(&ends.back, WIRE_GET_FEATURES, VIRTIO);
	back_answers(&ends.back, WIRE_GET_PROTOCOL_FEATURES, protocol);
	back_hears(&ends.back, WIRE_SET_PROTOCOL_FEATURES, protocol);
	back_answers(&ends.back, WIRE_GET_MAX_MEM_SLOTS, 8);
	back_answers(&ends.back, WIRE_GET_FEATURES, VIRTIO);
	back_hears(&ends.back, WIRE_SET_FEATURES, VIRTIO);
	message = rig_receive(&ends.back, WIRE_ADD_MEM_REG);
	assert_int_equal(wire_slot_region(message).uva, at.uva);
	fds_look(&come, message->fds.entries[0].fd);
	assert_true(fd_entry_same_file(&come, &sent));
	message_dispose(message);
	ends_close(&ends);
	close(file);
}

static void without_the_state_it_is_refused_by_a_line_that_says_so(void **state)
{
	struct rig *rig = *state;
	char path[RIG_PATH], options[RIG_PATH + 32], line[RIG_LINE];
	struct ends ends;

	rig_path(rig, path, "state");
	snprintf(options, sizeof(options), "--state=%s", path);
	begin(rig, &ends, options);
	assert_int_equal(daemon_end(&rig->daemon, SIGKILL), -SIGKILL);
	unlink(path);
	rig_start(rig, options);
	ends_close(&ends);
	ends_open(&ends, rig);
	rig_send(&ends.front, wire_request_u64(WIRE_SET_FEATURES, 0, VIRTIO));
	rig_closed(&ends.front);
	daemon_wait_log(&rig->daemon, 0, " error: ", line);
	assert_non_null(strstr(line, "goes on with a session that a daemon before this one had"));
	assert_non_null(strstr(line, path));
	ends_close(&ends);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, rig_set_up, rig_tear_down)
	const struct CMUnitTest tests[] = {
	    CASE(a_front_end_that_goes_on_with_a_restarted_daemon_is_served),
	    CASE(its_memory_is_found_among_its_files),
	    CASE(without_the_state_it_is_refused_by_a_line_that_says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
