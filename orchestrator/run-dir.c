// SPDX-License-Identifier: GPL-2.0-or-later
#include "run-dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "util/error.h"
#include "util/paths.h"

#define SELF_END_MS 300		/* for the keeper to end by itself */
#define KEEPER_PATIENCE_MS 2000 /* then it is killed */
#define PID_RETRY_MS 10
#define PID_TRIES 100
#define MAX_DEPTH 16 /* of a folder to remove; ours are flat */

char *console_path(const Vm *vm, guint boot)
{
	g_autofree char *name =
		boot ? g_strdup_printf("console.%u.log", boot) : g_strdup("console.log");

	return g_build_filename(vm->data_dir, name, NULL);
}

static gboolean remove_below(int parent, const char *name, int depth)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	gboolean ok = dir != NULL && depth < MAX_DEPTH;
	struct dirent *e;

	while (ok && (e = readdir(dir))) {
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		if (unlinkat(fd, e->d_name, 0) == 0 || errno == ENOENT)
			continue;
		ok = errno == EISDIR && remove_below(fd, e->d_name, depth + 1);
	}
	if (dir)
		closedir(dir);
	return ok && unlinkat(parent, name, AT_REMOVEDIR) == 0;
}

gboolean remove_folder(const char *path, GError **error)
{
	struct stat st;

	if (lstat(path, &st) < 0 && errno == ENOENT)
		return TRUE;
	if (remove_below(AT_FDCWD, path, 0))
		return TRUE;
	return devvm_fail_errno(error, DEVVM_ERROR_FAILED, errno, "cannot remove %s", path);
}

/* 0: nobody holds the lock; -1: somebody who has not yet written who he is. */
static pid_t lock_holder_now(const char *path)
{
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	char text[32] = "";
	pid_t pid = 0;

	if (fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK) {
		pid = -1;
		if (pread(fd, text, sizeof(text) - 1, 0) > 0)
			pid = (pid_t) strtol(text, NULL, 10);
	}
	if (fd >= 0)
		close(fd);
	return pid > 1 || pid == 0 ? pid : -1;
}

/* A keeper writes its number right after it took the lock. */
static pid_t lock_holder(const char *path)
{
	pid_t pid = lock_holder_now(path);

	for (int i = 0; i < PID_TRIES && pid < 0; i++) {
		poll(NULL, 0, PID_RETRY_MS);
		pid = lock_holder_now(path);
	}
	return pid;
}

/* TRUE once the process is gone. */
static gboolean end_process(int pidfd, int signal_number, int timeout_ms)
{
	struct pollfd p = {.fd = pidfd, .events = POLLIN};

	syscall(SYS_pidfd_send_signal, pidfd, signal_number, NULL, 0);
	return poll(&p, 1, timeout_ms) > 0;
}

static gboolean end_keeper(const char *run_dir, GError **error)
{
	g_autofree char *lock = g_build_filename(run_dir, "keeper.lock", NULL);
	pid_t pid = lock_holder(lock);
	int pidfd = pid > 0 ? (int) syscall(SYS_pidfd_open, pid, 0) : -1;
	gboolean gone = pidfd < 0;

	/* The pid is only the keeper's if the lock is still held now that we hold a handle on it.
	 */
	if (pidfd >= 0 && lock_holder(lock) == pid)
		gone = end_process(pidfd, SIGTERM, KEEPER_PATIENCE_MS) ||
		       end_process(pidfd, SIGKILL, KEEPER_PATIENCE_MS);
	if (pidfd >= 0)
		close(pidfd);
	if (gone || !lock_holder(lock))
		return TRUE;
	return devvm_fail(error, DEVVM_ERROR_BUSY, "the keeper (process %d) does not end", pid);
}

/* A keeper that was killed left its NFS server to its successor; there will be none. */
static gboolean end_nfs_server(const char *run_dir, GError **error)
{
	g_autofree char *state = g_build_filename(run_dir, "nfs.state", NULL);
	g_autofree char *keeper = devvm_program("devvm-keeper");
	g_autofree char *words = NULL;
	const char *argv[] = {keeper, "--clean-up", run_dir, NULL};
	int status;

	if (!g_file_test(state, G_FILE_TEST_EXISTS))
		return TRUE;
	if (g_spawn_sync(NULL, (char **) argv, NULL, G_SPAWN_DEFAULT, NULL, NULL, NULL, &words,
			 &status, error) &&
	    g_spawn_check_wait_status(status, NULL))
		return TRUE;
	if (error && !*error)
		devvm_fail(error, DEVVM_ERROR_FAILED, "%s", g_strchomp(words));
	g_prefix_error(error, "cannot end the NFS server of the last run: ");
	return FALSE;
}

gboolean run_dir_clean(const char *run_dir, GError **error)
{
	static const char *const left[] = {"agent.sock",  "qmp.sock",	     "gdb.sock",
					   "keeper.sock", "keeper.sock.new", "boot.state",
					   "boot.times",  "keeper.lock",     "nfs.state",
					   "setup.done",  "gdb.session",     "symbols.json"};

	if (!end_keeper(run_dir, error) || !end_nfs_server(run_dir, error))
		return FALSE;
	for (gsize i = 0; i < G_N_ELEMENTS(left); i++) {
		g_autofree char *path = g_build_filename(run_dir, left[i], NULL);

		if (unlink(path) < 0 && errno != ENOENT && errno != ENOTDIR)
			return devvm_fail_errno(error, DEVVM_ERROR_FAILED, errno,
						"cannot remove %s", path);
	}
	return TRUE;
}
