/* SPDX-License-Identifier: BSD-3-Clause */
#include "probe/verdict.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

/* Bits that real back-ends were seen to offer. */
static const struct verdict_facts storage_daemon = {
    .features = 0x175007e46,
    .protocol = 0x8f2b,
    .device = WIRE_DEVICE_BLK,
    .queues = 1,
    .slots = 32,
    .host = {0, 1, 1},
};
static const struct verdict_facts testpmd = {
    .features = 0xd7c66e7cb,
    .protocol = 0x10cbf,
    .device = WIRE_DEVICE_NET,
    .queues = 128,
    .slots = -1,
    .host = {0, 1, 1},
};
static const struct verdict_facts virtiofsd = {
    .features = 0x175000000,
    .protocol = 0x8c2b,
    .device = WIRE_DEVICE_FS,
    .queues = 2,
    .slots = 32,
    .host = {0, 1, 1},
};

static struct verdict verdict_of(const struct verdict_facts *facts, const char *key)
{
	static struct verdict verdicts[VERDICT_COUNT];

	verdict_all(facts, verdicts);
	for (unsigned int i = 0; i < VERDICT_COUNT; i++)
		if (strcmp(verdicts[i].key, key) == 0)
			return verdicts[i];
	fail_msg("no verdict %s", key);
	return verdicts[0];
}

static bool noted(const struct verdict_notes *notes, const char *words)
{
	for (unsigned int i = 0; i < notes->count; i++)
		if (strstr(notes->lines[i], words))
			return true;
	return false;
}

static void check_missing(const struct verdict_facts *facts, const char *key, const char *bits)
{
	struct verdict verdict = verdict_of(facts, key);
	char text[256] = "";

	for (unsigned int i = 0; i < verdict.missing_count; i++) {
		if (i)
			strcat(text, ", ");
		verdict_bit_print(&verdict.missing[i], text + strlen(text), 64);
	}
	assert_string_equal(text, bits);
	assert_int_equal(verdict.has, bits[0] == '\0');
}

static void test_a_storage_daemon_lacks_packed_rings_viommu_and_an_inflight_record(void **state)
{
	check_missing(&storage_daemon, "precopy", "");
	check_missing(&storage_daemon, "postcopy", "");
	check_missing(&storage_daemon, "viommu", "ACCESS_PLATFORM (virtio bit 33)");
	check_missing(&storage_daemon, "reconnect", "INFLIGHT_SHMFD (protocol bit 12)");
	check_missing(&storage_daemon, "packed-ring", "RING_PACKED (virtio bit 34)");
	check_missing(&storage_daemon, "multi-queue", "");
	check_missing(&storage_daemon, "memory-regions", "");
}

static void test_a_testpmd_lacks_postcopy_viommu_and_memory_slots(void **state)
{
	check_missing(&testpmd, "precopy", "");
	check_missing(&testpmd, "postcopy", "PAGEFAULT (protocol bit 8)");
	check_missing(&testpmd, "viommu", "ACCESS_PLATFORM (virtio bit 33)");
	check_missing(&testpmd, "packed-ring", "");
	check_missing(&testpmd, "memory-regions", "CONFIGURE_MEM_SLOTS (protocol bit 15)");
}

static void test_nothing_offered_lacks_every_bit_of_every_capability(void **state)
{
	const struct verdict_facts nothing = {.queues = -1, .slots = -1, .host = {-1, -1, -1}};

	check_missing(&nothing, "precopy",
		      "VHOST_F_LOG_ALL (virtio bit 26), LOG_SHMFD (protocol bit 1)");
	check_missing(&nothing, "viommu",
		      "ACCESS_PLATFORM (virtio bit 33), BACKEND_REQ (protocol bit 5), "
		      "REPLY_ACK (protocol bit 3)");
}

static void test_each_missing_bit_alone_is_named(void **state)
{
	struct verdict_facts facts = storage_daemon;

	facts.features &= ~WIRE_BIT(WIRE_F_VHOST_F_LOG_ALL);
	check_missing(&facts, "precopy", "VHOST_F_LOG_ALL (virtio bit 26)");
	facts = storage_daemon;
	facts.protocol &= ~WIRE_BIT(WIRE_PF_LOG_SHMFD);
	check_missing(&facts, "precopy", "LOG_SHMFD (protocol bit 1)");
}

static void test_a_network_device_needs_no_inflight_record(void **state)
{
	struct verdict_facts disk = testpmd;

	check_missing(&testpmd, "reconnect", "");
	disk.device = WIRE_DEVICE_BLK;
	check_missing(&disk, "reconnect", "INFLIGHT_SHMFD (protocol bit 12)");
}

static void test_a_lost_disk_comes_back_behind_the_daemon(void **state)
{
	assert_int_equal(verdict_of(&storage_daemon, "reconnect").daemon, VERDICT_ADDS);
	assert_int_equal(verdict_of(&testpmd, "reconnect").daemon, VERDICT_ADDS);
}

static void test_open_files_and_streams_of_a_lost_back_end_nobody_can_add(void **state)
{
	struct verdict_facts vsock = virtiofsd;
	struct verdict verdict = verdict_of(&virtiofsd, "reconnect");

	assert_int_equal(verdict.daemon, VERDICT_NEVER);
	assert_true(noted(&verdict.notes, "a new mount works"));
	vsock.device = WIRE_DEVICE_VSOCK;
	verdict = verdict_of(&vsock, "reconnect");
	assert_int_equal(verdict.daemon, VERDICT_NEVER);
	assert_true(noted(&verdict.notes, "open streams"));
}

static void test_a_file_system_needs_device_state_which_nobody_can_add(void **state)
{
	struct verdict_facts with = virtiofsd;

	check_missing(&virtiofsd, "precopy", "DEVICE_STATE (protocol bit 19)");
	assert_int_equal(verdict_of(&virtiofsd, "precopy").daemon, VERDICT_NEVER);
	with.protocol |= WIRE_BIT(WIRE_PF_DEVICE_STATE);
	check_missing(&with, "precopy", "");
}

/* Seen with qemu-storage-daemon 7.2 and 10.0.2. */
static void test_pagefault_with_memory_slots_is_said_to_break(void **state)
{
	struct verdict_facts facts = storage_daemon;
	struct verdict verdict = verdict_of(&facts, "postcopy");

	assert_true(noted(&verdict.notes, "known to break"));
	facts.protocol &= ~WIRE_BIT(WIRE_PF_CONFIGURE_MEM_SLOTS);
	verdict = verdict_of(&facts, "postcopy");
	assert_false(noted(&verdict.notes, "known to break"));
}

/* Seen with testpmd 22.11, iommu-support=1, in 5 of 5 runs. */
static void test_the_viommu_of_a_network_back_end_is_said_to_corrupt(void **state)
{
	struct verdict_facts facts = testpmd;
	struct verdict verdict;

	facts.features |= WIRE_BIT(WIRE_F_ACCESS_PLATFORM);
	verdict = verdict_of(&facts, "viommu");
	assert_true(verdict.has);
	assert_true(noted(&verdict.notes, "iommu.strict=1"));
	facts.device = WIRE_DEVICE_BLK;
	verdict = verdict_of(&facts, "viommu");
	assert_false(noted(&verdict.notes, "iommu.strict=1"));
}

static void test_a_host_without_any_way_to_userfaultfd_is_named_with_all_three(void **state)
{
	struct verdict_facts facts = storage_daemon;
	struct verdict verdict;

	facts.host = (struct verdict_host){0, 0, -1};
	verdict = verdict_of(&facts, "postcopy");
	assert_true(noted(&verdict.notes, "(vm.unprivileged_userfaultfd: no, CAP_SYS_PTRACE: no, "
					  "/dev/userfaultfd: not known)"));
	for (unsigned int way = 0; way < 3; way++) {
		facts.host = (struct verdict_host){way == 0, way == 1, way == 2};
		verdict = verdict_of(&facts, "postcopy");
		assert_false(noted(&verdict.notes, "this host"));
	}
}

static void test_postcopy_is_blocked_by_what_blocks_precopy(void **state)
{
	struct verdict_facts facts = storage_daemon;
	struct verdict verdict;

	facts.features &= ~WIRE_BIT(WIRE_F_VHOST_F_LOG_ALL);
	verdict = verdict_of(&facts, "postcopy");
	assert_true(noted(&verdict.notes, "for what precopy lacks"));
}

/* What is relayed is logged; QEMU migrates no vsock device whatever it has. */
static void test_the_daemon_adds_the_log_of_what_qemu_can_migrate(void **state)
{
	struct verdict_facts facts = storage_daemon;

	facts.features &= ~WIRE_BIT(WIRE_F_VHOST_F_LOG_ALL);
	check_missing(&facts, "precopy", "VHOST_F_LOG_ALL (virtio bit 26)");
	assert_int_equal(verdict_of(&facts, "precopy").daemon, VERDICT_ADDS);
	facts.device = WIRE_DEVICE_SCSI;
	assert_int_equal(verdict_of(&facts, "precopy").daemon, VERDICT_ADDS);
	facts.device = WIRE_DEVICE_VSOCK;
	assert_int_equal(verdict_of(&facts, "precopy").daemon, VERDICT_NOT_YET);
	facts = storage_daemon;
	facts.features &= ~WIRE_BIT(WIRE_F_PROTOCOL_FEATURES);
	assert_int_equal(verdict_of(&facts, "precopy").daemon, VERDICT_NOT_YET);
}

static void test_nothing_else_is_claimed_for_the_daemon_yet(void **state)
{
	struct verdict verdicts[VERDICT_COUNT];

	verdict_all(&storage_daemon, verdicts);
	for (unsigned int i = 0; i < VERDICT_COUNT; i++) {
		assert_int_equal(verdicts[i].daemon == VERDICT_ADDS,
				 strcmp(verdicts[i].key, "precopy") == 0 ||
				     strcmp(verdicts[i].key, "reconnect") == 0);
		assert_true(strlen(verdict_daemon_key(verdicts[i].daemon)) > 0);
		assert_true(strlen(verdict_daemon_text(verdicts[i].daemon)) > 0);
	}
}

static void test_bits_that_are_hidden_or_nameless_are_noted(void **state)
{
	struct verdict_facts facts = storage_daemon;
	struct verdict_notes notes;

	facts.features |= WIRE_BIT(25) | WIRE_BIT(WIRE_F_NOTIFICATION_DATA);
	facts.protocol |= WIRE_BIT(40) | WIRE_BIT(WIRE_PF_INBAND_NOTIFICATIONS);
	verdict_bits(&facts, &notes);
	assert_true(noted(&notes, "virtio bit25: not known"));
	assert_true(noted(&notes, "protocol bit40: not known"));
	assert_true(noted(&notes, "never shows a front-end: NOTIFICATION_DATA"));
	assert_true(noted(&notes, "never shows a front-end: INBAND_NOTIFICATIONS"));
	assert_true(noted(&notes, "never relays a ring: BACKEND_SEND_FD HOST_NOTIFIER"));
}

static void test_a_back_end_without_protocol_features_is_told_so(void **state)
{
	const struct verdict_facts plain = {.features = WIRE_BIT(WIRE_F_VERSION_1)};
	struct verdict_notes notes;

	verdict_bits(&plain, &notes);
	assert_true(noted(&notes, "PROTOCOL_FEATURES (virtio bit 30)"));
	verdict_bits(&storage_daemon, &notes);
	assert_false(noted(&notes, "PROTOCOL_FEATURES"));
}

/* Whatever is offered, notes fit their room and are single lines. */
static void test_all_bits_at_once_overrun_nothing(void **state)
{
	for (int device = WIRE_DEVICE_UNKNOWN; device < WIRE_DEVICE_COUNT; device++)
		for (int all = 0; all <= 1; all++) {
			const struct verdict_facts facts = {
			    .features = all ? UINT64_MAX : 0,
			    .protocol = all ? UINT64_MAX : 0,
			    .device = device,
			    .queues = INT64_MAX,
			    .slots = INT64_MAX,
			};
			struct verdict verdicts[VERDICT_COUNT];
			struct verdict_notes notes;

			verdict_all(&facts, verdicts);
			verdict_bits(&facts, &notes);
			assert_true(notes.count < VERDICT_NOTES_MAX);
			for (unsigned int i = 0; i < VERDICT_COUNT; i++) {
				assert_true(verdicts[i].notes.count < VERDICT_NOTES_MAX);
				assert_int_equal(verdicts[i].has, verdicts[i].missing_count == 0);
			}
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(
		test_a_storage_daemon_lacks_packed_rings_viommu_and_an_inflight_record),
	    cmocka_unit_test(test_a_testpmd_lacks_postcopy_viommu_and_memory_slots),
	    cmocka_unit_test(test_nothing_offered_lacks_every_bit_of_every_capability),
	    cmocka_unit_test(test_each_missing_bit_alone_is_named),
	    cmocka_unit_test(test_a_network_device_needs_no_inflight_record),
	    cmocka_unit_test(test_a_lost_disk_comes_back_behind_the_daemon),
	    cmocka_unit_test(test_open_files_and_streams_of_a_lost_back_end_nobody_can_add),
	    cmocka_unit_test(test_a_file_system_needs_device_state_which_nobody_can_add),
	    cmocka_unit_test(test_pagefault_with_memory_slots_is_said_to_break),
	    cmocka_unit_test(test_the_viommu_of_a_network_back_end_is_said_to_corrupt),
	    cmocka_unit_test(test_a_host_without_any_way_to_userfaultfd_is_named_with_all_three),
	    cmocka_unit_test(test_postcopy_is_blocked_by_what_blocks_precopy),
	    cmocka_unit_test(test_the_daemon_adds_the_log_of_what_qemu_can_migrate),
	    cmocka_unit_test(test_nothing_else_is_claimed_for_the_daemon_yet),
	    cmocka_unit_test(test_bits_that_are_hidden_or_nameless_are_noted),
	    cmocka_unit_test(test_a_back_end_without_protocol_features_is_told_so),
	    cmocka_unit_test(test_all_bits_at_once_overrun_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
