/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/sm.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SHUT, OPEN, BROKEN, STATES };

static const struct sm_state door[STATES] = {
    [SHUT] = {"SHUT", SM_TO(OPEN) | SM_TO(BROKEN)},
    [OPEN] = {"OPEN", SM_TO(SHUT)},
    [BROKEN] = {"BROKEN", 0},
};

static void test_moves_along_an_edge_and_names_the_state(void **state)
{
	struct sm sm = {.table = door, .state = SHUT};

	sm_move(&sm, OPEN);
	assert_int_equal(sm.state, OPEN);
	assert_string_equal(sm_name(&sm), "OPEN");
	sm_move(&sm, SHUT);
	assert_string_equal(sm_name(&sm), "SHUT");
}

static void test_answers_exactly_the_edges_of_the_table(void **state)
{
	static const bool may[STATES][STATES] = {
	    [SHUT] = {true, true, true},
	    [OPEN] = {true, true, false},
	    [BROKEN] = {false, false, true},
	};

	for (unsigned int from = 0; from < STATES; from++)
		for (unsigned int to = 0; to < STATES; to++) {
			struct sm sm = {.table = door, .state = from};

			assert_int_equal(sm_may(&sm, to), may[from][to]);
		}
}

/* In a child, since a refused edge is our own bug and ends the program. */
static void test_asserts_on_an_edge_the_table_does_not_have(void **state)
{
	const struct rlimit no_core = {0, 0};
	pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (child == 0) {
		struct sm sm = {.table = door, .state = BROKEN};

		setrlimit(RLIMIT_CORE, &no_core);
		signal(SIGABRT, SIG_DFL);
		close(STDERR_FILENO);
		sm_move(&sm, OPEN);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
#ifdef NDEBUG
	assert_true(WIFEXITED(status));
#else
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
#endif
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_moves_along_an_edge_and_names_the_state),
	    cmocka_unit_test(test_answers_exactly_the_edges_of_the_table),
	    cmocka_unit_test(test_asserts_on_an_edge_the_table_does_not_have),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
