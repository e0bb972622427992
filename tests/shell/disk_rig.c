/* SPDX-License-Identifier: BSD-3-Clause */
#include "disk_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORDS    24
#define REQUESTS (RIG_SANITIZED ? 400 : 2000)

/* A program of the build with these options, split at spaces; its output in `out`. */
static pid_t run(const char *name, int out, const char *options)
{
	char program[512], text[1024], *words[WORDS] = {program}, *rest = text;
	const char *folder = getenv("FERRY_BIN");
	unsigned int n = 1;
	pid_t pid;

	assert_non_null(folder);
	snprintf(program, sizeof(program), "%s/%s", folder, name);
	snprintf(text, sizeof(text), "%s", options);
	while (n < WORDS - 1 && (words[n] = strsep(&rest, " ")))
		n++;
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(out, STDOUT_FILENO);
		dup2(out, STDERR_FILENO);
		execv(program, words);
		_exit(127);
	}
	return pid;
}

void disk_kill(pid_t pid)
{
	if (pid <= 0)
		return;
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void wait_for_listener(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int64_t until = rig_now_ms() + RIG_MS;
	int fd, result;

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	do {
		fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		result = connect(fd, (struct sockaddr *)&address, sizeof(address));
		close(fd);
		if (result)
			usleep(1000);
	} while (result && rig_now_ms() < until);
	assert_int_equal(result, 0);
}

pid_t disk_another(const struct disk_rig *disk, const char *path)
{
	char options[768];
	pid_t pid;

	snprintf(options, sizeof(options), "--socket-path=%s %s", path, disk->options);
	pid = run("ferry-test-backend", STDERR_FILENO, options);
	wait_for_listener(path);
	return pid;
}

void disk_dies(struct disk_rig *disk)
{
	char options[768];

	disk_kill(disk->back_end);
	/* Asking whether it listens would take the one connection it serves at a time. */
	snprintf(options, sizeof(options), "--socket-path=%s %s", disk->rig.back, disk->options);
	disk->back_end = run("ferry-test-backend", STDERR_FILENO, options);
}

void disk_rig_start(struct disk_rig *disk, const char *disk_options, const char *daemon_options)
{
	char options[512], path[RIG_PATH];

	snprintf(disk->options, sizeof(disk->options), "--queues=4%s%s", *disk_options ? " " : "",
		 disk_options);
	disk->back_end = disk_another(disk, disk->rig.back);
	rig_path(&disk->rig, path, "control");
	snprintf(options, sizeof(options), "--control=%s%s%s", path, *daemon_options ? " " : "",
		 daemon_options);
	rig_start(&disk->rig, options);
}

int disk_rig_open(void **state)
{
	struct disk_rig *disk = calloc(1, sizeof(*disk));

	*state = disk;
	rig_open(&disk->rig, false);
	return 0;
}

int disk_rig_close(void **state)
{
	struct disk_rig *disk = *state;

	rig_close(&disk->rig);
	disk_kill(disk->back_end);
	free(disk);
	return 0;
}

/* As much as there is room for, terminated. */
static void read_text(int fd, char *text, size_t size)
{
	size_t done = 0;
	ssize_t got;

	while (done < size - 1 && (got = read(fd, text + done, size - 1 - done)) > 0)
		done += (size_t)got;
	text[done] = '\0';
	close(fd);
}

pid_t disk_guest(const struct disk_rig *disk, int out, const char *options)
{
	char all[768];

	snprintf(all, sizeof(all), "--socket-path=%s --verify %s", disk->rig.front, options);
	return run("vhost-ferry-bench", out, all);
}

bool disk_guest_ended(pid_t pid)
{
	siginfo_t info = {.si_pid = 0};

	waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT);
	return info.si_pid != 0;
}

/* The bench says so itself where a block is not what was written, and ends with 1. */
void disk_guest_verified(pid_t pid, int out, const char *options)
{
	char text[8192];
	int status;

	read_text(out, text, sizeof(text));
	waitpid(pid, &status, 0);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0 || !strstr(text, "verified"))
		fail_msg("bench %s: status 0x%x:\n%s", options, status, text);
}

pid_t disk_guest_start(const struct disk_rig *disk, int *out, const char *options)
{
	char more[512];
	int pair[2];
	pid_t pid;

	assert_return_code(pipe2(pair, O_CLOEXEC), errno);
	snprintf(more, sizeof(more), "--rounds=1 --timeout=%u %s", RIG_MS / 1000, options);
	pid = disk_guest(disk, pair[1], more);
	close(pair[1]);
	*out = pair[0];
	return pid;
}

void disk_verifies(const struct disk_rig *disk, const char *options)
{
	char all[512];
	pid_t pid;
	int out;

	snprintf(all, sizeof(all), "--requests=%u %s", REQUESTS, options);
	pid = disk_guest_start(disk, &out, all);
	disk_guest_verified(pid, out, options);
}

void disk_relayed(struct disk_rig *disk)
{
	assert_int_not_equal(daemon_count(&disk->rig.daemon, 0, "synthesised: INFLIGHT_SHMFD"), 0);
	assert_int_equal(daemon_count(&disk->rig.daemon, 0, "stay direct"), 0);
	assert_int_equal(daemon_count(&disk->rig.daemon, 0, " error: "), 0);
}

int disk_control(const struct disk_rig *disk, const char *command, char *text, size_t size)
{
	char path[RIG_PATH], options[256];
	int pair[2], status;
	pid_t pid;

	assert_return_code(pipe2(pair, O_CLOEXEC), errno);
	rig_path(&disk->rig, path, "control");
	snprintf(options, sizeof(options), "--control=%s %s", path, command);
	pid = run("vhost-ferryctl", pair[1], options);
	close(pair[1]);
	read_text(pair[0], text, size);
	waitpid(pid, &status, 0);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

void disk_wait_in_flight(const struct disk_rig *disk)
{
	int64_t until = rig_now_ms() + RIG_MS;
	char text[65536];
	const char *at;

	do {
		assert_int_equal(disk_control(disk, "--json status", text, sizeof(text)), 0);
		at = strstr(text, "\"inflight\": ");
		if (rig_now_ms() > until)
			fail_msg("nothing is in flight: %s", text);
	} while (!at || at[12] == '0');
}

void disk_moves(const struct disk_rig *disk, const char *path)
{
	int64_t until = rig_now_ms() + RIG_MS;
	char command[64], text[512];
	int code;

	snprintf(command, sizeof(command), "data-path %s", path);
	do {
		code = disk_control(disk, command, text, sizeof(text));
	} while (code != 0 && rig_now_ms() < until);
	if (code)
		fail_msg("%s: %s", command, text);
}
