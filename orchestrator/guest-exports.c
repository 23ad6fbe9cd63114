// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest-exports.h"

#include <string.h>

/* What may stand in SETUP lines and export lines as it is. */
#define PLAIN_CHARACTERS "/._-+:@~"

/* The allow-list of the host's root; what of /etc is not for everybody is not for the guest. */
#define ROOT_EXPORT                                                                         \
	"root / ro,only=usr,only=bin,only=sbin,only=lib,only=lib32,only=lib64,only=libx32," \
	"only=etc,only=opt,hide-private=etc"

/*
 * The guest owns its tree, but the host acts on these: a guest that could write them could run
 * programs on the host. (nfs/gate.c says how patterns match.)
 */
#define TREE_OPTIONS                                                                   \
	"rw,map=root,protect=devvm.conf,protect=.vscode/**,"                           \
	"protect=.git/config*,protect=.git/hooks/**,protect=.git/commondir,"           \
	"protect=.git/modules/**,protect=.git/worktrees/**,"                           \
	"protect=.gdbinit,protect=.gdbearlyinit,protect=gdbinit,protect=gdbearlyinit," \
	"protect=*-gdb.py,protect=*-gdb.gdb,protect=*-gdb.scm"

/* A kernel's own gdb scripts: devvm gdb loads them. */
#define BUILD_TREE_OPTIONS ",protect=scripts/gdb/**"

#define MAX_LINKS 31 /* the agent takes 32 (guest-agent/setup.h), one is `build` */

/* The guest's address book: QEMU's user-mode network. */
#define GUEST_NET "net 10.0.2.15/24 10.0.2.2 10.0.2.3"

static gboolean is_below(const char *path, const char *folder)
{
	gsize n = strlen(folder);

	return !strncmp(path, folder, n) && (path[n] == '/' || path[n] == '\0');
}

static char *encode(const char *value)
{
	return g_uri_escape_string(value, PLAIN_CHARACTERS, FALSE);
}

/* What the guest mounts besides its root: path → TRUE when it may write. */
typedef struct {
	const char *path;
	gboolean writable;
} Mount;

static gboolean is_covered(const GArray *mounts, const char *path)
{
	for (guint i = 0; i < mounts->len; i++)
		if (is_below(path, g_array_index(mounts, Mount, i).path))
			return TRUE;
	return FALSE;
}

/* A folder before those in it: mounted after them it would hide them. */
static int by_path(gconstpointer a, gconstpointer b)
{
	return strcmp(((const Mount *) a)->path, ((const Mount *) b)->path);
}

/*
 * The trees; then, for a kernel that is a build tree, that tree (so that a build in the guest never
 * reads headers through a stale cache), its sources where they are not in it, and the folder with
 * its modules.
 */
static GArray *guest_mounts(const DomainSpec *spec)
{
	const Vm *vm = spec->vm;
	GArray *mounts = g_array_new(FALSE, FALSE, sizeof(Mount));

	for (gsize i = 0; vm->trees && vm->trees[i]; i++)
		g_array_append_val(mounts, ((Mount){vm->trees[i], TRUE}));
	if (vm->build_tree && vm->build && !is_covered(mounts, vm->build))
		g_array_append_val(mounts, ((Mount){vm->build, TRUE}));
	if (spec->source && !is_covered(mounts, spec->source))
		g_array_append_val(mounts, ((Mount){spec->source, FALSE}));
	if (vm->build_tree && spec->modules && !is_covered(mounts, spec->modules))
		g_array_append_val(mounts, ((Mount){spec->modules, FALSE}));
	g_array_sort(mounts, by_path);
	return mounts;
}

static gboolean has_gdb_scripts(const DomainSpec *spec, const Mount *m)
{
	const Vm *vm = spec->vm;

	return m->writable && vm->build_tree && vm->build && is_below(vm->build, m->path);
}

char **guest_export_lines(const DomainSpec *spec)
{
	g_autoptr(GStrvBuilder) lines = g_strv_builder_new();
	g_autoptr(GArray) mounts = guest_mounts(spec);

	g_strv_builder_add(lines, ROOT_EXPORT);
	for (guint i = 0; i < mounts->len; i++) {
		const Mount *m = &g_array_index(mounts, Mount, i);
		g_autofree char *path = encode(m->path);
		g_autofree char *line =
			g_strdup_printf("t%u %s %s%s", i, path, m->writable ? TREE_OPTIONS : "ro",
					has_gdb_scripts(spec, m) ? BUILD_TREE_OPTIONS : "");

		g_strv_builder_add(lines, line);
	}
	return g_strv_builder_end(lines);
}

static void add_link(GStrvBuilder *lines, const char *release, const char *name, const char *target)
{
	g_autofree char *encoded_name = encode(name), *encoded = encode(target);
	g_autofree char *line =
		g_strdup_printf("link /lib/modules/%s/%s %s", release, encoded_name, encoded);

	g_strv_builder_add(lines, line);
}

/*
 * /lib/modules/RELEASE of a build tree's kernel is a folder of the guest's own, so that modules can
 * be installed there, with links to what devvm made of the tree on the host.
 */
static void add_module_links(GStrvBuilder *lines, const DomainSpec *spec,
			     const char *const *entries)
{
	const Vm *vm = spec->vm;

	for (gsize i = 0; entries && entries[i] && i < MAX_LINKS; i++) {
		g_autofree char *target = g_build_filename(spec->modules, entries[i], NULL);

		add_link(lines, vm->release, entries[i], target);
	}
	if (vm->build && (!entries || !g_strv_contains(entries, "build")))
		add_link(lines, vm->release, "build", vm->build);
}

char **guest_setup_lines(const DomainSpec *spec, guint gid, const char *user, const char *home,
			 const char *const *module_entries)
{
	const Vm *vm = spec->vm;
	g_autoptr(GStrvBuilder) lines = g_strv_builder_new();
	g_autoptr(GArray) mounts = guest_mounts(spec);
	g_autofree char *owner_name = encode(user), *owner_home = encode(home);
	g_autofree char *hostname = g_strdup_printf("hostname %s", vm->name);
	g_autofree char *release = g_strdup_printf("release %s", vm->release);
	g_autofree char *owner =
		g_strdup_printf("owner %u %u %s %s", spec->uid, gid, owner_name, owner_home);

	g_strv_builder_add_many(lines, hostname, release, GUEST_NET, "root root", owner, NULL);
	for (guint i = 0; i < mounts->len; i++) {
		g_autofree char *path = encode(g_array_index(mounts, Mount, i).path);
		g_autofree char *line = g_strdup_printf("tree t%u %s", i, path);

		g_strv_builder_add(lines, line);
	}
	if (vm->build_tree && spec->modules)
		add_module_links(lines, spec, module_entries);
	return g_strv_builder_end(lines);
}
