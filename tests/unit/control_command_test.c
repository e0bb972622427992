/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/command.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct view_counts no_counts;
static unsigned int fills;

static enum session_mode asked_for;
static const char *refusal; /* NULL: moves are carried out */

static char swapped_to[32];

static int swap(void *context, const char *path, struct diag *diag)
{
	snprintf(swapped_to, sizeof(swapped_to), "%s", path);
	return refusal ? diag_set(diag, 1, "%s", refusal) : 0;
}

static int move(void *context, enum session_mode mode, struct diag *diag)
{
	asked_for = mode;
	return refusal ? diag_set(diag, 1, "%s", refusal) : 0;
}

static unsigned int measured;

static int rate(void *context, unsigned int seconds, struct diag *diag)
{
	measured = seconds;
	return refusal ? diag_set(diag, 1, "%s", refusal) : 0;
}

static void fill(struct view *view, void *context)
{
	fills++;
	*view = (struct view){.state = "listening",
			      .uptime_s = 0.25,
			      .counts = &no_counts,
			      .move = move,
			      .swap = swap,
			      .rate = rate};
}

/* The answer, a string of the caller's; it is one line. */
static char *answer_bytes(const char *line, size_t length)
{
	char *answer = NULL;
	size_t size;

	assert_int_equal(command_answer(line, length, fill, NULL, &answer), COMMAND_ANSWERED);
	size = strlen(answer);
	assert_ptr_equal(strchr(answer, '\n'), answer + size - 1);
	answer[size - 1] = '\0';
	return answer;
}

static void assert_answer(const char *line, const char *expected)
{
	char *answer = answer_bytes(line, strlen(line));

	assert_string_equal(answer, expected);
	free(answer);
}

/* The line is refused with this class, and its text holds these words. */
static void assert_refused(const char *line, size_t length, const char *class, const char *words)
{
	char *answer = answer_bytes(line, length);
	json_t *root = json_loads(answer, 0, NULL);
	const json_t *error = json_object_get(root, "error");

	assert_non_null(error);
	assert_string_equal(json_string_value(json_object_get(error, "class")), class);
	if (!strstr(json_string_value(json_object_get(error, "desc")), words))
		fail_msg("'%s' is not in %s", words, answer);
	json_decref(root);
	free(answer);
}

static void test_a_command_is_answered_with_its_object(void **state)
{
	char *answer = answer_bytes("{\"execute\":\"status\"}", 20);

	assert_non_null(strstr(answer, "{\"return\":{\"state\":\"listening\""));
	/* A time as it was put in, not with the 17 digits of its double. */
	assert_non_null(strstr(answer, "\"uptime_s\":0.25,"));
	assert_null(strstr(answer, "\"id\""));
	free(answer);
}

static void test_any_id_comes_back_as_it_went(void **state)
{
	assert_answer("{\"execute\":\"events\",\"id\":7}", "{\"return\":{},\"id\":7}");
	assert_answer("{\"execute\":\"events\",\"id\":\"a\\u0007b\"}",
		      "{\"return\":{},\"id\":\"a\\u0007b\"}");
	assert_answer("{\"execute\":\"events\",\"id\":null}", "{\"return\":{},\"id\":null}");
	assert_answer("{\"execute\":\"events\",\"id\":[1,{\"x\":false}]}",
		      "{\"return\":{},\"id\":[1,{\"x\":false}]}");
	assert_answer(" {\"id\":-1.5,\"execute\":\"events\",\"arguments\":{}}\r",
		      "{\"return\":{},\"id\":-1.5}");
}

static void test_an_error_carries_the_id_too(void **state)
{
	assert_answer("{\"id\":9}", "{\"error\":{\"class\":\"GenericError\",\"desc\":\"execute is "
				    "missing: name a command, as in "
				    "{\\\"execute\\\":\\\"status\\\"}\"},\"id\":9}");
}

static void test_a_mistake_is_answered_by_what_to_do(void **state)
{
	static const struct {
		const char *line, *class, *words;
	} rows[] = {
	    {"{\"execute\":\"statsu\"}", "CommandNotFound", "'statsu' is no command: use one of"},
	    {"{\"execute\":\"\"}", "CommandNotFound", "'' is no command"},
	    {"{\"execute\":5}", "GenericError", "execute is no string"},
	    {"{\"execute\":null}", "GenericError", "execute is no string"},
	    {"{}", "GenericError", "execute is missing"},
	    {"{\"execute\":\"status\",\"arguments\":{\"x\":1}}", "GenericError",
	     "status: takes no argument 'x'"},
	    {"{\"execute\":\"status\",\"arguments\":[]}", "GenericError", "arguments is no object"},
	    {"{\"execute\":\"status\",\"arguments\":null}", "GenericError",
	     "arguments is no object"},
	    {"{\"execute\":\"status\",\"exec\":1}", "GenericError", "'exec' is no member"},
	    {"{\"execute\":\"status\",\"execute\":\"log\"}", "GenericError", "duplicate"},
	    {"[]", "GenericError", "no object"},
	    {"7", "GenericError", "no object"},
	    {"status", "GenericError", "no JSON, at byte"},
	    {"{\"execute\":\"status\"", "GenericError", "no JSON, at byte"},
	    {"{\"execute\":\"status\"}{}", "GenericError", "no JSON, at byte"},
	    {"{\"execute\":\"status\",\"id\":99999999999999999999}", "GenericError", "too big"},
	    {"{\"execute\":\"\xff\"}", "GenericError", "no JSON, at byte"},
	    {"{\"execute\":\"st\\u0000atus\"}", "GenericError", "no JSON, at byte"},
	};

	fills = 0;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_refused(rows[i].line, strlen(rows[i].line), rows[i].class, rows[i].words);
	assert_int_equal(fills, 0);
}

static void test_commands_of_later_versions_are_told_apart_from_nonsense(void **state)
{
	static const char *const names[] = {"log-audit", "capture", "metrics", "top"};
	char line[64];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(line, sizeof(line), "{\"execute\":\"%s\"}", names[i]);
		assert_refused(line, strlen(line), "CommandNotFound", "is not in version");
	}
}

static const char *arguments_of(const char *name)
{
	if (strcmp(name, "dirty-rate") == 0)
		return ",\"arguments\":{\"seconds\":\"5\"}";
	return strcmp(name, "data-path") == 0 || strcmp(name, "swap-backend") == 0
		   ? ",\"arguments\":{\"path\":\"auto\"}"
		   : "";
}

static void test_help_lists_just_the_commands_that_work(void **state)
{
	char *answer = answer_bytes("{\"execute\":\"help\"}", 18);
	json_t *root = json_loads(answer, 0, NULL);
	const json_t *list = json_object_get(json_object_get(root, "return"), "commands");
	const json_t *row;
	size_t i;

	assert_int_equal(json_array_size(list), 11);
	json_array_foreach(list, i, row)
	{
		char line[96];
		char *reply;

		snprintf(line, sizeof(line), "{\"execute\":\"%s\"%s}",
			 json_string_value(json_object_get(row, "name")),
			 arguments_of(json_string_value(json_object_get(row, "name"))));
		reply = answer_bytes(line, strlen(line));
		assert_memory_equal(reply, "{\"return\":{", 11);
		free(reply);
	}
	json_decref(root);
	free(answer);
}

static void test_swap_backend_is_asked_for_its_path(void **state)
{
	refusal = NULL;
	assert_answer("{\"execute\":\"swap-backend\",\"arguments\":{\"path\":\"/run/b\"}}",
		      "{\"return\":{\"swapping\":false}}");
	assert_string_equal(swapped_to, "/run/b");
	assert_refused("{\"execute\":\"swap-backend\"}", 26, "GenericError",
		       "needs the argument 'path'");
}

#define DIRTY_RATE "{\"execute\":\"dirty-rate\",\"arguments\":"

static void test_dirty_rate_is_asked_for_whole_seconds_up_to_an_hour(void **state)
{
	static const char *const lines[] = {
	    "{\"execute\":\"dirty-rate\"}",     DIRTY_RATE "{\"seconds\":5}}",
	    DIRTY_RATE "{\"seconds\":\"0\"}}",  DIRTY_RATE "{\"seconds\":\"3601\"}}",
	    DIRTY_RATE "{\"seconds\":\"-1\"}}", DIRTY_RATE "{\"seconds\":\"5s\"}}",
	    DIRTY_RATE "{\"seconds\":\"\"}}",
	};

	refusal = NULL;
	assert_answer(DIRTY_RATE "{\"seconds\":\"3600\"}}", "{\"return\":{\"measuring\":true}}");
	assert_int_equal(measured, 3600);
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		assert_refused(lines[i], strlen(lines[i]), "GenericError", "dirty-rate");
	assert_int_equal(measured, 3600);
}

#define DATA_PATH "{\"execute\":\"data-path\",\"arguments\":"

static void test_data_path_asks_for_the_mode_of_its_argument(void **state)
{
	refusal = NULL;
	assert_answer(DATA_PATH "{\"path\":\"shadow\"}}",
		      "{\"return\":{\"moving\":0,\"stayed\":0}}");
	assert_int_equal(asked_for, MODE_SHADOW);
	assert_answer(DATA_PATH "{\"path\":\"direct\"}}",
		      "{\"return\":{\"moving\":0,\"stayed\":0}}");
	assert_int_equal(asked_for, MODE_DIRECT);
}

static void test_data_path_without_a_path_or_with_a_wrong_one_is_refused(void **state)
{
	static const char *const lines[] = {
	    "{\"execute\":\"data-path\"}",
	    DATA_PATH "{}}",
	    DATA_PATH "{\"path\":1}}",
	    DATA_PATH "{\"path\":\"round\"}}",
	    DATA_PATH "{\"path\":\"auto\",\"more\":1}}",
	};

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		assert_refused(lines[i], strlen(lines[i]), "GenericError", "data-path");
}

static void test_a_move_that_is_refused_is_told_with_its_reason(void **state)
{
	static const char line[] = DATA_PATH "{\"path\":\"shadow\"}}";

	refusal = "the daemon watches only";
	assert_refused(line, strlen(line), "GenericError", refusal);
	refusal = NULL;
}

static void test_what_a_sender_wrote_reaches_no_terminal_as_control_codes(void **state)
{
	char *answer = answer_bytes("{\"execute\":\"\\u001b[2J\\u00e9\"}", 29);

	assert_non_null(strstr(answer, "'?[2J?\?' is no command"));
	free(answer);
}

static void test_a_nul_in_the_line_is_no_end_of_it(void **state)
{
	assert_refused("{\"execute\":\"status\"}\0{}", 23, "GenericError", "no JSON");
	assert_refused("\0", 1, "GenericError", "no JSON");
}

static void test_the_longest_line_is_answered_and_one_byte_more_is_not(void **state)
{
	char *line = malloc(COMMAND_LINE_MAX + 1);
	char *answer;

	memset(line, ' ', COMMAND_LINE_MAX + 1);
	memcpy(line, "{\"execute\":\"events\"}", 20);
	answer = answer_bytes(line, COMMAND_LINE_MAX);
	assert_string_equal(answer, "{\"return\":{}}");
	free(answer);
	assert_refused(line, COMMAND_LINE_MAX + 1, "GenericError", "longer than 65536 bytes");
	free(line);
}

static void test_nesting_without_end_is_an_error_like_any_other(void **state)
{
	char *line = malloc(COMMAND_LINE_MAX);

	memset(line, '[', COMMAND_LINE_MAX);
	assert_refused(line, COMMAND_LINE_MAX, "GenericError", "maximum parsing depth");
	free(line);
}

static void test_a_blank_line_gets_no_answer(void **state)
{
	char *answer = NULL;

	assert_int_equal(command_answer("", 0, fill, NULL, &answer), COMMAND_BLANK);
	assert_int_equal(command_answer(" \t\r", 3, fill, NULL, &answer), COMMAND_BLANK);
	assert_null(answer);
}

static void test_an_event_carries_its_object_and_the_time(void **state)
{
	char *line = command_event("QUEUE_STARTED", "{\"queue\":1}", 12, 345678);

	assert_string_equal(line, "{\"event\":\"QUEUE_STARTED\",\"data\":{\"queue\":1},"
				  "\"timestamp\":{\"seconds\":12,\"microseconds\":345678}}\n");
	free(line);
}

static void test_event_data_that_is_no_object_breaks_no_followers_reading(void **state)
{
	static const char *const texts[] = {"", "{\"queue\":", "[1]", "a\nb", "\xff"};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		char *line = command_event("E", texts[i], 0, 0);
		json_t *root = json_loads(line, 0, NULL);

		assert_true(json_is_string(json_object_get(json_object_get(root, "data"), "text")));
		assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
		json_decref(root);
		free(line);
	}
}

static int allowed;

static void *failing_malloc(size_t size)
{
	return allowed-- > 0 ? malloc(size) : NULL;
}

static void test_without_memory_the_answer_is_enomem_or_says_it_is_no_json(void **state)
{
	static const char line[] = "{\"execute\":\"status\",\"id\":[\"x\"]}";
	char *answer = NULL;
	bool done = false;
	int result;

	json_set_alloc_funcs(failing_malloc, free);
	for (int n = 0; !done && n < 10000; n++) {
		allowed = n;
		result = command_answer(line, strlen(line), fill, NULL, &answer);
		assert_int_equal(result, answer ? COMMAND_ANSWERED : -ENOMEM);
		/* Once answered with everything there, no allocation was refused. */
		done = answer && allowed >= 0;
		free(answer);
		answer = NULL;
	}
	json_set_alloc_funcs(malloc, free);
	assert_true(done);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_a_command_is_answered_with_its_object),
	    cmocka_unit_test(test_any_id_comes_back_as_it_went),
	    cmocka_unit_test(test_an_error_carries_the_id_too),
	    cmocka_unit_test(test_a_mistake_is_answered_by_what_to_do),
	    cmocka_unit_test(test_commands_of_later_versions_are_told_apart_from_nonsense),
	    cmocka_unit_test(test_help_lists_just_the_commands_that_work),
	    cmocka_unit_test(test_swap_backend_is_asked_for_its_path),
	    cmocka_unit_test(test_dirty_rate_is_asked_for_whole_seconds_up_to_an_hour),
	    cmocka_unit_test(test_data_path_asks_for_the_mode_of_its_argument),
	    cmocka_unit_test(test_data_path_without_a_path_or_with_a_wrong_one_is_refused),
	    cmocka_unit_test(test_a_move_that_is_refused_is_told_with_its_reason),
	    cmocka_unit_test(test_what_a_sender_wrote_reaches_no_terminal_as_control_codes),
	    cmocka_unit_test(test_a_nul_in_the_line_is_no_end_of_it),
	    cmocka_unit_test(test_the_longest_line_is_answered_and_one_byte_more_is_not),
	    cmocka_unit_test(test_nesting_without_end_is_an_error_like_any_other),
	    cmocka_unit_test(test_a_blank_line_gets_no_answer),
	    cmocka_unit_test(test_an_event_carries_its_object_and_the_time),
	    cmocka_unit_test(test_event_data_that_is_no_object_breaks_no_followers_reading),
	    cmocka_unit_test(test_without_memory_the_answer_is_enomem_or_says_it_is_no_json),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
