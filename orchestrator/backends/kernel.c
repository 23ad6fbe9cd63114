// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "kernel-image.h"
#include "kernel-require.h"
#include "kernel-tree.h"
#include "util/error.h"
#include "util/paths.h"

#define TREE_IMAGE "arch/x86/boot/bzImage"
#define TREE_MAKE "make -j bzImage modules"

void kernel_free(Kernel *kernel)
{
	if (!kernel)
		return;
	g_free(kernel->release);
	g_free(kernel->image);
	g_free(kernel->vmlinux);
	g_free(kernel->build);
	g_free(kernel->config);
	g_free(kernel->modules);
	g_free(kernel->source);
	g_strfreev(kernel->warnings);
	g_free(kernel);
}

/*
 * ROOT/path… when it exists; the arguments are printf's. Existing includes what only root can
 * read: that is told apart later, with a better message.
 */
static G_GNUC_PRINTF(2, 3) char *existing(const char *root, const char *format, ...)
{
	va_list args;
	g_autofree char *name = NULL, *path = NULL;
	struct stat st;

	va_start(args, format);
	name = g_strdup_vprintf(format, args);
	va_end(args);
	path = g_build_filename(root, name, NULL);
	return stat(path, &st) == 0 ? g_steal_pointer(&path) : NULL;
}

static char *installed_image(const char *root, const char *release)
{
	char *path = existing(root, "boot/vmlinuz-%s", release);

	return path ? path : existing(root, "lib/modules/%s/vmlinuz", release);
}

/* A piece of a release: a number, or the characters up to the next one. */
static int compare_piece(const char **a, const char **b)
{
	if (g_ascii_isdigit(**a) && g_ascii_isdigit(**b)) {
		guint64 x = g_ascii_strtoull(*a, (char **) a, 10);
		guint64 y = g_ascii_strtoull(*b, (char **) b, 10);

		return x < y ? -1 : x > y;
	}
	return (guchar) * (*a)++ - (guchar) * (*b)++;
}

int kernel_release_compare(const char *a, const char *b)
{
	while (*a || *b) {
		gboolean rc_a = g_str_has_prefix(a, "-rc"), rc_b = g_str_has_prefix(b, "-rc");
		int order;

		if (rc_a != rc_b)
			return rc_a ? -1 : 1;
		if (!*a || !*b)
			return *a ? 1 : -1;
		order = compare_piece(&a, &b);
		if (order)
			return order;
	}
	return 0;
}

static int newest_first(gconstpointer a, gconstpointer b)
{
	return kernel_release_compare(*(const char *const *) b, *(const char *const *) a);
}

char **kernel_installed_in(const char *root)
{
	g_autofree char *folder = g_build_filename(root, "lib", "modules", NULL);
	g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
	g_autoptr(GPtrArray) releases = g_ptr_array_new();
	const char *name;

	while (dir && (name = g_dir_read_name(dir))) {
		g_autofree char *dep = existing(root, "lib/modules/%s/modules.dep", name);
		g_autofree char *image = installed_image(root, name);

		if (dep && image && g_utf8_validate(name, -1, NULL))
			g_ptr_array_add(releases, g_strdup(name));
	}
	g_ptr_array_sort(releases, newest_first);
	g_ptr_array_add(releases, NULL);
	return (char **) g_ptr_array_steal(releases, NULL);
}

char **kernel_installed(void)
{
	return kernel_installed_in("/");
}

/* The first vmlinux with symbols for this image; a warning for each that is there and is not. */
static char *find_vmlinux(char **candidates, const char *version, GStrvBuilder *warnings)
{
	for (char **path = candidates; *path; path++) {
		g_autofree char *fault = NULL;

		if (!g_file_test(*path, G_FILE_TEST_IS_REGULAR))
			continue;
		fault = kernel_vmlinux_fault(*path, version);
		if (!fault)
			return g_strdup(*path);
		g_autofree char *line =
			g_strdup_printf("%s %s: gdb will have no symbols from it", *path, fault);

		g_strv_builder_add(warnings, line);
	}
	return NULL;
}

static char *installed_vmlinux(const char *root, const char *release, const char *build,
			       const char *version, GStrvBuilder *warnings)
{
	const char *const places[] = {
		"usr/lib/debug/boot/vmlinux-%s",
		"usr/lib/debug/lib/modules/%s/vmlinux",
		"usr/lib/debug/usr/lib/modules/%s/vmlinux",
		"lib/modules/%s/vmlinux",
		"boot/vmlinux-%s",
	};
	g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
	g_auto(GStrv) candidates = NULL;

	for (gsize i = 0; i < G_N_ELEMENTS(places); i++) {
		g_auto(GStrv) parts = g_strsplit(places[i], "%s", 2);
		g_autofree char *name = g_strjoin(release, parts[0], parts[1], NULL);
		g_autofree char *path = g_build_filename(root, name, NULL);

		g_strv_builder_add(builder, path);
	}
	if (build) { /* a kernel that was installed from its tree */
		g_autofree char *path = g_build_filename(build, "vmlinux", NULL);

		g_strv_builder_add(builder, path);
	}
	candidates = g_strv_builder_end(builder);
	return find_vmlinux(candidates, version, warnings);
}

static char *existing_real(const char *path)
{
	char *real = path ? realpath(path, NULL) : NULL;
	char *copy = g_strdup(real);

	free(real);
	return copy;
}

static gboolean no_such_release(const char *root, const char *release, GError **error)
{
	g_auto(GStrv) all = kernel_installed_in(root);
	g_autofree char *list = g_strjoinv("\n  ", all);
	g_autofree char *modules = existing(root, "lib/modules/%s", release);
	g_autofree char *image = installed_image(root, release);

	if (modules || image)
		return devvm_fail(error, DEVVM_ERROR_NOT_FOUND,
				  "kernel %s is installed without its %s (%s): install its package "
				  "again, or take one of:\n  %s",
				  release, image ? "modules" : "image",
				  image ? "/lib/modules/RELEASE/modules.dep"
					: "/boot/vmlinuz-RELEASE",
				  *all ? list : "(none is installed)");
	return devvm_fail(error, DEVVM_ERROR_NOT_FOUND,
			  "no kernel %s is installed (a build tree is given by its path, with a "
			  "'/'); there are:\n  %s",
			  release, *all ? list : "(none)");
}

/* The image says of itself what uname -r will say. */
static gboolean check_release(const char *image, const char *version, const char *release,
			      GError **error)
{
	gsize n = strcspn(version, " ");

	if (strlen(release) == n && strncmp(version, release, n) == 0)
		return TRUE;
	return devvm_fail(
		error, DEVVM_ERROR_MISMATCH,
		"%s is kernel %.*s, but its modules are for %s: build or install both anew", image,
		(int) n, version, release);
}

static Kernel *find_installed(const char *root, const char *release, GStrvBuilder *warnings,
			      GError **error)
{
	g_autoptr(Kernel) k = g_new0(Kernel, 1);
	g_autofree char *version = NULL, *build = NULL, *dep = NULL;

	k->release = g_strdup(release);
	k->image = installed_image(root, release);
	dep = existing(root, "lib/modules/%s/modules.dep", release);
	if (!k->image || !dep) {
		no_such_release(root, release, error);
		return NULL;
	}
	k->modules = existing(root, "lib/modules/%s", release);
	version = kernel_image_version(k->image, error);
	if (!version || !check_release(k->image, version, release, error))
		return NULL;
	build = existing(root, "lib/modules/%s/build/Makefile", release);
	if (build) {
		g_autofree char *link = g_path_get_dirname(build);

		k->build = existing_real(link);
	}
	k->config = existing(root, "boot/config-%s", release);
	if (!k->config)
		k->config = existing(root, "lib/modules/%s/config", release);
	if (!k->config && k->build)
		k->config = existing(k->build, ".config");
	k->vmlinux = installed_vmlinux(root, release, k->build, version, warnings);
	return g_steal_pointer(&k);
}

/* "" when the file cannot be read. */
static char *first_line(const char *folder, const char *name)
{
	g_autofree char *path = g_build_filename(folder, name, NULL);
	char *text = NULL;

	if (!g_file_get_contents(path, &text, NULL, NULL))
		return g_strdup("");
	text[strcspn(text, "\n")] = '\0';
	return g_strstrip(text);
}

static gboolean fail_not_built(const char *tree, const char *lacks, const char *make,
			       GError **error)
{
	return devvm_fail(error, DEVVM_ERROR_NOT_FOUND,
			  "the kernel tree %s is not built, it has no %s: run there: %s", tree,
			  lacks, make);
}

static gboolean check_tree(const char *spec, const char *tree, GError **error)
{
	static const char *const products[] = {"include/config/kernel.release", TREE_IMAGE};
	g_autofree char *makefile = tree ? existing(tree, "Makefile") : NULL;
	g_autofree char *config = tree ? existing(tree, ".config") : NULL;

	if (!tree)
		return devvm_fail_errno(error, DEVVM_ERROR_NOT_FOUND, errno, "kernel tree %s",
					spec);
	if (!makefile)
		return devvm_fail(error, DEVVM_ERROR_NOT_FOUND,
				  "%s is no kernel build tree: it has no Makefile", tree);
	if (!config) {
		g_autofree char *ours = devvm_data_file("kernel/debug.config");
		g_autofree char *make =
			g_strdup_printf("make KCONFIG_ALLCONFIG=%s allnoconfig (or take a config "
					"of your own), then %s",
					ours, TREE_MAKE);

		return fail_not_built(tree, ".config", make, error);
	}
	for (gsize i = 0; i < G_N_ELEMENTS(products); i++) {
		g_autofree char *path = existing(tree, "%s", products[i]);

		if (!path)
			return fail_not_built(tree, products[i], TREE_MAKE, error);
	}
	return TRUE;
}

/* The image is what boots: say so when it is not of the last change. */
static void warn_if_older(const char *tree, const char *name, GStrvBuilder *warnings)
{
	g_autofree char *image = g_build_filename(tree, TREE_IMAGE, NULL);
	g_autofree char *other = g_build_filename(tree, name, NULL);
	g_autofree char *line = NULL;
	struct stat a, b;

	if (stat(image, &a) < 0 || stat(other, &b) < 0 || a.st_mtim.tv_sec > b.st_mtim.tv_sec ||
	    (a.st_mtim.tv_sec == b.st_mtim.tv_sec && a.st_mtim.tv_nsec >= b.st_mtim.tv_nsec))
		return;
	line = g_strdup_printf("%s is older than %s/%s: run make there", image, tree, name);
	g_strv_builder_add(warnings, line);
}

static Kernel *find_tree(const char *spec, GStrvBuilder *warnings, GError **error)
{
	g_autoptr(Kernel) k = g_new0(Kernel, 1);
	g_autofree char *tree = existing_real(spec), *version = NULL, *source = NULL;
	char *vmlinux[] = {NULL, NULL};
	guint missing;

	if (!check_tree(spec, tree, error))
		return NULL;
	k->build_tree = TRUE;
	k->release = first_line(tree, "include/config/kernel.release");
	k->image = g_build_filename(tree, TREE_IMAGE, NULL);
	k->config = g_build_filename(tree, ".config", NULL);
	version = kernel_image_version(k->image, error);
	if (!version || !check_release(k->image, version, k->release, error))
		return NULL;
	source = existing(tree, "source");
	k->source = existing_real(source);
	if (g_strcmp0(k->source, tree) == 0)
		g_clear_pointer(&k->source, g_free);
	vmlinux[0] = g_build_filename(tree, "vmlinux", NULL);
	k->vmlinux = find_vmlinux(vmlinux, version, warnings);
	g_free(vmlinux[0]);
	k->modules = kernel_tree_modules(tree, k->release, &missing, error);
	if (!k->modules)
		return NULL;
	if (missing) {
		g_autofree char *line = g_strdup_printf(
			"%u modules of %s are not built: run `make -j modules` there", missing,
			tree);

		g_strv_builder_add(warnings, line);
	}
	warn_if_older(tree, "vmlinux", warnings);
	warn_if_older(tree, ".config", warnings);
	k->build = g_steal_pointer(&tree);
	return g_steal_pointer(&k);
}

Kernel *kernel_find_in(const char *root, const char *spec, GError **error)
{
	g_autoptr(Kernel) kernel = NULL;
	g_autoptr(GStrvBuilder) warnings = g_strv_builder_new();

	if (spec && strchr(spec, '/')) {
		kernel = find_tree(spec, warnings, error);
	} else if (spec) {
		kernel = find_installed(root, spec, warnings, error);
	} else {
		g_auto(GStrv) all = kernel_installed_in(root);

		if (!*all)
			devvm_fail(
				error, DEVVM_ERROR_NOT_FOUND,
				"no kernel with modules is installed on this host: install one "
				"(Debian: sudo apt-get install linux-image-cloud-amd64), or give a "
				"build tree with kernel = in devvm.conf");
		else
			kernel = find_installed(root, *all, warnings, error);
	}
	if (!kernel || !kernel_require(kernel, REQUIRE_ALWAYS, error))
		return NULL;
	kernel_require_warnings(kernel, warnings);
	kernel->warnings = g_strv_builder_end(warnings);
	return g_steal_pointer(&kernel);
}

Kernel *kernel_find(const char *spec, GError **error)
{
	return kernel_find_in("/", spec, error);
}

gboolean kernel_check_disks(const Kernel *kernel, GError **error)
{
	return kernel_require(kernel, REQUIRE_DISKS, error);
}
