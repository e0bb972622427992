/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench/report.h"

#include "wire/features.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#define US            1000.0
#define FEATURES_TEXT 512

/* The figures of a round that are shown, in the order and under the names they have. */
static const struct column {
	const char *name;
	const char *head;
	size_t offset;
	double unit;
	int digits;
} columns[] = {
    {"iops", "IOPS", offsetof(struct disk_figures, iops), 1, 0},
    {"bytes_per_s", "MB/s", offsetof(struct disk_figures, bytes_per_s), 1, 1},
    {"min_us", "min us", offsetof(struct disk_figures, least), US, 1},
    {"median_us", "median us", offsetof(struct disk_figures, median), US, 1},
    {"p99_us", "p99 us", offsetof(struct disk_figures, p99), US, 1},
    {"max_us", "max us", offsetof(struct disk_figures, most), US, 1},
};

#define COLUMNS      (sizeof(columns) / sizeof(columns[0]))
#define COLUMN_BYTES 1u

static double value_of(const struct disk_figures *figures, size_t column)
{
	const char *at = (const char *)figures + columns[column].offset;

	return *(const double *)at / columns[column].unit;
}

static double median_of(const struct options *options, const struct report_socket *socket,
			size_t column)
{
	double *values = calloc(options->rounds, sizeof(*values)), median;

	if (!values)
		return 0;
	for (unsigned int i = 0; i < options->rounds; i++)
		values[i] = value_of(&socket->rounds[i], column);
	median = stats_median(values, options->rounds);
	free(values);
	return median;
}

/* Of sorted numbers. */
static double quantile(const double *values, unsigned int count, double share)
{
	return count ? values[(unsigned int)(share * (count - 1) + 0.5)] / US : 0;
}

static void print_row(double (*get)(const struct options *, const struct report_socket *, size_t),
		      const struct options *options, const struct report_socket *socket)
{
	for (size_t c = 0; c < COLUMNS; c++)
		printf(" %10.*f", columns[c].digits,
		       get(options, socket, c) / (c == COLUMN_BYTES ? 1e6 : 1));
	printf("\n");
}

static void print_rounds(const struct options *options, const struct report_socket *sockets)
{
	printf("%-8s %-6s", "round", "socket");
	for (size_t c = 0; c < COLUMNS; c++)
		printf(" %10s", columns[c].head);
	printf("\n");
	for (unsigned int r = 0; r < options->rounds; r++) {
		for (unsigned int s = 0; s < options->sockets; s++) {
			printf("%-8u %-6c", r + 1, 'A' + s);
			for (size_t c = 0; c < COLUMNS; c++)
				printf(" %10.*f", columns[c].digits,
				       value_of(&sockets[s].rounds[r], c) /
					   (c == COLUMN_BYTES ? 1e6 : 1));
			printf("\n");
		}
	}
	for (unsigned int s = 0; s < options->sockets; s++) {
		printf("%-8s %-6c", "median", 'A' + s);
		print_row(median_of, options, &sockets[s]);
	}
	for (unsigned int s = 1; s < options->sockets; s++)
		printf("ratio %c/A: IOPS %.3f, median latency %.3f\n", 'A' + s,
		       median_of(options, &sockets[s], 0) / median_of(options, &sockets[0], 0),
		       median_of(options, &sockets[s], 3) / median_of(options, &sockets[0], 3));
}

static void sort_control(const struct options *options, struct report_socket *sockets)
{
	for (unsigned int s = 0; s < options->sockets; s++)
		stats_median(sockets[s].control, options->control_rounds);
}

void report_text(const struct options *options, struct report_socket *sockets)
{
	sort_control(options, sockets);
	for (unsigned int s = 0; s < options->sockets; s++)
		printf("%c: %s\n", 'A' + s, options->paths[s]);
	for (unsigned int s = 0; options->control_rounds && s < options->sockets; s++) {
		double median = quantile(sockets[s].control, options->control_rounds, 0.5);

		printf("control %c: median %.1f us, p99 %.1f us", 'A' + s, median,
		       quantile(sockets[s].control, options->control_rounds, 0.99));
		if (s > 0)
			printf(", added %.1f us",
			       median - quantile(sockets[0].control, options->control_rounds, 0.5));
		printf("\n");
	}
	if (options->rounds)
		print_rounds(options, sockets);
	for (unsigned int s = 0; options->verify && s < options->sockets; s++)
		printf("%c: verified, %llu blocks read back\n", 'A' + s,
		       (unsigned long long)sockets[s].verified);
}

static json_t *json_figures(const struct options *options, const struct disk_figures *figures)
{
	json_t *object = json_object();

	for (size_t c = 0; c < COLUMNS; c++)
		json_object_set_new(object, columns[c].name, json_real(value_of(figures, c)));
	json_object_set_new(object, "requests", json_integer((json_int_t)figures->requests));
	json_object_set_new(object, "seconds", json_real(figures->seconds));
	return object;
}

static json_t *json_control(const struct options *options, const struct report_socket *socket,
			    const struct report_socket *first)
{
	unsigned int n = options->control_rounds;

	return json_pack("{s:i, s:f, s:f, s:f, s:f}", "rounds", n, "min_us",
			 quantile(socket->control, n, 0), "median_us",
			 quantile(socket->control, n, 0.5), "p99_us",
			 quantile(socket->control, n, 0.99), "added_us",
			 quantile(socket->control, n, 0.5) - quantile(first->control, n, 0.5));
}

static json_t *json_medians(const struct options *options, const struct report_socket *socket,
			    const struct report_socket *divide_by)
{
	json_t *object = json_object();

	for (size_t c = 0; c < COLUMNS; c++) {
		double value = median_of(options, socket, c);

		if (divide_by)
			value /= median_of(options, divide_by, c);
		json_object_set_new(object, columns[c].name, json_real(value));
	}
	return object;
}

static json_t *json_socket(const struct options *options, const struct report_socket *sockets,
			   unsigned int index)
{
	const struct report_socket *socket = &sockets[index];
	char virtio[FEATURES_TEXT], protocol[FEATURES_TEXT];
	json_t *object, *rounds = json_array();

	wire_bits_print(WIRE_SPACE_VIRTIO, WIRE_DEVICE_BLK, socket->features, virtio,
			sizeof(virtio));
	wire_bits_print(WIRE_SPACE_PROTOCOL, WIRE_DEVICE_BLK, socket->protocol, protocol,
			sizeof(protocol));
	object = json_pack("{s:s, s:s, s:s}", "path", options->paths[index], "features", virtio,
			   "protocol_features", protocol);
	for (unsigned int r = 0; r < options->rounds; r++)
		json_array_append_new(rounds, json_figures(options, &socket->rounds[r]));
	json_object_set_new(object, "rounds", rounds);
	if (options->rounds)
		json_object_set_new(object, "median", json_medians(options, socket, NULL));
	if (options->rounds && index > 0)
		json_object_set_new(object, "ratio", json_medians(options, socket, &sockets[0]));
	if (options->control_rounds)
		json_object_set_new(object, "control", json_control(options, socket, &sockets[0]));
	if (options->verify)
		json_object_set_new(object, "verified_blocks",
				    json_integer((json_int_t)socket->verified));
	return object;
}

void report_json(const struct options *options, struct report_socket *sockets)
{
	json_t *list = json_array(), *object;

	sort_control(options, sockets);
	for (unsigned int s = 0; s < options->sockets; s++)
		json_array_append_new(list, json_socket(options, sockets, s));
	object =
	    json_pack("{s:s, s:i, s:i, s:i, s:i, s:s, s:b, s:i, s:o}", "format",
		      options->format == RING_PACKED ? "packed" : "split", "queues",
		      options->queues, "queue_size", options->queue_size, "depth", options->depth,
		      "size", options->size, "rw", options_rw_name(options->rw), "verify",
		      options->verify, "poll_us", options->poll_us, "sockets", list);
	json_dumpf(object, stdout, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(9));
	printf("\n");
	json_decref(object);
}
