/* SPDX-License-Identifier: BSD-3-Clause */
/* What a back-end is asked before it may take a session over, and what makes it unfit. */
#include <string.h>

#include "shadow_rig.h"

#include "session/candidate.h"

#define CONFIG_HEAD  12u
#define CONFIG_SIZE  16u
#define CANDIDATE_PF (SLOTS | WIRE_BIT(WIRE_PF_CONFIG) | WIRE_BIT(WIRE_PF_BACKEND_REQ))

static struct candidate candidate;
static struct diag diag;

static struct wire_message *config_reply(uint8_t first)
{
	uint8_t bytes[CONFIG_SIZE] = {first, 2, 3};
	struct wire_message *reply =
	    wire_request_config(WIRE_GET_CONFIG, 0, 0, CONFIG_SIZE, 0, bytes);

	reply->header.flags = WIRE_VERSION | WIRE_FLAG_REPLY;
	return reply;
}

/* A disk with two rings, one region, a config space that was read, an owner. */
static struct rig *disk(void)
{
	struct rig *rig = shadow_new(MODE_SHADOW, WIRE_DEVICE_BLK, DISK, CANDIDATE_PF);
	uint8_t none[CONFIG_SIZE] = {0};

	rig_front(rig, wire_request(WIRE_SET_OWNER, 0));
	rig_front(rig, wire_request(WIRE_GET_QUEUE_NUM, 0));
	rig_back(rig, wire_reply_u64(WIRE_GET_QUEUE_NUM, 2));
	rig_front(rig, wire_request_config(WIRE_GET_CONFIG, 0, 0, CONFIG_SIZE, 0, none));
	rig_back(rig, config_reply(1));
	shadow_send_table(rig, 1);
	candidate_init(&candidate, rig->session);
	return rig;
}

struct answers {
	uint64_t virtio, protocol, rings, slots;
	uint8_t config;
};

static const struct answers fit = {DISK | WIRE_BIT(WIRE_F_PROTOCOL_FEATURES), CANDIDATE_PF, 2, 8,
				   1};

static struct wire_message *answer(uint32_t id, const struct answers *answers)
{
	switch (id) {
	case WIRE_GET_FEATURES:
		return wire_reply_u64(id, answers->virtio);
	case WIRE_GET_PROTOCOL_FEATURES:
		return wire_reply_u64(id, answers->protocol);
	case WIRE_GET_QUEUE_NUM:
		return wire_reply_u64(id, answers->rings);
	case WIRE_GET_MAX_MEM_SLOTS:
		return wire_reply_u64(id, answers->slots);
	case WIRE_GET_CONFIG:
		return config_reply(answers->config);
	}
	fail_msg("message %u is no question", id);
	return NULL;
}

/* Plays the back-end; the ids it was sent. */
static enum candidate_state play(const struct answers *answers, uint32_t *ids, unsigned int *count)
{
	struct wire_message *messages[CANDIDATE_BURST], *reply;
	enum candidate_state state = CANDIDATE_ASKED;
	int n;

	*count = 0;
	while (state == CANDIDATE_ASKED && (n = candidate_next(&candidate, messages)) > 0) {
		for (int i = 0; i < n; i++)
			ids[(*count)++] = messages[i]->header.id;
		reply = answer(ids[*count - 1], answers);
		state = candidate_reply(&candidate, reply, &diag);
		wire_message_free(reply);
		for (int i = 0; i < n; i++)
			wire_message_free(messages[i]);
	}
	return state == CANDIDATE_ASKED ? CANDIDATE_FIT : state;
}

static void test_the_questions_come_in_the_order_of_the_table(void **state)
{
	static const uint32_t expected[] = {
	    WIRE_GET_FEATURES,
	    WIRE_SET_OWNER,
	    WIRE_GET_PROTOCOL_FEATURES,
	    WIRE_SET_PROTOCOL_FEATURES,
	    WIRE_GET_QUEUE_NUM,
	    WIRE_GET_MAX_MEM_SLOTS,
	    WIRE_GET_CONFIG,
	    WIRE_GET_FEATURES,
	};
	struct rig *rig = disk();
	unsigned int count;
	uint32_t ids[16];

	assert_int_equal(play(&fit, ids, &count), CANDIDATE_FIT);
	assert_int_equal(count, sizeof(expected) / sizeof(expected[0]));
	assert_memory_equal(ids, expected, sizeof(expected));
	for (unsigned int i = 1; i < count - 1; i++)
		assert_true(wire_row(WIRE_MAIN, ids[i - 1])->rank <=
			    wire_row(WIRE_MAIN, ids[i])->rank);
	rig_end(rig);
}

static void unfit(struct answers answers, const char *says)
{
	struct rig *rig = disk();
	unsigned int count;
	uint32_t ids[16];

	assert_int_equal(play(&answers, ids, &count), CANDIDATE_UNFIT);
	if (!strstr(diag.text, says))
		fail_msg("\"%s\" does not say \"%s\"", diag.text, says);
	rig_end(rig);
}

static void test_one_that_lacks_what_was_agreed_is_told_by_name(void **state)
{
	struct answers answers = fit;

	answers.virtio &= ~WIRE_BIT(WIRE_F_RING_EVENT_IDX);
	unfit(answers, "lacks virtio features that were agreed with the front-end: RING_EVENT_IDX");
	answers = fit;
	answers.protocol &= ~WIRE_BIT(WIRE_PF_CONFIG);
	unfit(answers, "lacks protocol features that were agreed with the front-end: CONFIG");
}

static void test_one_with_less_of_anything_is_unfit(void **state)
{
	struct answers answers = fit;

	answers.rings = 1;
	unfit(answers, "it has 1 rings, and 2 are in use");
	answers = fit;
	/* The guest's region, and our own. */
	answers.slots = 1;
	unfit(answers, "it has 1 memory slots, and 2 are in use");
	answers = fit;
	answers.config = 9;
	unfit(answers, "its config space differs at byte 0 (0x09, the guest read 0x01)");
}

static void test_what_the_guest_wrote_itself_may_differ(void **state)
{
	struct answers answers = fit;
	struct rig *rig = disk();
	unsigned int count;
	uint32_t ids[16];
	uint8_t byte = 7;

	answers.config = 9;
	rig_front(rig, wire_request_config(WIRE_SET_CONFIG, 0, 0, 1, 0, &byte));
	candidate_init(&candidate, rig->session);
	assert_int_equal(play(&answers, ids, &count), CANDIDATE_FIT);
	rig_end(rig);
}

static void test_more_than_is_needed_is_fit(void **state)
{
	struct answers answers = {UINT64_MAX, UINT64_MAX, 99, 99, 1};
	struct rig *rig = disk();
	unsigned int count;
	uint32_t ids[16];

	assert_int_equal(play(&answers, ids, &count), CANDIDATE_FIT);
	rig_end(rig);
}

/* The guest may still choose all of it. */
static void test_before_the_driver_chose_all_that_was_shown_is_needed(void **state)
{
	struct rig *rig =
	    rig_new_with(&(struct session_config){.mode = MODE_SHADOW, .device = WIRE_DEVICE_BLK});
	struct answers answers = fit;
	unsigned int count;
	uint32_t ids[16];

	rig_offer(rig, DISK, PROTOCOL);
	candidate_init(&candidate, rig->session);
	answers.virtio &= ~WIRE_BIT(WIRE_F_RING_INDIRECT_DESC);
	assert_int_equal(play(&answers, ids, &count), CANDIDATE_UNFIT);
	rig_end(rig);
}

static void test_an_answer_to_something_else_is_unfit(void **state)
{
	struct rig *rig = disk();
	struct wire_message *messages[CANDIDATE_BURST];
	struct wire_message *reply = wire_reply_u64(WIRE_GET_QUEUE_NUM, 1);

	assert_int_equal(candidate_next(&candidate, messages), 1);
	assert_int_equal(candidate_reply(&candidate, reply, &diag), CANDIDATE_UNFIT);
	assert_string_equal(diag.text, "it answered GET_FEATURES with message id 17");
	wire_message_free(messages[0]);
	wire_message_free(reply);
	rig_end(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_the_questions_come_in_the_order_of_the_table),
	    cmocka_unit_test(test_one_that_lacks_what_was_agreed_is_told_by_name),
	    cmocka_unit_test(test_one_with_less_of_anything_is_unfit),
	    cmocka_unit_test(test_what_the_guest_wrote_itself_may_differ),
	    cmocka_unit_test(test_more_than_is_needed_is_fit),
	    cmocka_unit_test(test_before_the_driver_chose_all_that_was_shown_is_needed),
	    cmocka_unit_test(test_an_answer_to_something_else_is_unfit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
