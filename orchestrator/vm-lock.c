// SPDX-License-Identifier: GPL-2.0-or-later
#include "vm-lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/error.h"
#include "util/paths.h"

#define MAX_TRIES 100 /* how often the file may be removed while we wait for it */

static void say_who(const VmLock *lock, const char *name)
{
	char pid[32] = "";
	ssize_t n = pread(lock->fd, pid, sizeof(pid) - 1, 0);

	pid[n > 0 ? n : 0] = '\0';
	fprintf(stderr, "devvm: waiting for another devvm that works on %s (process %s)\n", name,
		*pid ? g_strchomp(pid) : "?");
}

/* Somebody who removes the VM removes the file too: then ours is not the one under that name. */
static gboolean still_there(const VmLock *lock)
{
	struct stat a, b;

	return fstat(lock->fd, &a) == 0 && lstat(lock->path, &b) == 0 && a.st_dev == b.st_dev &&
	       a.st_ino == b.st_ino;
}

static gboolean take(VmLock *lock, const char *name, gboolean *said, GError **error)
{
	lock->fd = open(lock->path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (lock->fd < 0)
		return devvm_fail_errno(error, DEVVM_ERROR_FAILED, errno, "cannot open %s",
					lock->path);
	if (flock(lock->fd, LOCK_EX | LOCK_NB) == 0)
		return TRUE;
	if (!*said)
		say_who(lock, name);
	*said = TRUE;
	while (flock(lock->fd, LOCK_EX) < 0)
		if (errno != EINTR)
			return devvm_fail_errno(error, DEVVM_ERROR_FAILED, errno, "cannot lock %s",
						lock->path);
	return TRUE;
}

VmLock *vm_lock(const char *name, gboolean quiet, GError **error)
{
	g_autofree char *run_dir = devvm_run_dir(name);
	g_autofree char *parent = g_path_get_dirname(run_dir);
	g_autofree char *file = g_strdup_printf(".%s.lock", name);
	g_autoptr(VmLock) lock = g_new0(VmLock, 1);
	gboolean said = quiet;

	lock->fd = -1;
	lock->path = g_build_filename(parent, file, NULL);
	for (int i = 0; i < MAX_TRIES; i++) {
		g_autofree char *pid = NULL;

		if (!devvm_make_private_dir(parent, error) || !take(lock, name, &said, error))
			return NULL;
		if (still_there(lock)) {
			pid = g_strdup_printf("%d\n", (int) getpid());
			if (ftruncate(lock->fd, 0) == 0)
				(void) !pwrite(lock->fd, pid, strlen(pid), 0);
			return g_steal_pointer(&lock);
		}
		close(lock->fd);
		lock->fd = -1;
	}
	devvm_fail(error, DEVVM_ERROR_BUSY,
		   "other devvm commands work on %s all the time: try again later", name);
	return NULL;
}

void vm_lock_remove(VmLock *lock)
{
	g_autofree char *parent = g_path_get_dirname(lock->path);

	unlink(lock->path);
	rmdir(parent); /* only when it was the last */
}

void vm_unlock(VmLock *lock)
{
	if (!lock)
		return;
	if (lock->fd >= 0)
		close(lock->fd);
	g_free(lock->path);
	g_free(lock);
}
