/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The ring simulator: random guest, relay and back-end over memory, with no sockets
 * and no clock. The relay steps in and out of the data path, dies at any of its
 * stores, and is started again from the record and the rings.
 *
 * Held after each step: the guest gets every request back exactly once, with the
 * length that the back-end's last completion of it had; the back-end is never given
 * a request that the guest does not wait for, nor one out of order; with IN_ORDER
 * the guest gets them in order; and if everybody sleeps, the guest waits for
 * nothing. A ring that is filled in advance is left with most of its chains untaken
 * by the back-end, which says how far it has read and completes that.
 *
 * A run is many worlds, each with a seed of its own, which a failure prints:
 * --seed with that number starts with that world.
 */
#include "ring_world.h"
#include "store_point.h"

#include <getopt.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define STEPS     1000000u
#define LIFE      6000u  /* steps of a world, at most */
#define LIFE_LONG 60000u /* of one with a long ring */

enum path {
	PATH_DIRECT,   /* the back-end is on the guest's ring */
	PATH_ENTERING, /* it still is, takes nothing new, and finishes */
	PATH_SHADOW,
	PATH_LEAVING,   /* the relay takes nothing new, and finishes */
	PATH_RECALLING, /* the back-end has stopped, and finishes what it has read */
};

static struct world world;
static struct relay relay;
static enum path path;
static uint32_t base;       /* where the ring went on when the relay came in */
static uint32_t read_up_to; /* as the back-end said when it stopped */
static bool relay_sleeps;   /* and has not been notified */
static bool relay_woken;    /* the back-end called */
static unsigned int down;   /* the daemon is dead, for so many steps of the guest */
static uint64_t world_seed;
static unsigned long step, world_step;
static struct {
	unsigned long worlds, entered, left, deaths, lost_backends, clamped, resubmitted;
	unsigned long recalled, kept;
	uint64_t requests;
} seen;

/* The relay dies before its n-th store from now; 0: it lives. */
static unsigned int stores_left;
static jmp_buf dead;

void store_point(void)
{
	if (stores_left && --stores_left == 0)
		longjmp(dead, 1);
}

void world_fail(const struct world *w, const char *format, ...)
{
	const struct world_kind *kind = &w->kind;
	va_list args;

	fprintf(stderr, "ring_sim: --seed %llu, step %lu: ", (unsigned long long)world_seed,
		world_step);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr,
		"\n  %s ring of %u, record of %u%s%s%s%s%s%s, path %d, %llu added, %llu done\n",
		kind->format == RING_SPLIT ? "split" : "packed", kind->num, kind->record_num,
		kind->event_idx ? ", event index" : "", kind->indirect ? ", indirect" : "",
		kind->in_order ? ", in order" : "", kind->batches ? ", batches" : "",
		kind->careless ? ", careless" : "", kind->filled ? ", filled" : "", path,
		(unsigned long long)w->added, (unsigned long long)w->done);
	exit(1);
}

/* The relay is not asleep, and whoever waits is told once that something changed. */
static void notify_all(void)
{
	relay_sleeps = false;
	relay_woken = false;
	world.kick = true;
	world.call = true;
	world.backend_sleeps = false;
}

/*
 * A relay that starts on what was left: at first, after its death, after the
 * back-end's. The shadow ring is fresh and the back-end with it. May die itself.
 */
static void relay_starts(void)
{
	const struct world_kind *kind = &world.kind;
	uint16_t shadow_base = (uint16_t)world_pick(&world, 65536);
	struct relay_config config = {
	    .format = kind->format,
	    .num = kind->num,
	    .event_idx = kind->event_idx,
	    .indirect = kind->indirect,
	    .in_order = kind->in_order,
	    .resubmit = true,
	    .base = base,
	    .shadow_base = shadow_base,
	    .guest = world.guest_areas,
	    .shadow = world.shadow_areas,
	    .memory = world.memory,
	    .record = world.record,
	    .record_num = kind->record_num,
	};
	int result;

	world_backend_close(&world);
	stores_left = world_once_in(&world, 6) ? 1 + world_pick(&world, 4 * kind->num + 9) : 0;
	result = relay_init(&relay, &config, &world.diag);
	stores_left = 0;
	if (result)
		world_fail(&world, "relay_init: %s: %s", ring_outcome_name(result),
			   world.diag.text);
	world_backend_open(&world, &world.shadow_areas,
			   kind->format == RING_SPLIT ? shadow_base : RING_PACKED_BASE);
	if (path == PATH_RECALLING)
		path = PATH_LEAVING;
	if (path == PATH_LEAVING)
		relay_hold(&relay, true);
	else
		path = PATH_SHADOW;
	notify_all();
}

static void count_relay(void)
{
	seen.clamped += relay.counters.clamped;
	seen.resubmitted += relay.counters.resubmitted;
	relay_deinit(&relay);
}

/* The back-end has finished: it moves to the shadow ring. */
static void entering(void)
{
	if (world.held_count)
		return;
	base = device_base(&world.backend);
	seen.entered++;
	relay_starts();
}

static int checked(const char *what, int result)
{
	if (result >= RING_FAULTS || result < 0)
		world_fail(&world, "%s: %s: %s", what, ring_outcome_name(result), world.diag.text);
	return result;
}

static void leave(void)
{
	stores_left = world_once_in(&world, 6) ? 1 + world_pick(&world, 3) : 0;
	base = relay_leave(&relay);
	stores_left = 0;
	count_relay();
	seen.left++;
	path = PATH_DIRECT;
	world_backend_open(&world, &world.guest_areas, base);
	notify_all();
}

static void leaving(void)
{
	if (!world.kind.filled) {
		if (!relay_in_flight(&relay))
			leave();
		return;
	}
	if (relay_busy(&relay))
		return;
	world.pops = false;
	read_up_to = device_base(&world.backend);
	path = PATH_RECALLING;
}

/*
 * An earlier process may have died with chains completed out of order, and older
 * ones that are still untaken: these only the record knows, and with it they stay.
 */
static void recalling(void)
{
	unsigned int untaken = relay_in_flight(&relay) - world.held_count;
	bool left_over = relay.left_over > 0;
	int result = relay_recall(&relay, read_up_to, &world.diag);

	relay_sleeps = false; /* a stopped back-end calls nobody */
	if ((result == RING_BAD_HEAD || result == RING_BAD_RECORD) && left_over) {
		seen.kept++;
		count_relay();
		path = PATH_SHADOW;
		relay_starts();
		return;
	}
	if (checked("relay_recall", result) != RING_OK)
		return;
	if (relay_in_flight(&relay) || world.held_count)
		world_fail(&world, "recalled with %u in flight and %u at the back-end",
			   relay_in_flight(&relay), world.held_count);
	seen.recalled += untaken;
	leave();
}

static void relay_calls(void)
{
	if (relay.kick)
		world.kick = true;
	if (relay.call)
		world.call = true;
	relay.kick = false;
	relay.call = false;
}

static unsigned int budget(void)
{
	return world_once_in(&world, 3) ? 1 + world_pick(&world, 4) : 64;
}

/* Sleeping is a step of its own, so that something may come between it and the last look. */
static void relay_works(void)
{
	if (world_once_in(&world, 4)) {
		relay_sleeps = !relay_sleep(&relay);
		return;
	}
	if (world_once_in(&world, 2))
		relay_wake(&relay);
	checked("relay_pull", relay_pull(&relay, budget(), &world.diag));
	checked("relay_complete", relay_complete(&relay, budget(), &world.diag));
}

static bool in_between(void)
{
	return !down && path >= PATH_SHADOW;
}

static void relay_step(void)
{
	if (!in_between() || (relay_sleeps && !relay_woken && !world.kicked))
		return;
	relay_woken = false;
	world.kicked = false;
	relay_sleeps = false;
	stores_left = world_once_in(&world, 50) ? 1 + world_pick(&world, 40) : 0;
	relay_works();
	stores_left = 0;
	relay_calls();
}

/* Who hears whom: with the relay in between, both ends talk to it. */
static void deliver(void)
{
	if (path == PATH_DIRECT && world.kicked) {
		world.kick = true;
		world.kicked = false;
	}
	if (world.raised && in_between())
		relay_woken = true;
	else if (world.raised && !down)
		world.call = true;
	world.raised = false;
}

/* The memory is as it was left, and the guest goes on. */
static void relay_is_dead(void)
{
	seen.deaths++;
	stores_left = 0;
	count_relay();
	world_backend_close(&world);
	down = 1 + world_pick(&world, 6);
}

static void guest_alone(void)
{
	world_guest_step(&world);
	if (--down == 0)
		relay_starts();
}

static void something_happens(void)
{
	switch (world_pick(&world, 6)) {
	case 0:
	case 1:
		if (path != PATH_DIRECT)
			break;
		path = PATH_ENTERING;
		world.pops = false;
		break;
	case 2:
		if (path != PATH_SHADOW)
			break;
		relay_hold(&relay, true);
		path = PATH_LEAVING;
		break;
	case 3: /* thought better of */
		if (path != PATH_LEAVING)
			break;
		relay_hold(&relay, false);
		path = PATH_SHADOW;
		relay_sleeps = false;
		break;
	case 4:
		if (in_between())
			longjmp(dead, 1);
		break;
	default:
		if (!in_between())
			break;
		seen.lost_backends++;
		count_relay();
		relay_starts();
	}
}

static void one_step(void)
{
	uint32_t n = world_pick(&world, 100);

	if (down) {
		guest_alone();
		return;
	}
	if (n < 30)
		world_guest_step(&world);
	else if (n < 65)
		relay_step();
	else if (n < 99)
		world_backend_step(&world);
	else
		something_happens();
	deliver();
	if (path == PATH_ENTERING)
		entering();
	else if (path == PATH_LEAVING)
		leaving();
	else if (path == PATH_RECALLING)
		recalling();
}

/* All asleep and none notified: then the guest must wait for nothing. */
static void check_wake_ups(void)
{
	if (!world.guest_sleeps || world.call || driver_chains(&world.guest) == 0)
		return;
	if (world.held_count || !world.backend_sleeps || world.kick || path == PATH_ENTERING ||
	    path == PATH_RECALLING || down)
		return;
	if (in_between() && (!relay_sleeps || relay_woken || world.kicked))
		return;
	world_fail(&world, "everybody sleeps, and the guest waits for %u",
		   driver_chains(&world.guest));
}

static struct world_kind random_kind(void)
{
	static const unsigned int small[] = {1, 2, 3, 4, 5, 8, 16, 31, 64};
	static const unsigned int large[] = {256, 1000, 1024, 32768};
	struct world_kind kind = {.format = world_once_in(&world, 2) ? RING_SPLIT : RING_PACKED};

	kind.num = small[world_pick(&world, 9)];
	if (world_once_in(&world, 30))
		kind.num = large[world_pick(&world, 4)];
	if (kind.format == RING_SPLIT)
		while (kind.num & (kind.num - 1))
			kind.num &= kind.num - 1;
	kind.record_num = kind.num;
	if (world_once_in(&world, 4))
		kind.record_num = kind.num * 2 < RING_SIZE_MAX ? kind.num * 2 : RING_SIZE_MAX;
	kind.event_idx = world_once_in(&world, 2);
	kind.indirect = world_once_in(&world, 2);
	kind.in_order = world_once_in(&world, 3);
	kind.batches = kind.in_order && world_once_in(&world, 2);
	kind.careless = world_once_in(&world, 4);
	kind.filled = world_once_in(&world, 3);
	return kind;
}

static void steps_until(unsigned long end)
{
	for (; world_step < end; world_step++, step++) {
		if (world.stops && world.done == world.added)
			return;
		if (setjmp(dead))
			relay_is_dead();
		else
			one_step();
		check_wake_ups();
	}
}

static void one_world(void)
{
	struct world_kind kind;
	unsigned long life;

	world.seed = world_seed * UINT64_C(0x9e3779b97f4a7c15);
	kind = random_kind();
	world_open(&world, &kind, world.seed);
	path = PATH_DIRECT;
	down = 0;
	world_step = 0;
	world_backend_open(&world, &world.guest_areas, relay_shadow_base(kind.format));
	life = 1 + world_pick(&world, kind.num > 64 ? LIFE_LONG : LIFE);
	steps_until(life);
	world.stops = true;
	steps_until(life + LIFE_LONG + 100 * kind.num);
	if (world.done != world.added)
		world_fail(&world, "the guest waits for ever");
	if (in_between())
		count_relay();
	seen.worlds++;
	seen.requests += world.done;
	world_close(&world);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"seed", required_argument, NULL, 's'},
						{"steps", required_argument, NULL, 'n'},
						{NULL, 0, NULL, 0}};
	unsigned long steps = STEPS;
	int option;

	world_seed = 1;
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 's')
			world_seed = strtoull(optarg, NULL, 0);
		else if (option == 'n')
			steps = strtoul(optarg, NULL, 0);
		else
			return 2;
	}
	for (; step < steps; world_seed++)
		one_world();
	printf("%lu steps, %lu worlds, %llu requests; the relay came in %lu times, left %lu, "
	       "died %lu and lost %lu back-ends, resubmitted %lu, cut %lu lengths, handed back %lu "
	       "untaken, kept %lu times\n",
	       step, seen.worlds, (unsigned long long)seen.requests, seen.entered, seen.left,
	       seen.deaths, seen.lost_backends, seen.resubmitted, seen.clamped, seen.recalled,
	       seen.kept);
	return 0;
}
