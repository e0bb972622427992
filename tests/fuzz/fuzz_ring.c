/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A relay between a hostile guest and a hostile back-end, which may also write to
 * the inflight record. The steps of fuzz_ring.h make rings that hold together for
 * a while, and FUZZ_RING_WRITE puts any bytes anywhere.
 *
 * Held to: every access stays in the memory handed in; outcomes are those that the
 * headers name, and a fault says whose; no more is in flight than the ring has; the
 * guest gets no more back than was taken from it.
 */
#include "fuzz.h"
#include "fuzz_ring.h"

#include "base/bytes.h"
#include "ring/relay.h"

#include <errno.h>

#define TABLES UINT64_C(0x10000)

struct world {
	struct fuzz_input *input;
	struct relay_config config;
	struct relay relay;
	uint8_t *tables;
	uint64_t given_back; /* by relays that are gone */
	struct diag diag;
};

static void *translate(void *context, uint64_t addr, uint64_t size)
{
	struct world *world = context;

	if (addr < TABLES || size > FUZZ_RING_BYTES || addr - TABLES > FUZZ_RING_BYTES - size)
		return NULL;
	return world->tables + (addr - TABLES);
}

/* Exactly as large as needed, so that the sanitizer sees a byte too far. */
static void *area(size_t bytes)
{
	void *memory = aligned_alloc(16, (bytes + 15) / 16 * 16);

	FUZZ_CHECK(memory);
	memset(memory, 0, (bytes + 15) / 16 * 16);
	return memory;
}

static struct ring_areas areas(enum ring_format format, unsigned int num)
{
	return (struct ring_areas){
	    .desc = area(ring_desc_bytes(format, num)),
	    .driver = area(ring_driver_bytes(format, num)),
	    .device = area(ring_device_bytes(format, num)),
	};
}

static void free_areas(struct ring_areas *these)
{
	free(these->desc);
	free(these->driver);
	free(these->device);
}

static void world_open(struct world *world, const struct fuzz_ring_setting *setting)
{
	enum ring_format format = setting->flags & FUZZ_RING_PACKED ? RING_PACKED : RING_SPLIT;
	unsigned int num = setting->num % 32 + 1u;

	while (format == RING_SPLIT && (num & (num - 1)))
		num &= num - 1;
	world->tables = area(FUZZ_RING_BYTES);
	world->config = (struct relay_config){
	    .format = format,
	    .num = num,
	    .event_idx = setting->flags & FUZZ_RING_EVENT_IDX,
	    .indirect = setting->flags & FUZZ_RING_INDIRECT,
	    .in_order = setting->flags & FUZZ_RING_IN_ORDER,
	    .notify_on_empty = setting->flags & FUZZ_RING_ON_EMPTY,
	    .base = format == RING_SPLIT ? setting->guest_base : RING_PACKED_BASE,
	    .guest = areas(format, num),
	    .shadow = areas(format, num),
	    .memory = {.translate = translate, .context = world},
	    .record_num = num + setting->record - 1,
	};
	if (setting->record)
		world->config.record = area(inflight_bytes(format, world->config.record_num));
	if (format == RING_SPLIT) {
		((struct ring_avail *)world->config.guest.driver)->idx = setting->guest_base;
		((struct ring_used *)world->config.guest.device)->idx = setting->guest_base;
	}
	FUZZ_CHECK(relay_init(&world->relay, &world->config, &world->diag) == 0);
}

static void world_close(struct world *world)
{
	relay_deinit(&world->relay);
	free_areas(&world->config.guest);
	free_areas(&world->config.shadow);
	free(world->config.record);
	free(world->tables);
}

/* A relay whose record may be anything; what it does not believe is written afresh. */
static void restart(struct world *world, bool resubmit)
{
	int result;

	relay_deinit(&world->relay);
	world->config.resubmit = resubmit;
	result = relay_init(&world->relay, &world->config, &world->diag);
	if (result == RING_BAD_RECORD) {
		FUZZ_CHECK(resubmit);
		FUZZ_CHECK(strncmp(world->diag.text, "inflight record: ", 17) == 0);
		world->config.resubmit = false;
		result = relay_init(&world->relay, &world->config, &world->diag);
	}
	FUZZ_CHECK(result == 0);
}

static void check(struct world *world)
{
	FUZZ_CHECK(relay_in_flight(&world->relay) <= world->config.num);
	FUZZ_CHECK(driver_free(&world->relay.driver) + driver_chains(&world->relay.driver) <=
		   world->config.num);
}

/* False: the relay has to end. */
static bool fine(struct world *world, int result, const char *side)
{
	FUZZ_CHECK(result >= 0 && result <= RING_BAD_RECORD);
	if (result < RING_FAULTS)
		return true;
	FUZZ_CHECK(strncmp(world->diag.text, side, strlen(side)) == 0 ||
		   strncmp(world->diag.text, "inflight record: ", 17) == 0);
	return false;
}

static void pull(struct world *world, unsigned int budget)
{
	unsigned int before = relay_in_flight(&world->relay);
	uint64_t again = world->relay.counters.resubmitted;
	int result = relay_pull(&world->relay, budget, &world->diag);
	uint64_t taken = relay_in_flight(&world->relay) - before;

	taken += world->relay.counters.resubmitted - again;
	FUZZ_CHECK(taken <= budget);
	FUZZ_CHECK(result != RING_OK || taken > 0);
	FUZZ_CHECK(result != RING_EMPTY || taken == 0);
	if (!fine(world, result, "guest ring: "))
		restart(world, true);
}

static void complete(struct world *world, unsigned int budget)
{
	unsigned int before = relay_in_flight(&world->relay);
	uint64_t relayed = world->relay.counters.relayed;
	int result = relay_complete(&world->relay, budget, &world->diag);

	relayed = world->relay.counters.relayed - relayed;
	FUZZ_CHECK(result != RING_FULL);
	FUZZ_CHECK(relayed <= budget && relayed <= before);
	FUZZ_CHECK(relay_in_flight(&world->relay) == before - relayed);
	if (!fine(world, result, "back-end ring: "))
		restart(world, true);
}

/* Split: a descriptor and an avail entry; packed: at the position that is looked at next. */
static void offer(struct world *world, unsigned int slot, uint64_t addr, uint32_t len,
		  uint16_t flags)
{
	const struct ring_areas *guest = &world->config.guest;
	unsigned int num = world->config.num;

	if (world->config.format == RING_SPLIT) {
		struct ring_desc *desc = (struct ring_desc *)guest->desc + slot % num;
		struct ring_avail *avail = guest->driver;

		*desc = (struct ring_desc){
		    .addr = addr, .len = len, .flags = flags, .next = (uint16_t)(slot + 1) % num};
		avail->ring[avail->idx % num] = (uint16_t)(slot % num);
		avail->idx++;
	} else {
		struct ring_position at = world->relay.device.packed.avail;
		struct ring_packed_desc *desc = (struct ring_packed_desc *)guest->desc + at.slot;

		*desc = (struct ring_packed_desc){
		    .addr = addr,
		    .len = len,
		    .id = (uint16_t)slot,
		    .flags = flags | ring_flags_available(at.wrap),
		};
	}
}

static void use(struct world *world, unsigned int id, uint32_t len)
{
	const struct ring_areas *shadow = &world->config.shadow;

	if (world->config.format == RING_SPLIT) {
		struct ring_used *used = shadow->device;

		used->ring[used->idx % world->config.num] = (struct ring_used_elem){id, len};
		used->idx++;
	} else {
		struct ring_position at = world->relay.driver.packed.used;

		((struct ring_packed_desc *)shadow->desc)[at.slot] = (struct ring_packed_desc){
		    .id = (uint16_t)id,
		    .len = len,
		    .flags = ring_flags_used(at.wrap) | RING_DESC_WRITE,
		};
	}
}

static void write_anywhere(struct world *world, const struct fuzz_ring_step *step)
{
	const struct relay_config *config = &world->config;
	enum ring_format format = config->format;
	const struct {
		void *at;
		size_t bytes;
	} places[] = {
	    {config->guest.desc, ring_desc_bytes(format, config->num)},
	    {config->guest.driver, ring_driver_bytes(format, config->num)},
	    {config->guest.device, ring_device_bytes(format, config->num)},
	    {config->shadow.desc, ring_desc_bytes(format, config->num)},
	    {config->shadow.driver, ring_driver_bytes(format, config->num)},
	    {config->shadow.device, ring_device_bytes(format, config->num)},
	    {world->tables, FUZZ_RING_BYTES},
	    {config->record, config->record ? inflight_bytes(format, config->record_num) : 0},
	};
	unsigned int place = step->a % 8, offset = step->b | step->c << 8;
	size_t length = fuzz_byte(world->input) % 32u;

	if (places[place].bytes == 0)
		return;
	offset %= places[place].bytes;
	if (length > places[place].bytes - offset)
		length = places[place].bytes - offset;
	fuzz_take(world->input, (uint8_t *)places[place].at + offset, length);
}

static void notify(struct world *world, unsigned int what)
{
	if (what % 4 == 0)
		relay_sleep(&world->relay);
	else if (what % 4 == 1)
		relay_wake(&world->relay);
	else
		relay_hold(&world->relay, what % 4 == 2);
}

/* The back-end has stopped, and says that it has read up to anywhere. */
static bool recalled(struct world *world, const struct fuzz_ring_step *step)
{
	uint32_t base = step->a | (uint32_t)step->b << 8 | (uint32_t)step->c << 15;
	int result = relay_recall(&world->relay, base, &world->diag);

	if (result == RING_EMPTY)
		return false;
	if (!fine(world, result, result == RING_BAD_INDEX ? "back-end ring: " : "guest ring: ")) {
		restart(world, true);
		return false;
	}
	FUZZ_CHECK(relay_in_flight(&world->relay) == 0);
	return true;
}

static void leave(struct world *world, const struct fuzz_ring_step *step)
{
	if (relay_in_flight(&world->relay) && !recalled(world, step))
		return;
	world->config.base = relay_leave(&world->relay);
	FUZZ_CHECK(!world->config.record || !inflight_written(&world->relay.inflight));
	restart(world, true);
}

static void one_step(struct world *world, const struct fuzz_ring_step *step)
{
	switch (step->what % FUZZ_RING_STEPS) {
	case FUZZ_RING_OFFER:
		offer(world, step->a, step->a * 4096u, step->b,
		      (uint16_t)((step->c & FUZZ_RING_MORE) | (step->c & RING_DESC_WRITE)));
		break;
	case FUZZ_RING_TABLE:
		offer(world, step->a, TABLES + step->b * 8u, step->c * 8u, RING_DESC_INDIRECT);
		break;
	case FUZZ_RING_USE:
		use(world, step->a, step->b);
		break;
	case FUZZ_RING_PULL:
		pull(world, step->a);
		break;
	case FUZZ_RING_COMPLETE:
		complete(world, step->a);
		break;
	case FUZZ_RING_WRITE:
		write_anywhere(world, step);
		break;
	case FUZZ_RING_RESTART:
		restart(world, step->a & 1);
		break;
	case FUZZ_RING_NOTIFY:
		notify(world, step->a);
		break;
	default:
		leave(world, step);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input input = {data, size};
	struct fuzz_ring_setting setting;
	struct fuzz_ring_step step;
	struct world world = {.input = &input};

	fuzz_take(&input, &setting, sizeof(setting));
	world_open(&world, &setting);
	while (input.left) {
		fuzz_take(&input, &step, sizeof(step));
		one_step(&world, &step);
		check(&world);
	}
	world_close(&world);
	return 0;
}
