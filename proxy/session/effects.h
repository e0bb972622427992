/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The effects a session has ready for the shell, in order. Only the session's
 * own files add to them.
 */
#pragma once

#include "session/session.h"

#include <stdarg.h>

/*
 * Adds the effect. Without memory the session is over (out_of_memory) and the
 * effect's message is lost with it: there is nothing it could be put into.
 */
void effects_add(struct session *session, const struct effect *effect);

/* NULL is allowed for the message: nothing is added. */
void effects_drop(struct session *session, struct wire_message *message);
/* A message that could not be made (NULL) ends the session as out of memory. */
void effects_send(struct session *session, enum session_port port, struct wire_message *message);

/* Completes `effect` with its text and adds it. */
void effects_text(struct session *session, struct effect *effect, const char *format, va_list args);
