/* SPDX-License-Identifier: BSD-3-Clause */
#include "probe/host.h"

#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define SYSCTL "/proc/sys/vm/unprivileged_userfaultfd"
#define DEVICE "/dev/userfaultfd"

/* From the command line: comm is cut after 15 bytes. */
void host_process_name(pid_t pid, char *name, size_t size)
{
	char path[64], line[4096];
	size_t got;
	FILE *file;

	name[0] = '\0';
	snprintf(path, sizeof(path), "/proc/%d/cmdline", pid);
	file = fopen(path, "re");
	if (!file)
		return;
	got = fread(line, 1, sizeof(line) - 1, file);
	fclose(file);
	line[got] = '\0';
	snprintf(name, size, "%s", basename(line));
}

static int read_sysctl(void)
{
	FILE *file = fopen(SYSCTL, "re");
	int value = -1;

	if (!file)
		return -1;
	if (fscanf(file, "%d", &value) != 1)
		value = -1;
	fclose(file);
	return value > 0 ? 1 : value;
}

struct owner {
	int known;
	unsigned long long capabilities;
	unsigned int uid;
	unsigned int gid;
};

static struct owner read_owner(pid_t pid)
{
	struct owner owner = {.known = 0};
	char path[64], line[256];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	file = pid > 0 ? fopen(path, "re") : NULL;
	if (!file)
		return owner;
	/* The effective ids and capabilities: those that decide. */
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "CapEff: %llx", &owner.capabilities) == 1)
			owner.known = 1;
		sscanf(line, "Uid: %*u %u", &owner.uid);
		sscanf(line, "Gid: %*u %u", &owner.gid);
	}
	fclose(file);
	return owner;
}

static int may_open(const struct owner *owner)
{
	const mode_t both = S_IROTH | S_IWOTH;
	struct stat st;

	if (stat(DEVICE, &st) < 0)
		return 0;
	if (!owner->known)
		return -1;
	if (owner->capabilities & (1ull << CAP_DAC_OVERRIDE))
		return 1;
	if (owner->uid == st.st_uid)
		return (st.st_mode & (both << 6)) == both << 6;
	if (owner->gid == st.st_gid)
		return (st.st_mode & (both << 3)) == both << 3;
	return (st.st_mode & both) == both;
}

void host_userfaultfd(pid_t pid, struct verdict_host *host)
{
	struct owner owner = read_owner(pid);

	host->sysctl = read_sysctl();
	host->capability = owner.known ? (int)(owner.capabilities >> CAP_SYS_PTRACE & 1) : -1;
	host->device = may_open(&owner);
}
