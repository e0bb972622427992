/* SPDX-License-Identifier: BSD-3-Clause */
#include "shell/conf.h"
#include "shell/interpose.h"
#include "shell/log.h"
#include "shell/notify.h"
#include "shell/uv_control.h"
#include "shell/uv_device.h"
#include "shell/uv_interpose.h"

#include <errno.h>
#include <libgen.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum exit_code {
	EXIT_FINE = 0,
	EXIT_RUN = 1,
	EXIT_USAGE = 2,
};

struct process {
	uv_loop_t loop;
	struct conf conf;
	struct interpose interpose;
	struct uv_interpose *watch; /* NULL: not interposed, or it can not be watched */
	struct uv_device *device;
	struct uv_control *control;
	uv_signal_t signals[2];
	bool stopping;
	int code;
};

static void stop(struct process *process, int code)
{
	if (process->stopping)
		return;
	process->stopping = true;
	process->code = code;
	notify_send("STOPPING=1");
	process->device = uv_device_close(process->device);
	process->watch = uv_interpose_close(process->watch);
	if (process->control)
		uv_control_stop(process->control);
	process->control = NULL;
	for (unsigned int i = 0; i < 2; i++)
		uv_close((uv_handle_t *)&process->signals[i], NULL);
}

static void on_signal(uv_signal_t *signal, int number)
{
	struct process *process = signal->data;

	log_line(LEVEL_INFO, "ending at signal %d (%s)", number, strsignal(number));
	stop(process, EXIT_FINE);
}

static void on_finished(void *context)
{
	log_line(LEVEL_INFO, "the connection that was passed as a descriptor is over: ending");
	stop(context, EXIT_FINE);
}

static void on_event(void *context, const char *name, const char *json)
{
	struct process *process = context;

	if (process->control)
		uv_control_event(process->control, name, json);
}

static void on_view(struct view *view, void *context)
{
	struct process *process = context;

	uv_device_view(process->device, view);
}

static void watch_signals(struct process *process)
{
	static const int numbers[2] = {SIGTERM, SIGINT};

	signal(SIGPIPE, SIG_IGN);
	for (unsigned int i = 0; i < 2; i++) {
		uv_signal_init(&process->loop, &process->signals[i]);
		process->signals[i].data = process;
		uv_signal_start(&process->signals[i], on_signal, numbers[i]);
	}
}

/* The front-end's side from LISTEN_FDS where no option gave one. */
static int complete_front(struct process *process, struct diag *diag)
{
	int fd;

	if (process->conf.interpose || process->conf.front.side != CONF_NONE)
		return EXIT_FINE;
	fd = notify_listen_fd(diag);
	if (fd == -ENOENT)
		diag_set(diag, 0,
			 "no front-end: give --socket-path, --fd, --frontend-connect or "
			 "--interpose, or pass a socket by LISTEN_FDS");
	if (fd < 0)
		return EXIT_USAGE;
	process->conf.front = (struct conf_end){.side = CONF_FD, .fd = fd};
	return EXIT_FINE;
}

/*
 * The back-end may come later; a path nobody could ever be reached at is said at the
 * start, not at the first front-end.
 */
static int check_backend(const struct process *process, struct diag *diag)
{
	const struct conf_end *back = &process->conf.back;
	struct stat st;
	bool exists;
	char *folder;
	int error;

	if (back->side != CONF_CONNECT)
		return EXIT_FINE;
	if (stat(back->path, &st) < 0) {
		error = errno;
		folder = strdup(back->path);
		exists = error == ENOENT && folder && access(dirname(folder), X_OK) == 0;
		free(folder);
		if (exists)
			return EXIT_FINE;
		diag_set(diag, 0, "back-end %s: %s: give a path in a folder that exists",
			 back->path, strerror(error));
		return EXIT_RUN;
	}
	if (S_ISSOCK(st.st_mode))
		return EXIT_FINE;
	diag_set(diag, 0, "back-end %s: is no socket: give the path the back-end listens at",
		 back->path);
	return EXIT_RUN;
}

static int begin_interposing(struct process *process, struct diag *diag)
{
	struct conf *conf = &process->conf;
	int fd;

	if (!conf->interpose)
		return EXIT_FINE;
	fd = interpose_begin(&process->interpose, conf->interpose, diag);
	if (fd < 0)
		return EXIT_RUN;
	conf->front = (struct conf_end){.side = CONF_FD, .fd = fd};
	conf->back =
	    (struct conf_end){.side = CONF_CONNECT, .path = strdup(process->interpose.behind)};
	return EXIT_FINE;
}

static int open_all(struct process *process, struct diag *diag)
{
	static const struct uv_device_events events = {.finished = on_finished, .event = on_event};
	struct conf *conf = &process->conf;

	if (uv_device_open(&process->device, &process->loop, conf, &events, process, diag))
		return EXIT_RUN;
	if (conf->control && uv_control_start(&process->control, &process->loop, conf->control,
					      on_view, process, diag))
		return EXIT_RUN;
	return EXIT_FINE;
}

static void on_taken(void *context, int listener)
{
	struct process *process = context;

	uv_device_relisten(process->device, listener);
}

static void watch_interposed(struct process *process)
{
	if (!process->conf.interpose)
		return;
	process->watch = uv_interpose_open(&process->loop, &process->interpose, on_taken, process);
	if (!process->watch)
		log_line(LEVEL_WARN,
			 "%s: its folder can not be watched: a back-end started anew there would "
			 "be reached directly",
			 process->conf.interpose);
}

static void announce(const struct process *process)
{
	char text[512];

	uv_device_describe(process->device, text, sizeof(text));
	log_line(LEVEL_INFO, "ready: %s%s%s", text, process->conf.control ? ", control " : "",
		 process->conf.control ? process->conf.control : "");
	notify_send("READY=1");
}

static int run(struct process *process)
{
	struct diag diag;
	int code = complete_front(process, &diag);

	if (!code)
		code = check_backend(process, &diag);
	if (!code)
		code = begin_interposing(process, &diag);
	if (code) {
		fprintf(stderr, "vhost-ferry: %s\n", diag.text);
		return code;
	}
	uv_loop_init(&process->loop);
	watch_signals(process);
	code = open_all(process, &diag);
	if (code) {
		fprintf(stderr, "vhost-ferry: %s\n", diag.text);
		stop(process, code);
	} else {
		watch_interposed(process);
		announce(process);
		uv_device_start(process->device);
	}
	uv_run(&process->loop, UV_RUN_DEFAULT);
	uv_loop_close(&process->loop);
	if (process->interpose.lock >= 0 && !interpose_end(&process->interpose, &diag))
		log_line(LEVEL_WARN, "%s", diag.text);
	return process->code;
}

/* The form of docs/interop/vhost-user.json; any device type is served, so none is named. */
static int print_capabilities(void)
{
	puts("{\n  \"features\": []\n}");
	return EXIT_FINE;
}

int main(int argc, char **argv)
{
	struct process process = {.interpose = {.lock = -1}};
	struct diag diag;
	int code;

	switch (conf_parse(&process.conf, argc, argv, &diag)) {
	case CONF_USAGE:
		fprintf(stderr, "vhost-ferry: %s\n", diag.text);
		code = EXIT_USAGE;
		break;
	case CONF_DONE:
		code = EXIT_FINE;
		break;
	default:
		log_open(process.conf.log_level, process.conf.log_json);
		code = process.conf.print_capabilities ? print_capabilities() : run(&process);
	}
	conf_free(&process.conf);
	return code;
}
