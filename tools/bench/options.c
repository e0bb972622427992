/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench/options.h"

#include "wire/message.h"

#include <errno.h>
#include <popt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECTOR             512u
#define SIZE_MAX_BYTES     (1u << 20)
#define UNSET              (-1.0)
#define DIRECT_DESCRIPTORS 3u /* header, data, status */

/* As they come from popt, before they are checked. */
struct raw {
	char *format, *rw, *event_idx, *indirect;
	int queues, queue_size, depth, size, rounds, poll_us, control_rounds;
	double seconds, timeout;
	long long requests;
	int verify, json;
};

static const char *const rw_names[] = {
    [OPTIONS_READ] = "read",
    [OPTIONS_WRITE] = "write",
    [OPTIONS_MIXED] = "mixed",
};

static const char *const format_names[] = {
    [RING_SPLIT] = "split",
    [RING_PACKED] = "packed",
};

static const char *const want_names[] = {
    [OPTIONS_OFFERED] = "offered",
    [OPTIONS_ON] = "on",
    [OPTIONS_OFF] = "off",
};

const char *options_rw_name(enum options_rw rw)
{
	return rw_names[rw];
}

/* The index of `text` in `names`; `fallback` where the option was not given. */
static int choose(const char *option, const char *text, const char *const *names,
		  unsigned int count, unsigned int *value, struct diag *diag)
{
	if (!text)
		return 0;
	for (unsigned int i = 0; i < count; i++) {
		if (strcmp(text, names[i]) == 0) {
			*value = i;
			return 0;
		}
	}
	return diag_set(diag, -EINVAL, "--%s=%s: must be %s%s%s or %s", option, text, names[0],
			count > 2 ? ", " : "", count > 2 ? names[1] : "", names[count - 1]);
}

static int within(const char *option, long long value, long long least, long long most,
		  struct diag *diag)
{
	if (value >= least && value <= most)
		return 0;
	return diag_set(diag, -EINVAL, "--%s=%lld: must be %lld to %lld", option, value, least,
			most);
}

static int check_numbers(const struct raw *raw, struct diag *diag)
{
	const struct {
		const char *option;
		long long value, least, most;
	} rows[] = {
	    {"queues", raw->queues, 1, WIRE_QUEUES_MAX},
	    {"queue-size", raw->queue_size, 1, RING_SIZE_MAX},
	    {"depth", raw->depth, 1, RING_SIZE_MAX},
	    {"size", raw->size, SECTOR, SIZE_MAX_BYTES},
	    {"rounds", raw->rounds, 0, 10000},
	    {"poll-us", raw->poll_us, 0, 1000000},
	    {"control-rounds", raw->control_rounds, 0, 10000000},
	    {"requests", raw->requests, 0, INT64_MAX},
	};
	int result = 0;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]) && !result; i++)
		result = within(rows[i].option, rows[i].value, rows[i].least, rows[i].most, diag);
	if (!result && raw->size % SECTOR)
		result = diag_set(diag, -EINVAL, "--size=%d: must be a multiple of %u", raw->size,
				  SECTOR);
	if (!result && raw->seconds != UNSET && !(raw->seconds >= 0.001 && raw->seconds <= 1e6))
		result =
		    diag_set(diag, -EINVAL, "--seconds=%g: must be 0.001 to 1000000", raw->seconds);
	if (!result && !(raw->timeout >= 0.001 && raw->timeout <= 1e6))
		result = diag_set(diag, -EINVAL, "--timeout=%g: must be 0.001 to 1000000 seconds",
				  raw->timeout);
	if (!result && raw->seconds != UNSET && raw->requests > 0)
		result = diag_set(diag, -EINVAL,
				  "--seconds and --requests both end a round: "
				  "give one");
	return result;
}

static int check_together(const struct options *options, bool rw_given, struct diag *diag)
{
	if (options->sockets == 0)
		return diag_set(diag, -EINVAL,
				"no socket: give --socket-path=PATH of a vhost-user-blk back-end");
	if (options->format == RING_SPLIT && (options->queue_size & (options->queue_size - 1)))
		return diag_set(diag, -EINVAL, "--queue-size=%u: a split ring needs a power of two",
				options->queue_size);
	if (options->depth > options->queue_size)
		return diag_set(diag, -EINVAL,
				"--depth=%u: the queue size is %u, raise "
				"--queue-size",
				options->depth, options->queue_size);
	if (options->indirect == OPTIONS_OFF &&
	    options->depth * DIRECT_DESCRIPTORS > options->queue_size)
		return diag_set(diag, -EINVAL,
				"--depth=%u: takes %u descriptors without --indirect, raise "
				"--queue-size=%u",
				options->depth, options->depth * DIRECT_DESCRIPTORS,
				options->queue_size);
	if (options->verify && options->rw == OPTIONS_READ && rw_given)
		return diag_set(diag, -EINVAL,
				"--verify --rw=read: only what was written can be "
				"checked, use --rw=mixed or --rw=write");
	return 0;
}

static int finish(struct options *options, const struct raw *raw, struct diag *diag)
{
	unsigned int format = RING_SPLIT, event_idx = OPTIONS_OFFERED, indirect = OPTIONS_OFFERED;
	unsigned int rw = raw->verify ? OPTIONS_MIXED : OPTIONS_READ;
	int result = check_numbers(raw, diag);

	if (!result)
		result = choose("format", raw->format, format_names, 2, &format, diag);
	if (!result)
		result = choose("rw", raw->rw, rw_names, 3, &rw, diag);
	if (!result)
		result = choose("event-idx", raw->event_idx, want_names, 3, &event_idx, diag);
	if (!result)
		result = choose("indirect", raw->indirect, want_names, 3, &indirect, diag);
	if (result)
		return result;
	options->format = format;
	options->rw = rw;
	options->event_idx = event_idx;
	options->indirect = indirect;
	options->queues = (unsigned int)raw->queues;
	options->queue_size = (unsigned int)raw->queue_size;
	options->depth = (unsigned int)raw->depth;
	options->size = (unsigned int)raw->size;
	options->verify = raw->verify;
	options->requests = (uint64_t)raw->requests;
	options->seconds = raw->seconds != UNSET ? raw->seconds : 2;
	options->rounds = (unsigned int)raw->rounds;
	options->poll_us = (unsigned int)raw->poll_us;
	options->control_rounds = (unsigned int)raw->control_rounds;
	options->timeout_ms = (int)(raw->timeout * 1000);
	options->json = raw->json;
	return check_together(options, raw->rw != NULL, diag);
}

void options_free(struct options *options)
{
	while (options->sockets > 0)
		free(options->paths[--options->sockets]);
}

enum { OPTION_SOCKET = 1, OPTION_VERSION };

static int add_socket(struct options *options, char *path, struct diag *diag)
{
	if (options->sockets == OPTIONS_SOCKETS_MAX) {
		diag_set(diag, -EINVAL, "--socket-path=%s: at most %u sockets", path,
			 OPTIONS_SOCKETS_MAX);
		free(path);
		return -EINVAL;
	}
	options->paths[options->sockets++] = path;
	return 0;
}

static int read_all(struct options *options, poptContext context, struct diag *diag)
{
	int option = 0, result = 0;

	while (!result && (option = poptGetNextOpt(context)) > 0) {
		if (option == OPTION_VERSION) {
			printf("vhost-ferry-bench %s\n", FERRY_VERSION);
			return OPTIONS_DONE;
		}
		result = add_socket(options, poptGetOptArg(context), diag);
	}
	if (!result && option < -1)
		result =
		    diag_set(diag, -EINVAL, "%s: %s, see --help",
			     poptBadOption(context, POPT_BADOPTION_NOALIAS), poptStrerror(option));
	if (!result && poptPeekArg(context))
		result = diag_set(diag, -EINVAL, "%s: no such argument, see --help",
				  poptPeekArg(context));
	return result;
}

int options_parse(struct options *options, int argc, const char **argv, struct diag *diag)
{
	struct raw raw = {
	    .queues = 1,
	    .queue_size = 128,
	    .depth = 1,
	    .size = 4096,
	    .rounds = 3,
	    .timeout = 10,
	    .seconds = UNSET,
	};
	const struct poptOption table[] = {
	    {"socket-path", 0, POPT_ARG_STRING, NULL, OPTION_SOCKET,
	     "a vhost-user-blk back-end that listens; several are measured in turns", "PATH"},
	    {"format", 0, POPT_ARG_STRING, &raw.format, 0, "split (default) or packed rings",
	     "FORMAT"},
	    {"queues", 0, POPT_ARG_INT, &raw.queues, 0, "queues (1)", "N"},
	    {"queue-size", 0, POPT_ARG_INT, &raw.queue_size, 0, "descriptors a queue (128)", "N"},
	    {"depth", 0, POPT_ARG_INT, &raw.depth, 0, "requests in flight a queue (1)", "N"},
	    {"size", 0, POPT_ARG_INT, &raw.size, 0, "bytes a request (4096)", "BYTES"},
	    {"rw", 0, POPT_ARG_STRING, &raw.rw, 0,
	     "read (default), write or mixed (default with --verify)", "WHAT"},
	    {"verify", 0, POPT_ARG_NONE, &raw.verify, 0,
	     "write a pattern, check every read of it, read all back at the end", NULL},
	    {"seconds", 0, POPT_ARG_DOUBLE, &raw.seconds, 0, "length of a round (2)", "S"},
	    {"requests", 0, POPT_ARG_LONGLONG, &raw.requests, 0,
	     "requests a round, instead of a time", "N"},
	    {"rounds", 0, POPT_ARG_INT, &raw.rounds, 0, "rounds on each socket (3)", "N"},
	    {"event-idx", 0, POPT_ARG_STRING, &raw.event_idx, 0,
	     "on, off, or offered (default): where the back-end has it", "WHEN"},
	    {"indirect", 0, POPT_ARG_STRING, &raw.indirect, 0, "likewise", "WHEN"},
	    {"poll-us", 0, POPT_ARG_INT, &raw.poll_us, 0,
	     "spin this long for a completion before sleeping (0)", "N"},
	    {"control-rounds", 0, POPT_ARG_INT, &raw.control_rounds, 0,
	     "first time this many GET_FEATURES round trips on each socket", "N"},
	    {"timeout", 0, POPT_ARG_DOUBLE, &raw.timeout, 0,
	     "seconds a request or a message may take (10)", "S"},
	    {"json", 0, POPT_ARG_NONE, &raw.json, 0, "print JSON", NULL},
	    {"version", 0, POPT_ARG_NONE, NULL, OPTION_VERSION, "print the version", NULL},
	    POPT_AUTOHELP POPT_TABLEEND};
	poptContext context = poptGetContext("vhost-ferry-bench", argc, argv, table, 0);
	int result;

	*options = (struct options){.sockets = 0};
	result = read_all(options, context, diag);
	if (!result)
		result = finish(options, &raw, diag);
	poptFreeContext(context);
	free(raw.format);
	free(raw.rw);
	free(raw.event_idx);
	free(raw.indirect);
	return result;
}
