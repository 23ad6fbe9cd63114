// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A build tree has its modules wherever their sources are, and no modules.dep. depmod wants
 * BASE/lib/modules/RELEASE, so devvm's cache gets such a folder with a link for each module: links,
 * since a copy would be stale after the next make. What depmod reads is summed up in a stamp
 * (names, sizes, times of modules and lists); the same stamp means that nothing is to be done. The
 * stamp is written last: a run that was cut off is done again.
 */
#include "kernel-tree.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <stdint.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/error.h"
#include "util/paths.h"

static const char *const LISTS[] = {"modules.order", "modules.builtin", "modules.builtin.modinfo"};

/* A line of modules.order, as 6.1 ("kernel/fs/x.ko") or as 6.2 and later write it ("fs/x.o"). */
static char *module_path(const char *line)
{
	g_autofree char *path = NULL;

	if (g_str_has_prefix(line, "kernel/"))
		line += strlen("kernel/");
	if (g_str_has_suffix(line, ".o"))
		path = g_strdup_printf("%.*s.ko", (int) strlen(line) - 2, line);
	else
		path = g_strdup(line);
	if (!g_str_has_suffix(path, ".ko") || g_path_is_absolute(path) || strstr(path, "../"))
		return NULL;
	return g_steal_pointer(&path);
}

/* The modules that the tree has built, relative to it. */
static GPtrArray *built_modules(const char *tree, guint *missing, GError **error)
{
	g_autofree char *order = g_build_filename(tree, "modules.order", NULL);
	g_autofree char *text = NULL;
	g_auto(GStrv) lines = NULL;
	g_autoptr(GPtrArray) modules = g_ptr_array_new_with_free_func(g_free);

	*missing = 0;
	if (!g_file_get_contents(order, &text, NULL, NULL)) {
		devvm_fail(error, DEVVM_ERROR_NOT_FOUND,
			   "the build tree %s has no modules.order: run `make -j modules` there",
			   tree);
		return NULL;
	}
	lines = g_strsplit(text, "\n", -1);
	for (char **line = lines; *line; line++) {
		g_autofree char *path = module_path(*line);
		g_autofree char *file = path ? g_build_filename(tree, path, NULL) : NULL;

		if (file && g_file_test(file, G_FILE_TEST_IS_REGULAR))
			g_ptr_array_add(modules, g_steal_pointer(&path));
		else if (file)
			(*missing)++;
	}
	return g_steal_pointer(&modules);
}

static void add_to_sum(GChecksum *sum, const char *tree, const char *name)
{
	g_autofree char *path = g_build_filename(tree, name, NULL);
	g_autofree char *line = NULL;
	struct stat st = {0};

	(void) !stat(path, &st);
	line = g_strdup_printf("%s %jd %jd.%09ld %ju\n", name, (intmax_t) st.st_size,
			       (intmax_t) st.st_mtim.tv_sec, st.st_mtim.tv_nsec,
			       (uintmax_t) st.st_ino);
	g_checksum_update(sum, (const guchar *) line, -1);
}

static char *make_stamp(const char *tree, const GPtrArray *modules)
{
	g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);

	for (gsize i = 0; i < G_N_ELEMENTS(LISTS); i++)
		add_to_sum(sum, tree, LISTS[i]);
	for (guint i = 0; i < modules->len; i++)
		add_to_sum(sum, tree, g_ptr_array_index(modules, i));
	return g_strdup(g_checksum_get_string(sum));
}

static gboolean same_stamp(const char *file, const char *stamp)
{
	g_autofree char *old = NULL;

	return g_file_get_contents(file, &old, NULL, NULL) && g_str_equal(old, stamp);
}

/*
 * Takes away links to modules that are no more, and folders that are empty then; the others stay,
 * since a guest may be loading one at this moment. `name`: of the folder, below `top`; "" for it.
 */
static void remove_stale(const char *top, const char *name, GHashTable *wanted)
{
	g_autofree char *path = g_build_filename(top, name, NULL);
	g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
	const char *entry;

	while (dir && (entry = g_dir_read_name(dir))) {
		g_autofree char *inner =
			*name ? g_build_filename(name, entry, NULL) : g_strdup(entry);
		g_autofree char *file = g_build_filename(top, inner, NULL);
		struct stat st;

		if (lstat(file, &st) == 0 && S_ISDIR(st.st_mode))
			remove_stale(top, inner, wanted);
		else if (!g_hash_table_contains(wanted, inner))
			g_unlink(file);
	}
	g_rmdir(path); /* fails while something is in it */
}

static void remove_others(const char *kernel, const GPtrArray *modules)
{
	g_autoptr(GHashTable) wanted = g_hash_table_new(g_str_hash, g_str_equal);

	for (guint i = 0; i < modules->len; i++)
		g_hash_table_add(wanted, g_ptr_array_index(modules, i));
	remove_stale(kernel, "", wanted);
}

static gboolean make_link(const char *target, const char *path, GError **error)
{
	g_autofree char *parent = g_path_get_dirname(path);

	if (g_mkdir_with_parents(parent, 0700) < 0)
		return devvm_fail_errno(error, DEVVM_ERROR_FAILED, errno,
					"cannot make the folder %s", parent);
	if (symlink(target, path) < 0 && errno != EEXIST)
		return devvm_fail_errno(error, DEVVM_ERROR_FAILED, errno, "cannot make the link %s",
					path);
	return TRUE;
}

static gboolean make_links(const char *tree, const GPtrArray *modules, const char *folder,
			   GError **error)
{
	g_autofree char *build = g_build_filename(folder, "build", NULL);

	for (guint i = 0; i < modules->len; i++) {
		const char *name = g_ptr_array_index(modules, i);
		g_autofree char *target = g_build_filename(tree, name, NULL);
		g_autofree char *path = g_build_filename(folder, "kernel", name, NULL);

		if (!make_link(target, path, error))
			return FALSE;
	}
	return make_link(tree, build, error);
}

static gboolean copy_lists(const char *tree, const char *folder, GError **error)
{
	for (gsize i = 0; i < G_N_ELEMENTS(LISTS); i++) {
		g_autofree char *from = g_build_filename(tree, LISTS[i], NULL);
		g_autofree char *to = g_build_filename(folder, LISTS[i], NULL);
		g_autofree char *text = NULL;
		gsize size;

		if (!g_file_get_contents(from, &text, &size, NULL)) {
			text = g_strdup("");
			size = 0;
		}
		if (!g_file_set_contents(to, text, (gssize) size, error)) {
			g_prefix_error(error, "cannot write %s: ", to);
			return FALSE;
		}
	}
	return TRUE;
}

/* Users' PATH has no sbin on Debian. */
static char *find_depmod(GError **error)
{
	const char *const places[] = {"/usr/sbin/depmod", "/sbin/depmod", "/usr/bin/depmod"};
	char *path = g_find_program_in_path("depmod");

	for (gsize i = 0; !path && i < G_N_ELEMENTS(places); i++)
		if (g_file_test(places[i], G_FILE_TEST_IS_EXECUTABLE))
			path = g_strdup(places[i]);
	if (!path)
		devvm_fail(error, DEVVM_ERROR_HOST,
			   "there is no depmod on this host: install the package kmod");
	return path;
}

static gboolean run_depmod(const char *base, const char *release, GError **error)
{
	g_autofree char *depmod = find_depmod(error);
	g_autofree char *err = NULL;
	g_autoptr(GError) local = NULL;
	const char *argv[] = {depmod, "-b", base, release, NULL};
	int status;

	if (!depmod)
		return FALSE;
	if (!g_spawn_sync(NULL, (char **) argv, NULL, G_SPAWN_STDOUT_TO_DEV_NULL, NULL, NULL, NULL,
			  &err, &status, &local) ||
	    !g_spawn_check_wait_status(status, &local))
		return devvm_fail(error, DEVVM_ERROR_FAILED, "%s -b %s %s: %s %s", depmod, base,
				  release, local->message, err ? g_strstrip(err) : "");
	return TRUE;
}

static gboolean make_anew(const char *tree, const char *base, const char *folder,
			  const char *release, const GPtrArray *modules, GError **error)
{
	g_autofree char *kernel = g_build_filename(folder, "kernel", NULL);
	g_autofree char *usr = g_build_filename(base, "usr", NULL);

	/* kmod is built for /lib/modules or for /usr/lib/modules: both names lead here. */
	remove_others(kernel, modules);
	return make_links(tree, modules, folder, error) && make_link(".", usr, error) &&
	       copy_lists(tree, folder, error) && run_depmod(base, release, error);
}

/* ID: a name for the tree that two trees do not share and that stays readable. */
static char *tree_id(const char *tree)
{
	g_autofree char *sum = g_compute_checksum_for_string(G_CHECKSUM_SHA256, tree, -1);

	return g_strndup(sum, 16);
}

static int lock_folder(const char *base, GError **error)
{
	g_autofree char *path = g_build_filename(base, "lock", NULL);
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0 || TEMP_FAILURE_RETRY(flock(fd, LOCK_EX)) < 0) {
		devvm_fail_errno(error, DEVVM_ERROR_FAILED, errno, "cannot lock %s", path);
		if (fd >= 0)
			close(fd);
		return -1;
	}
	return fd;
}

char *kernel_tree_modules(const char *tree, const char *release, guint *missing, GError **error)
{
	g_autofree char *cache = devvm_cache_dir(), *id = tree_id(tree);
	g_autofree char *base = g_build_filename(cache, "kernels", id, NULL);
	g_autofree char *folder = g_build_filename(base, "lib", "modules", release, NULL);
	g_autofree char *stamp_file = g_build_filename(folder, "devvm.stamp", NULL);
	g_autofree char *stamp = NULL;
	g_autoptr(GPtrArray) modules = built_modules(tree, missing, error);
	gboolean ok;
	int lock;

	if (!modules || !devvm_make_private_dir(base, error) ||
	    !devvm_make_private_dir(folder, error))
		return NULL;
	lock = lock_folder(base, error);
	if (lock < 0)
		return NULL;
	stamp = make_stamp(tree, modules);
	ok = same_stamp(stamp_file, stamp);
	if (!ok) {
		g_unlink(stamp_file);
		ok = make_anew(tree, base, folder, release, modules, error) &&
		     g_file_set_contents(stamp_file, stamp, -1, error);
		g_prefix_error(error, "cannot prepare the modules of %s: ", tree);
	}
	close(lock);
	return ok ? g_steal_pointer(&folder) : NULL;
}
