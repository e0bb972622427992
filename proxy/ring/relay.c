/* SPDX-License-Identifier: BSD-3-Clause */
#include "ring/relay.h"

#include <errno.h>
#include <stdlib.h>

/* What QEMU, libvhost-user and their kin take of one chain, tables included. */
#define BUFFERS_MIN 1024u

/* What a chain's completion brings back: all there is to know about it. */
#define TOKEN_AGAIN (UINT64_C(1) << 47) /* resubmitted; an entry has 15 bits */

static uint64_t token_pack(const struct ring_chain *chain, uint16_t entry, uint16_t extents)
{
	return (uint64_t)chain->id | (uint64_t)chain->slots << 16 | (uint64_t)entry << 32 |
	       (uint64_t)extents << 48;
}

static struct ring_chain token_chain(uint64_t token)
{
	return (struct ring_chain){.id = (uint16_t)token, .slots = (uint16_t)(token >> 16)};
}

static uint16_t token_entry(uint64_t token)
{
	return (uint16_t)(token >> 32) & (RING_SIZE_MAX - 1);
}

static uint16_t token_extents(uint64_t token)
{
	return (uint16_t)(token >> 48);
}

/* The line says whose rule was broken; outcomes below RING_FAULTS have none. */
static int blame(const char *side, int result, struct diag *diag)
{
	struct diag line;

	if (result < RING_FAULTS)
		return result;
	line = *diag;
	return diag_set(diag, result, "%s: %s", side, line.text);
}

/* The guest's used position, as the record has it. */
static uint16_t used_at(const struct relay *relay)
{
	const struct device *device = &relay->device;

	return device->format == RING_SPLIT ? device->split.used_idx
					    : ring_position_pack(device->packed.used);
}

/* Marks as popped what the record has in flight. */
static int claim(struct relay *relay, struct diag *diag)
{
	for (unsigned int i = 0; i < relay->inflight.count; i++) {
		const struct inflight_order *order = &relay->inflight.order[i];

		if (!device_claim(&relay->device, order->id, order->slots))
			return diag_set(diag, RING_BAD_RECORD,
					"inflight record: chain %u of %u slots is twice in flight",
					order->id, order->slots);
	}
	return 0;
}

static int init_device(struct relay *relay, const struct relay_config *config, bool settle,
		       struct diag *diag)
{
	uint32_t base = config->base;
	int result = 0;

	if (settle)
		result = inflight_settle(&relay->inflight, &config->guest, &base, diag);
	if (!result)
		result = device_init(&relay->device, config->format, &config->guest, config->num,
				     config->event_idx, config->indirect, base, diag);
	if (!result && settle)
		result = claim(relay, diag);
	relay->left_over = relay->inflight.count;
	if (!result && !settle && relay->recorded)
		inflight_reset(&relay->inflight, used_at(relay));
	return result;
}

static int init(struct relay *relay, const struct relay_config *config, struct diag *diag)
{
	unsigned int capacity = config->num < BUFFERS_MIN ? BUFFERS_MIN : config->num;
	bool settle = false;
	int result = ring_check(config->format, config->num, &config->guest, diag);

	if (!result && config->record) {
		result = inflight_init(&relay->inflight, config->format, config->num,
				       config->record, config->record_num, diag);
		relay->recorded = !result;
		settle = !result && config->resubmit && inflight_written(&relay->inflight);
	}
	if (!result)
		result = init_device(relay, config, settle, diag);
	if (!result)
		result = driver_init(
		    &relay->driver, config->format, &config->shadow, config->num, config->event_idx,
		    config->format == RING_SPLIT ? config->shadow_base : RING_PACKED_BASE, diag);
	if (!result)
		result = extents_init(&relay->extents, config->num, capacity, diag);
	if (result)
		return result;
	if (config->in_order)
		driver_in_order(&relay->driver);
	relay->chain.capacity = capacity;
	relay->chain.buffers = calloc(capacity, sizeof(*relay->chain.buffers));
	if (!relay->chain.buffers)
		return diag_set(diag, -ENOMEM, "no memory for chains of %u buffers", capacity);
	return 0;
}

int relay_init(struct relay *relay, const struct relay_config *config, struct diag *diag)
{
	int result;

	*relay = (struct relay){
	    .notify_on_empty = config->notify_on_empty,
	    .memory = config->memory,
	    .device.format = config->format,
	    .driver.format = config->format,
	};
	result = init(relay, config, diag);
	if (result)
		relay_deinit(relay);
	return result;
}

void relay_deinit(struct relay *relay)
{
	device_deinit(&relay->device);
	driver_deinit(&relay->driver);
	inflight_deinit(&relay->inflight);
	extents_deinit(&relay->extents);
	free(relay->chain.buffers);
	relay->chain.buffers = NULL;
}

/* Reads into relay->chain what an earlier process had in flight. */
static int read_again(struct relay *relay, const struct inflight_order *order, struct diag *diag)
{
	struct ring_packed_desc desc;
	uint16_t at = order->entry;
	int result = RING_OK;

	if (relay->device.format == RING_SPLIT)
		return split_device_again(&relay->device.split, &relay->memory, order->id,
					  &relay->chain, diag);
	ring_chain_clear(&relay->chain, order->id);
	for (unsigned int i = 0; !result && i < order->slots; i++) {
		inflight_desc(&relay->inflight, &at, &desc);
		result = packed_device_add(&relay->device.packed, &relay->memory, &desc,
					   &relay->chain, diag);
	}
	/* Read a second time from memory that a front-end may hold. */
	if (!result && relay->chain.id != order->id)
		result = diag_set(diag, RING_BAD_RECORD, "buffer id %u became %u", order->id,
				  relay->chain.id);
	return result;
}

/* Room for the chain in the shadow ring, and its writable part kept: hand_on() then succeeds. */
static int make_room(struct relay *relay, uint16_t *extents)
{
	if (relay->chain.slots > driver_free(&relay->driver))
		return RING_FULL;
	return extents_keep(&relay->extents, &relay->chain, extents);
}

static void hand_on(struct relay *relay, uint64_t token)
{
	int result = driver_add_chain(&relay->driver, &relay->chain, token);

	assert(result == RING_OK);
	(void)result;
}

static int pull_again(struct relay *relay, struct diag *diag)
{
	const struct inflight_order *order = &relay->inflight.order[relay->again];
	const char *side = relay->device.format == RING_SPLIT ? "guest ring" : "inflight record";
	int result = blame(side, read_again(relay, order, diag), diag);
	uint16_t extents;

	if (!result)
		result = make_room(relay, &extents);
	if (result)
		return result;
	hand_on(relay, token_pack(&relay->chain, order->entry, extents) | TOKEN_AGAIN);
	relay->again++;
	relay->counters.resubmitted++;
	return RING_OK;
}

/*
 * Dead before the record has the chain: it is still in the guest's ring. Dead
 * after: it is in flight, whether or not the back-end saw it, as the shadow ring
 * ends with us.
 */
static int pull_new(struct relay *relay, struct diag *diag)
{
	struct ring_chain *chain = &relay->chain;
	uint16_t entry = 0;
	int result = device_peek(&relay->device, &relay->memory, chain, diag);
	uint16_t extents;

	if (result)
		return blame("guest ring", result, diag);
	result = make_room(relay, &extents);
	if (result)
		return result;
	if (relay->recorded)
		entry = inflight_fetch(&relay->inflight, chain);
	hand_on(relay, token_pack(chain, entry, extents));
	device_accept(&relay->device, chain);
	return RING_OK;
}

static int pull(struct relay *relay, struct diag *diag)
{
	if (relay->again < relay->inflight.count)
		return pull_again(relay, diag);
	return relay->held ? RING_EMPTY : pull_new(relay, diag);
}

int relay_pull(struct relay *relay, unsigned int budget, struct diag *diag)
{
	unsigned int count = 0;
	int result = relay->blocked ? RING_FULL : RING_OK;

	while (!result && count < budget) {
		result = pull(relay, diag);
		count += !result;
	}
	relay->blocked = result == RING_FULL;
	if (count == 0)
		return result ? result : RING_EMPTY;
	driver_publish(&relay->driver);
	if (driver_kick_wanted(&relay->driver))
		relay->kick = true;
	return result == RING_EMPTY ? RING_OK : result;
}

/* Takes one completion; what it says is not more than the chain has room for. */
static int take(struct relay *relay, struct ring_done *done, struct diag *diag)
{
	int result = driver_collect(&relay->driver, done, diag);

	if (!result && done->length > done->writable) {
		done->length = done->writable;
		relay->counters.clamped++;
	}
	return blame("back-end ring", result, diag);
}

/*
 * The first `written` bytes are the ones the back-end says it wrote. With a vIOMMU the
 * kept address would be an IOVA: what is told here must be guest-physical, translated
 * when the chain was taken, since its entry may be gone by now.
 */
static void tell(const struct relay *relay, uint16_t at, uint32_t written)
{
	while (at != EXTENTS_NONE) {
		const struct extent *extent = extents_at(&relay->extents, at);
		uint32_t part = written < extent->len ? written : extent->len;

		relay->watcher.wrote(relay->watcher.context, extent->addr, extent->len, part);
		written -= part;
		at = extent->next;
	}
}

static void give_back(struct relay *relay, const struct ring_done *done)
{
	struct ring_chain chain = token_chain(done->token);
	uint16_t extents = token_extents(done->token);

	if (relay->watcher.wrote)
		tell(relay, extents, done->length);
	extents_drop(&relay->extents, extents);
	if (relay->recorded)
		inflight_complete(&relay->inflight, token_entry(done->token));
	relay->left_over -= (done->token & TOKEN_AGAIN) != 0;
	device_push(&relay->device, &chain, done->length);
	relay->counters.bytes_written += done->length;
}

/*
 * The record is told before and after. Dead in between, it compares what it was
 * told with what the ring shows, and knows whether the guest has the batch.
 */
static void publish(struct relay *relay)
{
	uint16_t used = used_at(relay);

	if (relay->recorded)
		inflight_before_publish(&relay->inflight, used);
	device_publish(&relay->device);
	if (relay->recorded)
		inflight_after_publish(&relay->inflight, used);
}

int relay_complete(struct relay *relay, unsigned int budget, struct diag *diag)
{
	unsigned int count = 0;
	struct ring_done done;
	int result = RING_OK;

	while (!result && count < budget) {
		result = take(relay, &done, diag);
		if (!result) {
			give_back(relay, &done);
			count++;
		}
	}
	if (count == 0)
		return result ? result : RING_EMPTY;
	if (relay->watcher.wrote)
		relay->watcher.settle(relay->watcher.context);
	publish(relay);
	relay->counters.relayed += count;
	relay->blocked = false;
	if (device_call_wanted(&relay->device) ||
	    (relay->notify_on_empty && relay_in_flight(relay) == 0 &&
	     !device_waiting(&relay->device)))
		relay->call = true;
	return result == RING_EMPTY ? RING_OK : result;
}

/*
 * A side that can give us nothing to do is not asked: the guest while the shadow
 * ring is full, as only a completion helps then, and while we are held.
 */
bool relay_sleep(struct relay *relay)
{
	bool work = driver_calls(&relay->driver, true);

	relay->quiet = false;
	if (relay->blocked)
		return work;
	if (!relay->held && device_kicks(&relay->device, true))
		work = true;
	return work || relay->again < relay->inflight.count;
}

/*
 * With the event index of a split ring a wish is used up when it is met, and
 * turning it off would be one more store to a line that the other end reads. In
 * all other cases the wish stands until it is taken back.
 */
void relay_wake(struct relay *relay)
{
	const struct device *device = &relay->device;

	if (relay->quiet || (device->format == RING_SPLIT && device->split.event_idx))
		return;
	relay->quiet = true;
	driver_calls(&relay->driver, false);
	device_kicks(&relay->device, false);
}

void relay_hold(struct relay *relay, bool held)
{
	relay->held = held;
}

unsigned int relay_in_flight(const struct relay *relay)
{
	return driver_chains(&relay->driver) + relay->inflight.count - relay->again;
}

bool relay_busy(const struct relay *relay)
{
	return driver_busy(&relay->driver);
}

/*
 * Whether the chains of an earlier life that are in flight still stand in the guest's
 * packed ring, first there as they are the oldest. One that died within a batch of
 * completions has written over descriptors, and ids and flags do not show it.
 */
static bool left_over_intact(const struct relay *relay)
{
	const struct packed_device *device = &relay->device.packed;
	const struct inflight *record = &relay->inflight;
	struct ring_position at = device->used;
	struct ring_packed_desc kept, found;

	for (unsigned int i = record->count - relay->left_over; i < record->count; i++) {
		uint16_t entry = record->order[i].entry;

		for (unsigned int n = 0; n < record->order[i].slots; n++) {
			inflight_desc(record, &entry, &kept);
			ring_copy(&found, &device->desc[at.slot], sizeof(found));
			found.flags &= RING_DESC_NEXT | RING_DESC_WRITE | RING_DESC_INDIRECT;
			/* The id counts in the last of a chain. */
			if (found.flags & RING_DESC_NEXT)
				found.id = kept.id;
			if (memcmp(&kept, &found, sizeof(kept)) != 0)
				return false;
			ring_position_move(&at, 1, device->num);
		}
	}
	return true;
}

int relay_recall(struct relay *relay, uint32_t base, struct diag *diag)
{
	int result = blame("back-end ring", driver_recall(&relay->driver, base, diag), diag);

	if (result)
		return result;
	if (relay->device.format == RING_PACKED && !left_over_intact(relay))
		return diag_set(diag, RING_BAD_RECORD,
				"inflight record: %u chains of an earlier life are in flight, and "
				"their descriptors are in the record alone",
				relay->left_over);
	/* With those that were to be submitted again and had no room yet. */
	relay->again = relay->inflight.count;
	return blame("guest ring", device_recall(&relay->device, diag), diag);
}

uint32_t relay_base(const struct relay *relay)
{
	return device_base(&relay->device);
}

uint32_t relay_leave(struct relay *relay)
{
	assert(relay_in_flight(relay) == 0);
	device_kicks(&relay->device, true);
	if (relay->recorded)
		inflight_forget(&relay->inflight);
	return relay_base(relay);
}

void relay_give_up(struct relay *relay)
{
	unsigned int count = relay->inflight.count - relay->again;

	for (; relay->again < relay->inflight.count; relay->again++) {
		const struct inflight_order *order = &relay->inflight.order[relay->again];
		struct ring_chain chain = {.id = order->id, .slots = order->slots};

		inflight_complete(&relay->inflight, order->entry);
		device_push(&relay->device, &chain, 0);
	}
	if (count)
		publish(relay);
	relay->counters.relayed += count;
	relay->call = true;
}

void relay_move(struct relay *relay, const struct ring_areas *guest,
		const struct ring_memory *memory)
{
	relay->memory = *memory;
	device_move(&relay->device, guest);
}

void relay_watch(struct relay *relay, const struct relay_watcher *watcher)
{
	relay->watcher = watcher ? *watcher : (struct relay_watcher){.wrote = NULL};
}

void relay_tell_in_flight(struct relay *relay)
{
	uint64_t token;

	if (!relay->watcher.wrote)
		return;
	for (unsigned int i = 0; i < driver_size(&relay->driver); i++)
		if (driver_token(&relay->driver, i, &token))
			tell(relay, token_extents(token), UINT32_MAX);
	relay->watcher.settle(relay->watcher.context);
}
