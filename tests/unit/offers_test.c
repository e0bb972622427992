/* SPDX-License-Identifier: BSD-3-Clause */
#include "wire/offers.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

/*
 * The list a second time, by hand: a row lost from offers.c must not be lost
 * from its test as well.
 */
static const uint64_t protocol_always =
    WIRE_BIT(WIRE_PF_INBAND_NOTIFICATIONS) | WIRE_BIT(WIRE_PF_XEN_MMAP) |
    WIRE_BIT(WIRE_PF_GPA_ADDRESSES) | WIRE_BIT(WIRE_PF_GET_VRING_BASE_SKIP_DRAIN);
static const uint64_t protocol_unless_watching =
    WIRE_BIT(WIRE_PF_BACKEND_SEND_FD) | WIRE_BIT(WIRE_PF_HOST_NOTIFIER) |
    WIRE_BIT(WIRE_PF_SHARED_OBJECT) | WIRE_BIT(WIRE_PF_SHMEM);
static const uint64_t virtio_always = WIRE_BIT(WIRE_F_ORDER_PLATFORM) |
				      WIRE_BIT(WIRE_F_NOTIFICATION_DATA) |
				      WIRE_BIT(WIRE_F_ADMIN_VQ);

static void test_bits_a_relayed_ring_can_not_bear_are_hidden(void **state)
{
	const struct offers offers = {.watch_only = false};

	assert_int_equal(offers_hidden(&offers, WIRE_SPACE_PROTOCOL, wire_protocol_known()),
			 protocol_always | protocol_unless_watching);
	assert_int_equal(offers_hidden(&offers, WIRE_SPACE_VIRTIO, wire_virtio_known()),
			 virtio_always);
}

static void test_who_only_watches_hides_only_what_nobody_can_bear(void **state)
{
	const struct offers offers = {.watch_only = true};

	assert_int_equal(offers_hidden(&offers, WIRE_SPACE_PROTOCOL, wire_protocol_known()),
			 protocol_always);
	assert_int_equal(offers_hidden(&offers, WIRE_SPACE_VIRTIO, wire_virtio_known()),
			 virtio_always);
}

static void test_bits_nobody_knows_are_hidden(void **state)
{
	const struct offers watching = {.watch_only = true};
	uint64_t strange = ~wire_protocol_known();

	assert_int_equal(offers_hidden(&watching, WIRE_SPACE_PROTOCOL, strange), strange);
	strange = ~wire_virtio_known();
	assert_int_equal(offers_hidden(&watching, WIRE_SPACE_VIRTIO, strange), strange);
	assert_string_equal(offers_reason(&watching, WIRE_SPACE_PROTOCOL, 63),
			    "not known to this version");
}

static void test_what_the_user_hides_is_hidden(void **state)
{
	const struct offers offers = {
	    .watch_only = true,
	    .hide_virtio = WIRE_BIT(WIRE_F_RING_PACKED),
	    .hide_protocol = WIRE_BIT(WIRE_PF_INFLIGHT_SHMFD),
	};

	assert_int_equal(offers_hidden(&offers, WIRE_SPACE_VIRTIO, WIRE_BIT(WIRE_F_RING_PACKED)),
			 WIRE_BIT(WIRE_F_RING_PACKED));
	assert_int_equal(offers_hidden(&offers, WIRE_SPACE_PROTOCOL,
				       WIRE_BIT(WIRE_PF_INFLIGHT_SHMFD) | WIRE_BIT(WIRE_PF_MQ)),
			 WIRE_BIT(WIRE_PF_INFLIGHT_SHMFD));
	assert_string_equal(offers_reason(&offers, WIRE_SPACE_VIRTIO, WIRE_F_RING_PACKED),
			    "asked for by --hide");
}

static void test_hiding_in_one_space_leaves_the_same_bit_of_the_other(void **state)
{
	const struct offers offers = {.watch_only = true, .hide_protocol = WIRE_BIT(1)};

	assert_int_equal(offers_hidden(&offers, WIRE_SPACE_VIRTIO, WIRE_BIT(1)), 0);
	assert_int_equal(offers_hidden(&offers, WIRE_SPACE_VIRTIO, protocol_always), 0);
}

static void test_only_what_was_offered_is_reported_as_hidden(void **state)
{
	const struct offers offers = {.hide_virtio = UINT64_MAX, .hide_protocol = UINT64_MAX};

	assert_int_equal(offers_hidden(&offers, WIRE_SPACE_VIRTIO, 0), 0);
	assert_int_equal(offers_hidden(&offers, WIRE_SPACE_PROTOCOL, WIRE_BIT(3)), WIRE_BIT(3));
}

static void test_each_hidden_bit_has_a_reason_and_no_other_has(void **state)
{
	for (unsigned int watch = 0; watch < 2; watch++) {
		const struct offers offers = {.watch_only = watch};

		for (unsigned int bit = 0; bit < 64; bit++) {
			const char *reason = offers_reason(&offers, WIRE_SPACE_PROTOCOL, bit);
			bool hidden = offers_hidden(&offers, WIRE_SPACE_PROTOCOL, WIRE_BIT(bit));

			assert_int_equal(hidden, reason != NULL);
			assert_true(!reason || strlen(reason) > 8);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_bits_a_relayed_ring_can_not_bear_are_hidden),
	    cmocka_unit_test(test_who_only_watches_hides_only_what_nobody_can_bear),
	    cmocka_unit_test(test_bits_nobody_knows_are_hidden),
	    cmocka_unit_test(test_what_the_user_hides_is_hidden),
	    cmocka_unit_test(test_hiding_in_one_space_leaves_the_same_bit_of_the_other),
	    cmocka_unit_test(test_only_what_was_offered_is_reported_as_hidden),
	    cmocka_unit_test(test_each_hidden_bit_has_a_reason_and_no_other_has),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
