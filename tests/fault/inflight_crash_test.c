/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The same run again and again, with the daemon dying before its n-th store to
 * shared memory, for every n until the run ends alive; then with a second death
 * before the m-th store of the one that takes over. The guest goes on in between.
 * Each time every request comes back exactly once, which ring_world checks.
 */
#include "ring_world.h"
#include "store_point.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#define ROUNDS      12u
#define ROUNDS_MAX  1000u
#define NEVER       UINT32_MAX
#define TAKING_OVER 40u /* stores of the second process that are tried, and one round more */

static struct world world;
static struct relay relay;
static jmp_buf dead;
static uint32_t store;     /* of the relay, from 0, in this process */
static uint32_t dies_at;   /* before this one */
static uint32_t dies_next; /* the next process: before this one of its own */
static uint32_t first_death, second_death;
static bool counting;
static unsigned int deaths;

void store_point(void)
{
	if (!counting || store++ != dies_at)
		return;
	counting = false;
	longjmp(dead, 1);
}

void world_fail(const struct world *w, const char *format, ...)
{
	va_list args;

	fprintf(stderr, "ring of %u, death before store %u", w->kind.num, first_death);
	if (second_death != NEVER)
		fprintf(stderr, ", the next before store %u", second_death);
	fprintf(stderr, ": ");
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, "\n");
	abort();
}

static void daemon_starts(void)
{
	const struct world_kind *kind = &world.kind;
	struct relay_config config = {
	    .format = kind->format,
	    .num = kind->num,
	    .event_idx = kind->event_idx,
	    .indirect = kind->indirect,
	    .in_order = kind->in_order,
	    .resubmit = true,
	    .base = relay_shadow_base(kind->format),
	    .guest = world.guest_areas,
	    .shadow = world.shadow_areas,
	    .memory = world.memory,
	    .record = world.record,
	    .record_num = kind->record_num,
	};

	world_backend_close(&world);
	counting = true;
	if (relay_init(&relay, &config, &world.diag))
		world_fail(&world, "relay_init: %s", world.diag.text);
	counting = false;
	world_backend_open(&world, &world.shadow_areas, relay_shadow_base(kind->format));
}

static void daemon_works(void)
{
	counting = true;
	if (relay_pull(&relay, 64, &world.diag) >= RING_FAULTS ||
	    relay_complete(&relay, 64, &world.diag) >= RING_FAULTS)
		world_fail(&world, "%s", world.diag.text);
	counting = false;
}

static void daemon_is_dead(void)
{
	deaths++;
	relay_deinit(&relay);
	world_backend_close(&world);
	world.call = true;
	world_guest_step(&world);
	store = 0;
	dies_at = dies_next;
	dies_next = NEVER;
	daemon_starts();
}

/* Everybody is awake all the time: this is about the record, not about wake-ups. */
static void one_round(unsigned int round)
{
	world.stops = round >= ROUNDS;
	world.call = true;
	world.kick = true;
	if (round == 0)
		daemon_starts();
	world_guest_step(&world);
	daemon_works();
	world_backend_step(&world);
	daemon_works();
}

/* False: it ended without dying. */
static bool run(const struct world_kind *kind, uint64_t seed, uint32_t first, uint32_t second)
{
	static unsigned int round;

	world_open(&world, kind, seed);
	relay = (struct relay){.kick = false};
	store = 0;
	deaths = 0;
	first_death = dies_at = first;
	second_death = dies_next = second;
	for (round = 0; round < ROUNDS || world.done < world.added; round++) {
		if (round > ROUNDS_MAX)
			world_fail(&world, "%llu requests never come back",
				   (unsigned long long)(world.added - world.done));
		if (setjmp(dead))
			daemon_is_dead();
		else
			one_round(round);
	}
	counting = false;
	relay_deinit(&relay);
	world_close(&world);
	return deaths > 0;
}

static void each_store(struct world_kind kind)
{
	uint32_t first, tried = 0;

	kind.record_num = kind.num;
	for (uint64_t seed = 1; seed <= 8; seed++) {
		for (first = 0; run(&kind, seed, first, NEVER); first++)
			;
		assert_true(first > ROUNDS);
		tried += first;
	}
	print_message("%s ring of %u: %u deaths\n", kind.format == RING_SPLIT ? "split" : "packed",
		      kind.num, tried);
}

static void each_pair_of_stores(struct world_kind kind)
{
	kind.record_num = kind.num;
	for (uint32_t first = 0; run(&kind, 3, first, NEVER); first++)
		for (uint32_t second = 0; second < kind.num * 4 + TAKING_OVER; second++)
			run(&kind, 3, first, second);
}

#define SPLIT_OF(n)  .format = RING_SPLIT, .num = (n)
#define PACKED_OF(n) .format = RING_PACKED, .num = (n)

static void test_split_survives_a_death_before_each_store(void **state)
{
	each_store((struct world_kind){SPLIT_OF(2)});
	each_store((struct world_kind){SPLIT_OF(8)});
	each_store((struct world_kind){SPLIT_OF(16), .indirect = true});
	each_store((struct world_kind){SPLIT_OF(16), .in_order = true, .batches = true});
}

static void test_packed_survives_a_death_before_each_store(void **state)
{
	each_store((struct world_kind){PACKED_OF(2)});
	each_store((struct world_kind){PACKED_OF(7)});
	each_store((struct world_kind){PACKED_OF(16), .indirect = true});
	each_store((struct world_kind){PACKED_OF(13), .in_order = true, .batches = true});
}

static void test_split_survives_a_second_death(void **state)
{
	each_pair_of_stores((struct world_kind){SPLIT_OF(4)});
	each_pair_of_stores((struct world_kind){SPLIT_OF(8), .indirect = true});
}

static void test_packed_survives_a_second_death(void **state)
{
	each_pair_of_stores((struct world_kind){PACKED_OF(3)});
	each_pair_of_stores((struct world_kind){PACKED_OF(8), .indirect = true});
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_split_survives_a_death_before_each_store),
	    cmocka_unit_test(test_packed_survives_a_death_before_each_store),
	    cmocka_unit_test(test_split_survives_a_second_death),
	    cmocka_unit_test(test_packed_survives_a_second_death),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
