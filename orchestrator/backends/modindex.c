// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The staging folder is CACHE/modindex/VM/lib/modules/RELEASE: links to all that the kernel's own
 * folder has, and updates/devvm with the stripped modules. What depmod makes of it is summed up in
 * a digest (names, dependencies, aliases of our modules, and the kernel's own index). The guest
 * keeps the digest of the index files that it has in a file beside the modules: it goes with the
 * guest's RAM, so a rebooted guest is known to have nothing.
 */
#include "modindex.h"

#include <dirent.h>
#include <errno.h>
#include <gio/gio.h>
#include <string.h>
#include <unistd.h>

#include "../util/error.h"
#include "../util/paths.h"
#include "kernel-tree.h"

#define OWN_FOLDER "updates/devvm"
#define MARKER OWN_FOLDER "/.index"

struct _ModIndex {
	Link *link;
	char *release;
	char *kernel;  /* the kernel's own folder, on the host */
	char *base;    /* staging: what depmod -b gets */
	char *staging; /* base/lib/modules/RELEASE */
	char *guest;   /* /lib/modules/RELEASE */
	char *has;     /* digest of the index that the guest has, "" for none */
	char *digest;  /* of the index that it is to have */
	gboolean build_tree;
	GHashTable *modules; /* file name → GBytes of what is to be put */
};

char *modindex_kernel_modules(const Vm *vm, GError **error)
{
	guint missing;

	if (vm->build_tree)
		return kernel_tree_modules(vm->build, vm->release, &missing, error);
	return g_build_filename("/lib/modules", vm->release, NULL);
}

void modindex_free(ModIndex *index)
{
	if (!index)
		return;
	g_free(index->release);
	g_free(index->kernel);
	g_free(index->base);
	g_free(index->staging);
	g_free(index->guest);
	g_free(index->has);
	g_free(index->digest);
	g_clear_pointer(&index->modules, g_hash_table_unref);
	g_free(index);
}

/* --- The staging folder. --------------------------------------------------------------------- */

static gboolean is_index_file(const char *name)
{
	/* depmod reads these three and writes the other ones. */
	return g_str_has_prefix(name, "modules.") && strcmp(name, "modules.order") &&
	       strcmp(name, "modules.builtin") && strcmp(name, "modules.builtin.modinfo");
}

/* Links to all entries of `from` into `to`, but those that depmod writes or does not need. */
static gboolean link_entries(const char *from, const char *to, GError **error)
{
	g_autoptr(GDir) dir = g_dir_open(from, 0, NULL);
	const char *name;

	while (dir && (name = g_dir_read_name(dir))) {
		g_autofree char *target = g_build_filename(from, name, NULL);
		g_autofree char *link = g_build_filename(to, name, NULL);

		if (is_index_file(name) || !strcmp(name, "build") || !strcmp(name, "source") ||
		    !strcmp(name, "updates") || !strcmp(name, "devvm"))
			continue;
		if (symlink(target, link) < 0 && errno != EEXIST)
			return devvm_fail_errno(error, DEVVM_ERROR_FAILED, errno,
						"cannot make the link %s", link);
	}
	return TRUE;
}

/* Empties the folder of our own modules. */
static gboolean clear_folder(const char *folder, GError **error)
{
	g_autoptr(GDir) dir = g_dir_open(folder, 0, error);
	const char *name;

	if (!dir)
		return FALSE;
	while ((name = g_dir_read_name(dir))) {
		g_autofree char *path = g_build_filename(folder, name, NULL);

		if (unlink(path) < 0)
			return devvm_fail_errno(error, DEVVM_ERROR_FAILED, errno,
						"cannot remove %s", path);
	}
	return TRUE;
}

static gboolean make_staging(ModIndex *index, GError **error)
{
	g_autofree char *updates = g_build_filename(index->staging, "updates", NULL);
	g_autofree char *own = g_build_filename(index->staging, OWN_FOLDER, NULL);
	g_autofree char *theirs = g_build_filename(index->kernel, "updates", NULL);

	if (!devvm_make_private_dir(index->base, error) || !devvm_make_private_dir(own, error) ||
	    !link_entries(index->kernel, index->staging, error) ||
	    !link_entries(theirs, updates, error))
		return FALSE;
	return *index->has ? TRUE : clear_folder(own, error);
}

/* --- The guest. ------------------------------------------------------------------------------ */

/*
 * A build tree's modules are a read-only export behind a link. It becomes a folder of the guest's
 * own, with links for what was there, so that something can be put into it.
 */
static gboolean make_guest_folder_ours(ModIndex *index, GError **error)
{
	static const char script[] = "d=$1; [ -L \"$d\" ] || exit 0; t=$(readlink \"$d\") && "
				     "mkdir \"$d.devvm\" && ln -s \"$t\"/* \"$d.devvm\" && "
				     "rm \"$d\" && mv \"$d.devvm\" \"$d\"";
	const char *argv[] = {"sh", "-c", script, "sh", index->guest, NULL};

	if (!index->build_tree || *index->has)
		return TRUE;
	if (!link_run(index->link, argv, NULL, error)) {
		g_prefix_error(error, "cannot make %s writable: ", index->guest);
		return FALSE;
	}
	return TRUE;
}

/* Reads the digest of what the guest has. */
static gboolean read_marker(ModIndex *index, GError **error)
{
	g_autofree char *path = g_build_filename(index->guest, MARKER, NULL);
	g_autoptr(GError) local = NULL;

	index->has = link_get(index->link, path, NULL, &local);
	if (!index->has && !g_error_matches(local, DEVVM_ERROR, DEVVM_ERROR_NOT_FOUND)) {
		g_propagate_error(error, g_steal_pointer(&local));
		return FALSE;
	}
	if (!index->has)
		index->has = g_strdup("");
	return TRUE;
}

ModIndex *modindex_open(const Vm *vm, const char *kernel_modules, Link *link, GError **error)
{
	g_autoptr(ModIndex) index = g_new0(ModIndex, 1);
	g_autofree char *cache = devvm_cache_dir();

	index->link = link;
	index->release = g_strdup(vm->release);
	index->kernel = g_strdup(kernel_modules);
	index->build_tree = vm->build_tree;
	index->base = g_build_filename(cache, "modindex", vm->name, NULL);
	index->staging = g_build_filename(index->base, "lib", "modules", vm->release, NULL);
	index->guest = g_build_filename("/lib/modules", vm->release, NULL);
	index->modules = g_hash_table_new_full(g_str_hash, g_str_equal, g_free,
					       (GDestroyNotify) g_bytes_unref);
	if (!read_marker(index, error) || !make_staging(index, error))
		return NULL;
	return g_steal_pointer(&index);
}

gboolean modindex_add(ModIndex *index, const ModInfo *info, GError **error)
{
	g_autofree char *file = g_strconcat(info->name, ".ko", NULL);
	g_autofree char *path = g_build_filename(index->staging, OWN_FOLDER, file, NULL);
	GBytes *bytes = modinfo_strip(info->path, error);

	if (!bytes)
		return FALSE;
	g_hash_table_replace(index->modules, g_steal_pointer(&file), bytes);
	return g_file_set_contents_full(path, g_bytes_get_data(bytes, NULL),
					(gssize) g_bytes_get_size(bytes), G_FILE_SET_CONTENTS_NONE,
					0600, error);
}

/* --- The index. ------------------------------------------------------------------------------ */

static void sum_strings(GChecksum *sum, const char *what, char **strings)
{
	g_checksum_update(sum, (const guchar *) what, -1);
	for (gsize i = 0; strings[i]; i++) {
		g_checksum_update(sum, (const guchar *) strings[i], -1);
		g_checksum_update(sum, (const guchar *) "\n", 1);
	}
}

static gint compare_names(gconstpointer a, gconstpointer b)
{
	return strcmp(*(const char *const *) a, *(const char *const *) b);
}

/* The kernel's own index, by contents: a build tree's is written anew after each build. */
static void sum_kernel(GChecksum *sum, const ModIndex *index)
{
	static const char *const names[] = {"modules.dep", "modules.alias", "modules.softdep"};

	g_checksum_update(sum, (const guchar *) index->kernel, -1);
	for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
		g_autofree char *path = g_build_filename(index->kernel, names[i], NULL);
		g_autofree char *text = NULL;
		gsize size;

		if (g_file_get_contents(path, &text, &size, NULL))
			g_checksum_update(sum, (const guchar *) text, (gssize) size);
	}
}

/* All that depmod's result hangs on. NULL when a staged module cannot be read. */
static char *compute_digest(const ModIndex *index, GError **error)
{
	g_autofree char *own = g_build_filename(index->staging, OWN_FOLDER, NULL);
	g_autoptr(GPtrArray) files = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA1);
	g_autoptr(GDir) dir = g_dir_open(own, 0, error);
	const char *name;

	if (!dir)
		return NULL;
	while ((name = g_dir_read_name(dir)))
		if (g_str_has_suffix(name, ".ko"))
			g_ptr_array_add(files, g_strdup(name));
	g_ptr_array_sort(files, compare_names);
	sum_kernel(sum, index);
	for (guint i = 0; i < files->len; i++) {
		g_autofree char *path = g_build_filename(own, files->pdata[i], NULL);
		g_autoptr(ModInfo) info = modinfo_read(path, error);
		char *one[] = {files->pdata[i], NULL};

		if (!info)
			return NULL;
		sum_strings(sum, "file ", one);
		sum_strings(sum, "depends ", info->depends);
		sum_strings(sum, "alias ", info->aliases);
		sum_strings(sum, "softdep ", info->softdeps);
	}
	return g_strdup(g_checksum_get_string(sum));
}

static gboolean run_depmod(const ModIndex *index, GError **error)
{
	g_autofree char *path = g_find_program_in_path("depmod");
	const char *program = path ? path : "/sbin/depmod";
	g_autoptr(GSubprocess) child =
		g_subprocess_new(G_SUBPROCESS_FLAGS_STDERR_PIPE, error, program, "-b", index->base,
				 index->release, NULL);
	g_autofree char *message = NULL;

	if (!child || !g_subprocess_communicate_utf8(child, NULL, NULL, NULL, &message, error)) {
		g_prefix_error(error, "cannot run depmod (package kmod): ");
		return FALSE;
	}
	if (!g_subprocess_get_successful(child))
		return devvm_fail(error, DEVVM_ERROR_FAILED, "depmod failed: %s",
				  message ? g_strstrip(message) : "it was killed");
	return TRUE;
}

gboolean modindex_prepare(ModIndex *index, GError **error)
{
	g_free(index->digest);
	index->digest = compute_digest(index, error);
	if (!index->digest)
		return FALSE;
	return !strcmp(index->digest, index->has) || run_depmod(index, error);
}

/* TRUE when the kernel's own folder, and thus the guest, has the same file. */
static gboolean is_kernels_own(const ModIndex *index, const char *name, const char *text,
			       gsize size)
{
	g_autofree char *path = g_build_filename(index->kernel, name, NULL);
	g_autofree char *theirs = NULL;
	gsize their_size;

	return !*index->has && g_file_get_contents(path, &theirs, &their_size, NULL) &&
	       size == their_size && !memcmp(text, theirs, size);
}

static gboolean put_index(ModIndex *index, GError **error)
{
	g_autoptr(GDir) dir = g_dir_open(index->staging, 0, error);
	g_autofree char *marker = g_build_filename(index->guest, MARKER, NULL);
	const char *name;

	if (!dir)
		return FALSE;
	while ((name = g_dir_read_name(dir))) {
		g_autofree char *from = g_build_filename(index->staging, name, NULL);
		g_autofree char *to = g_build_filename(index->guest, name, NULL);
		g_autofree char *text = NULL;
		gsize size;

		if (!is_index_file(name))
			continue;
		if (!g_file_get_contents(from, &text, &size, error))
			return FALSE;
		if (!is_kernels_own(index, name, text, size) &&
		    !link_put(index->link, to, 0644, text, size, error))
			return FALSE;
	}
	return link_put(index->link, marker, 0644, index->digest, strlen(index->digest), error);
}

gboolean modindex_install(ModIndex *index, GError **error)
{
	gboolean same = !strcmp(index->digest, index->has);
	GHashTableIter iter;
	gpointer name, bytes;

	if (!same && !make_guest_folder_ours(index, error))
		return FALSE;
	g_hash_table_iter_init(&iter, index->modules);
	while (g_hash_table_iter_next(&iter, &name, &bytes)) {
		g_autofree char *path = g_build_filename(index->guest, OWN_FOLDER, name, NULL);

		if (!link_put(index->link, path, 0644, g_bytes_get_data(bytes, NULL),
			      g_bytes_get_size(bytes), error))
			return FALSE;
	}
	return same || put_index(index, error);
}
