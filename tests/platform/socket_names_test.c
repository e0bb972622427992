/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Names of listening sockets can be linked and renamed under their listener
 * (relied on by shell/interpose.c).
 */
#include "cmocka_all.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

struct place {
	char folder[32];
	char here[64], aside[64], fresh[64];
};

static int listen_at(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 1), 0);
	return fd;
}

static int connect_to(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	close(fd);
	return -1;
}

static int make_place(void **state)
{
	static struct place place;

	strcpy(place.folder, "/tmp/vf-names-XXXXXX");
	if (!mkdtemp(place.folder))
		return -1;
	snprintf(place.here, sizeof(place.here), "%s/here", place.folder);
	snprintf(place.aside, sizeof(place.aside), "%s/aside", place.folder);
	snprintf(place.fresh, sizeof(place.fresh), "%s/fresh", place.folder);
	*state = &place;
	return 0;
}

static int remove_place(void **state)
{
	struct place *place = *state;

	unlink(place->here);
	unlink(place->aside);
	unlink(place->fresh);
	return rmdir(place->folder);
}

static void test_a_listener_is_reached_by_its_second_name(void **state)
{
	struct place *place = *state;
	int listener = listen_at(place->here), fd;

	assert_int_equal(link(place->here, place->aside), 0);
	fd = connect_to(place->aside);
	assert_true(fd >= 0);
	close(fd);
	close(listener);
}

static void test_another_listener_can_be_renamed_over_the_first_name(void **state)
{
	struct place *place = *state;
	int first = listen_at(place->here), second = listen_at(place->fresh), fd, served;

	assert_int_equal(link(place->here, place->aside), 0);
	assert_int_equal(rename(place->fresh, place->here), 0);
	fd = connect_to(place->here);
	assert_true(fd >= 0);
	served = accept(second, NULL, NULL);
	assert_true(served >= 0);
	close(served);
	close(fd);
	assert_int_equal(rename(place->aside, place->here), 0);
	fd = connect_to(place->here);
	served = accept(first, NULL, NULL);
	assert_true(served >= 0);
	close(served);
	close(fd);
	close(first);
	close(second);
}

/* What tells a socket of ours from one that was given the same inode number later. */
static void test_a_socket_file_has_a_birth_time(void **state)
{
	struct place *place = *state;
	int listener = listen_at(place->here);
	struct statx st;

	assert_int_equal(statx(AT_FDCWD, place->here, AT_SYMLINK_NOFOLLOW, STATX_BTIME, &st), 0);
	assert_true(st.stx_mask & STATX_BTIME);
	assert_true(st.stx_btime.tv_sec > 0);
	close(listener);
}

static void test_the_birth_time_outlives_a_rename(void **state)
{
	struct place *place = *state;
	int listener = listen_at(place->fresh);
	struct statx before, after;

	statx(AT_FDCWD, place->fresh, AT_SYMLINK_NOFOLLOW, STATX_BTIME, &before);
	assert_int_equal(rename(place->fresh, place->here), 0);
	statx(AT_FDCWD, place->here, AT_SYMLINK_NOFOLLOW, STATX_BTIME, &after);
	assert_int_equal(before.stx_btime.tv_sec, after.stx_btime.tv_sec);
	assert_int_equal(before.stx_btime.tv_nsec, after.stx_btime.tv_nsec);
	close(listener);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_a_listener_is_reached_by_its_second_name,
					    make_place, remove_place),
	    cmocka_unit_test_setup_teardown(
		test_another_listener_can_be_renamed_over_the_first_name, make_place, remove_place),
	    cmocka_unit_test_setup_teardown(test_a_socket_file_has_a_birth_time, make_place,
					    remove_place),
	    cmocka_unit_test_setup_teardown(test_the_birth_time_outlives_a_rename, make_place,
					    remove_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
