/* SPDX-License-Identifier: BSD-3-Clause */
/* The control socket on a real loop and real sockets; the clients are played in the same thread. */
#pragma once

#include "shell/log.h"
#include "shell/uv_control.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define ROUNDS 2000

struct rig {
	uv_loop_t loop;
	struct uv_control *control;
	char folder[64];
	char path[96];
	int last; /* a client that outlives the control; -1: none */
};

static inline void fill(struct view *view, void *context)
{
	static const struct view_counts no_counts;

	*view = (struct view){.state = "listening", .counts = &no_counts};
}

static inline int set_up(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));
	struct diag diag;

	log_open(LEVEL_ERROR, false);
	rig->last = -1;
	snprintf(rig->folder, sizeof(rig->folder), "/tmp/control_test.XXXXXX");
	assert_non_null(mkdtemp(rig->folder));
	snprintf(rig->path, sizeof(rig->path), "%s/ctl.sock", rig->folder);
	assert_int_equal(uv_loop_init(&rig->loop), 0);
	if (uv_control_start(&rig->control, &rig->loop, rig->path, fill, NULL, &diag))
		fail_msg("%s", diag.text);
	*state = rig;
	return 0;
}

/* Also the proof that nothing is left: a handle still open fails uv_loop_close(). */
static inline int tear_down(void **state)
{
	struct rig *rig = *state;

	uv_control_stop(rig->control);
	assert_int_equal(uv_run(&rig->loop, UV_RUN_DEFAULT), 0);
	assert_int_equal(uv_loop_close(&rig->loop), 0);
	assert_int_equal(rmdir(rig->folder), 0);
	if (rig->last >= 0)
		close(rig->last);
	free(rig);
	return 0;
}

static inline void pump(struct rig *rig)
{
	for (int i = 0; i < 20; i++)
		uv_run(&rig->loop, UV_RUN_NOWAIT);
}

static inline int client(struct rig *rig)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	memcpy(address.sun_path, rig->path, strlen(rig->path) + 1);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	pump(rig);
	return fd;
}

static inline void say(struct rig *rig, int fd, const char *text)
{
	size_t size = strlen(text);

	for (int i = 0; size && i < ROUNDS; i++) {
		ssize_t n = send(fd, text, size, MSG_NOSIGNAL);

		if (n > 0) {
			text += n;
			size -= (size_t)n;
		}
		pump(rig);
	}
	assert_int_equal(size, 0);
}

/* What the client can read now; -1: the connection is over. */
static inline ssize_t hear(struct rig *rig, int fd, char *text, size_t size)
{
	ssize_t n;

	pump(rig);
	n = recv(fd, text, size - 1, 0);
	if (n < 0 && errno == EAGAIN) {
		text[0] = '\0';
		return 0;
	}
	text[n > 0 ? n : 0] = '\0';
	return n > 0 ? n : -1;
}

static inline void assert_hears(struct rig *rig, int fd, const char *words)
{
	char text[8192];

	assert_true(hear(rig, fd, text, sizeof(text)) > 0);
	if (!strstr(text, words))
		fail_msg("'%s' is not in '%s'", words, text);
}

/* These words and no others. */
static inline void assert_hears_just(struct rig *rig, int fd, const char *words)
{
	char text[8192];

	assert_true(hear(rig, fd, text, sizeof(text)) > 0);
	assert_string_equal(text, words);
}

static inline void assert_silent(struct rig *rig, int fd)
{
	char text[256];

	assert_int_equal(hear(rig, fd, text, sizeof(text)), 0);
}

static inline void assert_gone(struct rig *rig, int fd)
{
	char text[256];

	assert_int_equal(hear(rig, fd, text, sizeof(text)), -1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
