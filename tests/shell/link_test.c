/* SPDX-License-Identifier: BSD-3-Clause */
/* A back-end that goes, and what the front-end and the next back-end see of it. */
#include "link_rig.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

static void the_next_back_end_is_told_what_the_last_one_knew(void **state)
{
	struct rig *rig = *state;
	struct ends ends;

	begin(rig, &ends, "");
	ends_tell(&ends, wire_request_state(WIRE_SET_VRING_NUM, 0, 1, 256));
	lose(rig, &ends);
	fit(rig, &ends);
	back_hears(&ends.back, WIRE_SET_FEATURES, VIRTIO);
	message_dispose(rig_receive(&ends.back, WIRE_SET_VRING_NUM));
	back_answers(&ends.back, WIRE_GET_FEATURES, VIRTIO);
	daemon_wait_log(&rig->daemon, 0, "the back-end is back after", NULL);
	assert_int_equal(ends_ask(&ends, WIRE_GET_QUEUE_NUM, 2), 2);
	ends_close(&ends);
}

static void what_is_known_is_answered_while_nobody_is_there(void **state)
{
	struct rig *rig = *state;
	struct wire_message *reply;
	struct ends ends;

	begin(rig, &ends, "");
	ends_ask(&ends, WIRE_GET_QUEUE_NUM, 2);
	close(rig->listener);
	unlink(rig->back);
	lose(rig, &ends);
	rig_send(&ends.front, wire_request(WIRE_GET_QUEUE_NUM, 0));
	reply = rig_receive(&ends.front, WIRE_GET_QUEUE_NUM);
	assert_int_equal(bytes_load64(reply->payload), 2);
	message_dispose(reply);
	/* Taken and acknowledged, for the next to hear. */
	rig_send(&ends.front, wire_request_u64(WIRE_SET_FEATURES, WIRE_FLAG_NEED_REPLY,
					       WIRE_BIT(WIRE_F_VERSION_1)));
	message_dispose(rig_receive(&ends.front, WIRE_SET_FEATURES));
	rig->listener = rig_listen(rig->back);
	rig_accept(&ends.back, rig->listener);
	back_answers(&ends.back, WIRE_GET_FEATURES, VIRTIO);
	message_dispose(rig_receive(&ends.back, WIRE_SET_OWNER));
	back_answers(&ends.back, WIRE_GET_PROTOCOL_FEATURES, PROTOCOL);
	back_hears(&ends.back, WIRE_SET_PROTOCOL_FEATURES, PROTOCOL);
	back_answers(&ends.back, WIRE_GET_QUEUE_NUM, 2);
	back_answers(&ends.back, WIRE_GET_FEATURES, VIRTIO);
	back_hears(&ends.back, WIRE_SET_FEATURES, WIRE_BIT(WIRE_F_VERSION_1));
	ends_close(&ends);
}

static void a_question_nobody_answered_is_asked_again(void **state)
{
	struct rig *rig = *state;
	struct wire_message *reply;
	struct ends ends;

	begin(rig, &ends, "");
	ends_tell(&ends, wire_request(WIRE_GET_QUEUE_NUM, 0));
	lose(rig, &ends);
	fit(rig, &ends);
	back_hears(&ends.back, WIRE_SET_FEATURES, VIRTIO);
	back_answers(&ends.back, WIRE_GET_FEATURES, VIRTIO);
	back_answers(&ends.back, WIRE_GET_QUEUE_NUM, 8);
	reply = rig_receive(&ends.front, WIRE_GET_QUEUE_NUM);
	assert_int_equal(bytes_load64(reply->payload), 8);
	message_dispose(reply);
	ends_close(&ends);
}

/* At the n-th message for every n: it is the same event, and the next hears all of it. */
static void a_back_end_that_dies_while_it_is_told_is_followed_by_the_next(void **state)
{
	struct rig *rig = *state;
	struct ends ends;

	begin(rig, &ends, "");
	lose(rig, &ends);
	for (unsigned int n = 0; n < 3; n++) {
		rig_accept(&ends.back, rig->listener);
		if (n > 0)
			back_answers(&ends.back, WIRE_GET_FEATURES, VIRTIO);
		if (n > 1)
			message_dispose(rig_receive(&ends.back, WIRE_SET_OWNER));
		client_close(&ends.back);
	}
	fit(rig, &ends);
	client_close(&ends.back);
	fit(rig, &ends);
	back_hears(&ends.back, WIRE_SET_FEATURES, VIRTIO);
	client_close(&ends.back);
	fit(rig, &ends);
	back_hears(&ends.back, WIRE_SET_FEATURES, VIRTIO);
	back_answers(&ends.back, WIRE_GET_FEATURES, VIRTIO);
	assert_int_equal(ends_ask(&ends, WIRE_GET_QUEUE_NUM, 2), 2);
	ends_close(&ends);
}

static void an_unfit_back_end_is_told_by_the_bits_it_lacks(void **state)
{
	struct rig *rig = *state;
	struct ends ends;
	char line[RIG_LINE];

	begin(rig, &ends, "");
	lose(rig, &ends);
	rig_accept(&ends.back, rig->listener);
	back_answers(&ends.back, WIRE_GET_FEATURES, VIRTIO & ~WIRE_BIT(WIRE_F_RING_EVENT_IDX));
	rig_closed(&ends.front);
	rig_closed(&ends.back);
	daemon_wait_log(&rig->daemon, 0, " error: ", line);
	assert_non_null(strstr(line, "it lacks virtio features"));
	assert_non_null(strstr(line, "EVENT_IDX"));
	assert_non_null(strstr(line, "the front-end is let go"));
	ends_close(&ends);
}

static void one_that_lacks_a_protocol_feature_is_unfit_too(void **state)
{
	struct rig *rig = *state;
	struct ends ends;

	begin(rig, &ends, "");
	lose(rig, &ends);
	rig_accept(&ends.back, rig->listener);
	back_answers(&ends.back, WIRE_GET_FEATURES, VIRTIO);
	message_dispose(rig_receive(&ends.back, WIRE_SET_OWNER));
	back_answers(&ends.back, WIRE_GET_PROTOCOL_FEATURES,
		     PROTOCOL & ~WIRE_BIT(WIRE_PF_REPLY_ACK));
	rig_closed(&ends.front);
	daemon_wait_log(&rig->daemon, 0, "it lacks protocol features", NULL);
	ends_close(&ends);
}

static void a_back_end_that_stays_away_lets_the_front_end_go(void **state)
{
	struct rig *rig = *state;
	struct ends ends;

	begin(rig, &ends, "--backend-timeout=1");
	close(rig->listener);
	unlink(rig->back);
	lose(rig, &ends);
	rig_closed(&ends.front);
	daemon_wait_log(&rig->daemon, 0, "was waited for 1 s (--backend-timeout)", NULL);
	ends_close(&ends);
	rig->listener = rig_listen(rig->back);
	rig_serves(rig);
}

static void an_absent_back_end_is_waited_for_and_not_for_ever(void **state)
{
	struct rig *rig = *state;
	struct client front, back;

	close(rig->listener);
	unlink(rig->back);
	rig_start(rig, "--backend-timeout=1");
	rig_front(&front, rig->front);
	daemon_wait_log(&rig->daemon, 0, "the front-end waits: is the back-end running?", NULL);
	rig_closed(&front);
	client_close(&front);
	daemon_wait_log(&rig->daemon, 0, "was waited for 1 s", NULL);
	assert_int_equal(daemon_end(&rig->daemon, SIGTERM), 0);
	rig_start(rig, "");
	rig_front(&front, rig->front);
	rig_send(&front, wire_request(WIRE_GET_FEATURES, 0));
	daemon_wait_log(&rig->daemon, 0, "the front-end waits", NULL);
	rig->listener = rig_listen(rig->back);
	rig_accept(&back, rig->listener);
	back_answers(&back, WIRE_GET_FEATURES, 1);
	message_dispose(rig_receive(&front, WIRE_GET_FEATURES));
	client_close(&front);
	client_close(&back);
}

static void one_that_dies_at_once_again_and_again_is_given_up(void **state)
{
	struct rig *rig = *state;
	struct ends ends;
	char line[RIG_LINE];

	begin(rig, &ends, "");
	lose(rig, &ends);
	for (unsigned int i = 1; i < 5; i++) {
		fit(rig, &ends);
		back_hears(&ends.back, WIRE_SET_FEATURES, VIRTIO);
		client_close(&ends.back);
	}
	rig_closed(&ends.front);
	daemon_wait_log(&rig->daemon, 0, " error: ", line);
	assert_non_null(strstr(line, "it ended 5 times in a row within a second"));
	ends_close(&ends);
}

/* The next back-end is given its end of the back-end channel. */
static void fit_with_channel(struct rig *rig, struct ends *ends)
{
	struct wire_message *message;

	fit(rig, ends);
	message = rig_receive(&ends->back, WIRE_SET_BACKEND_REQ_FD);
	rig_adopt(&ends->back_channel, fdset_steal(&message->fds, 0), WIRE_BACKEND);
	message_dispose(message);
}

static void back_end_is_heard(struct ends *ends)
{
	rig_send(&ends->back_channel, wire_request(WIRE_BACKEND_CONFIG_CHANGE_MSG, 0));
	message_dispose(rig_receive(&ends->front_channel, WIRE_BACKEND_CONFIG_CHANGE_MSG));
}

/* Who has its say on the back-end channel goes on having it with the next. */
static void the_back_end_channel_goes_on_with_the_next_back_end(void **state)
{
	struct rig *rig = *state;
	struct ends ends;

	begin(rig, &ends, "");
	ends_channel(&ends);
	lose(rig, &ends);
	rig_closed(&ends.back_channel);
	client_close(&ends.back_channel);
	fit_with_channel(rig, &ends);
	back_end_is_heard(&ends);
	ends_close(&ends);
}

static void it_goes_on_if_it_was_the_first_to_close(void **state)
{
	struct rig *rig = *state;
	struct ends ends;

	begin(rig, &ends, "");
	ends_channel(&ends);
	client_close(&ends.back_channel);
	daemon_wait_log(&rig->daemon, 0, "back-end on the back-end channel closed", NULL);
	lose(rig, &ends);
	fit_with_channel(rig, &ends);
	back_end_is_heard(&ends);
	ends_close(&ends);
}

static void one_that_the_front_end_has_closed_stays_closed_for_the_next(void **state)
{
	struct rig *rig = *state;
	struct ends ends;

	begin(rig, &ends, "");
	ends_channel(&ends);
	client_close(&ends.front_channel);
	rig_closed(&ends.back_channel);
	client_close(&ends.back_channel);
	lose(rig, &ends);
	fit_with_channel(rig, &ends);
	rig_closed(&ends.back_channel);
	ends_close(&ends);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, rig_set_up, rig_tear_down)
	const struct CMUnitTest tests[] = {
	    CASE(the_next_back_end_is_told_what_the_last_one_knew),
	    CASE(what_is_known_is_answered_while_nobody_is_there),
	    CASE(a_question_nobody_answered_is_asked_again),
	    CASE(a_back_end_that_dies_while_it_is_told_is_followed_by_the_next),
	    CASE(an_unfit_back_end_is_told_by_the_bits_it_lacks),
	    CASE(one_that_lacks_a_protocol_feature_is_unfit_too),
	    CASE(a_back_end_that_stays_away_lets_the_front_end_go),
	    CASE(an_absent_back_end_is_waited_for_and_not_for_ever),
	    CASE(one_that_dies_at_once_again_and_again_is_given_up),
	    CASE(the_back_end_channel_goes_on_with_the_next_back_end),
	    CASE(it_goes_on_if_it_was_the_first_to_close),
	    CASE(one_that_the_front_end_has_closed_stays_closed_for_the_next),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
