/* SPDX-License-Identifier: BSD-3-Clause */
#include "shell/uv_rate.h"

#include "shell/uv_relay_private.h"

#include <stdlib.h>

#define PAGE 4096u

static bool logging(const struct uv_relay *relay)
{
	return dirty_ordered(&relay->session->dirty);
}

static void look(struct uv_relay *relay, unsigned int index, struct uv_rate_queue *now)
{
	struct data_counters counters;

	rings_counters(relay->rings, index, &counters);
	*now = (struct uv_rate_queue){counters.pages_marked, counters.bytes_written};
}

int uv_rate_start(struct uv_relay *relay, unsigned int seconds, struct diag *diag)
{
	struct uv_rate *rate = &relay->rate;

	if (rate->seconds)
		return diag_set(diag, 1, "dirty-rate: one runs, for %u s more: wait for its end",
				rate->seconds - rate->passed);
	if (logging(relay))
		return diag_set(diag, 1, "dirty-rate: a migration is under way: see log");
	if (!rings_relaying(relay->rings))
		return diag_set(diag, 1,
				"dirty-rate: no ring is relayed: say data-path shadow first");
	rate->queues = calloc(WIRE_QUEUES_MAX, sizeof(*rate->queues));
	if (!rate->queues)
		return diag_set(diag, 1, "dirty-rate: no memory");
	if (rings_rehearse(relay->rings, true, diag)) {
		uv_rate_close(relay);
		return 1;
	}
	for (unsigned int i = 0; i < WIRE_QUEUES_MAX; i++)
		look(relay, i, &rate->queues[i]);
	rate->seconds = seconds;
	return 0;
}

void uv_rate_close(struct uv_relay *relay)
{
	free(relay->rate.queues);
	relay->rate = (struct uv_rate){.seconds = 0};
}

static json_t *queues_of(struct uv_relay *relay)
{
	json_t *list = json_array();

	for (unsigned int i = 0; i < WIRE_QUEUES_MAX; i++) {
		const struct uv_rate_queue *then = &relay->rate.queues[i];
		struct uv_rate_queue now;

		look(relay, i, &now);
		/* A ring that was detached meanwhile began to count anew. */
		if (now.bytes <= then->bytes && now.pages <= then->pages)
			continue;
		json_array_append_new(list,
				      json_pack("{s:i, s:I, s:I}", "queue", (int)i, "pages",
						(json_int_t)(now.pages - then->pages), "bytes",
						(json_int_t)(now.bytes - then->bytes)));
	}
	return list;
}

/*
 * A migration sends what was written while it sent the last: it gets ahead of a device
 * at any bandwidth above what the device dirties in a second.
 */
static void tell(struct uv_relay *relay, bool done, bool interrupted)
{
	const struct uv_rate *rate = &relay->rate;
	uint64_t pages = rate->pages / (rate->passed ? rate->passed : 1);

	uv_relay_tell(relay, "DIRTY_RATE",
		      json_pack("{s:i, s:i, s:I, s:I, s:I, s:o, s:b, s:b}", "seconds",
				(int)rate->passed, "of", (int)rate->seconds, "pages_per_second",
				(json_int_t)pages, "bytes_per_second", (json_int_t)(pages * PAGE),
				"distinct_pages", (json_int_t)rate->distinct, "queues",
				queues_of(relay), "done", done, "interrupted", interrupted));
}

void uv_rate_tick(struct uv_relay *relay)
{
	struct uv_rate *rate = &relay->rate;
	struct bitmap_taken taken;
	struct diag diag;
	bool over;

	if (!rate->seconds || !relay->rings)
		return;
	taken = rings_rehearsed(relay->rings);
	rate->passed++;
	rate->pages += taken.pages;
	rate->distinct += taken.fresh;
	over = rate->passed == rate->seconds || logging(relay);
	tell(relay, over, logging(relay));
	if (!over)
		return;
	if (rings_rehearse(relay->rings, false, &diag))
		uv_relay_fault(relay, PORT_FRONT_MAIN, diag.text);
	uv_rate_close(relay);
}
