/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctl/show.h"

#include "ctl/grid.h"
#include "ctl/units.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LINE_WIDTH     90
#define QEMU_BANDWIDTH (UINT64_C(128) << 20) /* a second, when nobody sets it */
#define PAGE           4096u

uint64_t show_number(const json_t *object, const char *key)
{
	double value = json_number_value(json_object_get(object, key));

	if (json_is_integer(json_object_get(object, key)))
		return (uint64_t)json_integer_value(json_object_get(object, key));
	/* Above 2^63 the daemon sends a real; what lies beyond every integer is the last. */
	return value >= 18446744073709551615.0 ? UINT64_MAX : value > 0 ? (uint64_t)value : 0;
}

bool show_true(const json_t *object, const char *key)
{
	return json_is_true(json_object_get(object, key));
}

const char *show_text(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "-";
}

const char *show_yes(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	return json_is_boolean(value) ? json_is_true(value) ? "yes" : "no" : "-";
}

void show_names(const char *label, int width, const json_t *names)
{
	int at = width;
	const json_t *name;
	size_t i;

	printf("%-*s", width, label);
	if (json_array_size(names) == 0)
		fputs("none", stdout);
	json_array_foreach(names, i, name)
	{
		const char *text = json_string_value(name) ? json_string_value(name) : "-";
		int length = (int)strlen(text);

		if (i && at + 1 + length > LINE_WIDTH) {
			printf("\n%*s", width, "");
			at = width;
		}
		at += printf("%s%s", at > width ? " " : "", text);
	}
	putchar('\n');
}

static void clean_text(json_t *value)
{
	char *copy = strdup(json_string_value(value));

	for (char *at = copy; at && *at; at++)
		if ((unsigned char)*at < ' ' || *at == 127)
			*at = '?';
	json_string_set(value, copy ? copy : "");
	free(copy);
}

void show_clean(json_t *value)
{
	const char *key;
	json_t *part;
	size_t i;

	if (json_is_string(value))
		clean_text(value);
	json_array_foreach(value, i, part) show_clean(part);
	if (json_is_object(value))
		json_object_foreach(value, key, part) show_clean(part);
}

static uint64_t set_bits(const json_t *space, const char *name)
{
	return strtoull(show_text(json_object_get(space, name), "hex"), NULL, 16);
}

/* The names are in the order of the bits that are set. */
static const char *set_name(const json_t *space, const char *name, unsigned int bit)
{
	uint64_t below = set_bits(space, name) & ((UINT64_C(1) << bit) - 1);
	const json_t *names = json_object_get(json_object_get(space, name), "names");
	const char *text =
	    json_string_value(json_array_get(names, (size_t)__builtin_popcountll(below)));

	return text ? text : "-";
}

static const char *reason_of(const json_t *space, unsigned int bit)
{
	const json_t *rows = json_object_get(json_object_get(space, "hidden"), "bits");
	const json_t *row;
	size_t i;

	json_array_foreach(rows, i,
			   row) if (show_number(row, "bit") == bit) return show_text(row, "reason");
	return "";
}

static void show_space(const char *title, const json_t *space)
{
	static const char *const sets[] = {"offered", "shown", "acknowledged", "passed"};
	uint64_t offered = set_bits(space, "offered");
	uint64_t all = offered | set_bits(space, "acknowledged");
	struct grid grid;

	printf("%s features%s\n", title,
	       show_true(space, "known") ? "" : ": the back-end was not asked yet");
	if (!all)
		return;
	grid_begin(&grid, "rllllll");
	grid_words(&grid, "bit|name|offered|shown|acknowledged|passed on|hidden because");
	for (unsigned int bit = 0; bit < 64; bit++) {
		uint64_t mask = UINT64_C(1) << bit;

		if (!(all & mask))
			continue;
		grid_add(&grid, "%u", bit);
		grid_add(&grid, "%s",
			 set_name(space, offered & mask ? "offered" : "acknowledged", bit));
		for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++)
			grid_add(&grid, "%s", set_bits(space, sets[i]) & mask ? "yes" : "no");
		grid_add(&grid, "%s", reason_of(space, bit));
	}
	grid_end(&grid, "  ");
	for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++)
		printf("%s%s %s", i ? ", " : "  ", sets[i],
		       show_text(json_object_get(space, sets[i]), "hex"));
	putchar('\n');
}

void show_features(const json_t *features)
{
	printf("device %s\n\n", show_text(features, "device"));
	show_space("virtio", json_object_get(features, "virtio"));
	putchar('\n');
	show_space("protocol", json_object_get(features, "protocol"));
	putchar('\n');
	show_names("synthesised ", 13, json_object_get(features, "synthesized"));
}

static void add_address(struct grid *grid, const json_t *object, const char *key)
{
	grid_add(grid, "0x%" PRIx64, show_number(object, key));
}

static void add_queue(struct grid *grid, const json_t *queue)
{
	bool packed = strcmp(show_text(queue, "format"), "packed") == 0;

	grid_add(grid, "%" PRIu64, show_number(queue, "index"));
	grid_add(grid, "%s", show_text(queue, "format"));
	grid_add(grid, "%" PRIu64, show_number(queue, "size"));
	grid_add(grid, "%s", show_yes(queue, "enabled"));
	grid_add(grid, "%s", show_yes(queue, "started"));
	grid_add(grid, "%s", show_text(queue, "path"));
	/* Packed: two indices with their wrap counters, readable in hex only. */
	grid_add(grid, packed ? "0x%" PRIx64 : "%" PRIu64, show_number(queue, "base"));
	grid_add(grid, "%s", show_yes(queue, "kick_fd"));
	grid_add(grid, "%s", show_yes(queue, "call_fd"));
	grid_add(grid, "%s", show_yes(queue, "err_fd"));
	add_address(grid, queue, "desc");
	add_address(grid, queue, "avail");
	add_address(grid, queue, "used");
	add_address(grid, queue, "log");
}

void show_queues(const json_t *queues)
{
	const json_t *list = json_object_get(queues, "queues");
	const json_t *most = json_object_get(queues, "queue_num");
	struct grid grid;
	const json_t *queue;
	size_t i;

	printf("rings in use: %zu", json_array_size(list));
	if (json_is_integer(most))
		printf(", the back-end names %" PRIu64, show_number(queues, "queue_num"));
	putchar('\n');
	if (json_array_size(list) == 0)
		return;
	printf("addresses are %s\n\n", strcmp(show_text(queues, "addresses"), "iova") == 0
					   ? "the guest's, behind its IOMMU"
					   : "the front-end's");
	grid_begin(&grid, "rlrlllrlllrrrr");
	grid_words(&grid, "queue|format|size|enabled|started|path|base|kick|call|err|descriptors|"
			  "avail|used|log");
	json_array_foreach(list, i, queue) add_queue(&grid, queue);
	grid_end(&grid, "");
}

void show_memory(const json_t *memory)
{
	const json_t *list = json_object_get(memory, "regions");
	const json_t *most = json_object_get(memory, "slots_max");
	char text[UNITS_TEXT_MAX];
	struct grid grid;
	const json_t *region;
	size_t i;

	printf("regions in force: %" PRIu64 ", %s", show_number(memory, "slots_used"),
	       units_size(show_number(memory, "bytes"), text));
	if (json_is_integer(most))
		printf(", the back-end has %" PRIu64 " slots", show_number(memory, "slots_max"));
	putchar('\n');
	if (json_array_size(list) == 0)
		return;
	grid_begin(&grid, "rrrrrr");
	grid_words(&grid, "guest address|size|front-end address|file offset|file size|inode");
	json_array_foreach(list, i, region)
	{
		add_address(&grid, region, "gpa");
		grid_add(&grid, "%s", units_size(show_number(region, "size"), text));
		add_address(&grid, region, "uva");
		add_address(&grid, region, "mmap_offset");
		grid_add(&grid, "%s", units_size(show_number(region, "file_size"), text));
		grid_add(&grid, "%" PRIu64, show_number(region, "inode"));
	}
	putchar('\n');
	grid_end(&grid, "");
}

void show_iotlb(const json_t *iotlb)
{
	static const char *const keys[] = {"entries", "hits",          "misses",
					   "updates", "invalidations", "failures"};
	struct grid grid;

	printf("address translation is %s\n",
	       show_true(iotlb, "active") ? "on, kept by the back-end" : "off");
	grid_begin(&grid, "lr");
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		grid_add(&grid, "%s", keys[i]);
		grid_add(&grid, "%" PRIu64, show_number(iotlb, keys[i]));
	}
	grid_end(&grid, "  ");
}

void show_log(const json_t *log)
{
	uint64_t size = show_number(log, "size");
	char bytes[UNITS_TEXT_MAX], covers[UNITS_TEXT_MAX];

	printf("dirty log %s\n", show_text(log, "state"));
	if (!json_is_string(json_object_get(log, "source")))
		return;
	printf("  written by    %s, %" PRIu64 " pages marked by the daemon\n",
	       show_text(log, "source"), show_number(log, "pages_marked"));
	printf("  size          %s, for %s of guest memory\n", units_size(size, bytes),
	       units_size(size * 8 * PAGE, covers));
	printf("  file          inode %" PRIu64 ", %s, log at offset %" PRIu64 "\n",
	       show_number(log, "inode"), units_size(show_number(log, "file_size"), bytes),
	       show_number(log, "offset"));
}

/* A migration sends again what was written while it sent the last. */
static void show_verdict(const json_t *rate)
{
	uint64_t bytes = show_number(rate, "bytes_per_second");
	char text[UNITS_TEXT_MAX];

	printf("the device alone dirties %s a second: a migration gets ahead of it at more than "
	       "that, %s at QEMU's default of 128 MiB a second; what the guest's processors "
	       "write comes on top\n",
	       units_size(bytes, text), bytes < QEMU_BANDWIDTH ? "also" : "but not");
}

void show_rate(const json_t *rate)
{
	const json_t *queue;
	struct grid grid;
	size_t i;

	printf("%" PRIu64 " of %" PRIu64 " s: %" PRIu64 " pages a second, %" PRIu64 " distinct\n",
	       show_number(rate, "seconds"), show_number(rate, "of"),
	       show_number(rate, "pages_per_second"), show_number(rate, "distinct_pages"));
	if (!show_true(rate, "done"))
		return;
	grid_begin(&grid, "rrr");
	grid_add(&grid, "queue");
	grid_add(&grid, "pages");
	grid_add(&grid, "bytes");
	json_array_foreach(json_object_get(rate, "queues"), i, queue)
	{
		grid_add(&grid, "%" PRIu64, show_number(queue, "queue"));
		grid_add(&grid, "%" PRIu64, show_number(queue, "pages"));
		grid_add(&grid, "%" PRIu64, show_number(queue, "bytes"));
	}
	grid_end(&grid, "  ");
	show_verdict(rate);
}

static void show_value(const char *key, json_t *value)
{
	char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));

	printf("  %s=%s", key,
	       json_is_string(value) ? json_string_value(value)
	       : text                ? text
				     : "-");
	free(text);
}

void show_event(const json_t *event)
{
	const json_t *timestamp = json_object_get(event, "timestamp");
	time_t seconds = (time_t)show_number(timestamp, "seconds");
	json_t *data = json_object_get(event, "data");
	char when[32] = "-";
	struct tm tm;
	const char *key;
	json_t *value;

	if (localtime_r(&seconds, &tm))
		strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", &tm);
	printf("%s.%06u  %s", when, (unsigned int)show_number(timestamp, "microseconds"),
	       show_text(event, "event"));
	json_object_foreach(data, key, value) show_value(key, value);
	putchar('\n');
}
