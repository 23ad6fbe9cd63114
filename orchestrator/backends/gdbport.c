// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Theory of operation
 * -------------------
 * Nothing here trusts the folder: any user may put any thing under any name there. So
 *  - a new file is written under a name of its own, flocked, then linked to devvm-gdb-PORT: link(2)
 *    fails when the name is taken by anything, and nobody ever sees half a file of ours;
 *  - an existing name is opened with O_NOFOLLOW, and it is ours only when it is a regular file that
 *    we own. Everything else is somebody's, and left alone: the port is taken.
 *  - our own file is changed or removed only under its flock, after a look whether the name still
 *    leads to the same inode; so two processes that both found the same leftover cannot both take
 *    it. It is rewritten in place: killed in the middle, it is a leftover again.
 * A leftover is a file of ours that nobody has flocked, and which is half written, or names a VM of
 * our scope that libvirt does not know.
 */
#include "gdbport.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../util/error.h"

#define PREFIX "devvm-gdb-"
#define TEMP_PREFIX "devvm-gdb-new-"
#define MAX_TEXT 4096
#define MAX_TRIES 100 /* a name that changes under us: somebody works on it; not for ever */

/* How trying for one port ended. */
typedef enum { TAKEN, HELD, BROKEN } Attempt;

static guint first_port(const GdbPortOwner *owner)
{
	return owner->first ? owner->first : GDBPORT_FIRST;
}

static guint last_port(const GdbPortOwner *owner)
{
	return first_port(owner) + GDBPORT_COUNT - 1;
}

static const char *common_folder(void)
{
	static const char *const folders[] = {"/run/lock", "/var/lock", "/tmp"};

	for (gsize i = 0; i < G_N_ELEMENTS(folders); i++) {
		struct stat st;

		if (stat(folders[i], &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == 0 &&
		    (st.st_mode & S_ISVTX) && (st.st_mode & S_IWOTH))
			return folders[i];
	}
	return NULL;
}

static int open_folder(const GdbPortOwner *owner, GError **error)
{
	const char *path = owner->folder ? owner->folder : common_folder();
	int fd;

	if (!path) {
		devvm_fail(error, DEVVM_ERROR_HOST,
			   "neither /run/lock nor /tmp is a folder of root's with mode 1777, where "
			   "gdb ports can be shared out: `sudo chmod 1777 /tmp`");
		return -1;
	}
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		devvm_fail_errno(error, DEVVM_ERROR_HOST, errno, "cannot open %s", path);
	return fd;
}

static char *text_for(const GdbPortOwner *owner)
{
	const struct passwd *pw = getpwuid(geteuid());

	return g_strdup_printf("uid=%u\nuser=%s\nvm=%s\nuuid=%s\nscope=%s\n.\n", geteuid(),
			       pw ? pw->pw_name : "?", owner->vm, owner->uuid, owner->scope);
}

/* The value of a line "key=…" of a whole file (one that ends in "."); NULL: none. */
static char *value_of(const char *text, const char *key)
{
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
	gsize n = strlen(key);

	if (!g_str_has_suffix(text, "\n.\n"))
		return NULL;
	for (gsize i = 0; lines[i]; i++)
		if (!strncmp(lines[i], key, n) && lines[i][n] == '=')
			return g_utf8_make_valid(lines[i] + n + 1, -1);
	return NULL;
}

static char *read_text(int fd)
{
	char buffer[MAX_TEXT + 1];
	ssize_t n = pread(fd, buffer, MAX_TEXT, 0);

	buffer[n > 0 ? n : 0] = '\0';
	return g_strdup(buffer);
}

static gboolean write_text(int fd, const char *text)
{
	return ftruncate(fd, 0) == 0 && pwrite(fd, text, strlen(text), 0) == (ssize_t) strlen(text);
}

static gboolean same_file(int folder, const char *name, int fd)
{
	struct stat a, b;

	return fstat(fd, &a) == 0 && fstatat(folder, name, &b, AT_SYMLINK_NOFOLLOW) == 0 &&
	       a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

/* Who owns the name, for people. */
static char *holder_name(int folder, const char *name)
{
	struct stat st;
	const struct passwd *pw;

	if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return g_strdup("somebody who has just left");
	pw = getpwuid(st.st_uid);
	if (!pw)
		return g_strdup_printf("the user with uid %u", st.st_uid);
	return g_strdup_printf("a VM of the user %s", pw->pw_name);
}

/* Temporary files that processes of ours left when they were killed. */
static void sweep(int folder)
{
	int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	while (dir && (e = readdir(dir))) {
		struct stat st;
		unsigned uid, pid;

		if (sscanf(e->d_name, TEMP_PREFIX "%u-%u-", &uid, &pid) == 2 && uid == geteuid() &&
		    pid > 1 && kill((pid_t) pid, 0) < 0 && errno == ESRCH &&
		    fstatat(folder, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_uid == uid)
			unlinkat(folder, e->d_name, 0);
	}
	if (dir)
		closedir(dir);
}

/* A new file with our text, flocked; the name it has for now goes to *name. */
static int make_temp(int folder, const GdbPortOwner *owner, char **name, GError **error)
{
	g_autofree char *text = text_for(owner);
	int fd;

	sweep(folder);
	*name = g_strdup_printf(TEMP_PREFIX "%u-%u-%08x", geteuid(), (unsigned) getpid(),
				g_random_int());
	fd = openat(folder, *name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0 && fchmod(fd, 0644) == 0 &&
	    write_text(fd, text))
		return fd;
	devvm_fail_errno(error, DEVVM_ERROR_FAILED, errno, "cannot write a lock for the gdb port");
	if (fd >= 0) {
		unlinkat(folder, *name, 0);
		close(fd);
	}
	g_clear_pointer(name, g_free);
	return -1;
}

static gboolean is_ours_now(const GdbPortOwner *owner, const char *text, char **holder)
{
	g_autofree char *uuid = value_of(text, "uuid");
	g_autofree char *scope = value_of(text, "scope");
	g_autofree char *vm = value_of(text, "vm");

	if (!uuid || !scope || !strcmp(uuid, owner->uuid))
		return TRUE;
	if (!strcmp(scope, owner->scope) && !owner->exists(uuid, owner->data))
		return TRUE;
	*holder = g_strdup_printf("your VM %s", vm);
	return FALSE;
}

/* The name exists: takes it over when it is ours, or a leftover of ours. -2: look again. */
static int take_existing(int folder, const char *name, const GdbPortOwner *owner, char **holder)
{
	int fd = openat(folder, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	g_autofree char *text = NULL, *wanted = text_for(owner);
	struct stat st;

	if (fd < 0) {
		if (errno == ENOENT)
			return -2;
		*holder = holder_name(folder, name);
		return -1;
	}
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_uid != geteuid()) {
		*holder = holder_name(folder, name);
	} else if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		*holder = g_strdup("a VM of yours that is just coming up");
	} else if (!same_file(folder, name, fd)) {
		close(fd);
		return -2;
	} else {
		text = read_text(fd);
		if (is_ours_now(owner, text, holder) &&
		    (!strcmp(text, wanted) || write_text(fd, wanted)))
			return fd;
	}
	if (!*holder)
		*holder = g_strdup("a lock file that cannot be written");
	close(fd);
	return -1;
}

/* Nobody else may be listening there, now at least. */
static gboolean can_bind(guint port)
{
	const struct sockaddr_in address = {.sin_family = AF_INET,
					    .sin_port = htons((guint16) port),
					    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int on = 1;
	gboolean ok;

	/* A connection that has just ended (TIME_WAIT) is no stranger. */
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	ok = fd >= 0 && bind(fd, (const struct sockaddr *) &address, sizeof(address)) == 0 &&
	     listen(fd, 1) == 0;
	if (fd >= 0)
		close(fd);
	return ok;
}

static Attempt attempt(int folder, guint port, const GdbPortOwner *owner, gboolean probe, int *hold,
		       char **holder, GError **error)
{
	g_autofree char *name = g_strdup_printf(PREFIX "%u", port);
	g_autofree char *temp = NULL;
	int fd = -2;

	for (int i = 0; i < MAX_TRIES && fd == -2; i++) {
		int made = make_temp(folder, owner, &temp, error);
		gboolean linked;

		if (made < 0)
			return BROKEN;
		linked = linkat(folder, temp, folder, name, 0) == 0;
		unlinkat(folder, temp, 0);
		g_clear_pointer(&temp, g_free);
		if (linked) {
			fd = made;
		} else {
			close(made);
			fd = take_existing(folder, name, owner, holder);
		}
	}
	if (fd < 0)
		return HELD;
	if (probe && !can_bind(port)) {
		*holder = gdbport_listener(port);
		if (!*holder)
			*holder = g_strdup("somebody");
		unlinkat(folder, name, 0);
		close(fd);
		return HELD;
	}
	*hold = fd;
	return TAKEN;
}

static gboolean is_among(const GArray *ports, guint port)
{
	for (guint i = 0; ports && i < ports->len; i++)
		if (g_array_index(ports, guint, i) == port)
			return TRUE;
	return FALSE;
}

guint gdbport_reserve(const GdbPortOwner *owner, guint wanted, const GArray *avoid, gboolean probe,
		      int *hold, char **note, GError **error)
{
	int folder = open_folder(owner, error);
	g_autofree char *holder = NULL;
	guint got = 0;
	Attempt how = HELD;

	*note = NULL;
	*hold = -1;
	if (folder < 0)
		return 0;
	if (wanted) {
		how = attempt(folder, wanted, owner, probe, hold, &holder, error);
		got = how == TAKEN ? wanted : 0;
		if (how == HELD)
			*note = g_strdup_printf("port %u is held by %s", wanted, holder);
	}
	for (guint port = first_port(owner); how == HELD && port <= last_port(owner); port++) {
		if (port == wanted || is_among(avoid, port))
			continue;
		g_clear_pointer(&holder, g_free);
		how = attempt(folder, port, owner, TRUE, hold, &holder, error);
		got = how == TAKEN ? port : 0;
	}
	if (how == HELD)
		devvm_fail(error, DEVVM_ERROR_BUSY,
			   "all gdb ports from %u to %u are taken: remove VMs (`devvm ls`), or use "
			   "gdb = unix",
			   first_port(owner), last_port(owner));
	close(folder);
	return got;
}

/* An fd, flocked, of the name when it is a file of ours that says it is the VM's; else -1. */
static int open_own(int folder, const char *name, const GdbPortOwner *owner)
{
	int fd = openat(folder, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	g_autofree char *text = NULL, *vm = NULL, *scope = NULL;
	struct stat st;

	if (fd < 0)
		return -1;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid() &&
	    flock(fd, LOCK_EX | LOCK_NB) == 0 && same_file(folder, name, fd)) {
		text = read_text(fd);
		vm = value_of(text, "vm");
		scope = value_of(text, "scope");
		if (!g_strcmp0(vm, owner->vm) && !g_strcmp0(scope, owner->scope))
			return fd;
	}
	close(fd);
	return -1;
}

guint gdbport_find(const GdbPortOwner *owner)
{
	int folder = open_folder(owner, NULL);
	guint found = 0;

	for (guint port = first_port(owner); folder >= 0 && !found && port <= last_port(owner);
	     port++) {
		g_autofree char *name = g_strdup_printf(PREFIX "%u", port);
		int fd = open_own(folder, name, owner);

		if (fd < 0)
			continue;
		found = port;
		close(fd);
	}
	if (folder >= 0)
		close(folder);
	return found;
}

gboolean gdbport_release(const GdbPortOwner *owner, GError **error)
{
	int folder = open_folder(owner, error);
	gboolean ok = folder >= 0;

	if (ok)
		sweep(folder);
	for (guint port = first_port(owner); ok && port <= last_port(owner); port++) {
		g_autofree char *name = g_strdup_printf(PREFIX "%u", port);
		int fd = open_own(folder, name, owner);

		if (fd < 0)
			continue;
		if (unlinkat(folder, name, 0) < 0)
			ok = devvm_fail_errno(error, DEVVM_ERROR_FAILED, errno,
					      "cannot free the gdb port %u", port);
		close(fd);
	}
	if (folder >= 0)
		close(folder);
	return ok;
}

/* --- who listens ------------------------------------------------------------------------------ */

/* The process that has the socket open, as far as we may look. */
static char *process_with(guint64 inode)
{
	g_autofree char *wanted = g_strdup_printf("socket:[%" G_GUINT64_FORMAT "]", inode);
	g_autoptr(GDir) proc = g_dir_open("/proc", 0, NULL);
	const char *pid;

	while (proc && (pid = g_dir_read_name(proc))) {
		g_autofree char *fds = g_build_filename("/proc", pid, "fd", NULL);
		g_autofree char *comm_path = g_build_filename("/proc", pid, "comm", NULL);
		g_autoptr(GDir) dir = NULL;
		const char *fd;

		if (!g_ascii_isdigit(pid[0]))
			continue;
		dir = g_dir_open(fds, 0, NULL);
		while (dir && (fd = g_dir_read_name(dir))) {
			g_autofree char *path = g_build_filename(fds, fd, NULL);
			g_autofree char *target = g_file_read_link(path, NULL);
			g_autofree char *comm = NULL;

			if (g_strcmp0(target, wanted) ||
			    !g_file_get_contents(comm_path, &comm, NULL, NULL))
				continue;
			return g_strdup_printf("the process %s (%s)", pid, g_strchomp(comm));
		}
	}
	return NULL;
}

static char *listener_in(const char *table, guint port)
{
	g_autofree char *text = NULL;
	g_auto(GStrv) lines = NULL;

	if (!g_file_get_contents(table, &text, NULL, NULL))
		return NULL;
	lines = g_strsplit(text, "\n", -1);
	for (gsize i = 1; lines[0] && lines[i]; i++) {
		unsigned local, state, uid;
		unsigned long long inode;
		const struct passwd *pw;
		char *process;

		if (sscanf(lines[i],
			   " %*d: %*[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x %*s %*s %*s %u %*d %llu",
			   &local, &state, &uid, &inode) != 4 ||
		    local != port || state != 0x0a)
			continue;
		process = process_with(inode);
		if (process)
			return process;
		pw = getpwuid(uid);
		return pw ? g_strdup_printf("the user %s", pw->pw_name)
			  : g_strdup_printf("the user with uid %u", uid);
	}
	return NULL;
}

char *gdbport_listener(guint port)
{
	char *who = listener_in("/proc/net/tcp", port);

	return who ? who : listener_in("/proc/net/tcp6", port);
}
