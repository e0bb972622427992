/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * make_corpus DIR DICTIONARY: writes the seed corpus (DIR/frame, DIR/decode)
 * and libFuzzer's dictionary from the message table, so that a new row is
 * fuzzed without a new file. The layouts are those at the head of fuzz_frame.c
 * and fuzz_decode.c.
 */
#include "legal.h"

#include "base/bytes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SETTING_SIZE 40u
#define PIECE_MAX    255u
#define SEED_MAX     8192u

struct seed {
	size_t size;
	uint8_t bytes[SEED_MAX];
};

struct output {
	const char *dir;
	FILE *dictionary;
	struct seed session; /* all messages as one stream */
};

static void fail(const char *path)
{
	fprintf(stderr, "make_corpus: %s: can not be written\n", path);
	exit(1);
}

static void write_seed(const struct output *output, const char *kind, const char *name,
		       const struct seed *seed)
{
	char path[4096];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s/%s", output->dir, kind, name);
	file = fopen(path, "wb");
	if (!file || fwrite(seed->bytes, 1, seed->size, file) != seed->size || fclose(file))
		fail(path);
}

static void add(struct seed *seed, const void *bytes, size_t size)
{
	if (seed->size + size > sizeof(seed->bytes))
		fail("a seed of so many bytes");
	memcpy(seed->bytes + seed->size, bytes, size);
	seed->size += size;
}

/* As sendmsg() carries it: descriptors with the header, the payload in pieces. */
static void add_pieces(struct seed *seed, const struct wire_message *message)
{
	const uint8_t head[2] = {WIRE_HEADER_SIZE, (uint8_t)message->fds.count};
	uint8_t header[WIRE_HEADER_SIZE];

	wire_header_encode(&message->header, header);
	add(seed, head, sizeof(head));
	add(seed, header, sizeof(header));
	for (uint32_t done = 0; done < message->header.size;) {
		uint32_t left = message->header.size - done;
		uint8_t piece[2] = {(uint8_t)(left < PIECE_MAX ? left : PIECE_MAX), 0};

		add(seed, piece, sizeof(piece));
		add(seed, message->payload + done, piece[0]);
		done += piece[0];
	}
}

static void frame_seed(struct output *output, const char *name, const struct wire_message *message)
{
	struct seed seed = {.size = 0};

	add_pieces(&seed, message);
	write_seed(output, "frame", name, &seed);
	/* GET_SHMEM_CONFIG's answer alone would fill it: long ones are seeds of their own. */
	if (output->session.size + seed.size < sizeof(output->session.bytes) / 2)
		add_pieces(&output->session, message);
}

static void decode_seed(const struct output *output, const char *name, enum wire_channel channel,
			const struct wire_message *message, bool listening)
{
	uint8_t setting[SETTING_SIZE] = {
	    channel == WIRE_BACKEND,
	    (uint8_t)message->fds.count,
	    LEGAL_RINGS,
	    listening,
	    0,
	    WIRE_FLAG_NEED_REPLY,
	    255,
	    255,
	};
	struct seed seed = {.size = 0};

	bytes_store32(setting + 8, message->header.id);
	bytes_store32(setting + 12, message->header.flags);
	memset(setting + 16, 0xff, 24);
	add(&seed, setting, sizeof(setting));
	add(&seed, message->payload, message->header.size);
	write_seed(output, "decode", name, &seed);
}

static void row_seeds(enum wire_channel channel, const struct wire_row *row, void *context)
{
	const struct wire_agreement agreement = legal_agreement();
	struct wire_message *request = legal_request(row, &agreement);
	struct wire_message *reply = legal_reply(row, &agreement);
	struct output *output = context;
	uint8_t header[WIRE_HEADER_SIZE];
	char name[64];

	snprintf(name, sizeof(name), "%s-request", row->name);
	frame_seed(output, name, request);
	decode_seed(output, name, channel, request, false);
	snprintf(name, sizeof(name), "%s-listening", row->name);
	decode_seed(output, name, channel, request, true);
	snprintf(name, sizeof(name), "%s-reply", row->name);
	frame_seed(output, name, reply);
	decode_seed(output, name, channel, reply, false);

	wire_header_encode(&request->header, header);
	fprintf(output->dictionary, "%s=\"", row->name);
	for (unsigned int i = 0; i < sizeof(header); i++)
		fprintf(output->dictionary, "\\x%02x", header[i]);
	fprintf(output->dictionary, "\"\n");
	wire_message_free(request);
	wire_message_free(reply);
}

int main(int argc, char **argv)
{
	struct output output = {.dir = argc == 3 ? argv[1] : NULL};

	if (argc != 3) {
		fprintf(stderr, "usage: make_corpus DIR DICTIONARY\n");
		return 2;
	}
	output.dictionary = fopen(argv[2], "w");
	if (!output.dictionary)
		fail(argv[2]);
	fprintf(output.dictionary, "# The header of every message of messages.def.\n");
	legal_each(row_seeds, &output);
	write_seed(&output, "frame", "session", &output.session);
	if (fclose(output.dictionary))
		fail(argv[2]);
	return 0;
}
