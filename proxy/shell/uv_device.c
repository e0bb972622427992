/* SPDX-License-Identifier: BSD-3-Clause */
#include "shell/uv_device.h"

#include "shell/log.h"
#include "shell/state.h"
#include "shell/uv_end.h"
#include "shell/uv_relay.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct uv_device {
	uv_loop_t *loop;
	const struct conf *conf;
	const struct uv_device_events *events;
	void *context;
	struct uv_end *front, *back;
	struct uv_relay *relay; /* NULL: no front-end */
	uint64_t started_ns;
	uint64_t connections;    /* front-ends that came */
	struct view_counts past; /* of sessions that ended */
	struct view_counts shown;
	struct view_ring rings[WIRE_QUEUES_MAX]; /* as last shown */
	char state[STATE_PATH_MAX];              /* "": none */
	bool told_absent;                        /* a line said that the back-end is not there */
	uint64_t replays, last_outage_us;        /* of sessions that ended */
	struct session_config session; /* as configured, with the data path asked for since */
};

static void add_counts(struct view_counts *to, const struct session *session)
{
	for (unsigned int c = 0; c < 2; c++)
		for (unsigned int d = 0; d < 2; d++)
			for (unsigned int i = 0; i <= WIRE_FRONT_COUNT; i++)
				to->messages[c][d][i] += session->counts[c][d][i];
}

/* Both main connections go, and with them everything that was agreed on them. */
static void end_relay(struct uv_device *device)
{
	const struct session *session;

	if (!device->relay)
		return;
	session = uv_relay_session(device->relay);
	if (session) {
		add_counts(&device->past, session);
		device->replays += session->link.replays;
		if (session->link.replays)
			device->last_outage_us = session->link.last_outage_us;
	}
	device->relay = uv_relay_close(device->relay);
	device->events->event(device->context, "FRONTEND_DISCONNECTED", "{}");
}

/* The next front-end is looked for from the loop: here the last one is still on the stack. */
static void on_ended(void *context)
{
	struct uv_device *device = context;

	bool spent = uv_end_spent(device->back);

	end_relay(device);
	uv_end_watch(device->back, spent);
	uv_end_watch(device->front, !spent);
}

static void on_event(void *context, const char *name, const char *json)
{
	struct uv_device *device = context;

	device->events->event(device->context, name, json);
}

/* From the loop: what is away may be back at once, and the relay is on the stack. */
static void on_away(void *context)
{
	struct uv_device *device = context;

	if (uv_end_spent(device->back)) {
		log_line(LEVEL_ERROR,
			 "back-end %s: was passed as a descriptor, there is no other: the "
			 "front-end is let go",
			 uv_end_name(device->back));
		on_ended(device);
		return;
	}
	uv_end_watch(device->back, true);
}

static void on_moved(void *context, const char *path)
{
	struct uv_device *device = context;

	if (uv_end_move(device->back, path))
		log_line(LEVEL_WARN,
			 "back-end %s: no memory to remember it: a lost one is looked "
			 "for at its old path",
			 path);
}

static const struct uv_relay_events relay_events = {
    .ended = on_ended, .away = on_away, .moved = on_moved, .event = on_event};

static void take_front(struct uv_device *device)
{
	struct uv_relay_names names = {uv_end_name(device->front), uv_end_name(device->back),
				       device->state[0] ? device->state : NULL};
	struct diag diag;
	int fd = uv_end_get(device->front, &diag);

	if (fd < 0) {
		/* A front-end to connect to may be away for as long as it likes. */
		if (fd != -EAGAIN && device->conf->front.side != CONF_CONNECT)
			log_line(LEVEL_ERROR, "front-end %s", diag.text);
		uv_end_watch(device->front, true);
		return;
	}
	uv_end_watch(device->front, false);
	device->connections++;
	device->relay = uv_relay_open(device->loop, fd, &names, &device->session,
				      &device->conf->rings, &relay_events, device);
	if (!device->relay) {
		log_line(LEVEL_ERROR, "front-end %s: no memory to serve it: it is let go",
			 names.front);
		uv_end_watch(device->front, true);
	}
}

/* One that listens may be away, for as long as the front-end is held. */
static void wait_for_back(struct uv_device *device, const struct diag *diag)
{
	if (diag && !device->told_absent)
		log_line(LEVEL_WARN, "back-end %s: the front-end waits: is the back-end running?",
			 diag->text);
	device->told_absent |= diag != NULL;
	uv_end_watch(device->back, true);
}

static void take_back(struct uv_device *device)
{
	struct diag diag;
	int fd = uv_end_get(device->back, &diag);

	if (fd < 0 && fd != -ENOENT) {
		wait_for_back(device, fd == -EAGAIN ? NULL : &diag);
		return;
	}
	if (fd < 0 && device->conf->back.side == CONF_CONNECT) {
		wait_for_back(device, &diag);
		return;
	}
	uv_end_watch(device->back, false);
	device->told_absent = false;
	if (fd < 0)
		on_ended(device);
	else if (uv_relay_session(device->relay))
		uv_relay_offer(device->relay, fd);
	else if (!uv_relay_begin(device->relay, fd))
		on_ended(device);
}

/* The next step towards a session, as far as it is possible now. */
static void advance(void *context)
{
	struct uv_device *device = context;

	/* No further session can be: the owner ends, and with it the device. */
	if (!device->relay && (uv_end_spent(device->front) || uv_end_spent(device->back))) {
		device->events->finished(device->context);
		return;
	}
	if (device->relay && !uv_relay_session(device->relay))
		uv_relay_look(device->relay);
	if (!device->relay)
		take_front(device);
	if (device->relay &&
	    (!uv_relay_session(device->relay) || uv_relay_wants_back(device->relay)))
		take_back(device);
}

int uv_device_open(struct uv_device **made, uv_loop_t *loop, const struct conf *conf,
		   const struct uv_device_events *events, void *context, struct diag *diag)
{
	struct uv_device *device = calloc(1, sizeof(*device));
	int result;

	if (!device)
		return diag_set(diag, -ENOMEM, "no memory");
	device->loop = loop;
	device->conf = conf;
	device->events = events;
	device->context = context;
	device->session = conf->session;
	device->started_ns = uv_hrtime();
	if (conf->state)
		snprintf(device->state, sizeof(device->state), "%s", conf->state);
	else if (conf->front.path || conf->interpose)
		state_default_path(device->state,
				   conf->front.path ? conf->front.path : conf->interpose);
	result = uv_end_open(&device->back, loop, &conf->back, advance, device, diag);
	if (!result)
		result = uv_end_open(&device->front, loop, &conf->front, advance, device, diag);
	if (result)
		device = uv_device_close(device);
	*made = device;
	return result;
}

void uv_device_start(struct uv_device *device)
{
	advance(device);
}

void uv_device_relisten(struct uv_device *device, int listener)
{
	uv_end_relisten(device->front, listener);
}

void uv_device_describe(const struct uv_device *device, char *text, size_t size)
{
	snprintf(text, size, "front-end %s, back-end %s", uv_end_name(device->front),
		 uv_end_name(device->back));
}

static const char *state_name(const struct session *session, bool connected)
{
	if (session && session->link.sm.state == LINK_AWAY)
		return "backend-lost";
	if (session && session->link.sm.state == LINK_REPLAYING)
		return "replaying";
	if (session && session_running(session))
		return "running";
	return connected ? "connected" : "listening";
}

static uint64_t rss_kb(void)
{
	unsigned long long size = 0, resident = 0;
	FILE *file = fopen("/proc/self/statm", "re");

	if (file) {
		if (fscanf(file, "%llu %llu", &size, &resident) != 2)
			resident = 0;
		fclose(file);
	}
	return resident * (uint64_t)sysconf(_SC_PAGESIZE) / 1024;
}

static int move(void *context, enum session_mode mode, struct diag *diag)
{
	struct uv_device *device = context;
	int result = 0;

	if (device->session.offers.watch_only && mode != MODE_DIRECT)
		return diag_set(diag, 1,
				"the daemon was started to watch only (--data-path=direct or "
				"--synthesize=none): start it without");
	if (device->relay)
		result = uv_relay_move(device->relay, mode, diag);
	if (!result)
		device->session.mode = mode;
	return result;
}

static int swap(void *context, const char *path, struct diag *diag)
{
	struct uv_device *device = context;
	const struct session *session = device->relay ? uv_relay_session(device->relay) : NULL;

	if (session)
		return uv_relay_swap(device->relay, path, diag);
	/* Without a front-end there is nothing to move but the path. */
	if (device->conf->back.side != CONF_CONNECT)
		return diag_set(diag, 1,
				"no front-end is connected, and the back-end connects to "
				"the daemon: nothing is to be moved");
	if (uv_end_move(device->back, path))
		return diag_set(diag, 1, "no memory");
	return 0;
}

static int rate(void *context, unsigned int seconds, struct diag *diag)
{
	struct uv_device *device = context;

	if (!device->relay || !uv_relay_session(device->relay))
		return diag_set(diag, 1, "dirty-rate: no front-end is connected");
	return uv_relay_rate(device->relay, seconds, diag);
}

static const struct view_ring *count_rings(struct uv_device *device, const struct session *session)
{
	for (unsigned int i = 0; i < WIRE_QUEUES_MAX; i++) {
		struct data_counters counters;

		if (!session->queues[i].seen)
			continue;
		uv_relay_counters(device->relay, i, &counters);
		device->rings[i] = (struct view_ring){counters.kicks,        counters.calls,
						      counters.relayed,      counters.bytes_written,
						      counters.pages_marked, counters.inflight};
	}
	return device->rings;
}

void uv_device_view(struct uv_device *device, struct view *view)
{
	const struct uv_relay *relay = device->relay;
	const struct session *session = relay ? uv_relay_session(relay) : NULL;

	device->shown = device->past;
	if (session)
		add_counts(&device->shown, session);
	*view = (struct view){
	    .state = state_name(session, relay != NULL),
	    .session = session,
	    .uptime_s = (double)(uv_hrtime() - device->started_ns) / 1e9,
	    .frontend = {relay != NULL, uv_end_path(device->front),
			 relay ? uv_relay_front_pid(relay) : 0},
	    .backend = {session && session->link.sm.state != LINK_AWAY, uv_end_path(device->back),
			relay && !(session && session->link.sm.state == LINK_AWAY)
			    ? uv_relay_back_pid(relay)
			    : 0},
	    .reconnects = device->connections ? device->connections - 1 : 0,
	    .replays = device->replays + (session ? session->link.replays : 0),
	    .last_outage_us = session && session->link.replays ? session->link.last_outage_us
							       : device->last_outage_us,
	    .rss_kb = rss_kb(),
	    .counts = &device->shown,
	    .rings = session ? count_rings(device, session) : NULL,
	    .move = move,
	    .swap = swap,
	    .rate = rate,
	    .context = device,
	};
}

struct uv_device *uv_device_close(struct uv_device *device)
{
	if (!device)
		return NULL;
	end_relay(device);
	uv_end_close(device->front);
	uv_end_close(device->back);
	free(device);
	return NULL;
}
