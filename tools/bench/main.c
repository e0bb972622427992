/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhost-ferry-bench: load on one vhost-user-blk back-end, or on several in
 * turns.
 *
 * In turns, A B A B, because machines drift: what two sockets got in the same
 * second can be compared, what they got a minute apart can not. All connections
 * stay open throughout, and a socket that is not at its turn has nothing in
 * flight. The refused alternative, all sockets at once, measures how the kernel
 * shares the cores.
 */
#include "bench/report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CONTROL_TURN 50u /* round trips on one socket before the next has its turn */

enum { EXIT_USAGE = 2 };

static int time_control(const struct options *options, struct disk *disks,
			struct report_socket *sockets, const char **path, struct diag *diag)
{
	for (unsigned int done = 0; done < options->control_rounds; done += CONTROL_TURN) {
		for (unsigned int s = 0; s < options->sockets; s++) {
			*path = options->paths[s];
			for (unsigned int i = done;
			     i < done + CONTROL_TURN && i < options->control_rounds; i++) {
				uint64_t start = queue_now();
				int result = frontend_ping(&disks[s].frontend, diag);

				if (result)
					return result;
				sockets[s].control[i] = (double)(queue_now() - start);
			}
		}
	}
	return 0;
}

static void show_progress(uint64_t done)
{
	fprintf(stderr, "\r%llu requests\033[K", (unsigned long long)done);
}

static int run_rounds(const struct options *options, struct disk *disks,
		      struct report_socket *sockets, const char **path, struct diag *diag)
{
	bool tty = isatty(STDERR_FILENO);
	int result = 0;

	for (unsigned int s = 0; s < options->sockets && !result; s++) {
		*path = options->paths[s];
		result = disk_start(&disks[s], diag);
	}
	for (unsigned int r = 0; r < options->rounds && !result; r++) {
		for (unsigned int s = 0; s < options->sockets && !result; s++) {
			*path = options->paths[s];
			if (tty)
				fprintf(stderr, "round %u of %u: %s\n", r + 1, options->rounds,
					options->paths[s]);
			result = disk_round(&disks[s], &sockets[s].rounds[r],
					    tty ? show_progress : NULL, diag);
			if (tty)
				fprintf(stderr, "\r\033[K\033[A\033[K");
		}
	}
	for (unsigned int s = 0; s < options->sockets && !result; s++) {
		*path = options->paths[s];
		if (options->verify)
			result = disk_read_back(&disks[s], &sockets[s].verified, diag);
		if (!result)
			result = disk_stop(&disks[s], diag);
	}
	return result;
}

static int measure(const struct options *options, struct disk *disks, struct report_socket *sockets,
		   const char **path, struct diag *diag)
{
	int result = 0;

	for (unsigned int s = 0; s < options->sockets && !result; s++) {
		*path = options->paths[s];
		result = disk_open(&disks[s], *path, options, diag);
		sockets[s].features = disks[s].frontend.acked;
		sockets[s].protocol = disks[s].frontend.protocol;
	}
	if (!result)
		result = time_control(options, disks, sockets, path, diag);
	if (!result && options->rounds)
		result = run_rounds(options, disks, sockets, path, diag);
	return result;
}

static bool get_memory(const struct options *options, struct report_socket *sockets)
{
	for (unsigned int s = 0; s < options->sockets; s++) {
		sockets[s].rounds = calloc(options->rounds + 1u, sizeof(*sockets[s].rounds));
		sockets[s].control =
		    calloc(options->control_rounds + 1u, sizeof(*sockets[s].control));
		if (!sockets[s].rounds || !sockets[s].control)
			return false;
	}
	return true;
}

/* A line that names the path already, as that of a failed connect, is not given it twice. */
static void print_failure(const char *path, const struct diag *diag)
{
	bool named = strncmp(diag->text, path, strlen(path)) == 0;

	fprintf(stderr, "vhost-ferry-bench: %s%s%s\n", named ? "" : path, named ? "" : ": ",
		diag->text);
}

static int bench(const struct options *options)
{
	struct report_socket sockets[OPTIONS_SOCKETS_MAX] = {{.rounds = NULL}};
	struct disk disks[OPTIONS_SOCKETS_MAX] = {{.options = NULL}};
	const char *path = "";
	struct diag diag;
	int result;

	if (!get_memory(options, sockets)) {
		fprintf(stderr, "vhost-ferry-bench: no memory for the figures\n");
		result = EXIT_FAILURE;
	} else if (measure(options, disks, sockets, &path, &diag)) {
		print_failure(path, &diag);
		result = EXIT_FAILURE;
	} else {
		(options->json ? report_json : report_text)(options, sockets);
		result = EXIT_SUCCESS;
	}
	for (unsigned int s = 0; s < options->sockets; s++) {
		disk_close(&disks[s]);
		free(sockets[s].rounds);
		free(sockets[s].control);
	}
	return result;
}

int main(int argc, const char **argv)
{
	struct options options;
	struct diag diag;
	int result = options_parse(&options, argc, argv, &diag);

	if (result == OPTIONS_RUN) {
		result = bench(&options);
	} else if (result == OPTIONS_DONE) {
		result = EXIT_SUCCESS;
	} else {
		fprintf(stderr, "vhost-ferry-bench: %s\n", diag.text);
		result = EXIT_USAGE;
	}
	options_free(&options);
	return result;
}
