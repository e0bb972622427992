/* SPDX-License-Identifier: BSD-3-Clause */
/* A session as the control socket sees it, and looking things up in its JSON. */
#pragma once

#include "session_rig.h"

#include "control/status.h"
#include "wire/encode.h"

#include <stdlib.h>
#include <string.h>

#define DISK     (WIRE_BIT(9) | WIRE_BIT(6) | WIRE_BIT(30) | WIRE_BIT(32))
#define NAMELESS WIRE_BIT(52)
#define LOG_ALL  WIRE_BIT(WIRE_F_VHOST_F_LOG_ALL)
#define PROTOCOL                                                                                   \
	(WIRE_BIT(WIRE_PF_CONFIG) | WIRE_BIT(WIRE_PF_REPLY_ACK) | WIRE_BIT(WIRE_PF_LOG_SHMFD))
#define XEN WIRE_BIT(WIRE_PF_XEN_MMAP)

static inline struct view view_of(const struct session *session)
{
	static struct view_counts counts;

	memset(&counts, 0, sizeof(counts));
	if (session)
		memcpy(counts.messages, session->counts, sizeof(counts.messages));
	return (struct view){
	    .state = session ? "connected" : "listening",
	    .session = session,
	    .uptime_s = 1.5,
	    .frontend = {.connected = session != NULL, .path = "/run/front.sock", .pid = 17},
	    .reconnects = 3,
	    .rss_kb = 1234,
	    .counts = &counts,
	};
}

/* What is at "a.b.0.c"; the test fails where it is not. */
static inline const json_t *at(const json_t *from, const char *path)
{
	char copy[256];
	char *rest = copy;

	snprintf(copy, sizeof(copy), "%s", path);
	for (char *key = strsep(&rest, "."); key; key = strsep(&rest, ".")) {
		from = json_is_array(from) ? json_array_get(from, strtoul(key, NULL, 10))
					   : json_object_get(from, key);
		if (!from)
			fail_msg("no %s in %s", key, path);
	}
	return from;
}

static inline void assert_json(const json_t *from, const char *path, const char *expected)
{
	char *text = json_dumps(at(from, path), JSON_COMPACT | JSON_ENCODE_ANY);

	assert_non_null(text);
	if (strcmp(text, expected) != 0)
		fail_msg("%s is %s, not %s", path, text, expected);
	free(text);
}

static inline void set_up_ring(struct rig *rig, unsigned int index)
{
	rig_front(rig, wire_request_state(WIRE_SET_VRING_NUM, 0, index, 128));
	rig_front(rig, wire_request_state(WIRE_SET_VRING_BASE, 0, index, 7));
	rig_front(rig, wire_request_addr(0, index, 1, 0x1000, 0x3000, 0x2000, 0x4000));
	rig_front(rig, rig_with_fd(rig, wire_request_u64(WIRE_SET_VRING_CALL, 0, index), 0));
	rig_front(rig, rig_with_fd(rig, wire_request_u64(WIRE_SET_VRING_KICK, 0, index), 0));
}
