// SPDX-License-Identifier: GPL-2.0-or-later
/* The guest's mounts below its root: the kernel's file systems, tmpfs, trees over NFS. */
#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent.h"

#define QUIET_FLAGS (MS_NOSUID | MS_NODEV | MS_NOEXEC)

/* A long-lived shell works on the standing mount: host edits are seen after at most a second. */
#define STANDING_OPTIONS "actimeo=1"
/*
 * A command's own mount: begins with nothing cached, so it sees all that was on the host before
 * it, and then trusts its attributes. nosharecache: an own superblock, however many others exist.
 */
#define FRESH_OPTIONS "nosharecache,actimeo=3600"

static const struct {
	const char *type, *where;
	unsigned long flags;
	const char *options;
} kernel_mounts[] = {
	{"tmpfs", "/tmp", MS_NOSUID | MS_NODEV, "mode=1777"},
	{"tmpfs", "/run", MS_NOSUID | MS_NODEV, "mode=0755"},
	{"devpts", "/dev/pts", MS_NOSUID | MS_NOEXEC, "gid=5,mode=620,ptmxmode=666"},
	{"tmpfs", "/dev/shm", MS_NOSUID | MS_NODEV, "mode=1777"},
	{"mqueue", "/dev/mqueue", QUIET_FLAGS, NULL},
	{"debugfs", "/sys/kernel/debug", QUIET_FLAGS, NULL},
	{"tracefs", "/sys/kernel/tracing", QUIET_FLAGS, NULL},
	{"securityfs", "/sys/kernel/security", QUIET_FLAGS, NULL},
	{"cgroup2", "/sys/fs/cgroup", QUIET_FLAGS, "nsdelegate"},
};

void mounts_kernel(void)
{
	for (size_t i = 0; i < sizeof(kernel_mounts) / sizeof(kernel_mounts[0]); i++) {
		const char *where = kernel_mounts[i].where;

		if (where[1] != 's') /* sysfs has its mount points or has not */
			mkdir(where, 0755);
		if (mount(kernel_mounts[i].type, where, kernel_mounts[i].type,
			  kernel_mounts[i].flags, kernel_mounts[i].options) < 0 &&
		    errno != ENODEV && errno != ENOENT)
			dprintf(2, "devvm: cannot mount %s in the guest: %s\n", where,
				strerror(errno));
	}
	mkdir("/run/lock", 0755);
	mkdir("/run/user", 0755);
}

bool mount_nfs(const struct setup *s, const char *export_name, const char *where,
	       const char *options, unsigned long flags, struct step_error *e)
{
	char source[512], data[512];

	snprintf(source, sizeof(source), "%s:/%s/%s", s->nfs_server, s->nfs_token, export_name);
	snprintf(data, sizeof(data),
		 "vers=3,proto=tcp,nolock,hard,noresvport,port=%u,mountport=%u,mountproto=tcp,"
		 "mountvers=3,noacl,addr=%s,%s",
		 s->nfs_port, s->nfs_port, s->nfs_server, options);
	if (mount(source, where, "nfs", flags, data) < 0)
		return step_fail(e, "cannot mount the host's export \"%s\" on %s over NFS",
				 export_name, where);
	return true;
}

bool mounts_tree(const struct setup *s, const struct setup_tree *tree, bool fresh,
		 struct step_error *e)
{
	if (fresh)
		return mount_nfs(s, tree->export_name, tree->path, FRESH_OPTIONS, 0, e);
	if (!make_parents(tree->path) || (mkdir(tree->path, 0755) < 0 && errno != EEXIST))
		return step_fail(e, "cannot make the folder %s in the guest", tree->path);
	if (!mount_nfs(s, tree->export_name, tree->path, STANDING_OPTIONS, 0, e))
		return false;
	/* Fresh mounts are stacked on it, each in a namespace of its own: that must not spread. */
	if (mount(NULL, tree->path, NULL, MS_PRIVATE, NULL) < 0)
		return step_fail(e, "cannot make the mount of %s private", tree->path);
	return true;
}
