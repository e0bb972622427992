/* SPDX-License-Identifier: BSD-3-Clause */
#include "session/effects.h"

#include <stdio.h>
#include <stdlib.h>

#define FIRST_SIZE 16

static bool grow(struct session *session)
{
	unsigned int size = session->effects_size ? session->effects_size * 2 : FIRST_SIZE;
	struct effect *grown = calloc(size, sizeof(*grown));

	if (!grown) {
		session->out_of_memory = true;
		return false;
	}
	for (unsigned int i = 0; i < session->effects_count; i++)
		grown[i] = session->effects[(session->effects_first + i) % session->effects_size];
	free(session->effects);
	session->effects = grown;
	session->effects_size = size;
	session->effects_first = 0;
	return true;
}

void effects_add(struct session *session, const struct effect *effect)
{
	unsigned int place;

	if (session->effects_count == session->effects_size && !grow(session))
		return;
	place = (session->effects_first + session->effects_count) % session->effects_size;
	session->effects[place] = *effect;
	session->effects_count++;
}

bool session_take_effect(struct session *session, struct effect *effect)
{
	if (session->effects_count == 0)
		return false;
	*effect = session->effects[session->effects_first];
	session->effects_first = (session->effects_first + 1) % session->effects_size;
	session->effects_count--;
	return true;
}

void session_effect_free(struct effect *effect)
{
	free(effect->text);
	effect->text = NULL;
}

void effects_drop(struct session *session, struct wire_message *message)
{
	if (message)
		effects_add(session, &(struct effect){.kind = EFFECT_DROP, .message = message});
}

void effects_send(struct session *session, enum session_port port, struct wire_message *message)
{
	if (!message) {
		session->out_of_memory = true;
		return;
	}
	effects_add(session,
		    &(struct effect){.kind = EFFECT_SEND, .port = port, .message = message});
}

void effects_text(struct session *session, struct effect *effect, const char *format, va_list args)
{
	if (vasprintf(&effect->text, format, args) < 0) {
		session->out_of_memory = true;
		return;
	}
	effects_add(session, effect);
}
