/* SPDX-License-Identifier: BSD-3-Clause */
#include "session/effects.h"

#include <stdio.h>
#include <stdlib.h>

/*
 * What one message can bring about, and what ending a session gives up: every
 * answer kept on both channels, a held request for each ring, and a few more; or
 * a replay: a translation, a region or a ring's messages each.
 * The place is there from the start, so that without memory no message, and no
 * descriptor in it, is lost. Pages never used cost nothing.
 */
#define RING_SIZE 10u /* effects of a ring's start */
#define FIRST_SIZE                                                                                 \
	(2 * EXCHANGE_MAX + IOTLB_MAX + WIRE_SLOTS_MAX + RING_SIZE * WIRE_QUEUES_MAX + 64)

bool effects_reserve(struct session *session)
{
	session->effects = calloc(FIRST_SIZE, sizeof(*session->effects));
	session->effects_size = session->effects ? FIRST_SIZE : 0;
	return session->effects != NULL;
}

/* Only for a shell that does not take what there is before it gives the next message. */
static bool grow(struct session *session)
{
	unsigned int size = session->effects_size * 2;
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
	if (session->effects_count == 0)
		session->effects_first = 0;
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
	/* No back-end is there: the next one is told what holds by then (link.h). */
	if (port == PORT_BACK_MAIN && session->link.sm.state == LINK_AWAY) {
		effects_drop(session, message);
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
