/* SPDX-License-Identifier: BSD-3-Clause */
#include "shell/interpose.h"

#include "shell/sock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define BEHIND_SUFFIX ".behind"
#define LOCK_SUFFIX   ".ferry"
#define NEW_SUFFIX    ".ferry-new"

static bool identify(const char *path, struct interpose_identity *identity)
{
	struct statx st;

	if (statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS | STATX_BTIME, &st) < 0 ||
	    !S_ISSOCK(st.stx_mode))
		return false;
	*identity = (struct interpose_identity){
	    .device = (unsigned long long)st.stx_dev_major << 32 | st.stx_dev_minor,
	    .inode = st.stx_ino,
	};
	if (st.stx_mask & STATX_BTIME)
		identity->born_ns =
		    (unsigned long long)st.stx_btime.tv_sec * 1000000000ull + st.stx_btime.tv_nsec;
	return true;
}

static bool is_own(const struct interpose *interpose)
{
	struct interpose_identity there;

	return identify(interpose->path, &there) && there.device == interpose->own.device &&
	       there.inode == interpose->own.inode && there.born_ns == interpose->own.born_ns;
}

static bool is_socket(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 && S_ISSOCK(st.st_mode);
}

static int take_lock(struct interpose *interpose, struct diag *diag)
{
	int fd = open(interpose->lock_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return diag_set(diag, -errno, "%s: can not make the lock file: %s",
				interpose->lock_path, strerror(errno));
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		int result = -errno;

		close(fd);
		return diag_set(diag, result,
				"%s: another vhost-ferry is interposed there: end it first",
				interpose->path);
	}
	interpose->lock = fd;
	return 0;
}

static void read_record(struct interpose *interpose)
{
	char text[96] = "";

	if (pread(interpose->lock, text, sizeof(text) - 1, 0) > 0)
		sscanf(text, "%llu %llu %llu", &interpose->own.device, &interpose->own.inode,
		       &interpose->own.born_ns);
}

static int write_record(struct interpose *interpose, struct diag *diag)
{
	char text[96];
	int n = snprintf(text, sizeof(text), "%llu %llu %llu\n", interpose->own.device,
			 interpose->own.inode, interpose->own.born_ns);

	if (ftruncate(interpose->lock, 0) == 0 && pwrite(interpose->lock, text, (size_t)n, 0) == n)
		return 0;
	return diag_set(diag, -EIO, "%s: can not be written: %s", interpose->lock_path,
			strerror(errno));
}

/*
 * After this the back-end is at `behind`. What a killed daemon left is told by
 * its record: its own socket at PATH means the back-end is behind already.
 */
static int find_backend(struct interpose *interpose, struct diag *diag)
{
	bool ours = is_own(interpose);

	if (ours && is_socket(interpose->behind))
		return 0;
	if (ours || !is_socket(interpose->path) || sock_is_deserted(interpose->path))
		return diag_set(diag, -ENOENT, "%s: no back-end listens there: start it first",
				interpose->path);
	unlink(interpose->behind);
	if (link(interpose->path, interpose->behind) == 0)
		return 0;
	return diag_set(diag, -errno, "%s: can not be made: %s", interpose->behind,
			strerror(errno));
}

static int take_place(struct interpose *interpose, const char *fresh, struct diag *diag)
{
	struct stat st;
	int fd, result;

	unlink(fresh);
	fd = sock_listen(fresh, 0600, diag);
	if (fd < 0)
		return fd;
	/* Who may connect stays as the back-end had it. */
	if (lstat(interpose->behind, &st) == 0 && chmod(fresh, st.st_mode & 0777) == 0)
		(void)!lchown(fresh, st.st_uid, st.st_gid);
	/* The record comes before the rename: dying between the two leaves PATH the back-end's. */
	if (identify(fresh, &interpose->own))
		result = write_record(interpose, diag);
	else
		result = diag_set(diag, -ENOENT, "%s: was removed by somebody else", fresh);
	if (!result && rename(fresh, interpose->path) < 0)
		result = diag_set(diag, -errno, "%s: can not be replaced: %s", interpose->path,
				  strerror(errno));
	if (!result)
		return fd;
	close(fd);
	unlink(fresh);
	return result;
}

int interpose_begin(struct interpose *interpose, const char *path, struct diag *diag)
{
	char fresh[PATH_MAX];
	int result;

	*interpose = (struct interpose){.lock = -1};
	if (strlen(path) + sizeof(NEW_SUFFIX) >= sizeof(fresh))
		return diag_set(diag, -ENAMETOOLONG, "%s: too long for a socket path", path);
	snprintf(interpose->path, sizeof(interpose->path), "%s", path);
	snprintf(interpose->behind, sizeof(interpose->behind), "%.*s" BEHIND_SUFFIX,
		 (int)strlen(path), path);
	snprintf(interpose->lock_path, sizeof(interpose->lock_path), "%.*s" LOCK_SUFFIX,
		 (int)strlen(path), path);
	snprintf(fresh, sizeof(fresh), "%.*s" NEW_SUFFIX, (int)strlen(path), path);
	result = take_lock(interpose, diag);
	if (result)
		return result;
	read_record(interpose);
	result = find_backend(interpose, diag);
	if (!result)
		result = take_place(interpose, fresh, diag);
	if (result < 0) {
		/* Either stale or a second name of what still stands at PATH. */
		if (!is_own(interpose))
			unlink(interpose->behind);
		unlink(interpose->lock_path);
		close(interpose->lock);
		interpose->lock = -1;
	}
	return result;
}

int interpose_again(struct interpose *interpose, struct diag *diag)
{
	char fresh[PATH_MAX + sizeof(NEW_SUFFIX)];
	int result;

	if (is_own(interpose))
		return 0;
	if (!is_socket(interpose->path) || sock_is_deserted(interpose->path))
		return -EAGAIN;
	snprintf(fresh, sizeof(fresh), "%s" NEW_SUFFIX, interpose->path);
	result = find_backend(interpose, diag);
	return result ? result : take_place(interpose, fresh, diag);
}

bool interpose_end(struct interpose *interpose, struct diag *diag)
{
	bool restored = true;

	if (interpose->lock < 0)
		return true;
	if (is_own(interpose)) {
		if (rename(interpose->behind, interpose->path) < 0) {
			diag_set(diag, -errno, "%s: can not be put back: %s", interpose->path,
				 strerror(errno));
			restored = false;
		}
	} else {
		diag_set(diag, 0, "%s: another socket stands there now, it is left alone",
			 interpose->path);
		unlink(interpose->behind);
		restored = false;
	}
	unlink(interpose->lock_path);
	close(interpose->lock);
	interpose->lock = -1;
	return restored;
}
