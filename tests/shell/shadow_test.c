/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The daemon in the data path, between our own bench as the guest and our own
 * disk as the back-end: every block read is compared with what was written.
 */
#include "disk_rig.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

static void all_formats(struct disk_rig *disk)
{
	static const char *const runs[] = {
	    "--format=split --depth=1",
	    "--format=packed --depth=1",
	    "--format=split --queues=4 --depth=32",
	    "--format=packed --queues=4 --depth=32",
	    "--format=split --queues=2 --depth=16 --event-idx=off",
	    "--format=packed --queues=2 --depth=16 --event-idx=off",
	    "--format=split --queues=2 --depth=16 --indirect=off",
	    "--format=packed --queues=2 --depth=16 --indirect=off",
	    "--format=split --depth=4 --queue-size=16 --event-idx=off --indirect=off",
	    "--format=packed --depth=8 --queue-size=24 --event-idx=off --indirect=off",
	    "--format=split --depth=64 --queue-size=1024 --size=65536 --requests=200",
	};

	for (size_t i = 0; i < sizeof(runs) / sizeof(runs[0]); i++)
		disk_verifies(disk, runs[i]);
	disk_relayed(disk);
}

static void what_is_relayed_is_what_was_written(void **state)
{
	disk_rig_start(*state, "", "--data-path=shadow");
	all_formats(*state);
}

static void completions_out_of_order_find_their_requests(void **state)
{
	disk_rig_start(*state, "--shuffle --delay-us=200", "--data-path=shadow");
	all_formats(*state);
}

static void threads_share_the_queues(void **state)
{
	disk_rig_start(*state, "--shuffle", "--data-path=shadow --data-threads=2");
	all_formats(*state);
}

static void threads_that_spin_miss_nothing(void **state)
{
	disk_rig_start(*state, "", "--data-path=shadow --data-threads=2 --poll-us=50");
	all_formats(*state);
}

static void every_session_gives_its_descriptors_back(void **state)
{
	struct disk_rig *disk = *state;
	unsigned int idle;

	disk_rig_start(disk, "", "--data-path=shadow --data-threads=3");
	idle = daemon_fds(&disk->rig.daemon);
	for (unsigned int i = 0; i < 5; i++) {
		disk_verifies(disk, i % 2 ? "--queues=4 --format=packed --depth=4" : "--queues=2");
		daemon_wait_fds(&disk->rig.daemon, idle);
	}
}

static void sigterm_ends_it_with_requests_in_flight(void **state)
{
	struct disk_rig *disk = *state;
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	pid_t guest;

	disk_rig_start(disk, DISK_FOR_EVER, "--data-path=shadow");
	guest = disk_guest(disk, null, "--queues=4 --depth=32 --seconds=20 --rounds=1");
	close(null);
	disk_wait_in_flight(disk);
	assert_int_equal(daemon_end(&disk->rig.daemon, SIGTERM), 0);
	disk_kill(guest);
}

static void a_guest_that_dies_with_requests_in_flight_leaves_the_daemon_to_the_next(void **state)
{
	struct disk_rig *disk = *state;
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	disk_rig_start(disk, "--delay-us=20000", "--data-path=shadow --data-threads=2");
	for (unsigned int i = 0; i < 3; i++) {
		size_t from = daemon_log_size(&disk->rig.daemon);
		pid_t guest =
		    disk_guest(disk, null, "--queues=4 --depth=32 --seconds=20 --rounds=1");

		disk_wait_in_flight(disk);
		disk_kill(guest);
		daemon_wait_log(&disk->rig.daemon, from, "closed its connection", NULL);
	}
	close(null);
	disk_verifies(disk, "--queues=4 --depth=8 --requests=100");
	disk_relayed(disk);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, disk_rig_open, disk_rig_close)
	const struct CMUnitTest tests[] = {
	    CASE(what_is_relayed_is_what_was_written),
	    CASE(completions_out_of_order_find_their_requests),
	    CASE(threads_share_the_queues),
	    CASE(threads_that_spin_miss_nothing),
	    CASE(every_session_gives_its_descriptors_back),
	    CASE(sigterm_ends_it_with_requests_in_flight),
	    CASE(a_guest_that_dies_with_requests_in_flight_leaves_the_daemon_to_the_next),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
