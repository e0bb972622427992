/* SPDX-License-Identifier: BSD-3-Clause */
/* Sessions one after the other, and how the daemon and its sockets end. */
#include "daemon_rig.h"

#include "shell/fds.h"
#include "shell/sock.h"

#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define WARM_UP   50
#define GROWTH_KB (RIG_SANITIZED ? 4096 : 64)

static int open_rig(void **state)
{
	struct rig *rig;

	rig_set_up(state);
	rig = *state;
	rig_start(rig, "--data-path=direct --synthesize=none");
	return 0;
}

static void sigterm_ends_it_with_a_session_running(void **state)
{
	struct rig *rig = *state;
	struct ends ends;

	ends_open(&ends, rig);
	ends_negotiate(&ends, rig_virtio(), rig_protocol());
	ends_channel(&ends);
	/* A back-end that owes an answer does not hold it up either. */
	ends_tell(&ends, wire_request(WIRE_GET_STATUS, 0));
	assert_int_equal(daemon_end(&rig->daemon, SIGTERM), 0);
	rig_closed(&ends.front);
	rig_closed(&ends.back);
	rig_closed(&ends.front_channel);
	rig_closed(&ends.back_channel);
	ends_close(&ends);
	assert_false(rig_exists(rig->front));
}

static void sigint_ends_it_like_sigterm(void **state)
{
	struct rig *rig = *state;

	assert_int_equal(daemon_end(&rig->daemon, SIGINT), 0);
	assert_false(rig_exists(rig->front));
}

static void a_second_front_end_waits_until_the_first_goes(void **state)
{
	struct rig *rig = *state;
	struct client second, back;
	unsigned long ticks;
	struct ends ends;

	ends_open(&ends, rig);
	rig_front(&second, rig->front);
	rig_send(&second, wire_request(WIRE_GET_FEATURES, 0));
	ends_negotiate(&ends, rig_virtio(), rig_protocol());
	/* Nobody came to the back-end for it, and the daemon does not look at it all the time. */
	ticks = daemon_ticks(&rig->daemon);
	assert_false(rig_ready(rig->listener, POLLIN, RIG_QUIET));
	assert_in_range(daemon_ticks(&rig->daemon) - ticks, 0, RIG_TICKS);
	client_close(&ends.front);
	rig_closed(&ends.back);
	rig_accept(&back, rig->listener);
	message_dispose(rig_receive(&back, WIRE_GET_FEATURES));
	rig_send(&back, wire_reply_u64(WIRE_GET_FEATURES, 0));
	message_dispose(rig_receive(&second, WIRE_GET_FEATURES));
	client_close(&second);
	client_close(&back);
	ends_close(&ends);
}

/* What the first agreed is nothing to the second. */
static void each_front_end_gets_a_fresh_session(void **state)
{
	struct rig *rig = *state;
	size_t from = daemon_log_size(&rig->daemon);
	struct ends ends;

	rig_serves(rig);
	ends_open(&ends, rig);
	rig_send(&ends.front, wire_request(WIRE_GET_QUEUE_NUM, 0));
	daemon_wait_log(&rig->daemon, from, "GET_QUEUE_NUM was not negotiated", NULL);
	rig_closed(&ends.front);
	rig_closed(&ends.back);
	ends_close(&ends);
}

static void loss_of_a_back_end_only_watched_closes_the_front_end_with_one_line(void **state)
{
	struct rig *rig = *state;
	size_t from = daemon_log_size(&rig->daemon);
	char line[RIG_LINE], pid[32];
	struct ends ends;

	ends_open(&ends, rig);
	ends_negotiate(&ends, rig_virtio(), rig_protocol());
	client_close(&ends.back);
	rig_closed(&ends.front);
	ends_close(&ends);
	daemon_wait_log(&rig->daemon, from, " error: ", line);
	snprintf(pid, sizeof(pid), "(pid %d)", (int)getpid());
	assert_non_null(strstr(line, rig->back));
	assert_non_null(strstr(line, pid));
	assert_non_null(strstr(line, "closed its connection: the daemon only watches"));
	assert_non_null(strstr(line, "the front-end is let go"));
	rig_serves(rig);
	assert_int_equal(daemon_count(&rig->daemon, from, " error: "), 1);
}

static void the_socket_of_a_killed_daemon_is_taken_over(void **state)
{
	struct rig *rig = *state;

	assert_int_equal(daemon_end(&rig->daemon, SIGKILL), -SIGKILL);
	assert_true(rig_exists(rig->front));
	rig_start(rig, "");
	rig_serves(rig);
}

static void the_socket_of_a_living_daemon_is_left_to_it(void **state)
{
	struct rig *rig = *state;
	struct daemon second;
	char front[RIG_PATH + 32], back[RIG_PATH + 32], log[512];
	const char *options[] = {front, back, NULL};

	snprintf(front, sizeof(front), "--socket-path=%s", rig->front);
	snprintf(back, sizeof(back), "--backend-path=%s", rig->back);
	daemon_spawn(&second, NULL, options);
	assert_int_equal(daemon_end_log(&second, 0, log, sizeof(log)), 1);
	assert_non_null(strstr(log, "another process listens there"));
	rig_serves(rig);
}

/* A connection, even one that is closed at once, would stay in our backlog. */
static void who_listens_at_a_path_in_use_is_not_disturbed(void **state)
{
	struct rig *rig = *state;
	struct daemon second;
	char front[RIG_PATH + 32], back[RIG_PATH + 32], log[512];
	const char *options[] = {front, back, NULL};

	snprintf(front, sizeof(front), "--socket-path=%s", rig->back);
	snprintf(back, sizeof(back), "--backend-path=%s", rig->front);
	daemon_spawn(&second, NULL, options);
	assert_int_equal(daemon_end_log(&second, 0, log, sizeof(log)), 1);
	assert_false(rig_ready(rig->listener, POLLIN, 0));
}

static void the_socket_is_for_its_owner_alone(void **state)
{
	struct rig *rig = *state;
	struct stat st;

	assert_int_equal(stat(rig->front, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
}

static long grows_kb(struct rig *rig, unsigned int front_ends)
{
	unsigned int fds = daemon_fds(&rig->daemon);
	unsigned long before = daemon_memory_kb(&rig->daemon, "Anonymous");

	for (unsigned int i = 0; i < front_ends; i++)
		rig_serves(rig);
	daemon_wait_fds(&rig->daemon, fds);
	return (long)daemon_memory_kb(&rig->daemon, "Anonymous") - (long)before;
}

/* The heap may move once, by how sessions overlap; what is left behind shows each time. */
static void many_front_ends_in_a_row_leave_nothing(void **state)
{
	struct rig *rig = *state;
	unsigned int count = getenv("FERRY_FULL") ? 10000 : 450;
	long least = LONG_MAX;

	grows_kb(rig, WARM_UP);
	for (unsigned int round = 0; round < 3 && least > GROWTH_KB; round++) {
		long grown = grows_kb(rig, count);

		least = grown < least ? grown : least;
	}
	if (least > GROWTH_KB)
		fail_msg("each %u front-ends leave %ld KiB or more", count, least);
	if (!RIG_SANITIZED)
		assert_in_range(daemon_memory_kb(&rig->daemon, "Rss"), 1, 4095);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, open_rig, rig_tear_down)
	const struct CMUnitTest tests[] = {
	    CASE(sigterm_ends_it_with_a_session_running),
	    CASE(sigint_ends_it_like_sigterm),
	    CASE(a_second_front_end_waits_until_the_first_goes),
	    CASE(each_front_end_gets_a_fresh_session),
	    CASE(loss_of_a_back_end_only_watched_closes_the_front_end_with_one_line),
	    CASE(the_socket_of_a_killed_daemon_is_taken_over),
	    CASE(the_socket_of_a_living_daemon_is_left_to_it),
	    CASE(who_listens_at_a_path_in_use_is_not_disturbed),
	    CASE(the_socket_is_for_its_owner_alone),
	    CASE(many_front_ends_in_a_row_leave_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
