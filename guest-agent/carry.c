// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Mounts below a tree, made by users (`mount /dev/vda ~/tree/mnt`), for commands with fresh trees.
 *
 * A mount's propagation is its parent's: below a fresh mount nothing spreads by itself, and what
 * was mounted below the standing one is hidden by it. So a command's child copies what is visible
 * below the trees into its namespace (carry_take, carry_in), and when the command has ended the
 * syncer compares: what is new there is copied into the agent's namespace, what is gone is
 * unmounted (carry_changes, carry_back). The list of what was carried in stands in a file in /run,
 * named after the namespace, only where there was something.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent.h"

#ifndef OPEN_TREE_CLONE
#define OPEN_TREE_CLONE 1
#endif
#ifndef MOVE_MOUNT_F_EMPTY_PATH
#define MOVE_MOUNT_F_EMPTY_PATH 4
#endif

static char mountinfo[128 * 1024];

static bool read_whole(int fd)
{
	size_t used = 0;
	ssize_t n;

	while ((n = pread(fd, mountinfo + used, sizeof(mountinfo) - 1 - used, (off_t) used)) > 0)
		used += (size_t) n;
	mountinfo[used] = '\0';
	return n == 0;
}

/* mountinfo and mounts write blanks, tabs, newlines and backslashes as \ooo (proc(5)). */
void mountinfo_unescape(char *s)
{
	char *out = s;

	for (; *s; s++, out++) {
		*out = *s;
		if (s[0] == '\\' && isdigit(s[1]) && isdigit(s[2]) && isdigit(s[3])) {
			*out = (char) ((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
			s += 3;
		}
	}
	*out = '\0';
}

static bool is_below_a_tree(const struct setup *s, const char *path)
{
	bool below = false;

	for (unsigned i = 0; i < s->n_trees; i++) {
		size_t n = strlen(s->trees[i].path);

		if (strcmp(path, s->trees[i].path) == 0)
			return false;
		below |= strncmp(path, s->trees[i].path, n) == 0 && path[n] == '/';
	}
	return below;
}

/* Not one that another mount hides. */
static bool is_visible(const char *path, uint64_t id)
{
	struct statx sx;

	return statx(AT_FDCWD, path, AT_NO_AUTOMOUNT | AT_SYMLINK_NOFOLLOW, STATX_MNT_ID, &sx) ==
		       0 &&
	       (sx.stx_mask & STATX_MNT_ID) && sx.stx_mnt_id == id;
}

/* Of the text in mountinfo: mounts below trees, outer ones first as the kernel lists them. */
static void list_below(const struct setup *s, bool visible, struct carry_list *list)
{
	char *rest = mountinfo;

	list->n = 0;
	while (rest && *rest && list->n < CARRY_MAX) {
		char *line = strsep(&rest, "\n"), *fields = line;
		const char *id = strsep(&fields, " ");
		char *path = NULL;

		for (int i = 0; i < 4 && fields; i++) /* parent, major:minor, root, mount point */
			path = strsep(&fields, " ");
		if (!path || !fields)
			continue;
		mountinfo_unescape(path);
		if (strlen(path) < sizeof(list->paths[0]) && is_below_a_tree(s, path) &&
		    (!visible || is_visible(path, strtoull(id, NULL, 10))))
			snprintf(list->paths[list->n++], sizeof(list->paths[0]), "%s", path);
	}
}

static bool list_now(const struct setup *s, struct carry_list *list)
{
	int fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
	bool ok = fd >= 0 && read_whole(fd);

	close_fd(&fd);
	list->n = 0;
	if (ok)
		list_below(s, true, list);
	return ok;
}

/* --- in the agent: cheap, and never into a tree ----------------------------------------------- */

void carry_look(struct agent *a)
{
	static struct carry_list list;
	struct pollfd p = {.events = POLLPRI};

	if (a->mountinfo < 0) {
		a->mountinfo = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
		a->carry = true;
	}
	p.fd = a->mountinfo;
	if (a->mountinfo >= 0 && poll(&p, 1, 0) > 0 && read_whole(a->mountinfo)) {
		list_below(&a->setup, false, &list);
		a->carry = list.n > 0;
	}
}

/* --- in a command's child --------------------------------------------------------------------- */

static void record_name(int ns, char *name, size_t size)
{
	struct stat st = {0};

	fstat(ns, &st);
	snprintf(name, size, "/run/.devvm-carried-%lu", (unsigned long) st.st_ino);
}

static int copy_mount(const char *path)
{
	return (int) syscall(SYS_open_tree, AT_FDCWD, path, OPEN_TREE_CLONE | O_CLOEXEC);
}

static bool attach_mount(int fd, const char *path)
{
	return syscall(SYS_move_mount, fd, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH) == 0;
}

void carry_take(const struct setup *s, struct carry_list *list)
{
	list_now(s, list);
	for (unsigned i = 0; i < list->n; i++)
		list->fds[i] = copy_mount(list->paths[i]);
}

void carry_in(struct carry_list *list, int ns)
{
	char name[64];
	int record;

	if (!list->n)
		return;
	record_name(ns, name, sizeof(name));
	record = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	for (unsigned i = 0; i < list->n; i++) {
		if (list->fds[i] < 0 || !attach_mount(list->fds[i], list->paths[i]))
			dprintf(2, "devvm: %s is not mounted for this command: %s\n",
				list->paths[i], strerror(errno));
		else if (record >= 0)
			dprintf(record, "%s%c", list->paths[i], 0);
		close_fd(&list->fds[i]);
	}
	close_fd(&record);
}

/* --- in the syncer ---------------------------------------------------------------------------- */

static bool in_list(const struct carry_list *list, const char *path)
{
	for (unsigned i = 0; i < list->n; i++)
		if (strcmp(list->paths[i], path) == 0)
			return true;
	return false;
}

static void read_record(int ns, struct carry_list *list)
{
	char name[64];
	int fd;

	list->n = 0;
	record_name(ns, name, sizeof(name));
	fd = open(name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	unlink(name);
	/* Names end with a NUL each, and the text with one more. */
	memset(mountinfo, 0, sizeof(mountinfo));
	read_whole(fd);
	close(fd);
	for (const char *p = mountinfo; *p && list->n < CARRY_MAX; p += strlen(p) + 1)
		snprintf(list->paths[list->n++], sizeof(list->paths[0]), "%.1023s", p);
}

void carry_changes(const struct setup *s, int ns, struct carry_list *come, struct carry_list *gone)
{
	static struct carry_list before;
	unsigned n = 0;

	read_record(ns, &before);
	gone->n = 0;
	if (!list_now(s, come))
		return;
	for (unsigned i = 0; i < before.n; i++)
		if (!in_list(come, before.paths[i]))
			memcpy(gone->paths[gone->n++], before.paths[i], sizeof(gone->paths[0]));
	for (unsigned i = 0; i < come->n; i++) {
		if (in_list(&before, come->paths[i]))
			continue;
		come->fds[n] = copy_mount(come->paths[i]);
		memmove(come->paths[n++], come->paths[i], sizeof(come->paths[0]));
	}
	come->n = n;
}

void carry_back(struct carry_list *come, const struct carry_list *gone)
{
	for (unsigned i = gone->n; i-- > 0;)
		if (umount2(gone->paths[i], 0) < 0)
			say_errno("cannot unmount %s", gone->paths[i]);
	for (unsigned i = 0; i < come->n; i++) {
		if (come->fds[i] < 0 || !attach_mount(come->fds[i], come->paths[i]))
			say_errno("the mount on %s ended with its command", come->paths[i]);
		close_fd(&come->fds[i]);
	}
}
