/* SPDX-License-Identifier: BSD-3-Clause */
/* --interpose in front of a back-end that already listens, and all ways it ends. */
#include "daemon_rig.h"

#include "shell/fds.h"
#include "shell/sock.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ROUNDS 25

static void start(struct rig *rig)
{
	daemon_start(&rig->daemon, "--interpose=%s", rig->back);
}

static int open_rig(void **state)
{
	struct rig *rig;

	rig_set_up(state);
	rig = *state;
	/* The front-end connects where the back-end listened. */
	snprintf(rig->front, sizeof(rig->front), "%s", rig->back);
	return 0;
}

static ino_t inode(const char *path)
{
	struct stat st;

	assert_return_code(lstat(path, &st), errno);
	return st.st_ino;
}

/* Nothing but the back-end's socket is in the folder. */
static void only_the_back_end_is_left(const struct rig *rig, ino_t back)
{
	static const char *const suffixes[] = {"behind", "ferry", "ferry-new"};
	char path[RIG_PATH + 16];

	assert_int_equal(inode(rig->back), back);
	for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
		snprintf(path, sizeof(path), "%s.%s", rig->back, suffixes[i]);
		assert_false(rig_exists(path));
	}
}

/* A client reaches the back-end itself, with nobody between: its own connection is accepted. */
static void reached_directly(struct rig *rig)
{
	struct client front, back;

	rig_front(&front, rig->back);
	rig_accept(&back, rig->listener);
	rig_send(&front, wire_request(WIRE_GET_FEATURES, 0));
	message_dispose(rig_receive(&back, WIRE_GET_FEATURES));
	client_close(&front);
	client_close(&back);
}

/* As a back-end restarts: its socket anew at the same path. */
static void restart_back_end(struct rig *rig)
{
	close(rig->listener);
	unlink(rig->back);
	rig->listener = rig_listen(rig->back);
}

static void the_back_end_is_reached_through_it_and_restored_at_sigterm(void **state)
{
	struct rig *rig = *state;
	ino_t back = inode(rig->back);

	start(rig);
	assert_int_not_equal(inode(rig->back), back);
	rig_serves(rig);
	rig_serves(rig);
	assert_int_equal(daemon_end(&rig->daemon, SIGTERM), 0);
	only_the_back_end_is_left(rig, back);
	reached_directly(rig);
}

struct watch {
	const char *path;
	atomic_bool over;
	unsigned long looked, absent;
};

static void *look(void *context)
{
	struct watch *watch = context;

	while (!watch->over) {
		watch->looked++;
		watch->absent += !rig_exists(watch->path);
	}
	return NULL;
}

static void at_no_moment_is_the_path_absent(void **state)
{
	struct rig *rig = *state;
	struct watch watch = {.path = rig->back};
	ino_t back = inode(rig->back);
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, look, &watch), 0);
	for (int i = 0; i < ROUNDS; i++) {
		start(rig);
		assert_int_equal(daemon_end(&rig->daemon, i % 3 == 2 ? SIGKILL : SIGTERM),
				 i % 3 == 2 ? -SIGKILL : 0);
	}
	start(rig);
	assert_int_equal(daemon_end(&rig->daemon, SIGTERM), 0);
	watch.over = true;
	pthread_join(thread, NULL);
	assert_true(watch.looked > ROUNDS);
	assert_int_equal(watch.absent, 0);
	only_the_back_end_is_left(rig, back);
}

static void a_killed_daemon_is_followed_by_one_that_still_finds_the_back_end(void **state)
{
	struct rig *rig = *state;
	ino_t back = inode(rig->back);

	for (int i = 0; i < 3; i++) {
		start(rig);
		rig_serves(rig);
		assert_int_equal(daemon_end(&rig->daemon, SIGKILL), -SIGKILL);
	}
	start(rig);
	rig_serves(rig);
	assert_int_equal(daemon_end(&rig->daemon, SIGTERM), 0);
	only_the_back_end_is_left(rig, back);
	reached_directly(rig);
}

static void a_back_end_started_anew_while_the_daemon_was_dead_is_the_one_served(void **state)
{
	struct rig *rig = *state;
	ino_t back;

	start(rig);
	assert_int_equal(daemon_end(&rig->daemon, SIGKILL), -SIGKILL);
	restart_back_end(rig);
	back = inode(rig->back);
	start(rig);
	rig_serves(rig);
	assert_int_equal(daemon_end(&rig->daemon, SIGTERM), 0);
	only_the_back_end_is_left(rig, back);
	reached_directly(rig);
}

static void a_back_end_started_anew_in_its_place_is_interposed_again(void **state)
{
	struct rig *rig = *state;
	char behind[RIG_PATH + 16];
	ino_t back = 0;

	snprintf(behind, sizeof(behind), "%s.behind", rig->back);
	start(rig);
	for (unsigned int i = 0; i < 3; i++) {
		size_t from = daemon_log_size(&rig->daemon);

		restart_back_end(rig);
		daemon_wait_log(&rig->daemon, from, "interposed again", NULL);
		/* At the path itself it may have stood for no time at all. */
		back = inode(behind);
		assert_int_not_equal(inode(rig->back), back);
		rig_serves(rig);
	}
	assert_int_equal(daemon_end(&rig->daemon, SIGTERM), 0);
	only_the_back_end_is_left(rig, back);
	reached_directly(rig);
}

static void a_front_end_keeps_its_session_over_a_restart_of_the_back_end(void **state)
{
	struct rig *rig = *state;
	struct ends ends;

	start(rig);
	ends_open(&ends, rig);
	assert_int_equal(ends_ask(&ends, WIRE_GET_FEATURES, 1), 1);
	client_close(&ends.back);
	restart_back_end(rig);
	rig_accept(&ends.back, rig->listener);
	for (unsigned int i = 0; i < 2; i++) {
		message_dispose(rig_receive(&ends.back, WIRE_GET_FEATURES));
		rig_send(&ends.back, wire_reply_u64(WIRE_GET_FEATURES, 1));
	}
	daemon_wait_log(&rig->daemon, 0, "takes over", NULL);
	ends_close(&ends);
}

/* That the rig's own daemon still answers is seen at the back-end's side. */
static void a_second_daemon_at_the_same_path_is_refused(void **state)
{
	struct rig *rig = *state;
	char option[RIG_PATH + 32], log[512];
	const char *options[] = {option, NULL};
	struct daemon second;
	ino_t own;

	start(rig);
	own = inode(rig->back);
	snprintf(option, sizeof(option), "--interpose=%s", rig->back);
	daemon_spawn(&second, NULL, options);
	assert_int_equal(daemon_end_log(&second, 0, log, sizeof(log)), 1);
	assert_non_null(strstr(log, "another vhost-ferry is interposed there"));
	assert_int_equal(inode(rig->back), own);
	rig_serves(rig);
}

static void who_may_connect_stays_as_the_back_end_had_it(void **state)
{
	static const mode_t modes[] = {0600, 0660, 0666, 0777};
	struct rig *rig = *state;
	struct stat st;

	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		assert_return_code(chmod(rig->back, modes[i]), errno);
		/* Only root can give it to somebody else, and that must stay too. */
		if (geteuid() == 0)
			assert_return_code(chown(rig->back, 12, 34), errno);
		start(rig);
		assert_return_code(stat(rig->back, &st), errno);
		assert_int_equal(st.st_mode & 0777, modes[i]);
		assert_int_equal(st.st_uid, geteuid() == 0 ? 12 : geteuid());
		assert_int_equal(st.st_gid, geteuid() == 0 ? 34 : getegid());
		assert_int_equal(daemon_end(&rig->daemon, SIGTERM), 0);
		assert_return_code(stat(rig->back, &st), errno);
		assert_int_equal(st.st_mode & 0777, modes[i]);
	}
}

/* A socket of a back-end that died: to stand in its place would help nobody. */
static void a_socket_nobody_listens_at_is_refused_and_left_there(void **state)
{
	struct rig *rig = *state;
	char option[RIG_PATH + 32], log[512];
	const char *options[] = {option, NULL};
	ino_t back = inode(rig->back);

	close(rig->listener);
	rig->listener = -1;
	snprintf(option, sizeof(option), "--interpose=%s", rig->back);
	daemon_spawn(&rig->daemon, NULL, options);
	assert_int_equal(daemon_end_log(&rig->daemon, 0, log, sizeof(log)), 1);
	assert_non_null(strstr(log, "no back-end listens there: start it first"));
	only_the_back_end_is_left(rig, back);
}

/* The back-end hears nothing of the daemon but the front-ends it brings. */
static void starting_and_ending_connects_nobody_to_the_back_end(void **state)
{
	struct rig *rig = *state;

	start(rig);
	assert_int_equal(daemon_end(&rig->daemon, SIGKILL), -SIGKILL);
	start(rig);
	assert_int_equal(daemon_end(&rig->daemon, SIGTERM), 0);
	assert_false(rig_ready(rig->listener, POLLIN, 0));
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, open_rig, rig_tear_down)
	const struct CMUnitTest tests[] = {
	    CASE(the_back_end_is_reached_through_it_and_restored_at_sigterm),
	    CASE(at_no_moment_is_the_path_absent),
	    CASE(a_killed_daemon_is_followed_by_one_that_still_finds_the_back_end),
	    CASE(a_back_end_started_anew_while_the_daemon_was_dead_is_the_one_served),
	    CASE(a_back_end_started_anew_in_its_place_is_interposed_again),
	    CASE(a_front_end_keeps_its_session_over_a_restart_of_the_back_end),
	    CASE(a_second_daemon_at_the_same_path_is_refused),
	    CASE(who_may_connect_stays_as_the_back_end_had_it),
	    CASE(a_socket_nobody_listens_at_is_refused_and_left_there),
	    CASE(starting_and_ending_connects_nobody_to_the_back_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
