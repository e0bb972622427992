/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory for ring tests: the three areas, zeroed and each at the very end of its
 * own allocation so that ASan sees a byte too far, and a piece of guest memory
 * for indirect tables.
 */
#pragma once

#include "ring/device.h"
#include "ring/driver.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>

#define RIG_GPA         UINT64_C(0x100000000)
#define RIG_GUEST_BYTES 65536u

struct rig {
	enum ring_format format;
	unsigned int num;
	struct ring_areas areas;
	struct ring_memory memory;
	uint8_t *guest;
	struct ring_buffer list[64];
	struct ring_chain chain;
	struct diag diag;
};

static inline void *rig_translate(void *context, uint64_t addr, uint64_t size)
{
	struct rig *rig = context;

	if (addr < RIG_GPA || size > RIG_GUEST_BYTES || addr - RIG_GPA > RIG_GUEST_BYTES - size)
		return NULL;
	return rig->guest + (addr - RIG_GPA);
}

static inline void *rig_area(size_t bytes)
{
	void *area = aligned_alloc(16, (bytes + 15) / 16 * 16);

	assert_non_null(area);
	memset(area, 0, bytes);
	return area;
}

static inline struct rig *rig_new(enum ring_format format, unsigned int num)
{
	struct rig *rig = calloc(1, sizeof(*rig));

	assert_non_null(rig);
	rig->format = format;
	rig->num = num;
	rig->areas = (struct ring_areas){
	    .desc = rig_area(ring_desc_bytes(format, num)),
	    .driver = rig_area(ring_driver_bytes(format, num)),
	    .device = rig_area(ring_device_bytes(format, num)),
	};
	rig->guest = rig_area(RIG_GUEST_BYTES);
	rig->memory = (struct ring_memory){.translate = rig_translate, .context = rig};
	rig->chain = (struct ring_chain){.buffers = rig->list, .capacity = 64};
	return rig;
}

static inline void rig_free(struct rig *rig)
{
	free(rig->areas.desc);
	free(rig->areas.driver);
	free(rig->areas.device);
	free(rig->guest);
	free(rig);
}

#define assert_outcome(got, want)                                                                  \
	assert_string_equal(ring_outcome_name(got), ring_outcome_name(want))
