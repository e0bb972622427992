/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctl/link.h"
#include "ctl/show.h"

#include <popt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PROGRAM      "vhost-ferryctl"
#define ANSWER_MS    10000
#define RATE_SECONDS "10"
#define MOVE_MS      60000 /* for rings on the move */
#define MOVE_LOOK_MS 5
#define COMMAND_MAX  64 /* bytes of a command's name */
#define JSON_FORMAT  (JSON_REAL_PRECISION(15) | JSON_ENCODE_ANY)

enum exit_code {
	EXIT_FINE = 0,
	EXIT_RUN = 1,
	EXIT_USAGE = 2,
};

struct options {
	char *control;
	const char *command;
	const char *argument; /* NULL: none */
	int json, help, version;
};

#define SHOWS(name, show, help)                                                                    \
	{                                                                                          \
		name, show, help, NULL                                                             \
	}

static const struct command {
	const char *name;
	void (*show)(const json_t *answer);
	const char *help;
	const char *key; /* the argument's name to the daemon, NULL: it takes none */
} commands[] = {
    SHOWS("status", show_status, "the device, its peers, and what passed between them"),
    SHOWS("features", show_features, "each feature bit: offered, acknowledged, hidden and why"),
    SHOWS("queues", show_queues, "the rings in full"),
    SHOWS("memory", show_memory, "the guest's memory regions"),
    SHOWS("iotlb", show_iotlb, "address translation"),
    SHOWS("log", show_log, "the dirty log of a migration"),
    {"data-path", NULL, "direct, shadow or auto: move every ring, under load", "path"},
    {"swap-backend", NULL, "move the device to the back-end at PATH, dropping nothing", "path"},
    {"dirty-rate", NULL, "measure for SECONDS (10) how fast the device writes guest memory",
     "seconds"},
    SHOWS("events", NULL, "follow what happens, until Ctrl-C or the daemon's end"),
};

#define COMMAND_COUNT (sizeof(commands) / sizeof(commands[0]))

static const struct command *command_of(const char *name)
{
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

static int complain(enum exit_code code, const char *text)
{
	fprintf(stderr, PROGRAM ": %s\n", text);
	return code;
}

static int usage(const char *what, const char *rule)
{
	fprintf(stderr, PROGRAM ": %s: %s\n", what, rule);
	return EXIT_USAGE;
}

static void print_help(poptContext context)
{
	poptPrintHelp(context, stdout, 0);
	puts("\nCommands:");
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		printf("  %-14s%s\n", commands[i].name, commands[i].help);
	puts("A name that is none of these is passed to the daemon, which may be newer.");
}

static void print_json(const json_t *value, size_t how)
{
	json_dumpf(value, stdout, how | JSON_FORMAT);
	putchar('\n');
}

/* What could not be written was not shown: a full disk must not look like success. */
static int finish(int code)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return code;
	return complain(EXIT_RUN, "standard output: can not be written");
}

static int one_answer(struct link *link, const struct options *options)
{
	const struct command *command = command_of(options->command);
	struct diag diag;
	json_t *answer;

	if (link_ask(link, options->command, NULL, NULL, ANSWER_MS, &answer, &diag))
		return complain(EXIT_RUN, diag.text);
	if (!options->json)
		show_clean(answer);
	if (options->json || !command)
		print_json(answer, JSON_INDENT(2));
	else
		command->show(answer);
	json_decref(answer);
	return finish(EXIT_FINE);
}

static int count_of(const json_t *answer, const char *key)
{
	return (int)json_integer_value(json_object_get(answer, key));
}

/*
 * A ring moves when what is in flight has completed, which may be a slow request:
 * asks until every ring has arrived. `answer` is replaced by the last one.
 */
static int await_rings(struct link *link, json_t **answer, struct diag *diag)
{
	const struct timespec pause = {.tv_nsec = MOVE_LOOK_MS * 1000000};

	for (int left = MOVE_MS / MOVE_LOOK_MS; left > 0 && count_of(*answer, "moving"); left--) {
		json_decref(*answer);
		nanosleep(&pause, NULL);
		if (link_ask(link, "status", NULL, NULL, ANSWER_MS, answer, diag))
			return EXIT_RUN;
	}
	return EXIT_FINE;
}

static int move_rings(struct link *link, const struct options *options)
{
	struct diag diag;
	json_t *answer;
	int moving, stayed;

	if (link_ask(link, options->command, "path", options->argument, ANSWER_MS, &answer,
		     &diag) ||
	    await_rings(link, &answer, &diag))
		return complain(EXIT_RUN, diag.text);
	moving = count_of(answer, "moving");
	stayed = count_of(answer, "stayed");
	json_decref(answer);
	if (moving) {
		fprintf(stderr,
			PROGRAM
			": data-path: %d rings are still on the move after %d s: a request is "
			"slow, they go on by themselves\n",
			moving, MOVE_MS / 1000);
		return EXIT_RUN;
	}
	if (stayed) {
		fprintf(stderr,
			PROGRAM ": data-path: %d rings stay direct: the back-end was not done with "
				"their requests in time: ask again when it is less busy\n",
			stayed);
		return EXIT_RUN;
	}
	if (options->json)
		printf("{\"path\":\"%s\"}\n", options->argument);
	else
		printf("data path: %s\n", options->argument);
	return finish(EXIT_FINE);
}

static void on_signal(int number)
{
	/* Its coming is what matters: it ends the wait for the next event. */
}

static sigset_t catch_signals(void)
{
	static const int numbers[] = {SIGINT, SIGTERM};
	struct sigaction action = {.sa_handler = on_signal};
	sigset_t blocked, before;

	sigemptyset(&blocked);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		sigaction(numbers[i], &action, NULL);
		sigaddset(&blocked, numbers[i]);
	}
	sigprocmask(SIG_BLOCK, &blocked, &before);
	return before;
}

static int follow(struct link *link, const struct options *options)
{
	/* Blocked but while waiting: one that comes in between is not lost. */
	sigset_t unblocked = catch_signals();
	struct diag diag;
	json_t *value;
	int result;

	if (link_ask(link, options->command, NULL, NULL, ANSWER_MS, &value, &diag))
		return complain(EXIT_RUN, diag.text);
	json_decref(value);
	while (!(result = link_event(link, &unblocked, &value, &diag))) {
		if (!options->json)
			show_clean(value);
		if (options->json)
			print_json(value, JSON_COMPACT);
		else
			show_event(value);
		json_decref(value);
		if (finish(EXIT_FINE))
			return EXIT_RUN;
	}
	if (result == LINK_STOPPED)
		return EXIT_FINE;
	return complain(result == LINK_ENDED ? EXIT_FINE : EXIT_RUN, diag.text);
}

/* True: the event is the end of a swap, well or not. */
static bool ends_swap(const struct options *options, const json_t *event, int *code)
{
	const char *name = json_string_value(json_object_get(event, "event"));
	const json_t *data = json_object_get(event, "data");
	const char *reason = json_string_value(json_object_get(data, "reason"));
	double pause = json_number_value(json_object_get(data, "outage_us"));

	*code = EXIT_RUN;
	if (!name)
		return false;
	if (strcmp(name, "BACKEND_UNFIT") == 0) {
		fprintf(stderr, PROGRAM ": swap-backend %s: %s\n", options->argument,
			reason ? reason : "it is unfit");
		return true;
	}
	if (strcmp(name, "FRONTEND_DISCONNECTED") == 0) {
		fprintf(stderr, PROGRAM ": swap-backend %s: the front-end left meanwhile\n",
			options->argument);
		return true;
	}
	if (strcmp(name, "BACKEND_BACK") != 0)
		return false;
	if (options->json)
		print_json(data, JSON_COMPACT);
	else
		printf("back-end: %s, after a pause of %.3f ms\n", options->argument, pause / 1000);
	*code = finish(EXIT_FINE);
	return true;
}

static int swap_backend(struct link *link, const struct options *options)
{
	sigset_t unblocked = catch_signals();
	bool over = false;
	struct diag diag;
	json_t *value;
	int code = EXIT_FINE, swapping;

	if (link_ask(link, options->command, "path", options->argument, ANSWER_MS, &value, &diag))
		return complain(EXIT_RUN, diag.text);
	swapping = json_is_true(json_object_get(value, "swapping"));
	json_decref(value);
	if (!swapping) {
		printf("back-end: %s, for the next front-end\n", options->argument);
		return finish(EXIT_FINE);
	}
	while (!over) {
		if (link_event(link, &unblocked, &value, &diag))
			return complain(EXIT_RUN, diag.text);
		show_clean(value);
		over = ends_swap(options, value, &code);
		json_decref(value);
	}
	return code;
}

/* Events tell each second, the last time with `done`. */
static int measure_rate(struct link *link, const struct options *options)
{
	const char *seconds = options->argument ? options->argument : RATE_SECONDS;
	sigset_t unblocked = catch_signals();
	bool done = false, interrupted = false;
	struct diag diag;
	json_t *value;

	if (link_ask(link, options->command, "seconds", seconds, ANSWER_MS, &value, &diag))
		return complain(EXIT_RUN, diag.text);
	json_decref(value);
	while (!done) {
		const json_t *data;
		const char *name;

		if (link_event(link, &unblocked, &value, &diag))
			return complain(EXIT_RUN, diag.text);
		show_clean(value);
		name = json_string_value(json_object_get(value, "event"));
		data = json_object_get(value, "data");
		interrupted = name && strcmp(name, "FRONTEND_DISCONNECTED") == 0;
		done = interrupted;
		if (name && strcmp(name, "DIRTY_RATE") == 0) {
			done = json_is_true(json_object_get(data, "done"));
			interrupted = json_is_true(json_object_get(data, "interrupted"));
			if (options->json && done)
				print_json(data, JSON_COMPACT);
			else if (!options->json)
				show_rate(data);
			fflush(stdout);
		}
		json_decref(value);
	}
	if (interrupted)
		return complain(EXIT_RUN, "dirty-rate: ended early: a migration began, or the "
					  "front-end left");
	return finish(EXIT_FINE);
}

static int run(const struct options *options)
{
	struct link link;
	struct diag diag;
	int code;

	if (link_open(&link, options->control, &diag))
		return complain(EXIT_RUN, diag.text);
	if (strcmp(options->command, "events") == 0)
		code = follow(&link, options);
	else if (strcmp(options->command, "data-path") == 0)
		code = move_rings(&link, options);
	else if (strcmp(options->command, "swap-backend") == 0)
		code = swap_backend(&link, options);
	else if (strcmp(options->command, "dirty-rate") == 0)
		code = measure_rate(&link, options);
	else
		code = one_answer(&link, options);
	link_close(&link);
	return code;
}

static int check(struct options *options, poptContext context)
{
	const struct command *command;
	const char *extra;

	if (!options->control)
		return usage("--control", "is missing: give the path vhost-ferry was given");
	if (!options->command)
		return usage("COMMAND", "is missing: see --help");
	if (strlen(options->command) > COMMAND_MAX)
		return usage("COMMAND", "is longer than any command: see --help");
	command = command_of(options->command);
	options->argument = poptGetArg(context);
	extra = poptGetArg(context);
	if (command && command->key && !options->argument &&
	    strcmp(command->name, "dirty-rate") != 0)
		return usage(options->command, "needs an argument: see --help");
	if (command && !command->key)
		extra = options->argument;
	if (extra && command)
		return usage(extra, "the command takes no such argument: leave it out");
	if (options->argument && !command)
		return usage(options->command,
			     "is no command of this version that takes an argument: see --help");
	return EXIT_FINE;
}

int main(int argc, char **argv)
{
	struct options options = {.control = NULL};
	const struct poptOption table[] = {
	    {"control", 'c', POPT_ARG_STRING, &options.control, 0, "the daemon's control socket",
	     "PATH"},
	    {"json", 'j', POPT_ARG_NONE, &options.json, 0,
	     "print the object itself (events: one a line)", NULL},
	    {"version", 'V', POPT_ARG_NONE, &options.version, 0, "print the version", NULL},
	    {"help", '?', POPT_ARG_NONE, &options.help, 0, "print this help", NULL},
	    POPT_TABLEEND,
	};
	poptContext context = poptGetContext(PROGRAM, argc, (const char **)argv, table, 0);
	int option, code = EXIT_FINE;

	poptSetOtherOptionHelp(context, "--control=PATH [--json] COMMAND [ARG]");
	option = poptGetNextOpt(context);
	if (option < -1) {
		code = usage(poptBadOption(context, POPT_BADOPTION_NOALIAS), poptStrerror(option));
	} else if (options.help) {
		print_help(context);
		code = finish(EXIT_FINE);
	} else if (options.version) {
		puts(PROGRAM " " FERRY_VERSION);
		code = finish(EXIT_FINE);
	} else {
		options.command = poptGetArg(context);
		code = check(&options, context);
		if (code == EXIT_FINE)
			code = run(&options);
	}
	free(options.control);
	poptFreeContext(context);
	return code;
}
