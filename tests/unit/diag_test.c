/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/diag.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

static void test_returns_the_code_with_the_line(void **state)
{
	struct diag diag;

	assert_int_equal(diag_set(&diag, -EPROTO, "ring %d: rule %s", 7, "six"), -EPROTO);
	assert_string_equal(diag.text, "ring 7: rule six");
	assert_int_equal(diag_set(&diag, 2, "again"), 2);
	assert_string_equal(diag.text, "again");
}

static void test_cuts_a_line_that_is_too_long_and_terminates_it(void **state)
{
	char text[2 * DIAG_TEXT_MAX];
	struct {
		struct diag diag;
		char guard[8];
	} held;

	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	memset(&held, '#', sizeof(held));
	diag_set(&held.diag, 0, "%s", text);
	assert_int_equal(strlen(held.diag.text), DIAG_TEXT_MAX - 1);
	assert_memory_equal(held.guard, "########", sizeof(held.guard));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_returns_the_code_with_the_line),
	    cmocka_unit_test(test_cuts_a_line_that_is_too_long_and_terminates_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
