/* SPDX-License-Identifier: BSD-3-Clause */
#include "daemon_rig.h"

#include "shell/fds.h"
#include "shell/sock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ARGUMENTS_MAX 24

int64_t rig_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

bool rig_ready(int fd, short events, int ms)
{
	struct pollfd pollfd = {.fd = fd, .events = events};

	return poll(&pollfd, 1, ms) > 0;
}

bool rig_exists(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

int rig_listen(const char *path)
{
	struct diag diag;
	int fd = sock_listen(path, 0600, &diag);

	if (fd < 0)
		fail_msg("%s", diag.text);
	return fd;
}

int rig_file(unsigned int pages)
{
	int fd = memfd_create("rig", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_return_code(ftruncate(fd, pages * 4096l), errno);
	return fd;
}

void rig_path(const struct rig *rig, char path[RIG_PATH], const char *name)
{
	snprintf(path, RIG_PATH, "%s/%s", rig->folder, name);
}

void rig_open(struct rig *rig, bool listen)
{
	*rig = (struct rig){.folder = "/tmp/ferry-XXXXXX", .listener = -1};
	assert_non_null(mkdtemp(rig->folder));
	rig_path(rig, rig->front, "front");
	rig_path(rig, rig->back, "back");
	if (listen)
		rig->listener = rig_listen(rig->back);
}

static void remove_folder(const char *folder)
{
	DIR *dir = opendir(folder);
	struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			unlinkat(dirfd(dir), entry->d_name, 0);
	if (dir)
		closedir(dir);
	rmdir(folder);
}

/* What a daemon that ended before its front-end keeps for the next one. */
static void remove_state(const char *socket)
{
	char path[RIG_PATH + 64];
	int used = snprintf(path, sizeof(path), "/run/vhost-ferry/");

	snprintf(path + used, sizeof(path) - (size_t)used, "%s.state", socket);
	for (char *at = path + used; *at; at++)
		if (*at == '/')
			*at = '-';
	unlink(path);
}

void rig_close(struct rig *rig)
{
	if (rig->daemon.pid)
		assert_int_equal(daemon_end(&rig->daemon, SIGTERM), 0);
	if (rig->listener >= 0)
		close(rig->listener);
	remove_state(rig->front);
	remove_folder(rig->folder);
}

int rig_set_up(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));

	*state = rig;
	rig_open(rig, true);
	return 0;
}

int rig_tear_down(void **state)
{
	struct rig *rig = *state;

	rig_close(rig);
	free(rig);
	return 0;
}

static void *read_log(void *context)
{
	struct daemon *daemon = context;
	char bytes[4096];
	ssize_t got;

	do {
		got = read(daemon->err, bytes, sizeof(bytes));
		pthread_mutex_lock(&daemon->lock);
		if (got > 0) {
			char *grown = realloc(daemon->log, daemon->log_size + (size_t)got + 1);

			if (!grown)
				abort();
			memcpy(grown + daemon->log_size, bytes, (size_t)got);
			daemon->log = grown;
			daemon->log_size += (size_t)got;
			grown[daemon->log_size] = '\0';
		} else {
			daemon->log_over = true;
		}
		pthread_cond_broadcast(&daemon->grown);
		pthread_mutex_unlock(&daemon->lock);
	} while (got > 0);
	return NULL;
}

/* The child: only calls that are safe after fork() with threads about. */
static void become(const struct daemon_extra *extra, int err, char *const *arguments,
		   char *const *environment)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	dup2(err, STDERR_FILENO);
	for (int i = 0; extra && i < 2; i++)
		if (extra->fds[i])
			dup2(extra->fds[i], 3 + i);
	execve(arguments[0], arguments, environment);
	_exit(127);
}

void daemon_spawn(struct daemon *daemon, const struct daemon_extra *extra,
		  const char *const *options)
{
	static const char shell[] = "LISTEN_PID=$$ exec \"$@\"";
	char *arguments[ARGUMENTS_MAX] = {"/bin/sh", "-c", (char *)shell, "sh"};
	char *environment[8] = {"PATH=/usr/bin:/bin",
				"ASAN_OPTIONS=quarantine_size_mb=1:exitcode=99",
				"UBSAN_OPTIONS=halt_on_error=1:exitcode=99"};
	const char *folder = getenv("FERRY_BIN");
	char program[512];
	unsigned int n = 4, e = 3, first;
	int pair[2];

	assert_non_null(folder);
	snprintf(program, sizeof(program), "%s/vhost-ferry", folder);
	first = extra && extra->listen_pid ? 0 : n;
	arguments[n++] = program;
	for (; *options && n < ARGUMENTS_MAX - 1; options++)
		arguments[n++] = (char *)*options;
	for (unsigned int i = 0; extra && i < 4 && extra->environment[i]; i++)
		environment[e++] = (char *)extra->environment[i];
	assert_return_code(pipe2(pair, O_CLOEXEC), errno);
	/* Out of the way of the descriptors that are passed. */
	*daemon = (struct daemon){.err = fcntl(pair[0], F_DUPFD_CLOEXEC, 10)};
	close(pair[0]);
	daemon->log = calloc(1, 1);
	pthread_mutex_init(&daemon->lock, NULL);
	pthread_cond_init(&daemon->grown, NULL);
	daemon->pid = fork();
	assert_true(daemon->pid >= 0);
	if (daemon->pid == 0)
		become(extra, pair[1], arguments + first, environment);
	close(pair[1]);
	assert_int_equal(pthread_create(&daemon->reader, NULL, read_log, daemon), 0);
}

void daemon_start(struct daemon *daemon, const char *format, ...)
{
	const char *options[ARGUMENTS_MAX] = {NULL};
	char text[1024], *rest = text;
	unsigned int n = 0;
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	while (n < ARGUMENTS_MAX - 1 && (options[n] = strsep(&rest, " ")))
		n++;
	daemon_spawn(daemon, NULL, options);
	daemon_wait_log(daemon, 0, "ready: ", NULL);
}

void rig_start(struct rig *rig, const char *more)
{
	daemon_start(&rig->daemon, "--socket-path=%s --backend-path=%s%s%s", rig->front, rig->back,
		     *more ? " " : "", more);
}

int daemon_end(struct daemon *daemon, int signal)
{
	return daemon_end_log(daemon, signal, NULL, 0);
}

/* waitpid() has no time limit: the end of its stderr is waited for first. */
int daemon_end_log(struct daemon *daemon, int signal, char *log, size_t size)
{
	struct timespec until;
	int status, late = 0;

	if (signal)
		kill(daemon->pid, signal);
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += RIG_MS / 1000;
	pthread_mutex_lock(&daemon->lock);
	while (!daemon->log_over && !late)
		late = pthread_cond_timedwait(&daemon->grown, &daemon->lock, &until);
	pthread_mutex_unlock(&daemon->lock);
	if (late)
		kill(daemon->pid, SIGKILL);
	waitpid(daemon->pid, &status, 0);
	pthread_join(daemon->reader, NULL);
	close(daemon->err);
	daemon->pid = 0;
	if (late)
		fail_msg("the daemon did not end; its log:\n%s", daemon->log);
	if (WIFEXITED(status) && WEXITSTATUS(status) > 2)
		print_message("%s\n", daemon->log);
	if (log)
		snprintf(log, size, "%s", daemon->log);
	free(daemon->log);
	daemon->log = NULL;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static unsigned int count_text(const char *log, const char *text)
{
	unsigned int count = 0;

	while ((log = strstr(log, text))) {
		count++;
		log += strlen(text);
	}
	return count;
}

unsigned int daemon_count(struct daemon *daemon, size_t from, const char *text)
{
	unsigned int count;

	pthread_mutex_lock(&daemon->lock);
	count = count_text(daemon->log + from, text);
	pthread_mutex_unlock(&daemon->lock);
	return count;
}

size_t daemon_log_size(struct daemon *daemon)
{
	size_t size;

	pthread_mutex_lock(&daemon->lock);
	size = daemon->log_size;
	pthread_mutex_unlock(&daemon->lock);
	return size;
}

/* The whole line around `at`, once its end is there. */
static bool take_line(const struct daemon *daemon, const char *at, char *line)
{
	const char *end = strchr(at, '\n');

	if (!end)
		return false;
	while (at > daemon->log && at[-1] != '\n')
		at--;
	if (line)
		snprintf(line, RIG_LINE, "%.*s", (int)(end - at), at);
	return true;
}

void daemon_wait_log(struct daemon *daemon, size_t from, const char *text, char *line)
{
	struct timespec until;
	bool found = false, over = false;
	const char *at;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += RIG_MS / 1000;
	pthread_mutex_lock(&daemon->lock);
	while (!over) {
		at = strstr(daemon->log + from, text);
		found = at && take_line(daemon, at, line);
		over = found || daemon->log_over ||
		       pthread_cond_timedwait(&daemon->grown, &daemon->lock, &until);
	}
	pthread_mutex_unlock(&daemon->lock);
	if (!found)
		fail_msg("no \"%s\" in the daemon's log:\n%s", text, daemon->log + from);
}

unsigned int daemon_fds(const struct daemon *daemon)
{
	char path[64];
	unsigned int count = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)daemon->pid);
	dir = opendir(path);
	assert_non_null(dir);
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

/* /proc tells of no changes: asked again and again. */
void daemon_wait_fds(const struct daemon *daemon, unsigned int count)
{
	int64_t until = rig_now_ms() + RIG_MS;

	while (daemon_fds(daemon) != count) {
		if (rig_now_ms() > until)
			fail_msg("%u descriptors open, not %u; the log:\n%s", daemon_fds(daemon),
				 count, daemon->log);
		usleep(1000);
	}
}

unsigned long daemon_memory_kb(const struct daemon *daemon, const char *which)
{
	char line[256], path[64];
	unsigned long kb = 0;
	FILE *file;

	/* Counted page by page; those of status are estimates, off by up to 32 a processor. */
	snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)daemon->pid);
	file = fopen(path, "re");
	assert_non_null(file);
	while (fgets(line, sizeof(line), file))
		if (strncmp(line, which, strlen(which)) == 0 &&
		    sscanf(line + strlen(which), ": %lu", &kb) == 1)
			break;
	fclose(file);
	return kb;
}

unsigned long daemon_ticks(const struct daemon *daemon)
{
	unsigned long user = 0, system = 0;
	char path[64];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)daemon->pid);
	file = fopen(path, "re");
	assert_non_null(file);
	assert_int_equal(fscanf(file,
				"%*d (%*[^)]) %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu",
				&user, &system),
			 2);
	fclose(file);
	return user + system;
}
