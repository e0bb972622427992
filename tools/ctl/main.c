/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctl/link.h"
#include "ctl/show.h"

#include <popt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROGRAM     "vhost-ferryctl"
#define ANSWER_MS   10000
#define COMMAND_MAX 64 /* bytes of a command's name */
#define JSON_FORMAT (JSON_REAL_PRECISION(15) | JSON_ENCODE_ANY)

enum exit_code {
	EXIT_FINE = 0,
	EXIT_RUN = 1,
	EXIT_USAGE = 2,
};

struct options {
	char *control;
	const char *command;
	int json, help, version;
};

static const struct command {
	const char *name;
	void (*show)(const json_t *answer);
	const char *help;
} commands[] = {
    {"status", show_status, "the device, its peers, and what passed between them"},
    {"features", show_features, "each feature bit: offered, acknowledged, hidden and why"},
    {"queues", show_queues, "the rings in full"},
    {"memory", show_memory, "the guest's memory regions"},
    {"iotlb", show_iotlb, "address translation"},
    {"log", show_log, "the dirty log of a migration"},
    {"events", NULL, "follow what happens, until Ctrl-C or the daemon's end"},
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
		printf("  %-10s%s\n", commands[i].name, commands[i].help);
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

	if (link_ask(link, options->command, ANSWER_MS, &answer, &diag))
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

	if (link_ask(link, options->command, ANSWER_MS, &value, &diag))
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

static int run(const struct options *options)
{
	struct link link;
	struct diag diag;
	int code;

	if (link_open(&link, options->control, &diag))
		return complain(EXIT_RUN, diag.text);
	if (strcmp(options->command, "events") == 0)
		code = follow(&link, options);
	else
		code = one_answer(&link, options);
	link_close(&link);
	return code;
}

static int check(const struct options *options, poptContext context)
{
	const char *extra;

	if (!options->control)
		return usage("--control", "is missing: give the path vhost-ferry was given");
	if (!options->command)
		return usage("COMMAND", "is missing: see --help");
	if (strlen(options->command) > COMMAND_MAX)
		return usage("COMMAND", "is longer than any command: see --help");
	extra = poptGetArg(context);
	if (extra && command_of(options->command))
		return usage(extra, "the command takes no argument in this version: leave it out");
	if (extra)
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

	poptSetOtherOptionHelp(context, "--control=PATH [--json] COMMAND");
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
