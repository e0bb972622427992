/* SPDX-License-Identifier: BSD-3-Clause */
/* The guest's ring is written by the daemon: where it marks that in the dirty log. */
#include "daemon_rig.h"

#include "base/bytes.h"
#include "shell/fds.h"
#include "wire/encode.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE      4096u
#define PAGES     16u
#define UVA       0x7f0000000000ull
#define USED_PAGE 3u
#define VIRTIO                                                                                     \
	(WIRE_BIT(WIRE_F_VERSION_1) | WIRE_BIT(WIRE_F_RING_EVENT_IDX) |                            \
	 WIRE_BIT(WIRE_F_VHOST_F_LOG_ALL) | WIRE_BIT(WIRE_F_PROTOCOL_FEATURES))
#define PROTOCOL (WIRE_BIT(WIRE_PF_LOG_SHMFD) | WIRE_BIT(WIRE_PF_REPLY_ACK) | WIRE_BIT(WIRE_PF_MQ))

struct shadow {
	struct rig rig;
	struct ends ends;
	int memory;
};

static struct wire_message *with(struct wire_message *message, int fd)
{
	struct fd_entry entry;

	fds_look(&entry, fcntl(fd, F_DUPFD_CLOEXEC, 0));
	assert_int_equal(fdset_push(&message->fds, &entry), 0);
	return message;
}

static void set_memory(struct shadow *shadow, uint64_t gpa)
{
	struct wire_region at = {.gpa = gpa, .size = PAGES * PAGE, .uva = UVA};

	rig_send(&shadow->ends.front, with(wire_request_table(0, &at, 1), shadow->memory));
	message_dispose(rig_receive(&shadow->ends.back, WIRE_SET_MEM_TABLE));
}

static struct wire_message *address(uint32_t flags, bool logged)
{
	return wire_request_addr(flags, 0, logged ? 1 : 0, UVA, UVA + USED_PAGE * PAGE, UVA + PAGE,
				 0);
}

static void start_ring(struct shadow *shadow)
{
	static const uint32_t started[] = {WIRE_SET_VRING_NUM, WIRE_SET_VRING_BASE,
					   WIRE_SET_VRING_CALL, WIRE_SET_VRING_ADDR,
					   WIRE_SET_VRING_KICK};
	struct client *front = &shadow->ends.front;
	int event = eventfd(0, EFD_CLOEXEC);

	rig_send(front, wire_request_state(WIRE_SET_VRING_NUM, 0, 0, 64));
	rig_send(front, wire_request_state(WIRE_SET_VRING_BASE, 0, 0, 0));
	rig_send(front, address(0, false));
	rig_send(front, with(wire_request_u64(WIRE_SET_VRING_KICK, 0, 0), event));
	close(event);
	for (unsigned int i = 0; i < sizeof(started) / sizeof(started[0]); i++)
		message_dispose(rig_receive(&shadow->ends.back, started[i]));
}

static void send_log(struct shadow *shadow, int file)
{
	struct wire_message *base = wire_message_new(WIRE_SET_LOG_BASE, WIRE_VERSION, 16);

	bytes_store64(base->payload, PAGE);
	rig_send(&shadow->ends.front, with(base, file));
	message_dispose(rig_receive(&shadow->ends.back, WIRE_SET_LOG_BASE));
	rig_send(&shadow->ends.back, wire_reply_u64(WIRE_SET_LOG_BASE, 0));
	message_dispose(rig_receive(&shadow->ends.front, WIRE_SET_LOG_BASE));
}

/* A log of one page, which is as many marks as the memory here can need. */
static uint8_t *new_log(struct shadow *shadow)
{
	int file = rig_file(1);
	uint8_t *log = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);

	assert_ptr_not_equal(log, MAP_FAILED);
	send_log(shadow, file);
	close(file);
	return log;
}

/* As the front-end of a migration reads it: what it has read is gone. */
static bool take_mark(uint8_t *log, uint64_t page)
{
	uint8_t bit = (uint8_t)(1u << (page % 8));

	return __atomic_fetch_and(&log[page / 8], (uint8_t)~bit, __ATOMIC_ACQUIRE) & bit;
}

static void assert_clean(uint8_t *log)
{
	for (unsigned int i = 0; i < PAGE; i++)
		assert_int_equal(__atomic_load_n(&log[i], __ATOMIC_ACQUIRE), 0);
}

static void turn_logging_on(struct shadow *shadow)
{
	rig_send(&shadow->ends.front, address(WIRE_FLAG_NEED_REPLY, true));
	message_dispose(rig_receive(&shadow->ends.front, WIRE_SET_VRING_ADDR));
}

static int begin(void **state)
{
	struct shadow *shadow = calloc(1, sizeof(*shadow));

	*state = shadow;
	rig_open(&shadow->rig, true);
	rig_start(&shadow->rig, "--data-path=shadow --device=blk");
	ends_open(&shadow->ends, &shadow->rig);
	ends_negotiate(&shadow->ends, VIRTIO, PROTOCOL);
	shadow->memory = rig_file(PAGES);
	set_memory(shadow, 0x10000);
	start_ring(shadow);
	return 0;
}

static int finish(void **state)
{
	struct shadow *shadow = *state;

	ends_close(&shadow->ends);
	close(shadow->memory);
	rig_close(&shadow->rig);
	free(shadow);
	return 0;
}

static void the_used_ring_is_marked_from_the_acknowledgement_on(void **state)
{
	uint8_t *log = new_log(*state);

	assert_clean(log);
	turn_logging_on(*state);
	assert_true(take_mark(log, 0x10 + USED_PAGE));
	assert_clean(log);
	munmap(log, PAGE);
}

/* QEMU sends no addresses after it, and reads the old one for the last time. */
static void after_the_reply_to_another_log_only_that_is_written(void **state)
{
	uint8_t *log = new_log(*state), *larger;

	turn_logging_on(*state);
	assert_true(take_mark(log, 0x10 + USED_PAGE));
	larger = new_log(*state);
	assert_true(take_mark(larger, 0x10 + USED_PAGE));
	assert_clean(larger);
	assert_clean(log);
	munmap(log, PAGE);
	munmap(larger, PAGE);
}

static void memory_that_moved_is_marked_where_it_is_now(void **state)
{
	uint8_t *log = new_log(*state);

	turn_logging_on(*state);
	assert_true(take_mark(log, 0x10 + USED_PAGE));
	set_memory(*state, 0x40000);
	assert_true(take_mark(log, 0x40 + USED_PAGE));
	assert_clean(log);
	munmap(log, PAGE);
}

static void a_log_that_comes_after_the_order_to_write_it_has_the_ring_marked(void **state)
{
	uint8_t *log;

	turn_logging_on(*state);
	log = new_log(*state);
	assert_true(take_mark(log, 0x10 + USED_PAGE));
	assert_clean(log);
	munmap(log, PAGE);
}

static void a_log_that_is_made_shorter_ends_its_session_and_nothing_else(void **state)
{
	struct shadow *shadow = *state;
	int file = rig_file(1);

	send_log(shadow, file);
	assert_return_code(ftruncate(file, 0), errno);
	close(file);
	rig_send(&shadow->ends.front, address(0, true));
	rig_closed(&shadow->ends.front);
	daemon_wait_log(&shadow->rig.daemon, 0, "the dirty log vanished", NULL);
	rig_closed(&shadow->ends.back);
	ends_close(&shadow->ends);
	ends_open(&shadow->ends, &shadow->rig);
	ends_negotiate(&shadow->ends, VIRTIO, PROTOCOL);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, finish)
	const struct CMUnitTest tests[] = {
	    CASE(the_used_ring_is_marked_from_the_acknowledgement_on),
	    CASE(after_the_reply_to_another_log_only_that_is_written),
	    CASE(memory_that_moved_is_marked_where_it_is_now),
	    CASE(a_log_that_is_made_shorter_ends_its_session_and_nothing_else),
	    CASE(a_log_that_comes_after_the_order_to_write_it_has_the_ring_marked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
