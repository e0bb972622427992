/* SPDX-License-Identifier: BSD-3-Clause */
#include "shell/uv_control_client.h"

#include "shell/log.h"
#include "shell/uv_control.h"

#include <stdlib.h>
#include <string.h>

/* Unsent bytes from which on a client is not read: it does not take what it asked for. */
#define CROWDED (64u * 1024)

struct uv_control_client {
	uv_pipe_t pipe;
	struct uv_control_server server;
	bool ended;    /* the peer will send no more: what it asked for is still answered */
	bool skipping; /* in the rest of a line that was too long */
	size_t first;  /* bytes of input served */
	size_t used;   /* bytes of input there */
	char input[COMMAND_LINE_MAX + 1];
};

struct output {
	uv_write_t request;
	char *line;
};

static void on_client_closed(uv_handle_t *handle)
{
	struct uv_control_client *client = handle->data;
	struct uv_control_server server = client->server;

	free(client);
	server.freed(server.context);
}

static bool closing(const struct uv_control_client *client)
{
	return uv_is_closing((const uv_handle_t *)&client->pipe);
}

void uv_control_client_close(struct uv_control_client *client)
{
	if (closing(client))
		return;
	client->server.left(client, client->server.context);
	uv_close((uv_handle_t *)&client->pipe, on_client_closed);
}

static size_t unsent(const struct uv_control_client *client)
{
	return uv_stream_get_write_queue_size((const uv_stream_t *)&client->pipe);
}

static void serve(struct uv_control_client *client);

static void on_written(uv_write_t *request, int status)
{
	struct output *output = request->data;
	struct uv_control_client *client = request->handle->data;

	free(output->line);
	free(output);
	if (closing(client))
		return;
	if (status < 0)
		uv_control_client_close(client);
	else
		serve(client);
}

/* Owns the line. A line that can not be sent ends the client: it would wait for ever. */
static void send_line(struct uv_control_client *client, char *line)
{
	struct output *output = line ? malloc(sizeof(*output)) : NULL;
	uv_buf_t buffer;

	if (!output) {
		free(line);
		uv_control_client_close(client);
		return;
	}
	output->request.data = output;
	output->line = line;
	buffer = uv_buf_init(line, (unsigned int)strlen(line));
	if (uv_write(&output->request, (uv_stream_t *)&client->pipe, &buffer, 1, on_written) == 0)
		return;
	free(line);
	free(output);
	uv_control_client_close(client);
}

static void answer(struct uv_control_client *client, const char *line, size_t length)
{
	char *text = NULL;

	if (command_answer(line, length, client->server.fill, client->server.fill_context, &text) !=
	    COMMAND_BLANK)
		send_line(client, text);
}

/* Takes the next whole line out of the input; false: there is none. */
static bool take_line(struct uv_control_client *client)
{
	char *line = client->input + client->first;
	char *end = memchr(line, '\n', client->used - client->first);

	if (!end)
		return false;
	client->first += (size_t)(end - line) + 1;
	if (!client->skipping)
		answer(client, line, (size_t)(end - line));
	client->skipping = false;
	return true;
}

/* Makes room behind the beginning of a line, and gives the line up when there is none. */
static void make_room(struct uv_control_client *client)
{
	client->used -= client->first;
	memmove(client->input, client->input + client->first, client->used);
	client->first = 0;
	if (client->skipping)
		client->used = 0;
	if (client->used < sizeof(client->input))
		return;
	client->used = 0;
	client->skipping = true;
	send_line(client, command_too_long());
}

static void on_room(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
	struct uv_control_client *client = handle->data;

	*buffer = uv_buf_init(client->input + client->used,
			      (unsigned int)(sizeof(client->input) - client->used));
}

/* A last line without its end counts: `printf '{"execute":"status"}' | socat - PATH` works. */
static void take_end(struct uv_control_client *client)
{
	client->ended = true;
	uv_read_stop((uv_stream_t *)&client->pipe);
	if (client->used < sizeof(client->input))
		client->input[client->used++] = '\n';
}

static void on_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *buffer)
{
	struct uv_control_client *client = stream->data;

	if (got == UV_EOF)
		take_end(client);
	else if (got < 0)
		uv_control_client_close(client);
	else
		client->used += (size_t)got;
	if (!closing(client))
		serve(client);
}

/* Answers what there is, as far as the client takes the answers. */
static void serve(struct uv_control_client *client)
{
	uv_stream_t *stream = (uv_stream_t *)&client->pipe;
	bool more = true;

	while (more && !closing(client) && unsent(client) < CROWDED)
		more = take_line(client);
	if (closing(client))
		return;
	if (more) {
		uv_read_stop(stream);
		return;
	}
	make_room(client);
	if (closing(client))
		return;
	if (!client->ended)
		uv_read_start(stream, on_room, on_read); /* UV_EALREADY is fine */
	else if (unsent(client) == 0)
		uv_control_client_close(client);
}

struct uv_control_client *uv_control_client_open(const struct uv_control_server *server, int fd)
{
	struct uv_control_client *client = malloc(sizeof(*client));

	if (!client) {
		server->freed(server->context);
		return NULL;
	}
	client->server = *server;
	client->ended = client->skipping = false;
	client->first = client->used = 0;
	uv_pipe_init(server->loop, &client->pipe, 0);
	client->pipe.data = client;
	if (uv_pipe_open(&client->pipe, fd) < 0) {
		uv_close((uv_handle_t *)&client->pipe, on_client_closed);
		return NULL;
	}
	serve(client);
	return client;
}

void uv_control_client_tell(struct uv_control_client *client, const char *line)
{
	if (client->ended)
		return;
	if (unsent(client) + strlen(line) <= CONTROL_OUTPUT_MAX) {
		send_line(client, strdup(line));
		return;
	}
	log_line(LEVEL_WARN,
		 "control: a client left %zu bytes unread, at most %u are kept for it: it is "
		 "disconnected; make it read what it follows",
		 unsent(client), CONTROL_OUTPUT_MAX);
	uv_control_client_close(client);
}
