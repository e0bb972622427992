/* SPDX-License-Identifier: BSD-3-Clause */
#include "control_rig.h"

#include <sys/resource.h>
#include <sys/stat.h>

/* Another user, as seteuid() makes us for the moment of connecting. */
static void test_another_user_is_turned_away(void **state)
{
	struct rig *rig = *state;
	int fd;

	if (geteuid() != 0) {
		print_message("only root can be another user: not tried\n");
		return;
	}
	assert_int_equal(chmod(rig->folder, 0755), 0);
	assert_int_equal(chmod(rig->path, 0666), 0);
	assert_int_equal(seteuid(65534), 0);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	{
		struct sockaddr_un address = {.sun_family = AF_UNIX};

		memcpy(address.sun_path, rig->path, strlen(rig->path) + 1);
		assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	}
	assert_int_equal(seteuid(0), 0);
	assert_hears(rig, fd, "user 65534 may not use");
	assert_gone(rig, fd);
	close(fd);
}

static void test_the_socket_is_the_owners_alone(void **state)
{
	struct rig *rig = *state;
	struct stat st;

	assert_int_equal(stat(rig->path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
}

static void test_a_live_socket_is_refused_and_a_dead_one_taken_over(void **state)
{
	struct rig *rig = *state;
	struct uv_control *second = NULL;
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct diag diag;
	int fd;

	assert_int_equal(uv_control_start(&second, &rig->loop, rig->path, fill, NULL, &diag),
			 -EADDRINUSE);
	assert_non_null(strstr(diag.text, rig->path));
	uv_control_stop(rig->control);
	pump(rig);
	assert_int_not_equal(access(rig->path, F_OK), 0);
	/* Bound and closed, as a killed daemon leaves it. */
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	memcpy(address.sun_path, rig->path, strlen(rig->path) + 1);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	close(fd);
	assert_int_equal(uv_control_start(&rig->control, &rig->loop, rig->path, fill, NULL, &diag),
			 0);
	fd = client(rig);
	say(rig, fd, "{\"execute\":\"events\"}\n");
	assert_hears(rig, fd, "\"return\"");
	close(fd);
}

static void test_stop_leaves_another_daemons_socket_alone(void **state)
{
	struct rig *rig = *state;
	struct uv_control *first = rig->control;
	struct diag diag;

	assert_int_equal(unlink(rig->path), 0);
	assert_int_equal(uv_control_start(&rig->control, &rig->loop, rig->path, fill, NULL, &diag),
			 0);
	uv_control_stop(first);
	pump(rig);
	assert_int_equal(access(rig->path, F_OK), 0);
}

static void test_stop_with_clients_in_every_state_leaves_nothing(void **state)
{
	struct rig *rig = *state;
	char data[2048];
	int idle = client(rig), half = client(rig), gone = client(rig);

	rig->last = client(rig);
	say(rig, half, "{\"execute\":");
	snprintf(data, sizeof(data), "{\"text\":\"%01900d\"}", 0);
	for (int i = 0; i < 300; i++)
		uv_control_event(rig->control, "E", data);
	close(gone);
	close(idle);
	close(half);
	/* The last one has unsent output when tear_down() stops the control. */
	uv_run(&rig->loop, UV_RUN_NOWAIT);
}

static void test_without_descriptors_the_loop_does_not_spin(void **state)
{
	struct rig *rig = *state;
	struct rlimit before, tight;
	int fd = client(rig), late = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	char text[512];

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	tight = before;
	tight.rlim_cur = (rlim_t)late + 1;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
	memcpy(address.sun_path, rig->path, strlen(rig->path) + 1);
	assert_int_equal(connect(late, (struct sockaddr *)&address, sizeof(address)), 0);
	pump(rig);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_true(hear(rig, late, text, sizeof(text)) > 0);
	assert_non_null(strstr(text, "no descriptor left"));
	assert_gone(rig, late);
	say(rig, fd, "{\"execute\":\"events\"}\n");
	assert_hears(rig, fd, "\"return\"");
	close(late);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_another_user_is_turned_away),
	    TEST(test_the_socket_is_the_owners_alone),
	    TEST(test_a_live_socket_is_refused_and_a_dead_one_taken_over),
	    TEST(test_stop_leaves_another_daemons_socket_alone),
	    TEST(test_stop_with_clients_in_every_state_leaves_nothing),
	    TEST(test_without_descriptors_the_loop_does_not_spin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
