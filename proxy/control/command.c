/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/command.h"

#include "base/diag.h"
#include "control/status.h"
#include "control/value.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Digits that give a measured time back as it was put in: 0.25, not 0.25000000000000001. */
#define RETURN_FORMAT (JSON_COMPACT | JSON_REAL_PRECISION(15) | JSON_ENCODE_ANY)
#define ID_FORMAT     (JSON_COMPACT | JSON_ENCODE_ANY)

static json_t *follow(const struct view *view);
static json_t *help(const struct view *view);
static int move_rings(const struct view *view, const char *argument, struct diag *diag);
static int swap_backend(const struct view *view, const char *argument, struct diag *diag);
static int measure_rate(const struct view *view, const char *argument, struct diag *diag);

#define RATE_SECONDS_MAX 3600u

#define SHOWS(name, make, help)                                                                    \
	{                                                                                          \
		name, make, help, NULL, NULL                                                       \
	}

static const struct command_row {
	const char *name;
	json_t *(*make)(const struct view *view); /* NULL: a version to come has it */
	const char *help;
	const char *argument; /* the one it needs, NULL: none */
	/* With an argument: before make(). 0, or 1 with the line. */
	int (*act)(const struct view *view, const char *argument, struct diag *diag);
} rows[] = {
    SHOWS("status", status_summary, "the device, its peers and what passed between them"),
    SHOWS("features", status_features,
	  "feature bits: offered, shown, acknowledged, hidden and why"),
    SHOWS("queues", status_queues, "the rings in full"),
    SHOWS("memory", status_memory, "the guest's memory regions"),
    SHOWS("iotlb", status_iotlb, "address translation: misses, updates, invalidations"),
    SHOWS("log", status_log, "the dirty log of a migration"),
    SHOWS("events", follow, "follow what happens; events come to every connection unasked"),
    SHOWS("help", help, "the commands"),
    {"data-path", status_path, "move the rings: direct, shadow or auto", "path", move_rings},
    {"swap-backend", status_backend, "move the device to the back-end at PATH, dropping nothing",
     "path", swap_backend},
    {"dirty-rate", status_rate,
     "measure for SECONDS how fast the device writes guest memory; events tell", "seconds",
     measure_rate},
    SHOWS("log-audit", NULL, "compare the back-end's dirty log with what it wrote"),
    SHOWS("capture", NULL, "record all messages and events"),
    SHOWS("metrics", NULL, "figures as Prometheus text"),
    SHOWS("top", NULL, "a live screen"),
};

#define ROW_COUNT (sizeof(rows) / sizeof(rows[0]))

static int move_rings(const struct view *view, const char *argument, struct diag *diag)
{
	static const char *const names[] = {
	    [MODE_AUTO] = "auto", [MODE_DIRECT] = "direct", [MODE_SHADOW] = "shadow"};

	for (unsigned int mode = MODE_AUTO; mode <= MODE_SHADOW; mode++)
		if (strcmp(names[mode], argument) == 0)
			return view->move(view->context, mode, diag);
	return diag_set(diag, 1, "data-path %.64s: is none: use auto, direct or shadow", argument);
}

static int swap_backend(const struct view *view, const char *argument, struct diag *diag)
{
	return view->swap(view->context, argument, diag);
}

static int measure_rate(const struct view *view, const char *argument, struct diag *diag)
{
	char *rest;
	unsigned long seconds = strtoul(argument, &rest, 10);

	if (argument[0] < '0' || argument[0] > '9' || *rest != '\0' || seconds < 1 ||
	    seconds > RATE_SECONDS_MAX)
		return diag_set(diag, 1, "dirty-rate %.64s: is no number of seconds from 1 to %u",
				argument, RATE_SECONDS_MAX);
	return view->rate(view->context, (unsigned int)seconds, diag);
}

static json_t *follow(const struct view *view)
{
	return json_object();
}

static json_t *help(const struct view *view)
{
	json_t *object = json_object();
	json_t *list = json_array();

	for (size_t i = 0; i < ROW_COUNT; i++) {
		json_t *row;

		if (!rows[i].make)
			continue;
		row = json_object();
		value_put(&row, "name", json_string(rows[i].name));
		value_put(&row, "help", json_string(rows[i].help));
		value_append(&list, row);
	}
	value_put(&object, "commands", list);
	return object;
}

/* {"KEY":VALUE,"id":ID}; consumes `value`. The parts differ in how numbers are written. */
static char *envelope(const char *key, json_t *value, const json_t *id)
{
	char *body = value ? json_dumps(value, RETURN_FORMAT) : NULL;
	char *tail = id ? json_dumps(id, ID_FORMAT) : NULL;
	char *line = NULL;
	int result = -1;

	if (body && id && tail)
		result = asprintf(&line, "{\"%s\":%s,\"id\":%s}\n", key, body, tail);
	else if (body && !id)
		result = asprintf(&line, "{\"%s\":%s}\n", key, body);
	free(body);
	free(tail);
	json_decref(value);
	return result < 0 ? NULL : line;
}

enum refusal {
	REFUSE_GENERIC,
	REFUSE_NOT_FOUND,
};

static char *error_line(enum refusal refusal, const char *desc, const json_t *id)
{
	static const char *const classes[] = {
	    [REFUSE_GENERIC] = "GenericError",
	    [REFUSE_NOT_FOUND] = "CommandNotFound",
	};
	json_t *error = json_object();

	value_put(&error, "class", json_string(classes[refusal]));
	value_put(&error, "desc", value_text(desc));
	return envelope("error", error, id);
}

char *command_error(const char *desc)
{
	return error_line(REFUSE_GENERIC, desc, NULL);
}

char *command_too_long(void)
{
	struct diag diag;

	diag_set(&diag, 0, "the line is longer than %d bytes and was left out: send a shorter one",
		 COMMAND_LINE_MAX);
	return command_error(diag.text);
}

char *command_event(const char *event, const char *data, int64_t seconds, int32_t microseconds)
{
	json_t *object = json_object();
	json_t *time = json_object();
	json_t *body = json_loads(data, 0, NULL);
	char *text, *line = NULL;

	if (!json_is_object(body)) {
		json_decref(body);
		body = json_object();
		value_put(&body, "text", value_text(data));
	}
	value_put(&time, "seconds", json_integer(seconds));
	value_put(&time, "microseconds", json_integer(microseconds));
	value_put(&object, "event", json_string(event));
	value_put(&object, "data", body);
	value_put(&object, "timestamp", time);
	text = object ? json_dumps(object, RETURN_FORMAT) : NULL;
	if (text && asprintf(&line, "%s\n", text) < 0)
		line = NULL;
	free(text);
	json_decref(object);
	return line;
}

/* What is asked, taken apart; references into the parsed line. */
struct request {
	const char *name;
	const json_t *id;
	const struct command_row *row;
	const char *argument; /* NULL: none */
};

static const struct command_row *row_of(const char *name)
{
	for (size_t i = 0; i < ROW_COUNT; i++)
		if (strcmp(rows[i].name, name) == 0)
			return &rows[i];
	return NULL;
}

static void list_commands(char *text, size_t size)
{
	size_t used = 0;

	text[0] = '\0';
	for (size_t i = 0; i < ROW_COUNT && used < size; i++)
		if (rows[i].make)
			used += (size_t)snprintf(text + used, size - used, "%s%s", used ? ", " : "",
						 rows[i].name);
}

/* The one argument of a command that has one, and no other. */
static int check_argument(const json_t *arguments, struct request *request, struct diag *diag)
{
	const char *needed = request->row->argument;
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)arguments, key, value)
	{
		if (!needed || strcmp(key, needed) != 0)
			return diag_set(diag, 1, "%s: takes no argument '%.64s': leave it out",
					request->name, key);
		request->argument = json_string_value(value);
	}
	if (needed && !request->argument)
		return diag_set(diag, 1, "%s: needs the argument '%s', a string", request->name,
				needed);
	return 0;
}

/* Everything that may be wrong with a line that is JSON; 0: nothing is. */
static int check(json_t *root, struct request *request, enum refusal *refusal, struct diag *diag)
{
	json_t *execute = json_object_get(root, "execute");
	const json_t *arguments = json_object_get(root, "arguments");
	char names[128];
	const char *key;
	json_t *value;

	request->id = json_object_get(root, "id");
	json_object_foreach(
	    root, key,
	    value) if (value != execute && value != arguments &&
		       value != request->id) return diag_set(diag, 1,
							     "'%.64s' is no member of a command, "
							     "which has execute, "
							     "arguments and id: leave it out",
							     key);
	if (!json_is_string(execute))
		return diag_set(diag, 1, "%s: name a command, as in {\"execute\":\"status\"}",
				execute ? "execute is no string" : "execute is missing");
	request->name = json_string_value(execute);
	request->row = row_of(request->name);
	list_commands(names, sizeof(names));
	*refusal = REFUSE_NOT_FOUND;
	if (!request->row)
		return diag_set(diag, 1, "'%.64s' is no command: use one of %s", request->name,
				names);
	if (!request->row->make)
		return diag_set(diag, 1,
				"%s (%s) is not in version %s yet: use one of %s, or a version "
				"that has it",
				request->name, request->row->help, FERRY_VERSION, names);
	*refusal = REFUSE_GENERIC;
	if (arguments && !json_is_object(arguments))
		return diag_set(diag, 1, "%s: arguments is no object: use {} or leave it out",
				request->name);
	return check_argument(arguments, request, diag);
}

static char *answer_object(json_t *root, command_fill fill, void *context)
{
	enum refusal refusal = REFUSE_GENERIC;
	struct request request = {.name = NULL};
	struct diag diag;
	struct view view;

	if (check(root, &request, &refusal, &diag)) {
		/* It quotes the sender, and may end on a terminal. */
		value_clean(diag.text);
		return error_line(refusal, diag.text, request.id);
	}
	fill(&view, context);
	if (request.row->act && request.row->act(&view, request.argument, &diag)) {
		value_clean(diag.text);
		return error_line(REFUSE_GENERIC, diag.text, request.id);
	}
	/* What was done may have ended the session that was seen. */
	if (request.row->act)
		fill(&view, context);
	return envelope("return", request.row->make(&view), request.id);
}

static bool blank(const char *line, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (!memchr(" \t\r\n", line[i], 4))
			return false;
	return true;
}

int command_answer(const char *line, size_t length, command_fill fill, void *context, char **answer)
{
	json_error_t error;
	struct diag diag;
	json_t *root;

	if (length > COMMAND_LINE_MAX) {
		*answer = command_too_long();
		return *answer ? COMMAND_ANSWERED : -ENOMEM;
	}
	if (blank(line, length))
		return COMMAND_BLANK;
	root = json_loadb(line, length, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
	if (!root) {
		diag_set(&diag, 0, "no JSON, at byte %d: %s: send one object a line",
			 error.position, error.text);
		value_clean(diag.text);
		*answer = command_error(diag.text);
	} else if (!json_is_object(root)) {
		*answer = command_error("JSON, but no object: send {\"execute\":\"COMMAND\"}");
	} else {
		*answer = answer_object(root, fill, context);
	}
	json_decref(root);
	return *answer ? COMMAND_ANSWERED : -ENOMEM;
}
