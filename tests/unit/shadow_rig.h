/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A session that relays rings, brought to where a test begins. What each step
 * brings about is checked on the way where it is the same for all tests.
 */
#pragma once

#include "session_rig.h"

#include "wire/encode.h"

#define DISK                                                                                       \
	(WIRE_BIT(WIRE_F_VERSION_1) | WIRE_BIT(WIRE_F_RING_EVENT_IDX) |                            \
	 WIRE_BIT(WIRE_F_RING_INDIRECT_DESC))
#define PACKED   (DISK | WIRE_BIT(WIRE_F_RING_PACKED))
#define PROTOCOL (WIRE_BIT(WIRE_PF_REPLY_ACK) | WIRE_BIT(WIRE_PF_MQ) | WIRE_BIT(WIRE_PF_LOG_SHMFD))
#define SLOTS    (PROTOCOL | WIRE_BIT(WIRE_PF_CONFIGURE_MEM_SLOTS))
#define INFLIGHT WIRE_BIT(WIRE_PF_INFLIGHT_SHMFD)

#define RING_SIZE  128u
#define RING_BASE  5u
#define RING_AT    0x7f0000001000ull
#define FRESH_PACK 0x80008000u

static inline struct rig *shadow_new(enum session_mode mode, enum wire_device device,
				     uint64_t virtio, uint64_t protocol)
{
	struct rig *rig = rig_new_with(
	    &(struct session_config){.mode = mode, .device = device, .keep_record = true});

	rig_offer(rig, virtio, protocol);
	rig_set_features(rig, rig->session->virtio.shown);
	rig_idle(rig);
	return rig;
}

static inline struct wire_region shadow_region(unsigned int i)
{
	return (struct wire_region){.gpa = (uint64_t)i << 30,
				    .size = 1 << 30,
				    .uva = 0x7f0000000000ull + ((uint64_t)i << 30)};
}

static inline void shadow_send_table(struct rig *rig, unsigned int count)
{
	struct wire_region regions[WIRE_REGIONS_MAX];
	struct wire_message *table;

	for (unsigned int i = 0; i < count; i++)
		regions[i] = shadow_region(i);
	table = wire_request_table(0, regions, count);
	for (unsigned int i = 0; i < count; i++)
		rig_with_fd(rig, table, 100 + i);
	rig_front(rig, table);
}

static inline void shadow_table(struct rig *rig, unsigned int count)
{
	shadow_send_table(rig, count);
	rig_then(rig, EFFECT_MAP, 0);
	rig_then_sent(rig, PORT_BACK_MAIN, WIRE_SET_MEM_TABLE);
	rig_idle(rig);
}

static inline struct rig *shadow_ready(enum session_mode mode, enum wire_device device,
				       uint64_t virtio, uint64_t protocol)
{
	struct rig *rig = shadow_new(mode, device, virtio, protocol);

	shadow_table(rig, 1);
	return rig;
}

static inline struct rig *shadow_disk(void)
{
	return shadow_ready(MODE_SHADOW, WIRE_DEVICE_BLK, DISK, PROTOCOL);
}

static inline struct wire_message *shadow_addr(uint32_t flags, unsigned int ring)
{
	uint64_t at = RING_AT + ring * 0x10000ull;

	return wire_request_addr(flags, ring, 0, at, at + 0x2000, at + 0x1000, at + 0x2000);
}

static inline void shadow_sends_addr(struct rig *rig, unsigned int ring, uint32_t ring_flags)
{
	uint64_t at = RING_AT + ring * 0x10000ull;

	rig_front(
	    rig, wire_request_addr(0, ring, ring_flags, at, at + 0x2000, at + 0x1000, at + 0x2000));
}

static inline void shadow_configures(struct rig *rig, unsigned int ring)
{
	rig_front(rig, wire_request_state(WIRE_SET_VRING_NUM, 0, ring, RING_SIZE));
	rig_front(rig, wire_request_state(WIRE_SET_VRING_BASE, 0, ring, RING_BASE));
	rig_front(rig, shadow_addr(0, ring));
}

static inline void shadow_calls(struct rig *rig, unsigned int ring)
{
	rig_front(rig, rig_with_fd(rig, wire_request_u64(WIRE_SET_VRING_CALL, 0, ring), 0));
}

static inline void shadow_kicks(struct rig *rig, unsigned int ring)
{
	rig_front(rig, rig_with_fd(rig, wire_request_u64(WIRE_SET_VRING_KICK, 0, ring), 0));
}

/* The front-end starts the ring in QEMU's order; what that does is left to look at. */
static inline void shadow_starts(struct rig *rig, unsigned int ring)
{
	shadow_calls(rig, ring);
	rig_then(rig, EFFECT_KEEP_CALL, ring);
	rig_then_sent(rig, PORT_BACK_MAIN, WIRE_SET_VRING_CALL);
	rig_idle(rig);
	shadow_configures(rig, ring);
	shadow_kicks(rig, ring);
}

static inline void shadow_state_sent(struct rig *rig, uint32_t id, unsigned int ring, uint32_t num)
{
	const struct wire_message *message = rig_then_sent(rig, PORT_BACK_MAIN, id);

	assert_int_equal(message->header.flags, WIRE_VERSION);
	assert_int_equal(bytes_load32(message->payload), ring);
	assert_int_equal(bytes_load32(message->payload + 4), num);
}

static inline void shadow_fd_sent(struct rig *rig, uint32_t id, unsigned int ring,
				  enum session_fd fd)
{
	const struct wire_message *message = rig_then_sent(rig, PORT_BACK_MAIN, id);

	assert_int_equal(bytes_load64(message->payload), ring);
	assert_int_equal(message->fds.count, 1);
	assert_int_equal(message->fds.entries[0].fd, fd);
	assert_int_equal(message->fds.entries[0].inode, ring);
}

static inline void shadow_address_sent(struct rig *rig, unsigned int ring)
{
	uint64_t slot = rig->session->arena.uva + arena_offset(ring);
	const struct wire_message *message =
	    rig_then_sent(rig, PORT_BACK_MAIN, WIRE_SET_VRING_ADDR);

	assert_int_equal(bytes_load32(message->payload), ring);
	assert_int_equal(bytes_load32(message->payload + 4), 0); /* nothing of it is logged */
	assert_int_equal(bytes_load64(message->payload + 8), slot + ARENA_DESC);
	assert_int_equal(bytes_load64(message->payload + 16), slot + ARENA_DEVICE);
	assert_int_equal(bytes_load64(message->payload + 24), slot + ARENA_DRIVER);
}

/* What the back-end of a relayed ring is told when the ring starts. */
static inline void shadow_attached(struct rig *rig, unsigned int ring, uint32_t fresh)
{
	rig_then(rig, EFFECT_ATTACH, ring);
	shadow_state_sent(rig, WIRE_SET_VRING_NUM, ring, RING_SIZE);
	shadow_state_sent(rig, WIRE_SET_VRING_BASE, ring, fresh);
	shadow_fd_sent(rig, WIRE_SET_VRING_CALL, ring, SESSION_FD_RING_CALL);
	shadow_address_sent(rig, ring);
	shadow_fd_sent(rig, WIRE_SET_VRING_KICK, ring, SESSION_FD_RING_KICK);
}

/* What it is told when the ring becomes the guest's again. */
static inline void shadow_direct(struct rig *rig, unsigned int ring, uint32_t base)
{
	const struct wire_message *message;

	shadow_state_sent(rig, WIRE_SET_VRING_NUM, ring, RING_SIZE);
	shadow_state_sent(rig, WIRE_SET_VRING_BASE, ring, base);
	shadow_fd_sent(rig, WIRE_SET_VRING_CALL, ring, SESSION_FD_GUEST_CALL);
	message = rig_then_sent(rig, PORT_BACK_MAIN, WIRE_SET_VRING_ADDR);
	assert_int_equal(bytes_load64(message->payload + 8), RING_AT + ring * 0x10000ull);
	shadow_fd_sent(rig, WIRE_SET_VRING_KICK, ring, SESSION_FD_GUEST_KICK);
}

static inline void shadow_enabled(struct rig *rig, unsigned int ring)
{
	rig_front(rig, wire_request_state(WIRE_SET_VRING_ENABLE, 0, ring, 1));
	shadow_state_sent(rig, WIRE_SET_VRING_ENABLE, ring, 1);
	rig_idle(rig);
}

/* A relayed ring, started and enabled. */
static inline void shadow_runs(struct rig *rig, unsigned int ring)
{
	shadow_starts(rig, ring);
	rig_then(rig, EFFECT_KEEP_KICK, ring);
	shadow_attached(
	    rig, ring,
	    rig->session->agreement.virtio_acked & WIRE_BIT(WIRE_F_RING_PACKED) ? FRESH_PACK : 0);
	rig_idle(rig);
	shadow_enabled(rig, ring);
}

/* A relayed ring that was enabled before starts. */
static inline void shadow_starts_again(struct rig *rig, unsigned int ring, uint32_t fresh)
{
	shadow_starts(rig, ring);
	rig_then(rig, EFFECT_KEEP_KICK, ring);
	shadow_attached(rig, ring, fresh);
	shadow_state_sent(rig, WIRE_SET_VRING_ENABLE, ring, 1);
	rig_idle(rig);
}

/* A direct ring, started and enabled, of a session that could relay. */
static inline void shadow_runs_direct(struct rig *rig, unsigned int ring)
{
	shadow_starts(rig, ring);
	rig_then_sent(rig, PORT_BACK_MAIN, WIRE_SET_VRING_NUM);
	rig_then_sent(rig, PORT_BACK_MAIN, WIRE_SET_VRING_BASE);
	rig_then_sent(rig, PORT_BACK_MAIN, WIRE_SET_VRING_ADDR);
	rig_then(rig, EFFECT_KEEP_KICK, ring);
	rig_then_sent(rig, PORT_BACK_MAIN, WIRE_SET_VRING_KICK);
	rig_idle(rig);
	shadow_enabled(rig, ring);
}

static inline void shadow_asks_base(struct rig *rig, unsigned int ring)
{
	rig_front(rig, wire_request_state(WIRE_GET_VRING_BASE, 0, ring, 0));
}

static inline void shadow_base_answered(struct rig *rig, unsigned int ring, uint32_t base)
{
	const struct wire_message *reply = rig_then_sent(rig, PORT_FRONT_MAIN, WIRE_GET_VRING_BASE);

	assert_int_equal(bytes_load32(reply->payload), ring);
	assert_int_equal(bytes_load32(reply->payload + 4), base);
}
