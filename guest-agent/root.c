// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The guest's root: the host's, read-only over NFS, under an overlay whose upper layer is a tmpfs;
 * then the switch to it. Files that must differ from the host's are written into the upper layer
 * before the overlay is mounted: no copy-up over NFS.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "agent.h"

#define LAYERS "/devvm-layers"
#define NEW_ROOT "/devvm-root"
/*
 * The host's own programs change seldom: attributes for a minute, no check at every open. A package
 * upgraded on the host is seen within that minute.
 */
#define ROOT_OPTIONS "nocto,actimeo=60"

bool step_fail(struct step_error *e, const char *format, ...)
{
	int error = errno;
	char text[200];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	snprintf(e->text, sizeof(e->text), "%s: %s", text, strerror(error));
	e->error = error;
	return false;
}

static bool put_text(int dir, const char *name, const char *text)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t) strlen(text);

	close_fd(&fd);
	return ok;
}

static bool put_etc(int upper, const struct setup *s)
{
	const char *name = s->hostname ? s->hostname : "devvm";
	char hostname[80], hosts[400], resolv[80];
	bool ok;
	int etc;

	snprintf(hostname, sizeof(hostname), "%s\n", name);
	snprintf(hosts, sizeof(hosts), "127.0.0.1\tlocalhost\n127.0.1.1\t%s\n::1\tlocalhost\n",
		 name);
	snprintf(resolv, sizeof(resolv), "nameserver %s\n", s->net_dns ? s->net_dns : "10.0.2.3");
	if (mkdirat(upper, "etc", 0755) < 0)
		return false;
	etc = openat(upper, "etc", O_DIRECTORY | O_CLOEXEC);
	ok = etc >= 0 && put_text(etc, "hostname", hostname) && put_text(etc, "hosts", hosts) &&
	     put_text(etc, "resolv.conf", resolv) &&
	     put_text(etc, "fstab", "# The guest's mounts are devvm-agent's.\n") &&
	     symlinkat("/proc/self/mounts", etc, "mtab") == 0;
	close_fd(&etc);
	return ok;
}

/* What the host's export has not. */
static bool put_skeleton(const struct setup *s)
{
	static const struct {
		const char *path;
		mode_t mode;
	} dirs[] = {{"dev", 0755},	 {"proc", 0755},       {"sys", 0755},
		    {"run", 0755},	 {"tmp", 01777},       {"root", 0700},
		    {"home", 0755},	 {"mnt", 0755},	       {"media", 0755},
		    {"srv", 0755},	 {"var", 0755},	       {"var/lib", 0755},
		    {"var/log", 0755},	 {"var/cache", 0755},  {"var/tmp", 01777},
		    {"var/spool", 0755}, {"var/lib/nfs", 0755}};
	int upper = open(LAYERS "/upper", O_DIRECTORY | O_CLOEXEC);
	bool ok = upper >= 0;

	for (size_t i = 0; ok && i < sizeof(dirs) / sizeof(dirs[0]); i++)
		ok = mkdirat(upper, dirs[i].path, dirs[i].mode) == 0 &&
		     (!(dirs[i].mode & 01000) ||
		      fchmodat(upper, dirs[i].path, dirs[i].mode, 0) == 0);
	ok = ok && symlinkat("/run", upper, "var/run") == 0 &&
	     symlinkat("/run/lock", upper, "var/lock") == 0 && put_etc(upper, s);
	close_fd(&upper);
	return ok;
}

/* Programs and libraries are read whole, and a round trip costs more than a megabyte. */
static void read_ahead(const char *mounted)
{
	char path[80];
	struct stat st;

	if (stat(mounted, &st) < 0)
		return;
	snprintf(path, sizeof(path), "/sys/class/bdi/%u:%u/read_ahead_kb", major(st.st_dev),
		 minor(st.st_dev));
	write_file(path, "1024");
}

static bool mount_layers(const struct setup *s, struct step_error *e)
{
	mkdir(LAYERS, 0700);
	mkdir(NEW_ROOT, 0755);
	if (mount("devvm", LAYERS, "tmpfs", 0, "mode=0755") < 0)
		return step_fail(e, "cannot mount a tmpfs for the guest's root");
	if (mkdir(LAYERS "/upper", 0755) < 0 || mkdir(LAYERS "/work", 0755) < 0 ||
	    mkdir(LAYERS "/lower", 0755) < 0 || !put_skeleton(s))
		return step_fail(e, "cannot fill the guest's root");
	if (!mount_nfs(s, s->root_export, LAYERS "/lower", ROOT_OPTIONS, MS_RDONLY, e))
		return false;
	read_ahead(LAYERS "/lower");
	if (mount("devvm-root", NEW_ROOT, "overlay", 0,
		  "lowerdir=" LAYERS "/lower,upperdir=" LAYERS "/upper,workdir=" LAYERS
		  "/work,redirect_dir=on,index=off,xino=off") < 0)
		return step_fail(e, "cannot mount the overlay of the guest's root");
	return true;
}

/* A failed try leaves nothing, so that SETUP can be asked for again. */
static void undo_layers(void)
{
	umount2(NEW_ROOT, MNT_DETACH);
	umount2(LAYERS "/lower", MNT_DETACH);
	umount2(LAYERS, MNT_DETACH);
}

/* Gives the initramfs's memory back; `dir` is closed. Never crosses into another file system. */
static void remove_below(int dir, dev_t device, int depth)
{
	DIR *d = fdopendir(dir);
	struct dirent *entry;

	while (d && (entry = readdir(d))) {
		struct stat st;

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
		    fstatat(dir, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		    st.st_dev != device)
			continue;
		if (S_ISDIR(st.st_mode) && depth < 8) {
			int below =
				openat(dir, entry->d_name, O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

			if (below >= 0)
				remove_below(below, device, depth + 1);
		}
		unlinkat(dir, entry->d_name, S_ISDIR(st.st_mode) ? AT_REMOVEDIR : 0);
	}
	if (d)
		closedir(d);
}

static bool move_into_root(struct step_error *e)
{
	static const char *const moved[] = {"/dev", "/proc", "/sys"};

	for (size_t i = 0; i < sizeof(moved) / sizeof(moved[0]); i++) {
		char to[64];

		snprintf(to, sizeof(to), NEW_ROOT "%s", moved[i]);
		if (mount(moved[i], to, NULL, MS_MOVE, NULL) < 0)
			return step_fail(e, "cannot move %s into the guest's root", moved[i]);
	}
	if (chdir(NEW_ROOT) < 0 || mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0 ||
	    chdir("/") < 0)
		return step_fail(e, "cannot switch to the guest's root");
	/* Whatever a command mounts, all others see: fresh.c. */
	if (mount(NULL, "/", NULL, MS_REC | MS_SHARED, NULL) < 0)
		return step_fail(e, "cannot share the guest's mounts");
	return true;
}

bool root_switch(const struct setup *s, struct step_error *e)
{
	struct stat st;
	int old;

	if (!mount_layers(s, e)) {
		undo_layers();
		return false;
	}
	/* The overlay holds its layers itself. */
	umount2(LAYERS "/lower", MNT_DETACH);
	umount2(LAYERS, MNT_DETACH);
	old = open("/", O_DIRECTORY | O_CLOEXEC);
	if (!move_into_root(e)) {
		close_fd(&old);
		return false;
	}
	if (old >= 0 && fstat(old, &st) == 0)
		remove_below(old, st.st_dev, 0);
	return true;
}
