/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The effects a session has ready for the shell, in order. Only the session's
 * own files add to them.
 */
#pragma once

#include "session/session.h"

#include <stdarg.h>

/* Makes room for all one message can bring about; false: no memory. */
bool effects_reserve(struct session *session);

/* Adds the effect. Within the room reserved this can not fail. */
void effects_add(struct session *session, const struct effect *effect);

/* NULL is allowed for the message: nothing is added. */
void effects_drop(struct session *session, struct wire_message *message);
/* A message that could not be made (NULL) ends the session as out of memory. */
void effects_send(struct session *session, enum session_port port, struct wire_message *message);

/* Completes `effect` with its text and adds it. */
void effects_text(struct session *session, struct effect *effect, const char *format, va_list args);
