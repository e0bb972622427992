/* SPDX-License-Identifier: BSD-3-Clause */
#include "logging/bitmap.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#define LOG_BYTES 16u
#define PAGE      4096ull
#define GUARD     0xa5a5a5a5a5a5a5a5ull

/* The log proper, and a word on each side that must stay as it is. */
static uint64_t memory[1 + LOG_BYTES / 8 + 1];
static uint8_t *const dirty = (uint8_t *)(memory + 1);
static struct bitmap_burst burst;

static int clean(void **state)
{
	memset(memory, 0, sizeof(memory));
	memory[0] = memory[1 + LOG_BYTES / 8] = GUARD;
	burst = (struct bitmap_burst){.words = NULL};
	bitmap_aim(&burst, dirty, LOG_BYTES);
	return 0;
}

static void mark(uint64_t gpa, uint64_t length)
{
	bitmap_gather(&burst, gpa, length);
	bitmap_settle(&burst);
}

static void assert_marked(uint64_t first, uint64_t last)
{
	for (uint64_t page = 0; page < LOG_BYTES * 8; page++)
		assert_int_equal((dirty[page / 8] >> (page % 8)) & 1,
				 page >= first && page <= last);
	assert_true(memory[0] == GUARD);
	assert_true(memory[1 + LOG_BYTES / 8] == GUARD);
}

static void test_a_byte_marks_its_page_alone(void **state)
{
	mark(9 * PAGE + 17, 1);
	assert_marked(9, 9);
}

static void test_a_whole_page_does_not_mark_the_next(void **state)
{
	mark(7 * PAGE, PAGE);
	assert_marked(7, 7);
}

static void test_two_bytes_over_a_border_mark_both_pages(void **state)
{
	mark(8 * PAGE - 1, 2);
	assert_marked(7, 8);
}

static void test_a_long_piece_marks_every_page_it_touches(void **state)
{
	mark(3 * PAGE + 4095, 40 * PAGE + 2);
	assert_marked(3, 44);
}

static void test_nothing_marks_nothing(void **state)
{
	mark(5 * PAGE, 0);
	mark(5 * PAGE + 17, 0);
	mark(0, 0);
	assert_marked(1, 0);
}

static void test_pages_past_the_log_are_left_out(void **state)
{
	mark((LOG_BYTES * 8 - 1) * PAGE, 3 * PAGE);
	assert_marked(LOG_BYTES * 8 - 1, LOG_BYTES * 8 - 1);
	mark(LOG_BYTES * 8 * PAGE, PAGE);
	mark(UINT64_MAX, 1);
	assert_marked(LOG_BYTES * 8 - 1, LOG_BYTES * 8 - 1);
	clean(state);
	bitmap_aim(&burst, dirty, 0);
	mark(0, PAGE);
	assert_marked(1, 0);
}

static void test_a_length_that_wraps_marks_nothing_below(void **state)
{
	mark(UINT64_MAX - PAGE, 3 * PAGE);
	assert_marked(1, 0);
}

static void test_what_is_marked_stays_marked(void **state)
{
	dirty[1] = 0x81;
	mark(9 * PAGE, PAGE);
	assert_int_equal(dirty[1], 0x83);
	mark(9 * PAGE, PAGE);
	assert_int_equal(dirty[1], 0x83);
}

static void test_nothing_is_in_the_log_before_it_is_settled_and_then_all_of_it(void **state)
{
	bitmap_gather(&burst, 3 * PAGE, PAGE);
	bitmap_gather(&burst, 4 * PAGE, 1);
	bitmap_gather(&burst, 70 * PAGE, PAGE);
	assert_marked(1, 0);
	bitmap_settle(&burst);
	assert_int_equal(dirty[0], 0x18);
	assert_int_equal(dirty[8], 0x40);
}

static void test_pages_are_counted_once_until_they_are_taken(void **state)
{
	bitmap_gather(&burst, 3 * PAGE, 2 * PAGE);
	bitmap_gather(&burst, 4 * PAGE, 2 * PAGE);
	bitmap_settle(&burst);
	assert_int_equal(burst.marked, 3);
	mark(5 * PAGE, 2 * PAGE);
	assert_int_equal(burst.marked, 4);
	dirty[0] = 0;
	mark(5 * PAGE, 1);
	assert_int_equal(burst.marked, 5);
}

static void test_without_a_log_nothing_is_written(void **state)
{
	bitmap_aim(&burst, NULL, LOG_BYTES);
	mark(0, 40 * PAGE);
	assert_marked(1, 0);
	assert_int_equal(burst.marked, 0);
}

static void test_a_log_is_as_long_as_the_memory_in_whole_words(void **state)
{
	assert_int_equal(bitmap_bytes(0), 0);
	assert_int_equal(bitmap_bytes(1), 8);
	assert_int_equal(bitmap_bytes(64 * PAGE), 8);
	assert_int_equal(bitmap_bytes(64 * PAGE + 1), 16);
	assert_true(bitmap_bytes(UINT64_MAX) == 1ull << 49);
}

static void test_a_log_has_whole_aligned_words(void **state)
{
	assert_true(bitmap_fits(0, 8192));
	assert_true(bitmap_fits(4096, 8));
	assert_false(bitmap_fits(4, 8192));
	assert_false(bitmap_fits(0, 8191));
}

static void test_what_is_taken_is_counted_and_told_from_what_was_seen_before(void **state)
{
	uint64_t *log = memory + 1, seen[LOG_BYTES / 8] = {0};
	struct bitmap_taken taken;

	mark(3 * PAGE, 2 * PAGE);
	mark(70 * PAGE, PAGE);
	taken = bitmap_take(log, seen, LOG_BYTES / 8, 0, 128 * PAGE);
	assert_int_equal(taken.pages, 3);
	assert_int_equal(taken.fresh, 3);
	assert_marked(1, 0);
	mark(4 * PAGE, 2 * PAGE);
	mark(70 * PAGE, PAGE);
	/* Of this memory, and what is in one word with it. */
	taken = bitmap_take(log, seen, LOG_BYTES / 8, 0, 64 * PAGE);
	assert_int_equal(taken.pages, 2);
	assert_int_equal(taken.fresh, 1);
	assert_int_equal(dirty[8], 0x40);
}

static void test_marks_are_merged_into_another_log_and_stay_in_theirs(void **state)
{
	uint64_t to[LOG_BYTES / 8] = {1, 0};

	mark(3 * PAGE, PAGE);
	mark(70 * PAGE, PAGE);
	bitmap_merge(to, memory + 1, LOG_BYTES / 8, 0, 64 * PAGE);
	assert_int_equal(to[0], 9);
	assert_int_equal(to[1], 0);
	bitmap_merge(to, memory + 1, LOG_BYTES / 8, 64 * PAGE, 1000 * PAGE);
	assert_int_equal(to[1], 0x40);
	assert_int_equal(dirty[0], 8);
}

#define BIG_BYTES 65536u
#define ROUNDS    20u

static uint64_t words[BIG_BYTES / 8], taken[BIG_BYTES / 8];
static unsigned int writers;
static pthread_barrier_t together;

/* The front-end of a migration: takes whole words and leaves zeros. */
static void *take(void *context)
{
	bool last = false;

	while (!last) {
		last = __atomic_load_n(&writers, __ATOMIC_ACQUIRE) == 0;
		for (unsigned int i = 0; i < BIG_BYTES / 8; i++)
			taken[i] |= __atomic_exchange_n(&words[i], 0, __ATOMIC_SEQ_CST);
	}
	return context;
}

/* More words than are gathered at a time, and in no order. */
static uint64_t scattered(uint64_t page)
{
	return page * 40503 % (BIG_BYTES * 8);
}

/* Two threads mark every other page each, so that each word is both's. */
static void *mark_half(void *odd)
{
	struct bitmap_burst own = {.words = NULL};

	bitmap_aim(&own, words, BIG_BYTES);
	pthread_barrier_wait(&together);
	for (uint64_t page = odd ? 1 : 0; page < BIG_BYTES * 8; page += 2) {
		bitmap_gather(&own, scattered(page) * PAGE, 1);
		if (page % 37 == 0)
			bitmap_settle(&own);
	}
	bitmap_settle(&own);
	__atomic_fetch_sub(&writers, 1, __ATOMIC_RELEASE);
	return odd;
}

static void test_threads_that_mark_and_a_reader_that_takes_words_lose_no_page(void **state)
{
	pthread_t reader, even, odd;

	pthread_barrier_init(&together, NULL, 2);
	for (unsigned int round = 0; round < ROUNDS; round++) {
		memset(taken, 0, sizeof(taken));
		writers = 2;
		assert_int_equal(pthread_create(&reader, NULL, take, NULL), 0);
		assert_int_equal(pthread_create(&even, NULL, mark_half, NULL), 0);
		assert_int_equal(pthread_create(&odd, NULL, mark_half, words), 0);
		pthread_join(even, NULL);
		pthread_join(odd, NULL);
		pthread_join(reader, NULL);
		for (unsigned int i = 0; i < BIG_BYTES / 8; i++)
			assert_true(taken[i] == UINT64_MAX);
	}
	pthread_barrier_destroy(&together);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup(name, clean)
	const struct CMUnitTest tests[] = {
	    T(test_a_byte_marks_its_page_alone),
	    T(test_a_whole_page_does_not_mark_the_next),
	    T(test_two_bytes_over_a_border_mark_both_pages),
	    T(test_a_long_piece_marks_every_page_it_touches),
	    T(test_nothing_marks_nothing),
	    T(test_pages_past_the_log_are_left_out),
	    T(test_a_length_that_wraps_marks_nothing_below),
	    T(test_what_is_marked_stays_marked),
	    T(test_nothing_is_in_the_log_before_it_is_settled_and_then_all_of_it),
	    T(test_pages_are_counted_once_until_they_are_taken),
	    T(test_without_a_log_nothing_is_written),
	    T(test_a_log_is_as_long_as_the_memory_in_whole_words),
	    T(test_a_log_has_whole_aligned_words),
	    T(test_what_is_taken_is_counted_and_told_from_what_was_seen_before),
	    T(test_marks_are_merged_into_another_log_and_stay_in_theirs),
	    T(test_threads_that_mark_and_a_reader_that_takes_words_lose_no_page),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
