/* SPDX-License-Identifier: BSD-3-Clause */
/* How the two sides are reached, and what comes and goes on them. */
#include "daemon_rig.h"

#include "shell/fds.h"
#include "shell/sock.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* GET_FEATURES and its answer: these two are connected through the daemon. */
static void talk(struct client *front, struct client *back)
{
	rig_send(front, wire_request(WIRE_GET_FEATURES, 0));
	message_dispose(rig_receive(back, WIRE_GET_FEATURES));
	rig_send(back, wire_reply_u64(WIRE_GET_FEATURES, WIRE_BIT(32)));
	message_dispose(rig_receive(front, WIRE_GET_FEATURES));
}

static void hang_up(struct client *front, struct client *back)
{
	client_close(front);
	rig_closed(back);
	client_close(back);
}

/* Starts with the passed descriptor as number 3. */
static void start_with_fd(struct rig *rig, int fd, bool by_environment, const char *option)
{
	char back[RIG_PATH + 32];
	const char *options[3] = {back, option, NULL};
	struct daemon_extra extra = {.fds = {fd}, .listen_pid = by_environment};

	if (by_environment)
		extra.environment[0] = "LISTEN_FDS=1";
	snprintf(back, sizeof(back), "--backend-path=%s", rig->back);
	daemon_spawn(&rig->daemon, &extra, options);
	daemon_wait_log(&rig->daemon, 0, "ready: ", NULL);
}

static void a_front_end_connects_to_the_socket_path(void **state)
{
	struct rig *rig = *state;

	rig_start(rig, "");
	rig_serves(rig);
	rig_serves(rig);
	assert_int_equal(daemon_end(&rig->daemon, SIGTERM), 0);
	assert_false(rig_exists(rig->front));
	assert_true(rig_exists(rig->back));
}

static void serve_passed_listener(struct rig *rig, bool by_environment)
{
	int listener = rig_listen(rig->front);

	start_with_fd(rig, listener, by_environment, by_environment ? NULL : "--fd=3");
	close(listener);
	rig_serves(rig);
	rig_serves(rig);
	assert_int_equal(daemon_end(&rig->daemon, SIGTERM), 0);
	assert_true(rig_exists(rig->front));
}

static void a_listening_descriptor_is_served_again_and_again(void **state)
{
	serve_passed_listener(*state, false);
}

static void a_listener_of_the_service_manager_is_found(void **state)
{
	serve_passed_listener(*state, true);
}

static void descriptors_for_another_process_are_not_taken(void **state)
{
	struct rig *rig = *state;
	char back[RIG_PATH + 32], log[512];
	const char *options[] = {back, NULL};
	struct daemon_extra extra = {.environment = {"LISTEN_FDS=1", "LISTEN_PID=1"}};

	snprintf(back, sizeof(back), "--backend-path=%s", rig->back);
	daemon_spawn(&rig->daemon, &extra, options);
	assert_int_equal(daemon_end_log(&rig->daemon, 0, log, sizeof(log)), 2);
	assert_non_null(strstr(log, "no front-end: give"));
}

static void several_passed_sockets_are_refused(void **state)
{
	struct rig *rig = *state;
	char back[RIG_PATH + 32], log[512];
	const char *options[] = {back, NULL};
	struct daemon_extra extra = {.environment = {"LISTEN_FDS=2"}, .listen_pid = true};

	snprintf(back, sizeof(back), "--backend-path=%s", rig->back);
	daemon_spawn(&rig->daemon, &extra, options);
	assert_int_equal(daemon_end_log(&rig->daemon, 0, log, sizeof(log)), 2);
	assert_non_null(strstr(log, "LISTEN_FDS=2"));
}

static void a_connected_descriptor_is_served_and_then_it_ends(void **state)
{
	struct rig *rig = *state;
	struct client front, back;
	int pair[2];

	assert_return_code(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), errno);
	start_with_fd(rig, pair[1], false, "--fd=3");
	close(pair[1]);
	rig_adopt(&front, pair[0], WIRE_MAIN);
	rig_accept(&back, rig->listener);
	talk(&front, &back);
	hang_up(&front, &back);
	assert_int_equal(daemon_end(&rig->daemon, 0), 0);
}

static void a_front_end_that_listens_later_goes_and_comes_again_is_connected_to(void **state)
{
	struct rig *rig = *state;
	struct client front, back;

	daemon_start(&rig->daemon, "--frontend-connect=%s --backend-path=%s", rig->front,
		     rig->back);
	for (int i = 0; i < 3; i++) {
		int listener = rig_listen(rig->front);

		rig_accept(&front, listener);
		rig_accept(&back, rig->listener);
		talk(&front, &back);
		/* The listener goes with it, as QEMU's does. */
		close(listener);
		unlink(rig->front);
		hang_up(&front, &back);
	}
}

static void start_back_listening(struct rig *rig)
{
	close(rig->listener);
	rig->listener = -1;
	unlink(rig->back);
	daemon_start(&rig->daemon, "--socket-path=%s --backend-listen=%s", rig->front, rig->back);
}

static void a_back_end_that_connects_first_gets_the_front_end(void **state)
{
	struct rig *rig = *state;
	struct client front, back;

	start_back_listening(rig);
	rig_front(&back, rig->back);
	rig_front(&front, rig->front);
	talk(&front, &back);
	hang_up(&front, &back);
	assert_int_equal(daemon_end(&rig->daemon, SIGTERM), 0);
	assert_false(rig_exists(rig->back));
}

static void a_back_end_that_connects_later_gets_the_waiting_front_end(void **state)
{
	struct rig *rig = *state;
	struct client front, back;

	start_back_listening(rig);
	for (int i = 0; i < 3; i++) {
		rig_front(&front, rig->front);
		rig_send(&front, wire_request(WIRE_GET_FEATURES, 0));
		rig_front(&back, rig->back);
		message_dispose(rig_receive(&back, WIRE_GET_FEATURES));
		rig_send(&back, wire_reply_u64(WIRE_GET_FEATURES, 0));
		message_dispose(rig_receive(&front, WIRE_GET_FEATURES));
		hang_up(&front, &back);
	}
}

static void a_front_end_that_waits_for_the_back_end_keeps_its_turn(void **state)
{
	struct rig *rig = *state;
	struct client first, second, back;
	unsigned int idle;

	start_back_listening(rig);
	idle = daemon_fds(&rig->daemon);
	rig_front(&first, rig->front);
	daemon_wait_fds(&rig->daemon, idle + 1);
	rig_front(&second, rig->front);
	rig_front(&back, rig->back);
	talk(&first, &back);
	hang_up(&first, &back);
	rig_front(&back, rig->back);
	talk(&second, &back);
	hang_up(&second, &back);
}

static void a_back_end_that_gave_up_waiting_is_passed_over(void **state)
{
	struct rig *rig = *state;
	struct client front, back;

	start_back_listening(rig);
	for (int i = 0; i < 3; i++) {
		rig_front(&back, rig->back);
		client_close(&back);
	}
	rig_front(&back, rig->back);
	rig_front(&front, rig->front);
	talk(&front, &back);
	hang_up(&front, &back);
}

/* No back-end is there to take it up with: it just goes. */
static void a_front_end_that_gives_up_waiting_makes_room_for_the_next(void **state)
{
	struct rig *rig = *state;
	struct client front, back;
	size_t from;

	start_back_listening(rig);
	from = daemon_log_size(&rig->daemon);
	rig_front(&front, rig->front);
	client_close(&front);
	rig_front(&front, rig->front);
	rig_send(&front, wire_request(WIRE_GET_FEATURES, 0));
	rig_front(&back, rig->back);
	message_dispose(rig_receive(&back, WIRE_GET_FEATURES));
	hang_up(&front, &back);
	daemon_wait_log(&rig->daemon, from, "closed its connection", NULL);
	assert_int_equal(daemon_count(&rig->daemon, from, " error: "), 0);
}

static void a_passed_back_end_is_served_and_then_it_ends(void **state)
{
	struct rig *rig = *state;
	char socket_path[RIG_PATH + 32];
	const char *options[] = {socket_path, "--backend-fd=4", NULL};
	struct daemon_extra extra = {0};
	struct client front, back;
	int pair[2];

	assert_return_code(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), errno);
	extra.fds[1] = pair[1];
	snprintf(socket_path, sizeof(socket_path), "--socket-path=%s", rig->front);
	daemon_spawn(&rig->daemon, &extra, options);
	daemon_wait_log(&rig->daemon, 0, "ready: ", NULL);
	close(pair[1]);
	rig_adopt(&back, pair[0], WIRE_MAIN);
	rig_front(&front, rig->front);
	talk(&front, &back);
	hang_up(&front, &back);
	assert_int_equal(daemon_end(&rig->daemon, 0), 0);
	assert_false(rig_exists(rig->front));
}

static int notify_socket(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	assert_return_code(bind(fd, (struct sockaddr *)&address, sizeof(address)), errno);
	return fd;
}

static void expect_notice(int fd, const char *state)
{
	char text[64] = "";

	assert_true(rig_ready(fd, POLLIN, RIG_MS));
	assert_true(recv(fd, text, sizeof(text) - 1, 0) > 0);
	assert_string_equal(text, state);
}

static void the_service_manager_hears_of_start_and_end(void **state)
{
	struct rig *rig = *state;
	char path[RIG_PATH], variable[RIG_PATH + 32], front[RIG_PATH + 32], back[RIG_PATH + 32];
	const char *options[] = {front, back, NULL};
	struct daemon_extra extra = {.environment = {variable}};
	int fd;

	rig_path(rig, path, "notify");
	fd = notify_socket(path);
	snprintf(variable, sizeof(variable), "NOTIFY_SOCKET=%s", path);
	snprintf(front, sizeof(front), "--socket-path=%s", rig->front);
	snprintf(back, sizeof(back), "--backend-path=%s", rig->back);
	daemon_spawn(&rig->daemon, &extra, options);
	expect_notice(fd, "READY=1");
	/* Ready is meant: the front-end is served at once. */
	rig_serves(rig);
	assert_int_equal(daemon_end(&rig->daemon, SIGTERM), 0);
	expect_notice(fd, "STOPPING=1");
	close(fd);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, rig_set_up, rig_tear_down)
	const struct CMUnitTest tests[] = {
	    CASE(a_front_end_connects_to_the_socket_path),
	    CASE(a_listening_descriptor_is_served_again_and_again),
	    CASE(a_listener_of_the_service_manager_is_found),
	    CASE(descriptors_for_another_process_are_not_taken),
	    CASE(several_passed_sockets_are_refused),
	    CASE(a_connected_descriptor_is_served_and_then_it_ends),
	    CASE(a_front_end_that_listens_later_goes_and_comes_again_is_connected_to),
	    CASE(a_back_end_that_connects_first_gets_the_front_end),
	    CASE(a_back_end_that_connects_later_gets_the_waiting_front_end),
	    CASE(a_front_end_that_waits_for_the_back_end_keeps_its_turn),
	    CASE(a_back_end_that_gave_up_waiting_is_passed_over),
	    CASE(a_front_end_that_gives_up_waiting_makes_room_for_the_next),
	    CASE(a_passed_back_end_is_served_and_then_it_ends),
	    CASE(the_service_manager_hears_of_start_and_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
