/* SPDX-License-Identifier: BSD-3-Clause */
/* Whatever a peer sends: one line that names it, its session closed, the next one served. */
#include "fault_rig.h"

#define F PORT_FRONT_MAIN
#define B PORT_BACK_MAIN
#define C PORT_BACK_BACKEND  /* the back-end on the channel of its own requests */
#define D PORT_FRONT_BACKEND /* the front-end there */

#define REQUEST WIRE_VERSION
#define REPLY   (WIRE_VERSION | WIRE_FLAG_REPLY)
#define TABLE2  (8u + 2 * 32u)

static void run(void **state, const struct bad *cases, size_t count)
{
	for (size_t i = 0; i < count; i++)
		fault_case(*state, &cases[i]);
}
#define RUN(state, cases) run(state, cases, sizeof(cases) / sizeof((cases)[0]))

static void a_short_message_ends_its_session_alone(void **state)
{
	static const struct bad cases[] = {
	    {F, 0, WIRE_SET_FEATURES, REQUEST, 4, {0}, 0, "SET_FEATURES has 4 payload bytes"},
	    {F, 0, WIRE_SET_VRING_ADDR, REQUEST, 39, {0}, 0, "SET_VRING_ADDR has 39"},
	    {F, 0, WIRE_SET_MEM_TABLE, REQUEST, 8, {2}, 2, "SET_MEM_TABLE names 2 regions"},
	    {F, 0, WIRE_SET_CONFIG, REQUEST, 16, {5ull << 32}, 0, "SET_CONFIG names 5 bytes"},
	    {B, WIRE_GET_FEATURES, WIRE_GET_FEATURES, REPLY, 4, {0}, 0, "GET_FEATURES has 4"},
	    {B, WIRE_SET_OWNER, WIRE_SET_OWNER, REPLY, 4, {0}, 0, "reply to SET_OWNER has 4"},
	    {C, 0, WIRE_BACKEND_SHMEM_UNMAP, REQUEST, 39, {0}, 0, "BACKEND_SHMEM_UNMAP has 39"},
	    {D,
	     WIRE_BACKEND_CONFIG_CHANGE_MSG,
	     WIRE_BACKEND_CONFIG_CHANGE_MSG,
	     REPLY,
	     3,
	     {0},
	     0,
	     "reply to BACKEND_CONFIG_CHANGE_MSG has 3"},
	};

	RUN(state, cases);
}

static void an_oversized_message_ends_its_session_alone(void **state)
{
	static const struct bad cases[] = {
	    {F, 0, WIRE_SET_VRING_NUM, REQUEST, 9, {0}, 0, "SET_VRING_NUM has 9 payload bytes"},
	    {F, 0, WIRE_SET_MEM_TABLE, REQUEST, 8 + 9 * 32, {9}, 9, "SET_MEM_TABLE has 296"},
	    {F, 0, WIRE_SET_FEATURES, REQUEST, 4097, {0}, 0, "payload of 4097 bytes"},
	    {F, 0, WIRE_SET_FEATURES, REQUEST, UINT32_MAX, {0}, 1, "payload of 4294967295 bytes"},
	    {F, 0, 1000, REQUEST, 5000, {0}, 3, "unknown message 1000: payload of 5000 bytes"},
	    {B, WIRE_GET_FEATURES, WIRE_GET_FEATURES, REPLY, 9, {0}, 0, "GET_FEATURES has 9"},
	    {B, WIRE_GET_FEATURES, WIRE_GET_FEATURES, REPLY, 4097, {0}, 0, "payload of 4097"},
	    {C, 0, WIRE_BACKEND_CONFIG_CHANGE_MSG, REQUEST, 1, {0}, 0, "CHANGE_MSG has 1"},
	    {C, 0, WIRE_BACKEND_CONFIG_CHANGE_MSG, REQUEST, 70000, {0}, 2, "payload of 70000"},
	    {D,
	     WIRE_BACKEND_SHARED_OBJECT_LOOKUP,
	     WIRE_BACKEND_SHARED_OBJECT_LOOKUP,
	     REPLY,
	     24,
	     {0},
	     0,
	     "BACKEND_SHARED_OBJECT_LOOKUP has 24"},
	};

	RUN(state, cases);
}

static void an_unknown_version_ends_its_session_alone(void **state)
{
	static const struct bad cases[] = {
	    {F, 0, WIRE_SET_OWNER, 0, 0, {0}, 0, "version 0, only version 1 exists"},
	    {F, 0, WIRE_SET_OWNER, 2, 0, {0}, 0, "version 2, only version 1 exists"},
	    {F, 0, WIRE_SET_LOG_FD, 3, 0, {0}, 1, "version 3, only version 1 exists"},
	    {B, WIRE_GET_FEATURES, WIRE_GET_FEATURES, 4, 8, {0}, 0, "version 0, only"},
	    {C, 0, WIRE_BACKEND_CONFIG_CHANGE_MSG, 2, 0, {0}, 0, "version 2, only"},
	    {D,
	     WIRE_BACKEND_CONFIG_CHANGE_MSG,
	     WIRE_BACKEND_CONFIG_CHANGE_MSG,
	     7,
	     8,
	     {0},
	     0,
	     "version 3, only"},
	};

	RUN(state, cases);
}

static void unknown_flags_end_their_session_alone(void **state)
{
	static const struct bad cases[] = {
	    {F, 0, WIRE_SET_OWNER, 0x11, 0, {0}, 0, "SET_OWNER has flags 0x11"},
	    {F, 0, WIRE_SET_OWNER, 0x80000001, 0, {0}, 0, "SET_OWNER has flags 0x80000001"},
	    {B, WIRE_GET_FEATURES, WIRE_GET_FEATURES, 0x25, 8, {0}, 0, "GET_FEATURES has flags"},
	    {C, 0, WIRE_BACKEND_CONFIG_CHANGE_MSG, 0x101, 0, {0}, 0, "MSG has flags 0x101"},
	    {D,
	     WIRE_BACKEND_CONFIG_CHANGE_MSG,
	     WIRE_BACKEND_CONFIG_CHANGE_MSG,
	     0x45,
	     8,
	     {0},
	     0,
	     "MSG has flags 0x45"},
	};

	RUN(state, cases);
}

static void a_wrong_number_of_descriptors_ends_its_session_alone(void **state)
{
	static const struct bad cases[] = {
	    {F, 0, WIRE_SET_VRING_NUM, REQUEST, 8, {0}, 1, "SET_VRING_NUM came with 1 desc"},
	    {F, 0, WIRE_SET_LOG_FD, REQUEST, 0, {0}, 0, "SET_LOG_FD came with 0 desc"},
	    {F, 0, WIRE_SET_LOG_BASE, REQUEST, 16, {0}, 2, "SET_LOG_BASE came with 2 desc"},
	    {F, 0, WIRE_SET_MEM_TABLE, REQUEST, TABLE2, {2}, 1, "SET_MEM_TABLE came with 1"},
	    {F, 0, WIRE_SET_MEM_TABLE, REQUEST, TABLE2, {2}, 3, "SET_MEM_TABLE came with 3"},
	    {F, 0, WIRE_SET_VRING_KICK, REQUEST, 8, {0}, 0, "SET_VRING_KICK came with 0"},
	    {F, 0, WIRE_SET_VRING_CALL, REQUEST, 8, {0x100}, 1, "SET_VRING_CALL came with 1"},
	    {F, 0, WIRE_SET_BACKEND_REQ_FD, REQUEST, 0, {0}, 0, "REQ_FD came with 0"},
	    {F, 0, WIRE_SET_BACKEND_REQ_FD, REQUEST, 0, {0}, 2, "REQ_FD came with 2"},
	    {B, WIRE_GET_FEATURES, WIRE_GET_FEATURES, REPLY, 8, {0}, 1, "GET_FEATURES came with 1"},
	    {B,
	     WIRE_POSTCOPY_ADVISE,
	     WIRE_POSTCOPY_ADVISE,
	     REPLY,
	     0,
	     {0},
	     2,
	     "POSTCOPY_ADVISE came with 2"},
	    {C, 0, WIRE_BACKEND_SHMEM_MAP, REQUEST, 40, {0}, 0, "SHMEM_MAP came with 0"},
	    {C, 0, WIRE_BACKEND_CONFIG_CHANGE_MSG, REQUEST, 0, {0}, 1, "MSG came with 1"},
	    {D,
	     WIRE_BACKEND_CONFIG_CHANGE_MSG,
	     WIRE_BACKEND_CONFIG_CHANGE_MSG,
	     REPLY,
	     8,
	     {0},
	     1,
	     "MSG came with 1"},
	};

	RUN(state, cases);
}

static void a_ring_the_device_has_not_ends_its_session_alone(void **state)
{
	static const struct bad cases[] = {
	    {F, 0, WIRE_SET_VRING_NUM, REQUEST, 8, {2}, 0, "SET_VRING_NUM names ring 2"},
	    {F, 0, WIRE_GET_VRING_BASE, REQUEST, 8, {UINT32_MAX}, 0, "GET_VRING_BASE names ring"},
	    {F, 0, WIRE_SET_VRING_ENABLE, REQUEST, 8, {256}, 0, "SET_VRING_ENABLE names ring 256"},
	    {F, 0, WIRE_SET_VRING_KICK, REQUEST, 8, {255}, 1, "SET_VRING_KICK names ring 255"},
	    {F, 0, WIRE_SET_VRING_ERR, REQUEST, 8, {0x200}, 1, "SET_VRING_ERR has 0x200"},
	    {C,
	     0,
	     WIRE_BACKEND_VRING_HOST_NOTIFIER_MSG,
	     REQUEST,
	     24,
	     {7},
	     1,
	     "BACKEND_VRING_HOST_NOTIFIER_MSG names ring 7"},
	};

	RUN(state, cases);
}

static void a_message_not_negotiated_ends_its_session_alone(void **state)
{
	static const struct bad cases[] = {
	    {F,
	     0,
	     WIRE_NET_SET_MTU,
	     REQUEST,
	     8,
	     {1500},
	     0,
	     "NET_SET_MTU was not negotiated: needs protocol feature MTU (bit 4)"},
	    {F, 0, WIRE_VRING_KICK, REQUEST, 8, {0}, 0, "VRING_KICK was not negotiated"},
	    {F, 0, WIRE_NONE, REQUEST, 8, {0}, 0, "message id 0 is no request"},
	    {C,
	     0,
	     WIRE_BACKEND_VRING_CALL,
	     REQUEST,
	     8,
	     {0},
	     0,
	     "BACKEND_VRING_CALL was not negotiated"},
	};

	RUN(state, cases);
}

static void a_reply_to_nothing_ends_its_session_alone(void **state)
{
	static const struct bad cases[] = {
	    {B,
	     0,
	     WIRE_GET_FEATURES,
	     REPLY,
	     8,
	     {0},
	     0,
	     "reply to GET_FEATURES, and no request is without one"},
	    {B,
	     WIRE_GET_STATUS,
	     WIRE_GET_FEATURES,
	     REPLY,
	     8,
	     {0},
	     0,
	     "reply to GET_FEATURES, and the oldest request without one is GET_STATUS"},
	    {B, 0, 2000, REPLY, 8, {0}, 1, "2000"},
	    {D,
	     0,
	     WIRE_BACKEND_CONFIG_CHANGE_MSG,
	     REPLY,
	     8,
	     {0},
	     0,
	     "reply to BACKEND_CONFIG_CHANGE_MSG, and no request is without one"},
	};

	RUN(state, cases);
}

static void a_request_where_replies_are_due_ends_its_session_alone(void **state)
{
	static const struct bad cases[] = {
	    {F, 0, WIRE_SET_FEATURES, REPLY, 8, {0}, 0, "only requests come from this side"},
	    {B, 0, WIRE_GET_FEATURES, REQUEST, 0, {0}, 0, "only replies come from this side"},
	    {B, WIRE_GET_FEATURES, WIRE_GET_FEATURES, REQUEST, 8, {0}, 0, "only replies come"},
	    {C, 0, WIRE_BACKEND_CONFIG_CHANGE_MSG, REPLY, 8, {0}, 0, "only requests come"},
	    {D, 0, WIRE_BACKEND_CONFIG_CHANGE_MSG, REQUEST, 0, {0}, 0, "only replies come"},
	};

	RUN(state, cases);
}

/* The kernel gives what fits and says MSG_CTRUNC; what came must not stay open. */
static void more_descriptors_than_fit_end_their_session_alone(void **state)
{
	static const struct bad cases[] = {
	    {F,
	     0,
	     WIRE_SET_MEM_TABLE,
	     REQUEST,
	     TABLE2,
	     {2},
	     33,
	     "SET_MEM_TABLE: the kernel cut its descriptors (MSG_CTRUNC)"},
	    {F, 0, WIRE_SET_MEM_TABLE, REQUEST, TABLE2, {2}, 60, "MSG_CTRUNC"},
	    {B,
	     WIRE_GET_INFLIGHT_FD,
	     WIRE_GET_INFLIGHT_FD,
	     REPLY,
	     24,
	     {0},
	     60,
	     "GET_INFLIGHT_FD: the"},
	    {C, 0, WIRE_BACKEND_SHMEM_MAP, REQUEST, 40, {0}, 60, "BACKEND_SHMEM_MAP: the"},
	    {D,
	     WIRE_BACKEND_SHARED_OBJECT_LOOKUP,
	     WIRE_BACKEND_SHARED_OBJECT_LOOKUP,
	     REPLY,
	     8,
	     {0},
	     60,
	     "MSG_CTRUNC"},
	};

	RUN(state, cases);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, fault_open, fault_close)
	const struct CMUnitTest tests[] = {
	    CASE(a_short_message_ends_its_session_alone),
	    CASE(an_oversized_message_ends_its_session_alone),
	    CASE(an_unknown_version_ends_its_session_alone),
	    CASE(unknown_flags_end_their_session_alone),
	    CASE(a_wrong_number_of_descriptors_ends_its_session_alone),
	    CASE(a_ring_the_device_has_not_ends_its_session_alone),
	    CASE(a_message_not_negotiated_ends_its_session_alone),
	    CASE(a_reply_to_nothing_ends_its_session_alone),
	    CASE(a_request_where_replies_are_due_ends_its_session_alone),
	    CASE(more_descriptors_than_fit_end_their_session_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
