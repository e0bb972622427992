/* SPDX-License-Identifier: BSD-3-Clause */
#include "shell/fds.h"
#include "shell/log.h"
#include "shell/sock.h"
#include "shell/state.h"
#include "shell/uv_relay_private.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SECOND_NS 1000000000ull

static bool away(const struct uv_relay *relay)
{
	return relay->session && (relay->session->link.sm.state == LINK_AWAY ||
				  relay->session->link.sm.state == LINK_REPLAYING);
}

static void let_go(struct uv_relay *relay, const char *why)
{
	log_line(LEVEL_ERROR, "back-end %s (pid %d) %s: the front-end is let go", relay->names.back,
		 (int)relay->back_pid, why);
	uv_relay_end(relay);
}

static void close_back(struct uv_relay *relay)
{
	relay->ports[PORT_BACK_MAIN] = uv_port_close(relay->ports[PORT_BACK_MAIN]);
	relay->ports[PORT_BACK_BACKEND] = uv_port_close(relay->ports[PORT_BACK_BACKEND]);
}

static void adopt(struct uv_relay *relay, int fd)
{
	relay->back_pid = sock_peer_pid(fd);
	relay->ports[PORT_BACK_MAIN] = uv_relay_port(relay, fd, WIRE_MAIN);
	if (!relay->ports[PORT_BACK_MAIN]) {
		let_go(relay, "can not be polled, or there is no memory to");
		return;
	}
	log_line(LEVEL_INFO, "back-end %s (pid %d) takes over", relay->names.back,
		 (int)relay->back_pid);
	session_back_adopted(relay->session, uv_hrtime(), rings_completed(relay->rings));
	uv_relay_carry_out(relay);
}

void uv_back_lost(struct uv_relay *relay, const char *where)
{
	struct diag diag;
	int result =
	    session_back_lost(relay->session, uv_hrtime(), rings_completed(relay->rings), &diag);

	uv_relay_tell(relay, "BACKEND_LOST", json_pack("{s:i}", "pid", (int)relay->back_pid));
	if (result) {
		log_line(
		    LEVEL_ERROR,
		    "back-end %s (pid %d) closed its connection%s: %s: the front-end is let go",
		    relay->names.back, (int)relay->back_pid, where, diag.text);
		uv_relay_end(relay);
		return;
	}
	close_back(relay);
	uv_relay_carry_out(relay);
	if (relay->ended)
		return;
	log_line(LEVEL_WARN,
		 "back-end %s (pid %d) closed its connection%s: %u requests are parked until it is "
		 "back",
		 relay->names.back, (int)relay->back_pid, where, relay->session->link.parked);
	relay->told_s = 0;
	if (relay->swap_fd >= 0)
		uv_back_swap(relay);
	else if (!relay->candidate)
		relay->events->away(relay->context);
}

void uv_back_swap(struct uv_relay *relay)
{
	int fd = relay->swap_fd;

	relay->swap_fd = -1;
	close_back(relay);
	relay->events->moved(relay->context, relay->swap_path);
	free(relay->swap_path);
	relay->swap_path = NULL;
	adopt(relay, fd);
}

static void unfit(struct uv_relay *relay, const char *text)
{
	const char *path = relay->swap_path ? relay->swap_path : relay->names.back;

	uv_relay_tell(relay, "BACKEND_UNFIT",
		      json_pack("{s:s*, s:s}", "path", path, "reason", text));
	log_line(LEVEL_ERROR, "back-end %s: %s: %s", path, text,
		 away(relay) ? "the front-end is let go" : "the old one goes on");
	if (away(relay))
		uv_relay_end(relay);
}

static void fit(struct uv_relay *relay, int fd)
{
	struct diag diag;

	if (fd < 0) {
		unfit(relay, "no descriptor is left to take it");
		return;
	}
	/* The old one may have died while the new was asked. */
	if (away(relay)) {
		adopt(relay, fd);
		return;
	}
	relay->swap_fd = fd;
	session_clock(relay->session, uv_hrtime());
	if (session_swap(relay->session, &diag)) {
		close(fd);
		relay->swap_fd = -1;
		unfit(relay, diag.text);
		return;
	}
	uv_relay_carry_out(relay);
}

static void on_candidate(void *context, enum uv_candidate_result result, const char *text)
{
	struct uv_relay *relay = context;
	int fd = result == UV_CANDIDATE_FIT ? uv_candidate_take(relay->candidate) : -1;

	relay->candidate = uv_candidate_close(relay->candidate);
	if (result == UV_CANDIDATE_FIT)
		fit(relay, fd);
	else if (result == UV_CANDIDATE_UNFIT || !away(relay))
		unfit(relay, text);
	else
		relay->events->away(relay->context);
	if (!relay->ended && relay->swap_path && relay->swap_fd < 0) {
		free(relay->swap_path);
		relay->swap_path = NULL;
	}
}

static bool ask(struct uv_relay *relay, int fd)
{
	relay->candidate = uv_candidate_open(relay->loop, fd, relay->session, on_candidate, relay);
	return relay->candidate != NULL;
}

void uv_relay_offer(struct uv_relay *relay, int fd)
{
	if (!ask(relay, fd))
		relay->events->away(relay->context);
}

bool uv_back_resume(struct uv_relay *relay)
{
	struct diag diag;
	int result;

	if (relay->names.state)
		result = state_load(relay->names.state, relay->session, relay->front_pid,
				    uv_hrtime(), &diag);
	else
		result = diag_set(&diag, -ENOENT, "there is no state file: give --state=PATH");
	if (result) {
		log_line(LEVEL_ERROR,
			 "front-end %s (pid %d): goes on with a session that a daemon before this "
			 "one had (SET_FEATURES came first), of which nothing is known: %s: it is "
			 "let go",
			 relay->names.front, (int)relay->front_pid, diag.text);
		uv_relay_end(relay);
		return false;
	}
	log_line(LEVEL_INFO, "front-end %s (pid %d): goes on where a daemon before this one left",
		 relay->names.front, (int)relay->front_pid);
	close_back(relay);
	uv_relay_carry_out(relay);
	if (!relay->ended)
		relay->events->away(relay->context);
	return !relay->ended;
}

void uv_back_remember(struct uv_relay *relay, uint32_t id)
{
	struct diag diag;

	switch (id) {
	case WIRE_SET_OWNER:
	case WIRE_SET_FEATURES:
	case WIRE_SET_PROTOCOL_FEATURES:
	case WIRE_NET_SET_MTU:
	case WIRE_SET_CONFIG:
	case WIRE_ADD_MEM_REG:
	case WIRE_REM_MEM_REG:
		break;
	default:
		return;
	}
	if (!relay->names.state || relay->config->offers.watch_only ||
	    !state_save(relay->names.state, relay->session, relay->front_pid, &diag))
		return;
	if (!relay->state_failed)
		log_line(LEVEL_WARN, "%s", diag.text);
	relay->state_failed = true;
}

bool uv_relay_wants_back(const struct uv_relay *relay)
{
	return away(relay) && !relay->candidate && !relay->ports[PORT_BACK_MAIN];
}

int uv_relay_swap(struct uv_relay *relay, const char *path, struct diag *diag)
{
	int fd;

	if (relay->candidate || relay->swap_fd >= 0 || away(relay))
		return diag_set(diag, 1, "the back-end is on the move already: try again");
	fd = sock_connect(path, diag);
	if (fd < 0)
		return 1;
	relay->swap_path = strdup(path);
	if (!relay->swap_path || !ask(relay, fd)) {
		free(relay->swap_path);
		relay->swap_path = NULL;
		return diag_set(diag, 1, "no memory to ask the back-end at %s", path);
	}
	return 0;
}

/* 1, 2, 5, 10, 20, 50 ... s: often at first, and never much of a log. */
static bool worth_telling(uint64_t seconds, uint64_t told)
{
	static const unsigned int steps[] = {1, 2, 5};
	uint64_t next = 0;

	for (uint64_t scale = 1; next <= told; scale *= 10)
		for (unsigned int i = 0; i < 3 && next <= told; i++)
			next = steps[i] * scale;
	return seconds >= next;
}

static void time_out(struct uv_relay *relay, uint64_t since)
{
	uint64_t limit = relay->rings_config->backend_timeout_s * SECOND_NS;
	struct diag diag;

	if (limit == 0 || since < limit)
		return;
	diag_set(&diag, 0, "was waited for %u s (--backend-timeout)",
		 relay->rings_config->backend_timeout_s);
	let_go(relay, diag.text);
}

void uv_back_tick(struct uv_relay *relay, uint64_t now)
{
	uint64_t since = now - (relay->session ? relay->session->link.lost_ns : relay->opened_ns);
	uint64_t seconds = since / SECOND_NS;

	if (relay->session && !away(relay))
		return;
	if (relay->session && worth_telling(seconds, relay->told_s)) {
		log_line(LEVEL_WARN,
			 "back-end %s: away %" PRIu64 " s, %u requests parked, oldest %.1f s",
			 relay->names.back, seconds, relay->session->link.parked,
			 (double)since / 1e9);
		relay->told_s = seconds;
	}
	/* A guest that was paused has its whole time from when it goes on. */
	if (relay->session && session_paused(relay->session))
		relay->paused_ns = now;
	else
		time_out(relay, now - relay->paused_ns < since ? now - relay->paused_ns : since);
}

void uv_back_close(struct uv_relay *relay)
{
	relay->candidate = uv_candidate_close(relay->candidate);
	if (relay->swap_fd >= 0)
		close(relay->swap_fd);
	free(relay->swap_path);
	relay->swap_path = NULL;
	relay->swap_fd = -1;
}
