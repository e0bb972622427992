/* SPDX-License-Identifier: BSD-3-Clause */
/* Rings that are moved between the direct path and the daemon's, under load that verifies. */
#include "disk_rig.h"

#include <string.h>

#define MOVES 20

static void moved_under_load(struct disk_rig *disk, const char *disk_options,
			     const char *daemon_options)
{
	unsigned int round = 0;
	char text[8192];

	disk_rig_start(disk, disk_options, daemon_options);
	/* As many guests as it takes: on a busy machine one may see a few moves only. */
	while (round < MOVES) {
		size_t from = daemon_log_size(&disk->rig.daemon);
		int out;
		pid_t guest = disk_guest_start(disk, &out,
					       "--queues=3 --depth=16 --seconds=3 --event-idx=on");

		daemon_wait_log(&disk->rig.daemon, from, "negotiated", NULL);
		for (; !disk_guest_ended(guest); round++) {
			disk_moves(disk, round % 2 ? "shadow" : "direct");
			assert_int_equal(disk_control(disk, "status", text, sizeof(text)), 0);
		}
		disk_guest_verified(guest, out, "moved under load");
	}
	disk_relayed(disk);
}

static void rings_move_in_and_out_under_load(void **state)
{
	moved_under_load(*state, "", "--data-path=shadow --data-threads=2");
}

static void rings_move_while_requests_take_long_and_end_out_of_order(void **state)
{
	moved_under_load(*state, "--delay-us=3000 --shuffle", "--data-path=shadow");
}

/* Half of the times they are asked, requests of a second are not done in time. */
static void rings_of_a_slow_disk_stay_direct_and_lose_nothing(void **state)
{
	struct disk_rig *disk = *state;
	bool told = false;
	char text[8192];

	disk_rig_start(disk, "--delay-us=1000000", "--data-path=shadow");
	while (!told) {
		size_t from = daemon_log_size(&disk->rig.daemon);
		int out;
		pid_t guest = disk_guest_start(disk, &out,
					       "--queues=2 --depth=8 --requests=64 --event-idx=on");

		daemon_wait_log(&disk->rig.daemon, from, "negotiated", NULL);
		while (!disk_guest_ended(guest)) {
			if (disk_control(disk, "data-path shadow", text, sizeof(text)))
				told |= strstr(text, "stay direct: the back-end was not") != NULL;
			disk_moves(disk, "direct");
		}
		disk_guest_verified(guest, out, "moved under slow load");
	}
	daemon_wait_log(&disk->rig.daemon, 0, "stays direct", NULL);
	assert_int_equal(daemon_count(&disk->rig.daemon, 0, " error: "), 0);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, disk_rig_open, disk_rig_close)
	const struct CMUnitTest tests[] = {
	    CASE(rings_move_in_and_out_under_load),
	    CASE(rings_move_while_requests_take_long_and_end_out_of_order),
	    CASE(rings_of_a_slow_disk_stay_direct_and_lose_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
