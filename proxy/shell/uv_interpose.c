/* SPDX-License-Identifier: BSD-3-Clause */
#include "shell/uv_interpose.h"

#include "shell/log.h"

#include <errno.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>

/* Between looks at a socket that is there and has nobody listening yet. */
#define LOOK_MS 2

struct uv_interpose {
	struct interpose *interpose;
	uv_fs_event_t folder;
	uv_timer_t timer;
	unsigned int handles;
	void (*taken)(void *context, int listener);
	void *context;
};

static void look(struct uv_interpose *watch)
{
	struct diag diag;
	int fd = interpose_again(watch->interpose, &diag);

	if (fd == -EAGAIN)
		return;
	uv_timer_stop(&watch->timer);
	if (fd == 0)
		return;
	if (fd < 0) {
		log_line(LEVEL_ERROR, "%s", diag.text);
		return;
	}
	log_line(LEVEL_INFO, "%s: a back-end was started anew there: interposed again",
		 watch->interpose->path);
	watch->taken(watch->context, fd);
}

static void on_timer(uv_timer_t *timer)
{
	look(timer->data);
}

static void on_folder(uv_fs_event_t *folder, const char *name, int events, int status)
{
	struct uv_interpose *watch = folder->data;

	uv_timer_start(&watch->timer, on_timer, 0, LOOK_MS);
}

struct uv_interpose *uv_interpose_open(uv_loop_t *loop, struct interpose *interpose,
				       void (*taken)(void *context, int listener), void *context)
{
	struct uv_interpose *watch = calloc(1, sizeof(*watch));
	char *path = strdup(interpose->path);
	int result;

	if (!watch || !path) {
		free(watch);
		free(path);
		return NULL;
	}
	watch->interpose = interpose;
	watch->taken = taken;
	watch->context = context;
	watch->handles = 2;
	uv_timer_init(loop, &watch->timer);
	uv_fs_event_init(loop, &watch->folder);
	watch->timer.data = watch->folder.data = watch;
	result = uv_fs_event_start(&watch->folder, on_folder, dirname(path), 0);
	free(path);
	return result < 0 ? uv_interpose_close(watch) : watch;
}

static void on_closed(uv_handle_t *handle)
{
	struct uv_interpose *watch = handle->data;

	if (--watch->handles == 0)
		free(watch);
}

struct uv_interpose *uv_interpose_close(struct uv_interpose *watch)
{
	if (!watch)
		return NULL;
	uv_close((uv_handle_t *)&watch->timer, on_closed);
	uv_close((uv_handle_t *)&watch->folder, on_closed);
	return NULL;
}
