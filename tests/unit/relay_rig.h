/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A relay between a guest's driver and a back-end's device, all three in one
 * thread, with the record in plain memory.
 */
#pragma once

#include "ring_rig.h"

#include "ring/relay.h"

#define EACH_FORMAT(i) for (unsigned int i = 0; i < 2; i++)

static const enum ring_format formats[] = {RING_SPLIT, RING_PACKED};

struct relay_rig {
	struct rig *guest;
	struct rig *shadow;
	struct driver driver; /* the guest */
	struct device device; /* the back-end */
	struct relay relay;
	struct relay_config config;
	struct diag diag;
};

static inline void relay_rig_backend(struct relay_rig *rig)
{
	assert_int_equal(device_init(&rig->device, rig->config.format, &rig->shadow->areas,
				     rig->config.num, rig->config.event_idx, rig->config.indirect,
				     relay_shadow_base(rig->config.format), &rig->diag),
			 0);
}

/* The guest's ring is fresh; `with` says what was negotiated, and whether there is a record. */
static inline struct relay_rig *relay_rig_new(enum ring_format format, unsigned int num,
					      struct relay_config with, bool record)
{
	struct relay_rig *rig = calloc(1, sizeof(*rig));

	assert_non_null(rig);
	rig->guest = rig_new(format, num);
	rig->shadow = rig_new(format, num);
	rig->config = with;
	rig->config.format = format;
	rig->config.num = num;
	rig->config.base = relay_shadow_base(format);
	rig->config.guest = rig->guest->areas;
	rig->config.shadow = rig->shadow->areas;
	rig->config.memory = rig->guest->memory;
	rig->config.record_num = num;
	if (record)
		rig->config.record = rig_area(inflight_bytes(format, num));
	assert_int_equal(driver_init(&rig->driver, format, &rig->guest->areas, num, with.event_idx,
				     rig->config.base, &rig->diag),
			 0);
	if (with.in_order)
		driver_in_order(&rig->driver);
	assert_int_equal(relay_init(&rig->relay, &rig->config, &rig->diag), 0);
	relay_rig_backend(rig);
	return rig;
}

static inline void relay_rig_free(struct relay_rig *rig)
{
	relay_deinit(&rig->relay);
	driver_deinit(&rig->driver);
	device_deinit(&rig->device);
	rig_free(rig->guest);
	rig_free(rig->shadow);
	free(rig->config.record);
	free(rig);
}

/* A chain of `count` buffers of 100 bytes, the last one writable. */
static inline void relay_rig_adds(struct relay_rig *rig, unsigned int count, uint64_t token)
{
	struct ring_buffer buffers[64];

	for (unsigned int i = 0; i < count; i++)
		buffers[i] = (struct ring_buffer){
		    .addr = token * 0x10000 + i * 0x100, .len = 100, .writable = i + 1 == count};
	assert_outcome(driver_add(&rig->driver, buffers, count, token), RING_OK);
	driver_publish(&rig->driver);
}

/* The back-end takes the next chain, into shadow->chain; returns its token. */
static inline uint64_t relay_rig_pops(struct relay_rig *rig)
{
	assert_outcome(
	    device_pop(&rig->device, &rig->guest->memory, &rig->shadow->chain, &rig->diag),
	    RING_OK);
	return rig->shadow->list[0].addr / 0x10000;
}

static inline void relay_rig_pushes(struct relay_rig *rig, const struct ring_chain *chain,
				    uint32_t written)
{
	device_push(&rig->device, chain, written);
	device_publish(&rig->device);
}

/* The back-end takes `count` chains and gives each back at once, `written` bytes of it. */
static inline void relay_rig_serves(struct relay_rig *rig, unsigned int count, uint32_t written)
{
	for (unsigned int i = 0; i < count; i++) {
		relay_rig_pops(rig);
		relay_rig_pushes(rig, &rig->shadow->chain, written);
	}
}

static inline void assert_guest_gets(struct relay_rig *rig, uint64_t token, uint32_t length)
{
	struct ring_done done;

	assert_outcome(driver_take(&rig->driver, &done, &rig->diag), RING_OK);
	assert_int_equal(done.token, token);
	assert_int_equal(done.length, length);
}

static inline void assert_guest_gets_nothing(struct relay_rig *rig)
{
	struct ring_done done;

	assert_outcome(driver_take(&rig->driver, &done, &rig->diag), RING_EMPTY);
}
