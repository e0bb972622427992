// SPDX-License-Identifier: BSD-3-Clause
//
// gw blk, gw fs, gw blkread: blocks of a disk, or of a file on virtiofs.
//
// Each thread owns a region of the blocks and has one request in flight, so
// the number of threads is the queue depth. Beside it a memory region is
// checked and re-dirtied: a device that writes where it should not shows there.
// What was read back is kept a while and looked at again: a page that the device
// wrote and a migration left behind shows there.
#define _GNU_SOURCE // O_DIRECT
#include "gw.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	READ_BACK_EACH = 4, // one of so many writes is read back at once
	MEMORY_PAGES_A_SECOND = 1600,
	KEPT_A_THREAD = 64, // pages
};

// A page that the device wrote last.
struct kept {
	void *block;
	uint64_t which;
	uint32_t sequence; // 0: it did not yet
};

static struct {
	int fd;
	uint64_t blocks;
	uint32_t *sequences; // by block; 0: never written
	unsigned long threads;
	unsigned long sleep_us;

	struct kept *kept; // KEPT_A_THREAD for each thread

	char *memory;
	uint32_t *page_sequences;
	uint64_t pages;
} disk;

static void *aligned_block(void)
{
	void *block = NULL;

	return posix_memalign(&block, GW_BLOCK, GW_BLOCK) == 0 ? block : NULL;
}

static uint64_t random_below(uint64_t *state, uint64_t limit)
{
	*state = *state * 6364136223846793005ull + 1442695040888963407ull;
	return (*state >> 33) % limit;
}

static void took(uint64_t since)
{
	unsigned long time = gw_now_us() - since, longest = atomic_load(&gw_longest);

	while (time > longest && !atomic_compare_exchange_weak(&gw_longest, &longest, time))
		;
}

static bool transfer(bool is_write, void *block, uint64_t which)
{
	off_t offset = (off_t)(which * GW_BLOCK);
	uint64_t since = gw_now_us();
	ssize_t moved = is_write ? pwrite(disk.fd, block, GW_BLOCK, offset)
				 : pread(disk.fd, block, GW_BLOCK, offset);

	took(since);
	if (moved == GW_BLOCK)
		return true;
	gw_wrong("IOERROR %s block=%lu moved=%zd: %s", is_write ? "write" : "read",
		 (unsigned long)which, moved, moved < 0 ? strerror(errno) : "short");
	return false;
}

static void read_into(void *block, uint64_t which)
{
	if (!transfer(false, block, which))
		return;
	if (gw_check(block, GW_BLOCK, which, disk.sequences[which]))
		atomic_fetch_add(&gw_verified, 1);
	else
		gw_wrong("BADBLOCK block=%lu sequence=%u found block=%lu sequence=%lu",
			 (unsigned long)which, disk.sequences[which],
			 (unsigned long)*(uint64_t *)block, (unsigned long)gw_sequence(block));
}

static void read_back(void *block, uint64_t which)
{
	// Poison, so that a read that moves nothing cannot pass.
	memset(block, 0xa5, GW_BLOCK);
	read_into(block, which);
}

static void check_kept(const struct kept *kept)
{
	if (kept->sequence && !gw_check(kept->block, GW_BLOCK, kept->which, kept->sequence))
		gw_wrong("BADKEPT block=%lu sequence=%u found block=%lu sequence=%lu",
			 (unsigned long)kept->which, kept->sequence,
			 (unsigned long)*(uint64_t *)kept->block,
			 (unsigned long)gw_sequence(kept->block));
}

// Reads a block back into a page that is looked at again much later. The processor
// writes nothing there, so that a migration hears of the page from the device alone.
static void keep(struct kept *kept, uint64_t which)
{
	check_kept(kept);
	if (!kept->block)
		kept->block = aligned_block();
	if (!kept->block)
		return;
	kept->sequence = 0;
	read_into(kept->block, which);
	kept->which = which;
	kept->sequence = disk.sequences[which];
}

static void *write_main(void *argument)
{
	uint64_t thread = (uintptr_t)argument, random = thread + 1;
	uint64_t share = disk.blocks / disk.threads, first = thread * share;
	struct kept *kept = disk.kept + thread * KEPT_A_THREAD;
	void *block = aligned_block();
	uint64_t which;

	while (block && !atomic_load(&gw_stop)) {
		which = first + random_below(&random, share);
		gw_fill(block, GW_BLOCK, which, disk.sequences[which] + 1);
		if (!transfer(true, block, which))
			break;
		disk.sequences[which]++;
		atomic_fetch_add(&gw_done, 1);
		atomic_fetch_add(&gw_bytes, GW_BLOCK);
		if (random_below(&random, READ_BACK_EACH) == 0)
			keep(&kept[random_below(&random, KEPT_A_THREAD)], which);
		if (disk.sleep_us > 0)
			usleep((useconds_t)disk.sleep_us);
	}
	free(block);
	return NULL;
}

static void check_page(uint64_t page)
{
	if (!gw_check(disk.memory + page * GW_BLOCK, GW_BLOCK, page, disk.page_sequences[page]))
		gw_wrong("BADPAGE page=%lu sequence=%u", (unsigned long)page,
			 disk.page_sequences[page]);
}

static void fill_page(uint64_t page)
{
	gw_fill(disk.memory + page * GW_BLOCK, GW_BLOCK, page, ++disk.page_sequences[page]);
}

static void *memory_main(void *unused)
{
	uint64_t page = 0;

	(void)unused;
	while (!atomic_load(&gw_stop)) {
		for (int i = 0; i < MEMORY_PAGES_A_SECOND / 100; i++) {
			check_page(page);
			fill_page(page);
			page = (page + 1) % disk.pages;
		}
		usleep(10000);
	}
	return NULL;
}

static bool start_memory(unsigned long megabytes)
{
	if (megabytes == 0)
		return true;
	disk.pages = megabytes * (1024 * 1024 / GW_BLOCK);
	disk.page_sequences = calloc(disk.pages, sizeof(*disk.page_sequences));
	disk.memory = mmap(NULL, disk.pages * GW_BLOCK, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (!disk.page_sequences || disk.memory == MAP_FAILED) {
		gw_say("gw: no memory for %lu MB of checked pages", megabytes);
		return false;
	}
	for (uint64_t page = 0; page < disk.pages; page++)
		fill_page(page);
	return gw_thread(memory_main, NULL);
}

// Arguments after the path: MB MEM_MB THREADS [SLEEP_US].
static bool start_writing(int argc, char **argv)
{
	unsigned long megabytes = strtoul(argv[0], NULL, 10);

	disk.threads = strtoul(argv[2], NULL, 10);
	disk.sleep_us = argc > 3 ? strtoul(argv[3], NULL, 10) : 0;
	disk.blocks = megabytes * (1024 * 1024 / GW_BLOCK);
	if (disk.threads == 0 || disk.blocks < disk.threads) {
		gw_say("gw: %lu threads on %lu MB: give at least one of each", disk.threads,
		       megabytes);
		return false;
	}
	disk.sequences = calloc(disk.blocks, sizeof(*disk.sequences));
	disk.kept = calloc(disk.threads * KEPT_A_THREAD, sizeof(*disk.kept));
	if (!disk.sequences || !disk.kept || !start_memory(strtoul(argv[1], NULL, 10)))
		return false;
	for (uintptr_t i = 0; i < disk.threads; i++)
		if (!gw_thread(write_main, (void *)i))
			return false;
	return true;
}

static bool blk_start(int argc, char **argv)
{
	if (argc < 4) {
		gw_say("usage: gw blk %s", gw_blk.usage);
		return false;
	}
	disk.fd = open(argv[0], O_RDWR | O_DIRECT);
	if (disk.fd < 0) {
		gw_say("gw: %s: %s", argv[0], strerror(errno));
		return false;
	}
	return start_writing(argc - 1, argv + 1);
}

// All that was ever written, and all memory.
static bool blk_verify(void)
{
	void *block = aligned_block();

	if (!block)
		return false;
	if (fsync(disk.fd) != 0)
		gw_wrong("IOERROR fsync: %s", strerror(errno));
	for (uint64_t which = 0; which < disk.blocks; which++)
		if (disk.sequences[which] > 0)
			read_back(block, which);
	for (uint64_t page = 0; page < disk.pages; page++)
		check_page(page);
	for (unsigned long i = 0; i < disk.threads * KEPT_A_THREAD; i++)
		check_kept(&disk.kept[i]);
	free(block);
	return true;
}

static bool fs_start(int argc, char **argv)
{
	const char *path = "/mnt/gw.dat";
	unsigned long megabytes;

	if (argc < 4) {
		gw_say("usage: gw fs %s", gw_fs.usage);
		return false;
	}
	mkdir("/mnt", 0755);
	if (mount(argv[0], "/mnt", "virtiofs", 0, NULL) != 0) {
		gw_say("gw: mount of virtiofs tag %s: %s", argv[0], strerror(errno));
		return false;
	}
	disk.fd = open(path, O_RDWR | O_CREAT | O_DIRECT, 0644);
	megabytes = strtoul(argv[1], NULL, 10);
	if (disk.fd < 0 || ftruncate(disk.fd, (off_t)megabytes * 1024 * 1024) != 0) {
		gw_say("gw: %s: %s", path, strerror(errno));
		return false;
	}
	return start_writing(argc - 1, argv + 1);
}

// A disk filled by the host beforehand: every block of sequence 1.
static void *read_main(void *argument)
{
	uint64_t thread = (uintptr_t)argument;
	void *block = aligned_block();

	for (uint64_t which = thread; block && !atomic_load(&gw_stop);
	     which = (which + disk.threads) % disk.blocks) {
		read_back(block, which);
		atomic_fetch_add(&gw_done, 1);
		atomic_fetch_add(&gw_bytes, GW_BLOCK);
		if (atomic_load(&gw_bad) > 0)
			break;
	}
	free(block);
	return NULL;
}

static bool blkread_start(int argc, char **argv)
{
	if (argc < 3) {
		gw_say("usage: gw blkread %s", gw_blkread.usage);
		return false;
	}
	disk.fd = open(argv[0], O_RDONLY | O_DIRECT);
	disk.blocks = strtoul(argv[1], NULL, 10) * (1024 * 1024 / GW_BLOCK);
	disk.threads = strtoul(argv[2], NULL, 10);
	if (disk.fd < 0 || disk.blocks == 0 || disk.threads == 0) {
		gw_say("gw: %s, %s MB, %s threads: %s", argv[0], argv[1], argv[2],
		       disk.fd < 0 ? strerror(errno) : "must not be 0");
		return false;
	}
	disk.sequences = calloc(disk.blocks, sizeof(*disk.sequences));
	for (uint64_t which = 0; disk.sequences && which < disk.blocks; which++)
		disk.sequences[which] = 1;
	for (uintptr_t i = 0; disk.sequences && i < disk.threads; i++)
		if (!gw_thread(read_main, (void *)i))
			return false;
	return disk.sequences != NULL;
}

static bool blkread_verify(void)
{
	void *block = aligned_block();

	for (uint64_t which = 0; block && which < disk.blocks; which++)
		read_back(block, which);
	free(block);
	return block != NULL;
}

const struct gw_work gw_blk = {
    "blk",
    "PATH MB MEM_MB THREADS [SLEEP_US]",
    blk_start,
    blk_verify,
};
const struct gw_work gw_fs = {
    "fs",
    "TAG MB MEM_MB THREADS [SLEEP_US]",
    fs_start,
    blk_verify,
};
const struct gw_work gw_blkread = {
    "blkread",
    "PATH MB THREADS",
    blkread_start,
    blkread_verify,
};
