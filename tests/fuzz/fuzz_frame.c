/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A hostile stream, cut anywhere, with descriptors on any piece.
 *
 * Input: pieces of {u8 length, u8 descriptors, bytes}. Bit 7 of the second byte
 * drops the connection when a message is whole and before it is taken. Held to: what comes out is
 * the stream, cut at the sizes its headers give; every descriptor ends in exactly one place, in
 * order.
 */
#include "fuzz.h"

#include "wire/frame.h"

#define FIRST_FD      5000
#define PIECE_FDS_MAX 40u /* more than a set holds */
#define DROP_WHOLE    0x80u

struct world {
	struct frame frame;
	int next_fd;       /* the next made-up descriptor */
	int next_out;      /* the next that must come back */
	uint32_t expected; /* bytes of the message being read */
	uint8_t *stream;   /* those bytes */
	bool drop_whole;
};

static void settle_fds(struct world *world, const struct fdset *fds)
{
	for (unsigned int i = 0; i < fds->count; i++)
		FUZZ_CHECK(fds->entries[i].fd == world->next_out++);
}

static struct fdset bring_fds(struct world *world, unsigned int count)
{
	struct fdset fds = {.count = 0};

	for (unsigned int i = 0; i < count % PIECE_FDS_MAX; i++) {
		struct fd_entry entry = {.fd = world->next_fd};

		if (fdset_push(&fds, &entry) == 0)
			world->next_fd++;
	}
	return fds;
}

static void check_whole(struct world *world)
{
	struct wire_message *message = frame_take(&world->frame);
	uint8_t header[WIRE_HEADER_SIZE];

	FUZZ_CHECK(message);
	FUZZ_CHECK(!frame_partial(&world->frame));
	wire_header_encode(&message->header, header);
	FUZZ_CHECK(world->expected == WIRE_HEADER_SIZE + message->header.size);
	FUZZ_CHECK(memcmp(header, world->stream, sizeof(header)) == 0);
	FUZZ_CHECK(memcmp(message->payload, world->stream + sizeof(header), message->header.size) ==
		   0);
	FUZZ_CHECK((message->header.flags & WIRE_VERSION_MASK) == WIRE_VERSION);
	settle_fds(world, &message->fds);
	wire_message_free(message);
	world->expected = 0;
}

/* False: the stream is over. */
static bool feed(struct world *world, struct fuzz_input *input, size_t size, struct fdset *fds)
{
	struct diag diag = {""};
	uint8_t *to;
	size_t room;
	int result;

	frame_want(&world->frame, &to, &room);
	FUZZ_CHECK(room > 0 && room <= WIRE_PAYLOAD_MAX);
	if (room > size)
		room = size;
	fuzz_take(input, to, room);
	memcpy(world->stream + world->expected, to, room);
	world->expected += (uint32_t)room;
	result = frame_got(&world->frame, room, fds, &diag);
	if (result == FRAME_FAULT) {
		FUZZ_CHECK(diag.text[0] != '\0' && !strchr(diag.text, '\n'));
		return false;
	}
	FUZZ_CHECK(fds->count == 0);
	if (result == FRAME_WHOLE && world->drop_whole)
		return false;
	if (result == FRAME_WHOLE)
		check_whole(world);
	else
		FUZZ_CHECK(result == FRAME_MORE && frame_partial(&world->frame));
	return true;
}

static bool piece(struct world *world, struct fuzz_input *input, struct fdset *left)
{
	size_t size = fuzz_byte(input);
	uint8_t fds = fuzz_byte(input);

	*left = bring_fds(world, fds & ~DROP_WHOLE);
	world->drop_whole = (fds & DROP_WHOLE) != 0;
	if (size > input->left)
		size = input->left;
	while (size) {
		size_t before = input->left;

		if (!feed(world, input, size, left))
			return false;
		size -= before - input->left;
	}
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t stream[WIRE_HEADER_SIZE + WIRE_PAYLOAD_MAX];
	struct world world = {.next_fd = FIRST_FD, .next_out = FIRST_FD, .stream = stream};
	struct fuzz_input input = {data, size};
	struct fdset left = {.count = 0}, held;

	while (input.left > 2 && piece(&world, &input, &left) && left.count == 0)
		continue;
	frame_abandon(&world.frame, &held);
	settle_fds(&world, &held);
	settle_fds(&world, &left);
	FUZZ_CHECK(world.next_out == world.next_fd);
	FUZZ_CHECK(!frame_partial(&world.frame));
	return 0;
}
