/* SPDX-License-Identifier: BSD-3-Clause */
/* Back-ends killed and swapped under a guest that reads back all it wrote. */
#include "disk_rig.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Each costs the guest what the back-end takes to start, some milliseconds. */
#define LOSSES (getenv("FERRY_FULL") ? 1000u : RIG_SANITIZED ? 10u : 40u)
#define SWAPS  (getenv("FERRY_FULL") ? 200u : RIG_SANITIZED ? 10u : 40u)

static int open_file(void **state)
{
	struct disk_rig *disk;
	char path[RIG_PATH];
	FILE *file;

	disk_rig_open(state);
	disk = *state;
	rig_path(&disk->rig, path, "disk");
	file = fopen(path, "we");
	assert_non_null(file);
	assert_int_equal(ftruncate(fileno(file), 16 << 20), 0);
	fclose(file);
	return 0;
}

/* The disk is a file, so that what was written outlives the back-end. */
static void start(struct disk_rig *disk, const char *disk_options, const char *daemon_options)
{
	char path[RIG_PATH], options[RIG_PATH + 128];

	rig_path(&disk->rig, path, "disk");
	snprintf(options, sizeof(options), "--file=%s%s%s", path, *disk_options ? " " : "",
		 disk_options);
	disk_rig_start(disk, options, daemon_options);
}

static void wait_back(struct disk_rig *disk, unsigned int times)
{
	int64_t until = rig_now_ms() + RIG_MS;

	while (daemon_count(&disk->rig.daemon, 0, "the back-end is back after") < times) {
		if (rig_now_ms() > until)
			fail_msg("the back-end is not back for the %uth time; the log ends:\n%s",
				 times,
				 disk->rig.daemon.log + disk->rig.daemon.log_size -
				     (disk->rig.daemon.log_size < 2000 ? disk->rig.daemon.log_size
								       : 2000));
		usleep(1000);
	}
}

static struct timespec last_write(const struct disk_rig *disk)
{
	char path[RIG_PATH];
	struct stat st;

	rig_path(&disk->rig, path, "disk");
	assert_return_code(stat(path, &st), errno);
	return st.st_mtim;
}

/* A back-end that never gets to do anything, five times in a row, would be given up. */
static void wait_work(const struct disk_rig *disk, pid_t guest, struct timespec since)
{
	int64_t until = rig_now_ms() + RIG_MS;
	struct timespec now;

	do {
		usleep(1000);
		now = last_write(disk);
		if (rig_now_ms() > until)
			fail_msg("nothing is written any more");
	} while (now.tv_sec == since.tv_sec && now.tv_nsec == since.tv_nsec &&
		 !disk_guest_ended(guest));
}

/* Killed at any moment, every third time also just after it came back. */
static void killed_under_load(struct disk_rig *disk, const char *options)
{
	struct timespec written = last_write(disk);
	unsigned int seed = 1;
	char load[256];
	pid_t guest;
	int out;

	snprintf(load, sizeof(load), "%s --seconds=%u", options, LOSSES / 20 + 2);
	guest = disk_guest_start(disk, &out, load);
	for (unsigned int i = 1; i <= LOSSES && !disk_guest_ended(guest); i++) {
		if (i % 3)
			wait_work(disk, guest, written);
		usleep((useconds_t)(rand_r(&seed) % 30000));
		disk_dies(disk);
		written = last_write(disk);
		wait_back(disk, i);
	}
	disk_guest_verified(guest, out, options);
}

static void a_killed_back_end_costs_no_request_of_a_split_ring(void **state)
{
	start(*state, "--shuffle --delay-us=500", "");
	killed_under_load(*state, "--queues=4 --depth=32");
	disk_relayed(*state);
}

static void a_killed_back_end_costs_no_request_of_a_packed_ring(void **state)
{
	start(*state, "--shuffle --delay-us=500", "");
	killed_under_load(*state, "--queues=4 --depth=32 --format=packed");
	disk_relayed(*state);
}

/* The rings are direct: it is the back-end's record that the next one finds. */
static void one_that_keeps_a_record_itself_is_given_it_back(void **state)
{
	struct disk_rig *disk = *state;

	start(disk, "--shuffle --delay-us=500 --protocol-features=INFLIGHT_SHMFD", "");
	killed_under_load(disk, "--queues=4 --depth=32");
	assert_int_not_equal(daemon_count(&disk->rig.daemon, 0, "synthesised: none"), 0);
}

static void a_front_end_need_not_have_asked_for_that_record(void **state)
{
	struct disk_rig *disk = *state;

	start(disk, "--shuffle --delay-us=500 --protocol-features=INFLIGHT_SHMFD",
	      "--hide=protocol:INFLIGHT_SHMFD");
	killed_under_load(disk, "--queues=4 --depth=32");
	assert_int_not_equal(daemon_count(&disk->rig.daemon, 0, "synthesised: none"), 0);
}

/* With requests in flight, and nobody in its place. */
static void dies_for_good(struct disk_rig *disk)
{
	disk_wait_in_flight(disk);
	disk_kill(disk->back_end);
	disk->back_end = 0;
}

static void it_may_be_away_for_long(void **state)
{
	struct disk_rig *disk = *state;
	char text[65536];
	pid_t guest;
	int out;

	start(disk, DISK_FOR_EVER, "--data-threads=2");
	guest = disk_guest_start(disk, &out, "--queues=4 --depth=32 --seconds=4");
	dies_for_good(disk);
	daemon_wait_log(&disk->rig.daemon, 0, "away 2 s, ", NULL);
	assert_int_equal(disk_control(disk, "data-path direct", text, sizeof(text)), 1);
	assert_non_null(strstr(text, "the back-end is away"));
	assert_int_equal(disk_control(disk, "--json status", text, sizeof(text)), 0);
	assert_non_null(strstr(text, "\"state\": \"backend-lost\""));
	assert_non_null(strstr(text, "\"path\": \"shadow\""));
	assert_int_equal(daemon_count(&disk->rig.daemon, 0, ": 0 requests are parked"), 0);
	/* The next one is quicker. */
	strstr(disk->options, DISK_FOR_EVER)[-1] = '\0';
	disk_dies(disk);
	disk_guest_verified(guest, out, "away");
}

/* What was in flight is given back empty: a guest of ours takes that for an error. */
static void without_resubmission_the_guest_gets_its_requests_back_undone(void **state)
{
	struct disk_rig *disk = *state;
	char text[512];
	ssize_t size;
	pid_t guest;
	int out;

	start(disk, DISK_FOR_EVER, "--resubmit=no");
	guest = disk_guest_start(disk, &out, "--queues=1 --depth=8 --seconds=4");
	dies_for_good(disk);
	daemon_wait_log(&disk->rig.daemon, 0, ": 0 requests are parked", NULL);
	size = read(out, text, sizeof(text) - 1);
	text[size > 0 ? size : 0] = '\0';
	if (!strstr(text, "status"))
		fail_msg("no request came back: %s", text);
	disk_kill(guest);
	close(out);
}

static void swapped_under_load(struct disk_rig *disk, const char *options)
{
	char path[2][RIG_PATH], load[256], command[RIG_PATH + 32], text[512];
	pid_t second, guest;
	int out;

	rig_path(&disk->rig, path[0], "second");
	snprintf(path[1], sizeof(path[1]), "%s", disk->rig.back);
	second = disk_another(disk, path[0]);
	snprintf(load, sizeof(load), "%s --seconds=%u", options, SWAPS / 40 + 2);
	guest = disk_guest_start(disk, &out, load);
	disk_wait_in_flight(disk);
	for (unsigned int i = 0; i < SWAPS && !disk_guest_ended(guest); i++) {
		snprintf(command, sizeof(command), "swap-backend %s", path[i % 2]);
		if (disk_control(disk, command, text, sizeof(text)))
			fail_msg("%s: %s", command, text);
	}
	disk_guest_verified(guest, out, options);
	disk_relayed(disk);
	disk_kill(second);
}

static void a_device_swaps_its_back_end_under_load(void **state)
{
	start(*state, "--shuffle --delay-us=500", "");
	swapped_under_load(*state, "--queues=4 --depth=32");
}

static void a_device_with_packed_rings_swaps_its_back_end_under_load(void **state)
{
	start(*state, "--shuffle --delay-us=500", "");
	swapped_under_load(*state, "--queues=4 --depth=32 --format=packed");
}

static void a_swap_to_an_unfit_back_end_stays_with_the_old(void **state)
{
	struct disk_rig *disk = *state;
	char path[RIG_PATH], command[RIG_PATH + 32], text[512];
	pid_t unfit, guest;
	int out;

	start(disk, "", "");
	rig_path(&disk->rig, path, "second");
	strcat(disk->options, " --features=-RING_EVENT_IDX");
	unfit = disk_another(disk, path);
	guest = disk_guest_start(disk, &out, "--queues=4 --depth=32 --seconds=2");
	disk_wait_in_flight(disk);
	snprintf(command, sizeof(command), "swap-backend %s", path);
	assert_int_equal(disk_control(disk, command, text, sizeof(text)), 1);
	assert_non_null(strstr(text, "it lacks virtio features"));
	snprintf(command, sizeof(command), "swap-backend %s-that-is-none", path);
	assert_int_equal(disk_control(disk, command, text, sizeof(text)), 1);
	assert_non_null(strstr(text, "No such file or directory"));
	disk_guest_verified(guest, out, "unfit");
	disk_kill(unfit);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, open_file, disk_rig_close)
	const struct CMUnitTest tests[] = {
	    CASE(a_killed_back_end_costs_no_request_of_a_split_ring),
	    CASE(a_killed_back_end_costs_no_request_of_a_packed_ring),
	    CASE(one_that_keeps_a_record_itself_is_given_it_back),
	    CASE(a_front_end_need_not_have_asked_for_that_record),
	    CASE(it_may_be_away_for_long),
	    CASE(without_resubmission_the_guest_gets_its_requests_back_undone),
	    CASE(a_device_swaps_its_back_end_under_load),
	    CASE(a_device_with_packed_rings_swaps_its_back_end_under_load),
	    CASE(a_swap_to_an_unfit_back_end_stays_with_the_old),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
