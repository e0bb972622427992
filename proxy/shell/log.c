/* SPDX-License-Identifier: BSD-3-Clause */
#include "shell/log.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static enum level log_most = LEVEL_INFO;
static bool log_json;

static const char *const names[] = {"error", "warn", "info", "debug"};

void log_open(enum level most, bool json)
{
	log_most = most;
	log_json = json;
}

bool log_wants(enum level level)
{
	return level <= log_most;
}

static void write_json(enum level level, const struct timespec *now, const char *text)
{
	/* A peer's bytes may be in the text: what is no UTF-8 is dropped, not the line. */
	json_t *object = json_pack("{s:f, s:s, s:i, s:s*}", "time",
				   (double)now->tv_sec + (double)now->tv_nsec / 1e9, "level",
				   names[level], "pid", (int)getpid(), "message", text);
	char *line = object ? json_dumps(object, JSON_COMPACT) : NULL;

	fprintf(stderr, "%s\n", line ? line : "{}");
	free(line);
	json_decref(object);
}

/* One write for each line, so that lines of several daemons on one stderr do not mix. */
void log_line(enum level level, const char *format, ...)
{
	struct timespec now;
	struct tm tm;
	char stamp[32];
	va_list args;
	char *text;
	int n;

	if (!log_wants(level))
		return;
	va_start(args, format);
	n = vasprintf(&text, format, args);
	va_end(args);
	if (n < 0)
		return;
	clock_gettime(CLOCK_REALTIME, &now);
	if (log_json) {
		write_json(level, &now, text);
	} else {
		localtime_r(&now.tv_sec, &tm);
		strftime(stamp, sizeof(stamp), "%H:%M:%S", &tm);
		fprintf(stderr, "%s.%03ld vhost-ferry[%d] %s: %s\n", stamp, now.tv_nsec / 1000000,
			(int)getpid(), names[level], text);
	}
	free(text);
}
