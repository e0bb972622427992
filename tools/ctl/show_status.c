/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctl/show.h"

#include "ctl/grid.h"
#include "ctl/units.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define LABEL 12 /* columns of the left edge */

static void show_peer(const char *label, const json_t *peer)
{
	const json_t *pid = json_object_get(peer, "pid");
	const json_t *path = json_object_get(peer, "path");

	printf("%-*s%s", LABEL, label,
	       show_true(peer, "connected") ? "connected" : "not connected");
	if (json_is_integer(pid))
		printf(", process %" JSON_INTEGER_FORMAT, json_integer_value(pid));
	if (json_is_string(path))
		printf(", %s", json_string_value(path));
	putchar('\n');
	show_names("  virtio", LABEL, json_object_get(peer, "features"));
	show_names("  protocol", LABEL, json_object_get(peer, "protocol_features"));
}

static void show_log_line(const json_t *log)
{
	char size[UNITS_TEXT_MAX];

	printf("%-*s", LABEL, "dirty log");
	if (!json_is_string(json_object_get(log, "source"))) {
		puts("none");
		return;
	}
	printf("%s, %s, written by the %s, %" PRIu64 " pages marked by the daemon\n",
	       show_true(log, "active") ? "on" : "off", units_size(show_number(log, "size"), size),
	       show_text(log, "source"), show_number(log, "pages_marked"));
}

static void show_lines(const json_t *status)
{
	const json_t *postcopy = json_object_get(status, "postcopy");
	const json_t *iotlb = json_object_get(status, "iotlb");
	char text[UNITS_TEXT_MAX];

	show_names("synthesised", LABEL, json_object_get(status, "synthesized"));
	show_log_line(json_object_get(status, "log"));
	printf("%-*s%s, %" PRIu64 " faults, %" PRIu64 " pages waited for, longest wait %s\n", LABEL,
	       "postcopy", show_text(postcopy, "state"), show_number(postcopy, "faults"),
	       show_number(postcopy, "pages_waited"),
	       units_micros(show_number(postcopy, "longest_wait_us"), text));
	printf("%-*s%" PRIu64 " entries, %" PRIu64 " hits, %" PRIu64 " misses, %" PRIu64
	       " invalidations\n",
	       LABEL, "iotlb", show_number(iotlb, "entries"), show_number(iotlb, "hits"),
	       show_number(iotlb, "misses"), show_number(iotlb, "invalidations"));
	printf("%-*s%" PRIu64 " reconnects, %" PRIu64 " replays, last outage %s\n", LABEL, "peers",
	       show_number(status, "reconnects"), show_number(status, "replays"),
	       units_micros(show_number(status, "last_outage_us"), text));
}

static void show_queue_table(const json_t *queues)
{
	static const char *const counts[] = {"kicks", "calls", "relayed", "inflight"};
	struct grid grid;
	char size[UNITS_TEXT_MAX];
	const json_t *queue;
	size_t i;

	grid_begin(&grid, "rlrlllrrrrr");
	grid_words(&grid, "queue|format|size|enabled|started|path|kicks|calls|relayed|inflight|"
			  "written");
	json_array_foreach(queues, i, queue)
	{
		grid_add(&grid, "%" PRIu64, show_number(queue, "index"));
		grid_add(&grid, "%s", show_text(queue, "format"));
		grid_add(&grid, "%" PRIu64, show_number(queue, "size"));
		grid_add(&grid, "%s", show_yes(queue, "enabled"));
		grid_add(&grid, "%s", show_yes(queue, "started"));
		grid_add(&grid, "%s", show_text(queue, "path"));
		for (size_t c = 0; c < sizeof(counts) / sizeof(counts[0]); c++)
			grid_add(&grid, "%" PRIu64, show_number(queue, counts[c]));
		grid_add(&grid, "%s", units_size(show_number(queue, "bytes_written"), size));
	}
	putchar('\n');
	grid_end(&grid, "");
}

static void show_messages(json_t *messages)
{
	struct grid grid;
	const char *name;
	json_t *count;

	grid_begin(&grid, "lrr");
	grid_words(&grid, "message|front to back|back to front");
	json_object_foreach(messages, name, count)
	{
		grid_add(&grid, "%s", name);
		grid_add(&grid, "%" PRIu64, show_number(count, "front-to-back"));
		grid_add(&grid, "%" PRIu64, show_number(count, "back-to-front"));
	}
	putchar('\n');
	grid_end(&grid, "");
}

void show_status(const json_t *status)
{
	double uptime = json_number_value(json_object_get(status, "uptime_s"));
	const json_t *queues = json_object_get(status, "queues");
	json_t *messages = json_object_get(status, "messages");
	char time[UNITS_TEXT_MAX], rss[UNITS_TEXT_MAX];

	printf("%-*s%s, up %s, device %s, %s of memory, version %s\n", LABEL, "vhost-ferry",
	       show_text(status, "state"), units_time(uptime, time), show_text(status, "device"),
	       units_size(show_number(status, "rss_kb") * 1024, rss), show_text(status, "version"));
	show_peer("front-end", json_object_get(status, "frontend"));
	show_peer("back-end", json_object_get(status, "backend"));
	show_lines(status);
	if (json_array_size(queues))
		show_queue_table(queues);
	if (json_object_size(messages))
		show_messages(messages);
}
