/* SPDX-License-Identifier: BSD-3-Clause */
/* What real peers do, and what must come of it at the other end of the daemon. */
#include "daemon_rig.h"

#include "base/bytes.h"
#include "shell/fds.h"
#include "shell/sock.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define PACKED_BASE 0x8005u
#define ROUNDS      400u

struct world {
	struct rig rig;
	struct ends ends;
};

static int open_with(void **state, const char *options)
{
	struct world *world = calloc(1, sizeof(*world));

	*state = world;
	rig_open(&world->rig, true);
	rig_start(&world->rig, options);
	ends_open(&world->ends, &world->rig);
	return 0;
}

static int open_world(void **state)
{
	return open_with(state, "");
}

static int open_watching(void **state)
{
	return open_with(state, "--data-path=direct --synthesize=none");
}

static int close_world(void **state)
{
	struct world *world = *state;

	ends_close(&world->ends);
	rig_close(&world->rig);
	free(world);
	return 0;
}

static void need_reply(struct wire_message *message)
{
	message->header.flags |= WIRE_FLAG_NEED_REPLY;
}

static void acknowledged(struct client *front, uint32_t id, uint64_t value)
{
	struct wire_message *reply = rig_receive(front, id);

	assert_int_equal(reply->header.flags, WIRE_VERSION | WIRE_FLAG_REPLY);
	assert_int_equal(reply->header.size, 8);
	assert_int_equal(bytes_load64(reply->payload), value);
	message_dispose(reply);
}

static struct wire_message *with_file(struct wire_message *message, int file)
{
	struct fd_entry entry;

	fds_look(&entry, dup(file));
	assert_int_equal(fdset_push(&message->fds, &entry), 0);
	return message;
}

/* QEMU's net device sends it so; a Rust back-end closes the connection at it. */
static void an_enable_before_the_features_waits_for_them(void **state)
{
	struct world *world = *state;
	struct ends *ends = &world->ends;
	struct wire_message *message;

	ends_ask(ends, WIRE_GET_FEATURES, rig_virtio());
	ends_ask(ends, WIRE_GET_PROTOCOL_FEATURES, rig_protocol());
	ends_tell(ends, wire_request_u64(WIRE_SET_PROTOCOL_FEATURES, 0, rig_protocol()));
	message = wire_request_state(WIRE_SET_VRING_ENABLE, 0, 1, 1);
	need_reply(message);
	rig_send(&ends->front, message);
	acknowledged(&ends->front, WIRE_SET_VRING_ENABLE, 0);
	ends_tell(ends, wire_request_u64(WIRE_SET_FEATURES, 0, rig_virtio()));
	message = rig_receive(&ends->back, WIRE_SET_VRING_ENABLE);
	assert_int_equal(bytes_load32(message->payload), 1);
	assert_int_equal(bytes_load32(message->payload + 4), 1);
	/* The answer to the daemon's own request goes to nobody. */
	if (wire_needs_reply(message))
		rig_send(&ends->back, wire_reply_u64(WIRE_SET_VRING_ENABLE, 0));
	message_dispose(message);
	assert_int_equal(ends_ask(ends, WIRE_GET_STATUS, 7), 7);
}

static struct wire_message *log_base(int file)
{
	struct wire_message *message = wire_message_new(WIRE_SET_LOG_BASE, WIRE_VERSION, 16);

	bytes_store64(message->payload, 4096);
	return with_file(message, file);
}

static void log_answered(struct ends *ends, uint32_t size)
{
	struct wire_message *reply = rig_receive(&ends->front, WIRE_SET_LOG_BASE);

	assert_int_equal(reply->header.size, size);
	message_dispose(reply);
}

/* QEMU 7.2 sends it for each queue pair; DPDK crashed at the second. */
static void a_log_given_twice_reaches_the_back_end_once(void **state)
{
	static const uint32_t sizes[] = {0, 8, 16}; /* DPDK, libvhost-user, rust-vmm */
	struct world *world = *state;
	struct ends *ends = &world->ends;

	ends_negotiate(ends, rig_virtio(), rig_protocol());
	for (size_t i = 0; i < 3; i++) {
		int file = rig_file(1);

		rig_send(&ends->front, log_base(file));
		message_dispose(rig_receive(&ends->back, WIRE_SET_LOG_BASE));
		rig_send(&ends->back, wire_message_new(WIRE_SET_LOG_BASE,
						       WIRE_VERSION | WIRE_FLAG_REPLY, sizes[i]));
		log_answered(ends, sizes[i]);
		rig_send(&ends->front, log_base(file));
		log_answered(ends, sizes[i]);
		close(file);
	}
	assert_int_equal(ends_ask(ends, WIRE_GET_STATUS, 7), 7);
}

static uint32_t base_through(struct ends *ends, uint32_t base)
{
	struct wire_message *reply;
	uint32_t got;

	rig_send(&ends->front, wire_request_state(WIRE_GET_VRING_BASE, 0, 0, 0));
	message_dispose(rig_receive(&ends->back, WIRE_GET_VRING_BASE));
	rig_send(&ends->back, wire_reply_state(WIRE_GET_VRING_BASE, 0, base));
	reply = rig_receive(&ends->front, WIRE_GET_VRING_BASE);
	got = bytes_load32(reply->payload + 4);
	message_dispose(reply);
	return got;
}

/* DPDK gives the lower half of a packed ring's base; QEMU takes all of it. */
static void a_packed_base_without_its_upper_half_gets_one(void **state)
{
	struct world *world = *state;
	struct ends *ends = &world->ends;

	ends_negotiate(ends, rig_virtio(), rig_protocol());
	ends_tell(ends, wire_request_state(WIRE_SET_VRING_NUM, 0, 0, 256));
	assert_int_equal(base_through(ends, PACKED_BASE), PACKED_BASE << 16 | PACKED_BASE);
	assert_int_equal(base_through(ends, 0x80078006), 0x80078006);
}

static void a_split_base_is_left_as_it_is(void **state)
{
	struct world *world = *state;
	struct ends *ends = &world->ends;

	ends_negotiate(ends, rig_virtio() & ~WIRE_BIT(WIRE_F_RING_PACKED), rig_protocol());
	ends_tell(ends, wire_request_state(WIRE_SET_VRING_NUM, 0, 0, 256));
	assert_int_equal(base_through(ends, PACKED_BASE), PACKED_BASE);
}

/* QEMU reads an empty acknowledgement as whatever was on its stack, and refuses NEED_REPLY. */
static void acknowledgements_reach_the_front_end_in_the_shape_it_can_read(void **state)
{
	struct world *world = *state;
	struct ends *ends = &world->ends;
	struct wire_message *message;

	ends_negotiate(ends, rig_virtio(), rig_protocol());
	for (uint32_t size = 0; size <= 8; size += 8) {
		message = wire_request_state(WIRE_SET_VRING_NUM, 0, 0, 256);
		need_reply(message);
		ends_tell(ends, message);
		message =
		    wire_message_new(WIRE_SET_VRING_NUM, WIRE_VERSION | WIRE_FLAG_REPLY, size);
		need_reply(message);
		rig_send(&ends->back, message);
		acknowledged(&ends->front, WIRE_SET_VRING_NUM, 0);
	}
}

/* Looked at without pause: of a message sent in two, the first would be seen alone. */
static void arrives_at_once(int fd, int size)
{
	int64_t until = rig_now_ms() + RIG_MS;
	int there = 0;

	while (there == 0 && rig_now_ms() < until)
		assert_return_code(ioctl(fd, FIONREAD, &there), errno);
	assert_int_equal(there, size);
}

/* As libvhost-user and DPDK do: the header by recvmsg(), then one read() for the payload. */
static void read_as_back_ends_do(int fd, uint32_t size)
{
	char bytes[WIRE_HEADER_SIZE], payload[WIRE_PAYLOAD_MAX], control[512];
	struct iovec iov = {bytes, sizeof(bytes)};
	struct msghdr header = {.msg_iov = &iov,
				.msg_iovlen = 1,
				.msg_control = control,
				.msg_controllen = sizeof(control)};
	struct cmsghdr *c;

	arrives_at_once(fd, (int)(WIRE_HEADER_SIZE + size));
	assert_int_equal(recvmsg(fd, &header, MSG_CMSG_CLOEXEC), WIRE_HEADER_SIZE);
	c = CMSG_FIRSTHDR(&header);
	for (size_t i = 0; c && CMSG_LEN((i + 1) * sizeof(int)) <= c->cmsg_len; i++) {
		int passed;

		memcpy(&passed, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
		close(passed);
	}
	if (size)
		assert_int_equal(read(fd, payload, size), size);
}

static void header_and_payload_come_in_one_piece_however_they_were_sent(void **state)
{
	struct world *world = *state;
	struct ends *ends = &world->ends;
	uint8_t bytes[WIRE_HEADER_SIZE + 264];
	struct wire_region regions[8] = {{0}};
	int file = rig_file(1);

	ends_negotiate(ends, rig_virtio(), rig_protocol());
	for (unsigned int round = 0; round < ROUNDS; round++) {
		unsigned int count = 1 + round % 8;
		struct wire_message *message = wire_request_table(0, regions, count);
		size_t size = WIRE_HEADER_SIZE + message->header.size, sent = 0;

		for (unsigned int i = 0; i < count; i++)
			with_file(message, file);
		wire_header_encode(&message->header, bytes);
		memcpy(bytes + WIRE_HEADER_SIZE, message->payload, message->header.size);
		/* The first byte carries the descriptors, the rest comes in drops. */
		assert_int_equal(sock_send(ends->front.fd, message, &sent), SOCK_WHOLE);
		read_as_back_ends_do(ends->back.fd, message->header.size);
		fds_close(&message->fds);
		wire_message_free(message);
		bytes_store32(bytes, 1000);
		for (size_t i = 0; i < size; i++)
			assert_int_equal(send(ends->front.fd, bytes + i, 1, MSG_NOSIGNAL), 1);
		read_as_back_ends_do(ends->back.fd, (uint32_t)(size - WIRE_HEADER_SIZE));
	}
	close(file);
}

static void bits_no_front_end_may_see_are_never_offered(void **state)
{
	struct world *world = *state;
	struct ends *ends = &world->ends;

	assert_int_equal(ends_ask(ends, WIRE_GET_FEATURES, UINT64_MAX), rig_virtio());
	assert_int_equal(ends_ask(ends, WIRE_GET_PROTOCOL_FEATURES, UINT64_MAX), rig_protocol());
}

/* Unless it only watches, nothing is offered that goes round a relayed ring. */
static void bits_that_go_round_a_relayed_ring_are_offered_only_when_watching(void **state)
{
	const uint64_t round = WIRE_BIT(WIRE_PF_HOST_NOTIFIER) | WIRE_BIT(WIRE_PF_SHMEM) |
			       WIRE_BIT(WIRE_PF_SHARED_OBJECT) | WIRE_BIT(WIRE_PF_BACKEND_SEND_FD);
	struct world *world = *state;
	struct ends *ends = &world->ends;

	ends_ask(ends, WIRE_GET_FEATURES, rig_virtio());
	assert_int_equal(ends_ask(ends, WIRE_GET_PROTOCOL_FEATURES, UINT64_MAX),
			 rig_protocol() & ~round);
}

static void one_line_names_all_that_was_negotiated(void **state)
{
	struct world *world = *state;
	struct ends *ends = &world->ends;
	struct daemon *daemon = &world->rig.daemon;
	char line[RIG_LINE];

	ends_ask(ends, WIRE_GET_FEATURES, WIRE_BIT(30) | WIRE_BIT(32) | WIRE_BIT(36));
	ends_ask(ends, WIRE_GET_PROTOCOL_FEATURES, WIRE_BIT(0) | WIRE_BIT(3) | WIRE_BIT(17));
	ends_tell(ends, wire_request_u64(WIRE_SET_PROTOCOL_FEATURES, 0, WIRE_BIT(3)));
	for (int i = 0; i < 3; i++)
		ends_tell(ends, wire_request_u64(WIRE_SET_FEATURES, 0,
						 WIRE_BIT(30) | WIRE_BIT(32) | WIRE_BIT(34)));
	daemon_wait_log(daemon, 0, "negotiated (", line);
	assert_non_null(strstr(line, "offered: PROTOCOL_FEATURES VERSION_1 ORDER_PLATFORM | "
				     "MQ REPLY_ACK XEN_MMAP; "));
	assert_non_null(strstr(line, "acknowledged: PROTOCOL_FEATURES VERSION_1 RING_PACKED | "
				     "REPLY_ACK; "));
	assert_non_null(strstr(line, "passed on: PROTOCOL_FEATURES VERSION_1 | REPLY_ACK; "));
	assert_non_null(strstr(line, "hidden: ORDER_PLATFORM | XEN_MMAP"));
	rig_send(&ends->front, wire_message_new(WIRE_SET_OWNER, 2, 0));
	daemon_wait_log(daemon, 0, " error: ", NULL);
	assert_int_equal(daemon_count(daemon, 0, "negotiated ("), 1);
	assert_int_equal(daemon_count(daemon, 0, "it was not offered, they are left out: RING_"),
			 1);
}

static void a_bit_acknowledged_and_not_offered_is_left_out(void **state)
{
	struct world *world = *state;
	struct ends *ends = &world->ends;
	struct wire_message *message;

	ends_ask(ends, WIRE_GET_FEATURES, WIRE_BIT(30) | WIRE_BIT(32));
	rig_send(&ends->front, wire_request_u64(WIRE_SET_FEATURES, 0, UINT64_MAX));
	message = rig_receive(&ends->back, WIRE_SET_FEATURES);
	assert_int_equal(bytes_load64(message->payload), WIRE_BIT(30) | WIRE_BIT(32));
	message_dispose(message);
}

/* Each is kept from the back-end; the next thing it sees is GET_STATUS. */
static void requests_that_break_back_ends_are_answered_in_their_place(void **state)
{
	struct world *world = *state;
	struct ends *ends = &world->ends;
	struct wire_region region = {.gpa = 4096, .size = 4096, .uva = 8192};
	struct wire_message *message;
	int file = rig_file(1);

	ends_negotiate(ends, rig_virtio(), rig_protocol());
	rig_send(&ends->front, wire_message_new(WIRE_GET_SHARED_OBJECT, WIRE_VERSION, 0));
	acknowledged(&ends->front, WIRE_GET_SHARED_OBJECT, 1);
	rig_send(&ends->front, wire_request_state(WIRE_GET_VRING_BASE, 0, 5, 0));
	message = rig_receive(&ends->front, WIRE_GET_VRING_BASE);
	assert_int_equal(bytes_load32(message->payload), 5);
	message_dispose(message);
	ends_tell(ends, with_file(wire_request_region(WIRE_ADD_MEM_REG, 0, &region), file));
	message = with_file(wire_request_region(WIRE_ADD_MEM_REG, 0, &region), file);
	need_reply(message);
	rig_send(&ends->front, message);
	acknowledged(&ends->front, WIRE_ADD_MEM_REG, 0);
	assert_int_equal(ends_ask(ends, WIRE_GET_STATUS, 7), 7);
	close(file);
}

static void acknowledgements_of_postcopy_that_break_back_ends_are_kept_back(void **state)
{
	struct world *world = *state;
	struct ends *ends = &world->ends;

	ends_negotiate(ends, rig_virtio(), rig_protocol());
	ends_tell(ends, wire_request(WIRE_POSTCOPY_LISTEN, 0));
	rig_send(&ends->front, wire_message_new(WIRE_NONE, WIRE_VERSION, 8));
	rig_send(&ends->front, wire_message_new(WIRE_ADD_MEM_REG, WIRE_VERSION, 8));
	assert_int_equal(ends_ask(ends, WIRE_GET_STATUS, 7), 7);
}

int main(void)
{
#define CASE(name)  cmocka_unit_test_setup_teardown(name, open_watching, close_world)
#define USUAL(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)
	const struct CMUnitTest tests[] = {
	    CASE(an_enable_before_the_features_waits_for_them),
	    CASE(a_log_given_twice_reaches_the_back_end_once),
	    CASE(a_packed_base_without_its_upper_half_gets_one),
	    CASE(a_split_base_is_left_as_it_is),
	    CASE(acknowledgements_reach_the_front_end_in_the_shape_it_can_read),
	    CASE(header_and_payload_come_in_one_piece_however_they_were_sent),
	    CASE(bits_no_front_end_may_see_are_never_offered),
	    USUAL(bits_that_go_round_a_relayed_ring_are_offered_only_when_watching),
	    CASE(one_line_names_all_that_was_negotiated),
	    CASE(a_bit_acknowledged_and_not_offered_is_left_out),
	    CASE(requests_that_break_back_ends_are_answered_in_their_place),
	    CASE(acknowledgements_of_postcopy_that_break_back_ends_are_kept_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
