/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Everything that is checked about a message before anyone acts on it.
 *
 * One place and one table: no handler checks a size, a descriptor count, a ring
 * index or a gate again. The refused alternative, a check in each handler, is
 * where every known implementation forgot one.
 *
 * Pure; the agreement is what both ends have settled so far on this connection.
 */
#pragma once

#include "base/diag.h"
#include "wire/table.h"

struct wire_agreement {
	uint64_t virtio_offered; /* as the back-end offered them */
	uint64_t virtio_acked;   /* as passed on to the back-end */
	uint64_t protocol_acked;
	unsigned int rings;      /* valid ring indices are below; 0: not known */
	bool postcopy_listening; /* between POSTCOPY_LISTEN and POSTCOPY_END */
};

enum wire_verdict {
	WIRE_FINE = 0,
	WIRE_FAULT = 1,   /* the peer broke a rule; the diag names message and rule */
	WIRE_UNKNOWN = 2, /* framing is sound, the table has no such id */
};

/* A request on `channel`. */
int wire_check_request(enum wire_channel channel, const struct wire_agreement *agreement,
		       const struct wire_message *message, struct diag *diag);

/* What the request's sender waits for. */
enum wire_expect {
	WIRE_EXPECT_NOTHING,
	/* NEED_REPLY without REPLY_ACK: QEMU sends it so (IOTLB_MSG), some back-ends answer. */
	WIRE_EXPECT_PERHAPS,
	WIRE_EXPECT_REPLY,
};

enum wire_expect wire_reply_expected(enum wire_channel channel,
				     const struct wire_agreement *agreement,
				     const struct wire_message *request);

/*
 * A reply to the request with this id and these flags. Only unknown ids are
 * passed unchecked (WIRE_UNKNOWN).
 */
int wire_check_reply(enum wire_channel channel, const struct wire_agreement *agreement,
		     uint32_t request_flags, const struct wire_message *reply, struct diag *diag);
