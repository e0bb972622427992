/* SPDX-License-Identifier: BSD-3-Clause */
#include "session/kinds.h"

#define SCSI_REQUESTS 2u /* the first ring of them, after control and events */

bool kinds_idle(const struct session *session, unsigned int index)
{
	switch (session_device(session)) {
	case WIRE_DEVICE_BLK:
	case WIRE_DEVICE_FS:
		return false;
	case WIRE_DEVICE_SCSI:
		/* vhost-device-scsi 0.1.0 takes no control request either. */
		return index < SCSI_REQUESTS;
	default:
		return true;
	}
}

bool kinds_synchronous(const struct session *session)
{
	return session_device(session) == WIRE_DEVICE_NET;
}

bool kinds_movable(const struct session *session)
{
	enum wire_device device = session_device(session);

	return device == WIRE_DEVICE_BLK || device == WIRE_DEVICE_FS || device == WIRE_DEVICE_NET;
}

bool kinds_shielded(const struct session *session)
{
	return session_device(session) != WIRE_DEVICE_NET;
}
