/* SPDX-License-Identifier: BSD-3-Clause */
/* How fast guest memory is written, measured without a migration. */
#include "disk_rig.h"

#include <string.h>
#include <unistd.h>

static void refused(const struct disk_rig *disk, const char *command, const char *why)
{
	char text[8192];

	assert_int_equal(disk_control(disk, command, text, sizeof(text)), 1);
	if (!strstr(text, why))
		fail_msg("%s: %s", command, text);
}

static void what_a_disk_writes_is_measured_by_queue_and_judged(void **state)
{
	struct disk_rig *disk = *state;
	char text[8192];
	pid_t guest;
	int out;

	disk_rig_start(disk, "", "--data-path=shadow");
	guest = disk_guest_start(disk, &out, "--queues=2 --depth=4 --seconds=3600");
	disk_wait_in_flight(disk);
	assert_int_equal(disk_control(disk, "dirty-rate 2", text, sizeof(text)), 0);
	assert_non_null(strstr(text, "1 of 2 s: "));
	assert_non_null(strstr(text, "2 of 2 s: "));
	assert_null(strstr(text, " 0 distinct"));
	assert_non_null(strstr(text, "queue"));
	assert_non_null(strstr(text, "a migration gets ahead of it"));
	/* And again: nothing of the first is left. */
	assert_int_equal(disk_control(disk, "--json dirty-rate 1", text, sizeof(text)), 0);
	assert_non_null(strstr(text, "\"done\":true,\"interrupted\":false"));
	assert_int_equal(disk_control(disk, "log", text, sizeof(text)), 0);
	assert_non_null(strstr(text, "dirty log off"));
	close(out);
	disk_kill(guest);
	assert_int_equal(daemon_count(&disk->rig.daemon, 0, " error: "), 0);
}

static void what_can_not_be_measured_is_refused_with_the_reason(void **state)
{
	struct disk_rig *disk = *state;
	pid_t guest;
	int out;

	disk_rig_start(disk, "", "--data-path=shadow");
	refused(disk, "dirty-rate 1", "no front-end is connected");
	refused(disk, "dirty-rate 0", "is no number of seconds from 1 to 3600");
	refused(disk, "dirty-rate 3601", "is no number of seconds");
	refused(disk, "dirty-rate soon", "is no number of seconds");
	guest = disk_guest_start(disk, &out, "--depth=4 --seconds=3600 --event-idx=on");
	disk_wait_in_flight(disk);
	disk_moves(disk, "direct");
	refused(disk, "dirty-rate 1", "no ring is relayed: say data-path shadow first");
	close(out);
	disk_kill(guest);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, disk_rig_open, disk_rig_close)
	const struct CMUnitTest tests[] = {
	    CASE(what_a_disk_writes_is_measured_by_queue_and_judged),
	    CASE(what_can_not_be_measured_is_refused_with_the_reason),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
