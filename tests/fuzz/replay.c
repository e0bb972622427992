/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The ordinary test: replay DIR COUNT runs a fuzz target on every file of DIR,
 * then on COUNT mutations of them. The mutations come from a fixed seed, so a
 * failure is the same on every machine; the number of the one that fails is in
 * the core's `current` and printed by the abort handler.
 */
#include "fuzz.h"

#include <dirent.h>
#include <inttypes.h>
#include <signal.h>
#include <unistd.h>

#define FILE_MAX  8192
#define FILES_MAX 1024
#define SEED      UINT64_C(0x9e3779b97f4a7c15)

struct sample {
	size_t size;
	uint8_t *bytes;
};

static struct sample samples[FILES_MAX];
static unsigned int sample_count;
static char current[64];

static void on_abort(int number)
{
	static const char text[] = "replay: failed at ";

	if (write(STDERR_FILENO, text, sizeof(text) - 1) > 0 &&
	    write(STDERR_FILENO, current, strlen(current)) > 0 && write(STDERR_FILENO, "\n", 1) > 0)
		signal(number, SIG_DFL);
}

/* xorshift64: quick, and the same everywhere. */
static uint64_t next_random(void)
{
	static uint64_t state = SEED;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static void load(const char *dir, const char *name)
{
	struct sample *sample = &samples[sample_count];
	char path[4096];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	file = fopen(path, "rb");
	if (!file || sample_count == FILES_MAX) {
		fprintf(stderr,
			"replay: %s: can not be read, or more than %d files: rebuild fuzz_corpus\n",
			path, FILES_MAX);
		exit(1);
	}
	sample->bytes = calloc(1, FILE_MAX);
	FUZZ_CHECK(sample->bytes);
	sample->size = fread(sample->bytes, 1, FILE_MAX, file);
	fclose(file);
	sample_count++;
}

/* In the order of their names, which readdir() does not promise. */
static int load_all(const char *dir)
{
	struct dirent **entries;
	int count = scandir(dir, &entries, NULL, alphasort);

	for (int i = 0; i < count; i++) {
		if (entries[i]->d_name[0] != '.')
			load(dir, entries[i]->d_name);
		free(entries[i]);
	}
	if (count >= 0)
		free(entries);
	return sample_count ? 0 : -1;
}

static const uint32_t edges[] = {0, 1, 8, 0x7f, 0xff, 0x100, 0x7fffffff, 0x80000000, 0xffffffff};

/* One change: an edge value, a bit, a cut, a byte, or the tail of another sample. */
static size_t change(uint8_t *bytes, size_t size)
{
	uint64_t random = next_random();
	size_t at = size ? (random >> 16) % size : 0;
	const struct sample *other = &samples[(random >> 40) % sample_count];

	switch (random % 5) {
	case 0:
		if (size - at >= 4)
			memcpy(bytes + at, &edges[(random >> 8) % 9], 4);
		return size;
	case 1:
		if (size)
			bytes[at] ^= (uint8_t)(1u << ((random >> 8) % 8));
		return size;
	case 2:
		return at;
	case 3:
		if (size)
			bytes[at] = (uint8_t)(random >> 8);
		return size;
	default:
		if (at >= other->size)
			return size;
		memcpy(bytes + at, other->bytes + at, other->size - at);
		return other->size;
	}
}

static void mutate(unsigned long number)
{
	static uint8_t bytes[FILE_MAX];
	const struct sample *sample = &samples[next_random() % sample_count];
	size_t size = sample->size;
	uint8_t *copy;

	memcpy(bytes, sample->bytes, size);
	for (unsigned int i = 0; i <= next_random() % 4; i++)
		size = change(bytes, size);
	snprintf(current, sizeof(current), "mutation %lu", number);
	/* A block of exactly this size, so that the sanitizer sees a read past its end. */
	copy = malloc(size ? size : 1);
	FUZZ_CHECK(copy);
	memcpy(copy, bytes, size);
	LLVMFuzzerTestOneInput(copy, size);
	free(copy);
}

int main(int argc, char **argv)
{
	unsigned long count = argc == 3 ? strtoul(argv[2], NULL, 10) : 0;

	if (argc != 3) {
		fprintf(stderr, "usage: replay CORPUS-DIR MUTATIONS\n");
		return 2;
	}
	if (load_all(argv[1])) {
		fprintf(stderr, "replay: %s: no corpus there: build the target fuzz_corpus\n",
			argv[1]);
		return 1;
	}
	signal(SIGABRT, on_abort);
	for (unsigned int i = 0; i < sample_count; i++) {
		snprintf(current, sizeof(current), "file %u of the corpus, by name", i + 1);
		LLVMFuzzerTestOneInput(samples[i].bytes, samples[i].size);
	}
	for (unsigned long i = 0; i < count; i++)
		mutate(i);
	printf("%u files and %lu mutations\n", sample_count, count);
	for (unsigned int i = 0; i < sample_count; i++)
		free(samples[i].bytes);
	return 0;
}
