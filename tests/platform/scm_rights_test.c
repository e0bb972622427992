/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How descriptors travel on UNIX stream sockets (relied on by wire/frame.c and
 * shell/sock.c).
 */
#include "cmocka_all.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MOST 32

static void send_with(int to, const char *bytes, size_t size, const int *fds, unsigned int count)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(64 * sizeof(int))];
	} control;
	struct iovec iov = {.iov_base = (void *)bytes, .iov_len = size};
	struct msghdr header = {.msg_iov = &iov, .msg_iovlen = 1};

	memset(&control, 0, sizeof(control));
	if (count) {
		struct cmsghdr *c;

		header.msg_control = &control;
		header.msg_controllen = CMSG_SPACE(count * sizeof(int));
		c = CMSG_FIRSTHDR(&header);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(c), fds, count * sizeof(int));
	}
	assert_int_equal(sendmsg(to, &header, 0), size);
}

/* Reads up to `size` bytes with room for `room` descriptors; returns bytes, closes what came. */
static ssize_t receive(int from, size_t size, unsigned int room, unsigned int *count, int *flags)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(64 * sizeof(int))];
	} control;
	char bytes[256];
	struct iovec iov = {.iov_base = bytes, .iov_len = size};
	struct msghdr header = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control};
	ssize_t got;

	header.msg_controllen = CMSG_SPACE(room * sizeof(int));
	got = recvmsg(from, &header, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	*count = 0;
	*flags = header.msg_flags;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&header); got > 0 && c;
	     c = CMSG_NXTHDR(&header, c)) {
		*count = (unsigned int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		for (unsigned int i = 0; i < *count; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			close(fd);
		}
	}
	return got;
}

static int make_pair(void **state)
{
	static int pair[2];

	*state = pair;
	return socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
}

static int close_pair(void **state)
{
	int *pair = *state;

	close(pair[0]);
	close(pair[1]);
	return 0;
}

/* Hence a large read can mix the end of one message with the descriptors of the next. */
static void test_a_read_goes_into_the_piece_with_descriptors_and_ends_behind_it(void **state)
{
	int *pair = *state, flags;
	unsigned int count;
	int fd = STDIN_FILENO;

	send_with(pair[0], "aaaa", 4, NULL, 0);
	send_with(pair[0], "bbbb", 4, &fd, 1);
	send_with(pair[0], "cccc", 4, NULL, 0);
	assert_int_equal(receive(pair[1], 64, MOST, &count, &flags), 8);
	assert_int_equal(count, 1);
	assert_int_equal(receive(pair[1], 64, MOST, &count, &flags), 4);
	assert_int_equal(count, 0);
}

/* Hence a read of exactly a header has the descriptors of that message and no other. */
static void test_descriptors_come_with_the_first_byte_of_their_piece(void **state)
{
	int *pair = *state, flags;
	unsigned int count;
	int fd = STDIN_FILENO;

	send_with(pair[0], "aaaabbbb", 8, &fd, 1);
	assert_int_equal(receive(pair[1], 1, MOST, &count, &flags), 1);
	assert_int_equal(count, 1);
	assert_int_equal(receive(pair[1], 7, MOST, &count, &flags), 7);
	assert_int_equal(count, 0);
}

static void test_too_many_descriptors_are_cut_and_it_is_said(void **state)
{
	int *pair = *state, flags;
	int fds[40];
	unsigned int count;

	for (unsigned int i = 0; i < 40; i++)
		fds[i] = STDIN_FILENO;
	send_with(pair[0], "a", 1, fds, 40);
	assert_int_equal(receive(pair[1], 1, MOST, &count, &flags), 1);
	assert_int_equal(count, MOST);
	assert_true(flags & MSG_CTRUNC);
}

/* The count is to be taken from cmsg_len: room for one is padded to room for two. */
static void test_padding_of_the_control_buffer_lets_one_more_in(void **state)
{
	int *pair = *state, flags;
	int fds[2] = {STDIN_FILENO, STDIN_FILENO};
	unsigned int count;

	send_with(pair[0], "a", 1, fds, 2);
	assert_int_equal(receive(pair[1], 1, 1, &count, &flags), 1);
	assert_int_equal(count, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(
		test_a_read_goes_into_the_piece_with_descriptors_and_ends_behind_it, make_pair,
		close_pair),
	    cmocka_unit_test_setup_teardown(
		test_descriptors_come_with_the_first_byte_of_their_piece, make_pair, close_pair),
	    cmocka_unit_test_setup_teardown(test_too_many_descriptors_are_cut_and_it_is_said,
					    make_pair, close_pair),
	    cmocka_unit_test_setup_teardown(test_padding_of_the_control_buffer_lets_one_more_in,
					    make_pair, close_pair),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
