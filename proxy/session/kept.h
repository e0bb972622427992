/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a front-end said once and no stage has another use for than to say it
 * again to the next back-end. Part of struct session; filled by stage_keep.c,
 * read by replay.c.
 */
#pragma once

#include "wire/message.h"

#include <stdbool.h>
#include <stdint.h>

#define KEPT_RECORD_BYTES 24u /* payload of SET_INFLIGHT_FD, padded as QEMU's */

struct kept {
	bool owner;       /* SET_OWNER, not taken back by RESET_OWNER */
	bool channel;     /* SET_BACKEND_REQ_FD, its socket is PORT_FRONT_BACKEND */
	bool log_call;    /* SET_LOG_FD */
	bool status;      /* SET_STATUS; the value is the session's */
	bool mtu_given;   /* NET_SET_MTU */
	bool private_one; /* a crypto session, a display: nobody else can give it back */
	uint64_t mtu;

	/*
	 * The inflight record that the back-end keeps itself: as GET_INFLIGHT_FD was
	 * answered or SET_INFLIGHT_FD said, whoever asked.
	 */
	bool record;
	uint8_t record_said[KEPT_RECORD_BYTES];

	/* The config space as the front-end last read it, and what it wrote since. */
	uint32_t config_offset, config_size; /* 0 bytes: it was not read */
	uint8_t config[WIRE_CONFIG_MAX];
	uint8_t written[WIRE_CONFIG_MAX]; /* by absolute offset */
	bool is_written[WIRE_CONFIG_MAX];
	uint32_t written_flags;
};
