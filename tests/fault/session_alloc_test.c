/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A whole session, once for each allocation it makes, with that one failing:
 * the session must say out_of_memory, and every descriptor must still come out
 * of it (the rig's ledger), as must every message (the sanitizer's).
 */
#include "session_rig.h"

#include "wire/encode.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define NEVER UINT_MAX

/* --wrap links calls of NAME to __wrap_NAME. */
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
int __real_vasprintf(char **text, const char *format, va_list args);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
int __wrap_vasprintf(char **text, const char *format, va_list args);

static bool counting;
static unsigned int made, failing = NEVER;

static bool fails(void)
{
	return counting && made++ == failing;
}

void *__wrap_malloc(size_t size)
{
	return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
	return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
	return fails() ? NULL : __real_realloc(old, size);
}

int __wrap_vasprintf(char **text, const char *format, va_list args)
{
	/* The pointer is undefined after a failure: whoever frees it must not live. */
	if (fails()) {
		*text = (char *)1;
		return -1;
	}
	return __real_vasprintf(text, format, args);
}

static void count_inside(bool inside)
{
	counting = inside;
}

static const struct wire_region region = {.gpa = 0x100000, .size = 0x200000, .uva = 0x7f0000000000};

/* As the shell does: nothing goes in any more once the session is out of memory. */
static void give(struct rig *rig, enum session_port port, struct wire_message *message)
{
	if (rig->session->out_of_memory) {
		rig->fds -= (int)message->fds.count;
		wire_message_free(message);
		return;
	}
	rig_receive(rig, port, message);
}

static void front(struct rig *rig, struct wire_message *message)
{
	give(rig, PORT_FRONT_MAIN, message);
}

static void back(struct rig *rig, struct wire_message *message)
{
	give(rig, PORT_BACK_MAIN, message);
}

static void negotiate(struct rig *rig)
{
	front(rig, wire_request(WIRE_GET_FEATURES, 0));
	back(rig, wire_reply_u64(WIRE_GET_FEATURES, UINT64_MAX));
	front(rig, wire_request(WIRE_GET_PROTOCOL_FEATURES, 0));
	back(rig, wire_reply_u64(WIRE_GET_PROTOCOL_FEATURES, UINT64_MAX));
	front(rig, wire_request_u64(WIRE_SET_PROTOCOL_FEATURES, 0, UINT64_MAX));
	for (uint32_t ring = 0; ring < 40; ring++)
		front(rig, wire_request_state(WIRE_SET_VRING_ENABLE, NEED, ring, 1));
	/* Warning, negotiation line, event and 40 requests at once. */
	front(rig, wire_request_u64(WIRE_SET_FEATURES, NEED, UINT64_MAX));
	back(rig, wire_message_new(WIRE_SET_FEATURES, WIRE_VERSION | WIRE_FLAG_REPLY, 0));
	for (uint32_t ring = 0; ring < 40; ring++)
		back(rig, wire_reply_u64(WIRE_SET_VRING_ENABLE, ring == 7));
}

static void map_memory(struct rig *rig)
{
	for (unsigned int i = 0; i < 2; i++) {
		struct wire_message *base = wire_message_new(WIRE_SET_LOG_BASE, WIRE_VERSION, 16);
		struct wire_message *add = wire_request_region(WIRE_ADD_MEM_REG, NEED, &region);

		front(rig, rig_with_fd(rig, add, 5));
		front(rig, rig_with_fd(rig, base, 6));
	}
	back(rig, wire_reply_u64(WIRE_ADD_MEM_REG, 0));
	back(rig, wire_reply_u64(WIRE_SET_LOG_BASE, 0));
}

static void open_back_end_channel(struct rig *rig)
{
	struct wire_message *request =
	    rig_with_fd(rig, wire_request(WIRE_SET_BACKEND_REQ_FD, 0), 7);

	request->fds.entries[0].mode = S_IFSOCK;
	front(rig, request);
	give(rig, PORT_BACK_BACKEND, wire_request(WIRE_BACKEND_CONFIG_CHANGE_MSG, NEED));
	give(rig, PORT_FRONT_BACKEND, wire_reply_u64(WIRE_BACKEND_CONFIG_CHANGE_MSG, 0));
}

/* Much stays kept, so that ending it has something to give up, and the end is a fault. */
static void run_and_break_off(struct rig *rig)
{
	front(rig, rig_with_fd(rig, wire_request_u64(WIRE_SET_VRING_KICK, 0, 1), 8));
	front(rig, rig_with_fd(rig, wire_message_new(1000, WIRE_VERSION, 5), 9));
	front(rig, wire_request(WIRE_GET_STATUS, 0));
	for (uint32_t ring = 100; ring < 140; ring++)
		front(rig, wire_request_state(WIRE_GET_VRING_BASE, 0, ring, 0));
	front(rig, wire_request(WIRE_GET_SHARED_OBJECT, 0));
	front(rig, wire_request_u64(WIRE_SET_STATUS, 0, 0));
	front(rig, rig_with_fd(rig, wire_request(WIRE_SET_OWNER, 0), 10));
}

static bool session_runs(unsigned int nth)
{
	struct rig *rig = rig_new();
	bool failed;

	made = 0;
	failing = nth;
	rig->around = count_inside;
	negotiate(rig);
	map_memory(rig);
	open_back_end_channel(rig);
	run_and_break_off(rig);
	failed = made > nth;
	assert_int_equal(rig->session->out_of_memory, failed);
	if (!failed)
		rig_fault(rig, PORT_FRONT_MAIN);
	rig_end(rig);
	return !failed;
}

static void test_any_allocation_may_fail_and_no_descriptor_is_lost(void **state)
{
	unsigned int nth = 0;

	while (!session_runs(nth))
		nth++;
	assert_true(nth > 100);
	printf("%u allocations failed in their turn\n", nth);
}

static void test_a_session_that_finds_no_memory_to_begin_is_none(void **state)
{
	const struct session_config config = {.offers.watch_only = true};
	struct session *session = NULL;

	for (failing = 0; !session; failing++) {
		made = 0;
		counting = true;
		session = session_new(&config);
		counting = false;
		assert_true(session || made == failing + 1);
	}
	failing = NEVER;
	session_free(session);
}

/* Whoever is short of memory must be able to end: nothing there may need more. */
static void test_ending_a_session_takes_no_memory(void **state)
{
	struct rig *rig = rig_new();

	made = 0;
	failing = NEVER;
	rig->around = count_inside;
	front(rig, wire_request(WIRE_GET_FEATURES, 0));
	for (uint32_t ring = 0; session_wants(rig->session, PORT_FRONT_MAIN); ring++)
		front(rig, wire_request_state(WIRE_GET_VRING_BASE, 0, ring % WIRE_QUEUES_MAX, 0));
	made = 0;
	counting = true;
	session_end(rig->session);
	counting = false;
	assert_int_equal(made, 0);
	rig_end(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_any_allocation_may_fail_and_no_descriptor_is_lost),
	    cmocka_unit_test(test_a_session_that_finds_no_memory_to_begin_is_none),
	    cmocka_unit_test(test_ending_a_session_takes_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
