/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The channel for the back-end's own requests. Its socket is the front-end's;
 * the daemon keeps it and gives the back-end one of its own, so that both
 * directions are parsed there too.
 */
#include "session/stage.h"

#include <sys/stat.h>

static enum stage_verdict front_request(struct session *session, struct crossing *crossing)
{
	switch (crossing->message->header.id) {
	case WIRE_SET_BACKEND_REQ_FD:
		crossing->splice = S_ISSOCK(crossing->message->fds.entries[0].mode);
		session->kept.channel = crossing->splice;
		if (!crossing->splice)
			stage_log(
			    session, LEVEL_WARN,
			    "SET_BACKEND_REQ_FD came with a descriptor that is no socket (mode "
			    "0%o): it is passed on, and nothing is seen of that channel",
			    crossing->message->fds.entries[0].mode);
		break;
	}
	return STAGE_PASS;
}

const struct stage stage_backreq = {
    .name = "backreq",
    .front_request = front_request,
};
