/* SPDX-License-Identifier: BSD-3-Clause */
#include "control_rig.h"

#define MANY 20000

static void test_several_clients_are_answered_each_for_itself(void **state)
{
	struct rig *rig = *state;
	int a = client(rig), b = client(rig);

	assert_silent(rig, a);
	say(rig, a, "{\"execute\":\"status\",\"id\":\"a\"}\n");
	say(rig, b, "{\"execute\":\"nothing\",\"id\":\"b\"}\n");
	assert_hears(rig, b, "\"id\":\"b\"");
	assert_hears(rig, a, "\"id\":\"a\"");
	assert_silent(rig, a);
	close(a);
	say(rig, b, "{\"execute\":\"log\"}\n");
	assert_hears(rig, b, "\"return\"");
	close(b);
}

static void test_a_line_may_come_in_pieces_and_several_at_once(void **state)
{
	static const char line[] = "{\"execute\":\"events\",\"id\":1}\n";
	struct rig *rig = *state;
	int fd = client(rig);

	for (size_t i = 0; i + 1 < strlen(line); i++) {
		say(rig, fd, (char[]){line[i], '\0'});
		assert_silent(rig, fd);
	}
	say(rig, fd, "\n");
	assert_hears_just(rig, fd, "{\"return\":{},\"id\":1}\n");
	say(rig, fd, "{\"execute\":\"events\"}\n\n\r\n{\"execute\":\"events\",\"id\":2}\n");
	assert_hears_just(rig, fd, "{\"return\":{}}\n{\"return\":{},\"id\":2}\n");
	close(fd);
}

static void test_a_last_line_without_its_end_is_answered_before_the_end(void **state)
{
	struct rig *rig = *state;
	int fd = client(rig);

	say(rig, fd, "{\"execute\":\"events\"}");
	shutdown(fd, SHUT_WR);
	assert_hears_just(rig, fd, "{\"return\":{}}\n");
	assert_gone(rig, fd);
	close(fd);
}

static void test_a_line_too_long_is_left_out_and_the_next_is_answered(void **state)
{
	struct rig *rig = *state;
	size_t size = 10 * COMMAND_LINE_MAX;
	char *giant = malloc(size + 1);
	int fd = client(rig);

	memset(giant, 'x', size);
	giant[size] = '\0';
	say(rig, fd, giant);
	assert_hears(rig, fd, "longer than 65536 bytes");
	assert_silent(rig, fd);
	say(rig, fd, "its end\n{\"execute\":\"events\",\"id\":3}\n");
	assert_hears_just(rig, fd, "{\"return\":{},\"id\":3}\n");
	/* One that just fits is none of them. */
	memset(giant, ' ', COMMAND_LINE_MAX);
	memcpy(giant, "{\"execute\":\"events\"}", 20);
	giant[COMMAND_LINE_MAX] = '\0';
	say(rig, fd, giant);
	assert_silent(rig, fd);
	say(rig, fd, "\n");
	assert_hears_just(rig, fd, "{\"return\":{}}\n");
	free(giant);
	close(fd);
}

static void test_events_reach_every_client_unasked(void **state)
{
	struct rig *rig = *state;
	int a = client(rig), b = client(rig);

	uv_control_event(rig->control, "QUEUE_STARTED", "{\"queue\":4}");
	assert_hears(rig, a, "{\"event\":\"QUEUE_STARTED\",\"data\":{\"queue\":4},\"timestamp\":");
	assert_hears(rig, b, "{\"event\":\"QUEUE_STARTED\",\"data\":{\"queue\":4},\"timestamp\":");
	close(a);
	close(b);
}

static void test_one_that_does_not_read_is_dropped_and_others_miss_nothing(void **state)
{
	struct rig *rig = *state;
	int deaf = client(rig), fine = client(rig);
	char data[2048], text[65536];
	unsigned int heard = 0, sent = 0;

	snprintf(data, sizeof(data), "{\"text\":\"%01900d\"}", 0);
	/* A mebibyte kept by the daemon and what the kernel's buffer holds. */
	for (; sent < 2000; sent++) {
		uv_control_event(rig->control, "E", data);
		while (hear(rig, fine, text, sizeof(text)) > 0)
			for (char *at = text; (at = strchr(at, '\n')); at++)
				heard++;
	}
	assert_int_equal(heard, sent);
	while (hear(rig, deaf, text, sizeof(text)) > 0)
		;
	assert_gone(rig, deaf);
	say(rig, fine, "{\"execute\":\"events\"}\n");
	assert_hears(rig, fine, "\"return\"");
	close(deaf);
	close(fine);
}

static void test_one_that_asks_faster_than_it_reads_is_waited_for(void **state)
{
	static const char line[] = "{\"execute\":\"status\"}\n";
	struct rig *rig = *state;
	int fd = client(rig);
	unsigned int asked = 0, answered = 0;
	char text[65536];

	/* A daemon that went on reading would go on for ever, and keep all the answers. */
	while (asked < MANY && send(fd, line, strlen(line), MSG_NOSIGNAL) > 0) {
		asked++;
		pump(rig);
	}
	assert_in_range(asked, 100, MANY - 1);
	while (answered < asked && hear(rig, fd, text, sizeof(text)) > 0)
		for (char *at = text; (at = strchr(at, '\n')); at++)
			answered++;
	assert_int_equal(answered, asked);
	close(fd);
}

static void test_one_client_too_many_is_told_so_and_later_let_in(void **state)
{
	struct rig *rig = *state;
	int fds[CONTROL_CLIENTS_MAX], more;

	for (int i = 0; i < CONTROL_CLIENTS_MAX; i++)
		fds[i] = client(rig);
	more = client(rig);
	assert_hears(rig, more, "has 16 clients");
	assert_gone(rig, more);
	close(more);
	close(fds[3]);
	pump(rig);
	fds[3] = client(rig);
	say(rig, fds[3], "{\"execute\":\"events\"}\n");
	assert_hears(rig, fds[3], "\"return\"");
	for (int i = 0; i < CONTROL_CLIENTS_MAX; i++)
		close(fds[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_several_clients_are_answered_each_for_itself),
	    TEST(test_a_line_may_come_in_pieces_and_several_at_once),
	    TEST(test_a_last_line_without_its_end_is_answered_before_the_end),
	    TEST(test_a_line_too_long_is_left_out_and_the_next_is_answered),
	    TEST(test_events_reach_every_client_unasked),
	    TEST(test_one_that_does_not_read_is_dropped_and_others_miss_nothing),
	    TEST(test_one_that_asks_faster_than_it_reads_is_waited_for),
	    TEST(test_one_client_too_many_is_told_so_and_later_let_in),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
