/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A session whose back-end goes and comes again, played by a test at both ends.
 */
#pragma once

#include "daemon_rig.h"

#include "base/bytes.h"
#include "shell/fds.h"

#include <stdlib.h>

#define VIRTIO                                                                                     \
	(WIRE_BIT(WIRE_F_VERSION_1) | WIRE_BIT(WIRE_F_PROTOCOL_FEATURES) |                         \
	 WIRE_BIT(WIRE_F_RING_EVENT_IDX) | WIRE_BIT(WIRE_F_RING_INDIRECT_DESC))
#define PROTOCOL                                                                                   \
	(WIRE_BIT(WIRE_PF_MQ) | WIRE_BIT(WIRE_PF_REPLY_ACK) | WIRE_BIT(WIRE_PF_CONFIG) |           \
	 WIRE_BIT(WIRE_PF_BACKEND_REQ))

/* The next message to the back-end has this id, and is answered with this value. */
static inline void back_answers(struct client *back, uint32_t id, uint64_t value)
{
	message_dispose(rig_receive(back, id));
	rig_send(back, wire_reply_u64(id, value));
}

static inline void back_hears(struct client *back, uint32_t id, uint64_t value)
{
	struct wire_message *message = rig_receive(back, id);

	assert_int_equal(bytes_load64(message->payload), value);
	message_dispose(message);
}

static inline void begin(struct rig *rig, struct ends *ends, const char *options)
{
	rig_start(rig, options);
	ends_open(ends, rig);
	ends_ask(ends, WIRE_GET_FEATURES, VIRTIO);
	ends_ask(ends, WIRE_GET_PROTOCOL_FEATURES, PROTOCOL);
	ends_tell(ends, wire_request_u64(WIRE_SET_PROTOCOL_FEATURES, 0, PROTOCOL));
	ends_tell(ends, wire_request(WIRE_SET_OWNER, 0));
	ends_tell(ends, wire_request_u64(WIRE_SET_FEATURES, 0, VIRTIO));
}

/* The back-end ends, and the daemon has noticed. */
static inline void lose(struct rig *rig, struct ends *ends)
{
	size_t from = daemon_log_size(&rig->daemon);

	client_close(&ends->back);
	daemon_wait_log(&rig->daemon, from, "requests are parked until it is back", NULL);
}

/* A fit one comes; all of the replay is left to be received. */
static inline void fit(struct rig *rig, struct ends *ends)
{
	rig_accept(&ends->back, rig->listener);
	back_answers(&ends->back, WIRE_GET_FEATURES, VIRTIO);
	message_dispose(rig_receive(&ends->back, WIRE_SET_OWNER));
	back_answers(&ends->back, WIRE_GET_PROTOCOL_FEATURES, PROTOCOL);
	back_hears(&ends->back, WIRE_SET_PROTOCOL_FEATURES, PROTOCOL);
	back_answers(&ends->back, WIRE_GET_FEATURES, VIRTIO);
}
