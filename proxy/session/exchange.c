/* SPDX-License-Identifier: BSD-3-Clause */
#include "session/exchange.h"

#include <assert.h>

static struct exchange_entry *at(struct exchange *exchange, unsigned int i)
{
	return &exchange->ring[(exchange->first + i) % EXCHANGE_MAX];
}

static void drop_first(struct exchange *exchange, unsigned int n)
{
	exchange->first = (exchange->first + n) % EXCHANGE_MAX;
	exchange->count -= n;
}

bool exchange_full(const struct exchange *exchange)
{
	return exchange->count >= EXCHANGE_MAX - EXCHANGE_RESERVE;
}

/* Back-ends that never answer a "perhaps" would fill the queue with them: the oldest go. */
static void drop_stale(struct exchange *exchange)
{
	while (exchange->count > EXCHANGE_MAX / 2 && at(exchange, 0)->expect == WIRE_EXPECT_PERHAPS)
		drop_first(exchange, 1);
}

void exchange_push(struct exchange *exchange, const struct exchange_entry *entry)
{
	drop_stale(exchange);
	assert(exchange->count < EXCHANGE_MAX);
	*at(exchange, exchange->count) = *entry;
	exchange->count++;
}

/* Requests passed over are forgotten; answers of our own keep their places. */
static void drop_through(struct exchange *exchange, unsigned int place)
{
	unsigned int to = place + 1;

	for (unsigned int i = place; i-- > 0;)
		if (at(exchange, i)->origin == EXCHANGE_ANSWERED ||
		    at(exchange, i)->origin == EXCHANGE_ORPHANED)
			*at(exchange, --to) = *at(exchange, i);
	drop_first(exchange, to);
}

bool exchange_match(struct exchange *exchange, uint32_t id, struct exchange_entry *entry,
		    const struct exchange_entry **oldest)
{
	for (unsigned int i = 0; i < exchange->count; i++) {
		struct exchange_entry *candidate = at(exchange, i);

		/* The back-end knows nothing of it. */
		if (candidate->origin == EXCHANGE_ANSWERED ||
		    candidate->origin == EXCHANGE_ORPHANED)
			continue;
		if (candidate->id == id) {
			*entry = *candidate;
			drop_through(exchange, i);
			return true;
		}
		if (candidate->expect != WIRE_EXPECT_PERHAPS)
			break;
	}
	if (oldest)
		*oldest = exchange_oldest(exchange);
	return false;
}

bool exchange_fill(struct exchange *exchange, uint32_t id, int queue, struct wire_message *answer)
{
	for (unsigned int i = 0; i < exchange->count; i++) {
		struct exchange_entry *candidate = at(exchange, i);

		if (candidate->origin != EXCHANGE_ANSWERED || candidate->answer ||
		    candidate->id != id || candidate->queue != queue)
			continue;
		candidate->answer = answer;
		return true;
	}
	return false;
}

/* What stands before the entry was perhaps to be answered, and still may be: it moves up. */
static void take_out(struct exchange *exchange, unsigned int place)
{
	for (; place > 0; place--)
		*at(exchange, place) = *at(exchange, place - 1);
	drop_first(exchange, 1);
}

struct wire_message *exchange_due(struct exchange *exchange)
{
	for (unsigned int i = 0; i < exchange->count; i++) {
		struct exchange_entry *candidate = at(exchange, i);

		if (candidate->origin == EXCHANGE_ANSWERED) {
			struct wire_message *answer = candidate->answer;

			if (!answer)
				return NULL;
			take_out(exchange, i);
			return answer;
		}
		if (candidate->expect != WIRE_EXPECT_PERHAPS)
			break;
	}
	return NULL;
}

void exchange_disown(struct exchange *exchange)
{
	for (unsigned int i = 0; i < exchange->count; i++)
		at(exchange, i)->origin = EXCHANGE_DISOWNED;
}

struct wire_message *exchange_adopt(struct exchange *exchange)
{
	for (unsigned int i = 0; i < exchange->count; i++) {
		struct exchange_entry *entry = at(exchange, i);
		struct wire_message *again = entry->again;

		if (entry->origin != EXCHANGE_ORPHANED)
			continue;
		entry->origin = EXCHANGE_PEER;
		entry->again = NULL;
		return again;
	}
	return NULL;
}

const struct exchange_entry *exchange_oldest(const struct exchange *exchange)
{
	for (unsigned int i = 0; i < exchange->count; i++) {
		const struct exchange_entry *candidate =
		    &exchange->ring[(exchange->first + i) % EXCHANGE_MAX];

		if (candidate->expect == WIRE_EXPECT_REPLY)
			return candidate;
	}
	return NULL;
}
