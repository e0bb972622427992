/* SPDX-License-Identifier: BSD-3-Clause */
#include "shell/uv_candidate.h"

#include "shell/fds.h"
#include "shell/uv_port.h"

#include <stdlib.h>
#include <unistd.h>

struct uv_candidate {
	struct candidate asked;
	struct uv_port *port;
	uv_timer_t timer;
	int fd; /* a copy of the port's */
	uv_candidate_done done;
	void *context;
};

static void finish(struct uv_candidate *candidate, enum uv_candidate_result result,
		   const char *text)
{
	uv_timer_stop(&candidate->timer);
	candidate->port = uv_port_close(candidate->port);
	candidate->done(candidate->context, result, text);
}

/* Sends the next questions; there are none: it is fit. */
static void ask(struct uv_candidate *candidate)
{
	struct wire_message *messages[CANDIDATE_BURST];
	int count = candidate_next(&candidate->asked, messages);

	if (count < 0) {
		finish(candidate, UV_CANDIDATE_GONE, "no memory to ask it");
		return;
	}
	if (count == 0) {
		finish(candidate, UV_CANDIDATE_FIT, "");
		return;
	}
	for (int i = 0; i < count; i++) {
		if (candidate->port)
			uv_port_send(candidate->port, messages[i]);
		else
			message_dispose(messages[i]);
	}
}

static void on_message(struct uv_port *port, struct wire_message *message, void *context)
{
	struct uv_candidate *candidate = context;
	struct diag diag;
	enum candidate_state state = candidate_reply(&candidate->asked, message, &diag);

	message_dispose(message);
	if (state == CANDIDATE_UNFIT)
		finish(candidate, UV_CANDIDATE_UNFIT, diag.text);
	else
		ask(candidate);
}

static void on_closed(struct uv_port *port, bool partial, void *context)
{
	finish(context, UV_CANDIDATE_GONE, "it closed its connection before it had answered");
}

static void on_fault(struct uv_port *port, const char *text, void *context)
{
	finish(context, UV_CANDIDATE_GONE, text);
}

static void on_drained(struct uv_port *port, void *context)
{
}

static void on_silence(uv_timer_t *timer)
{
	finish(timer->data, UV_CANDIDATE_GONE, "it accepted the connection and is silent");
}

/* From the loop: the owner has the candidate by then, whatever comes of it. */
static void on_begin(uv_timer_t *timer)
{
	uv_timer_start(timer, on_silence, UV_CANDIDATE_MS, 0);
	ask(timer->data);
}

struct uv_candidate *uv_candidate_open(uv_loop_t *loop, int fd, const struct session *session,
				       uv_candidate_done done, void *context)
{
	static const struct uv_port_events events = {
	    .message = on_message, .closed = on_closed, .fault = on_fault, .drained = on_drained};
	struct uv_candidate *candidate = calloc(1, sizeof(*candidate));

	if (!candidate) {
		close(fd);
		return NULL;
	}
	candidate_init(&candidate->asked, session);
	candidate->fd = fds_copy(fd);
	candidate->done = done;
	candidate->context = context;
	uv_timer_init(loop, &candidate->timer);
	candidate->timer.data = candidate;
	candidate->port = uv_port_open(loop, fd, WIRE_MAIN, &events, candidate);
	if (!candidate->port)
		return uv_candidate_close(candidate);
	uv_timer_start(&candidate->timer, on_begin, 0, 0);
	uv_port_read(candidate->port, true);
	return candidate;
}

int uv_candidate_take(struct uv_candidate *candidate)
{
	int fd = candidate->fd;

	candidate->fd = -1;
	return fd;
}

static void on_timer_closed(uv_handle_t *handle)
{
	free(handle->data);
}

struct uv_candidate *uv_candidate_close(struct uv_candidate *candidate)
{
	if (!candidate)
		return NULL;
	candidate->port = uv_port_close(candidate->port);
	if (candidate->fd >= 0)
		close(candidate->fd);
	uv_close((uv_handle_t *)&candidate->timer, on_timer_closed);
	return NULL;
}
