// SPDX-License-Identifier: GPL-2.0-or-later
/* Reading real modules of an installed kernel, against what modinfo(8) says of them. */
#include <glib/gstdio.h>
#include <string.h>

#include "backends/modinfo.h"
#include "util/error.h"

static char *kernel_folder; /* /lib/modules/REL with modules in it, or NULL */

static char *output_of(const char *command)
{
	char *out = NULL;

	g_assert_true(g_spawn_command_line_sync(command, &out, NULL, NULL, NULL));
	return g_strchomp(out);
}

static char *find_kernel(void)
{
	g_autoptr(GDir) dir = g_dir_open("/lib/modules", 0, NULL);
	const char *name;

	while (dir && (name = g_dir_read_name(dir))) {
		g_autofree char *folder = g_build_filename("/lib/modules", name, NULL);
		g_autofree char *order = g_build_filename(folder, "modules.order", NULL);

		if (g_file_test(order, G_FILE_TEST_EXISTS))
			return g_steal_pointer(&folder);
	}
	return NULL;
}

/* An uncompressed module of that kernel, or NULL. */
static char *module_path(const char *rel)
{
	char *path = kernel_folder ? g_build_filename(kernel_folder, "kernel", rel, NULL) : NULL;

	if (path && g_file_test(path, G_FILE_TEST_EXISTS))
		return path;
	g_free(path);
	g_test_skip("no uncompressed module of that name is installed");
	return NULL;
}

static void test_fields(void)
{
	g_autofree char *path = module_path("fs/nfs/nfs.ko");
	g_autofree char *command = NULL, *vermagic = NULL, *fstypes = NULL, *depends = NULL;
	g_autofree char *want = NULL, *kernel = NULL;
	g_autoptr(GError) error = NULL;
	g_autoptr(ModInfo) info = NULL;

	if (!path)
		return;
	info = modinfo_read(path, &error);
	g_assert_no_error(error);
	g_assert_cmpstr(info->name, ==, "nfs");
	command = g_strdup_printf("/sbin/modinfo -F vermagic %s", path);
	vermagic = output_of(command);
	g_assert_cmpstr(g_strchomp(info->vermagic), ==, vermagic);
	g_free(command);
	command = g_strdup_printf("/sbin/modinfo -F depends %s", path);
	want = output_of(command);
	depends = g_strjoinv(",", info->depends);
	g_assert_cmpstr(depends, ==, want);
	fstypes = modinfo_fstypes(info);
	g_assert_nonnull(strstr(fstypes, "nfs"));
	g_assert_null(strstr(fstypes, "fs-"));
	kernel = modinfo_kernel_vermagic(kernel_folder, &error);
	g_assert_no_error(error);
	g_assert_cmpstr(g_strchomp(kernel), ==, vermagic);
}

static void test_build_id(void)
{
	g_autofree char *path = module_path("fs/nfs/nfs.ko");
	g_autofree char *command = NULL, *notes = NULL, *identity = NULL;
	g_autoptr(ModInfo) info = NULL;

	if (!path)
		return;
	info = modinfo_read(path, NULL);
	g_assert_nonnull(info->build_id);
	command = g_strdup_printf("readelf -n %s", path);
	notes = output_of(command);
	g_assert_nonnull(strstr(notes, info->build_id));
	identity = modinfo_identity(info, NULL);
	g_assert_cmpstr(identity, ==, info->build_id);
}

/* Stripping takes debug sections away, and nothing that the kernel looks at. */
static void test_strip(void)
{
	g_autofree char *path = module_path("fs/nfs/nfs.ko");
	g_autofree char *copy = NULL;
	g_autoptr(ModInfo) before = NULL, after = NULL;
	g_autoptr(GBytes) bytes = NULL;
	g_autoptr(GError) error = NULL;
	int fd;

	if (!path)
		return;
	bytes = modinfo_strip(path, &error);
	g_assert_no_error(error);
	fd = g_file_open_tmp("devvm-test-XXXXXX", &copy, NULL);
	g_assert_cmpint(fd, >=, 0);
	g_close(fd, NULL);
	g_assert_true(g_file_set_contents(copy, g_bytes_get_data(bytes, NULL),
					  (gssize) g_bytes_get_size(bytes), NULL));
	before = modinfo_read(path, NULL);
	after = modinfo_read(copy, &error);
	g_assert_no_error(error);
	g_assert_cmpstr(before->build_id, ==, after->build_id);
	g_assert_cmpstr(before->vermagic, ==, after->vermagic);
	g_assert_false(after->has_debug);
	g_remove(copy);
}

static void test_no_module(void)
{
	g_autoptr(GError) error = NULL;

	g_assert_null(modinfo_read("/nowhere/foo.ko", &error));
	g_assert_error(error, DEVVM_ERROR, DEVVM_ERROR_NOT_FOUND);
	g_clear_error(&error);
	g_assert_null(modinfo_read("/bin/sh", &error)); /* ELF, but no module */
	g_assert_error(error, DEVVM_ERROR, DEVVM_ERROR_FAILED);
	g_clear_error(&error);
	g_assert_null(modinfo_read("/etc/passwd", &error));
	g_assert_error(error, DEVVM_ERROR, DEVVM_ERROR_FAILED);
	g_clear_error(&error);
	g_assert_null(modinfo_read("/tmp", &error));
	g_assert_nonnull(error);
}

static void test_plain_name(void)
{
	static const struct {
		const char *from, *to;
	} rows[] = {
		{"foo", "foo"},
		{"/a/b/my-foo.ko", "my_foo"},
		{"my_foo.ko", "my_foo"},
		{"sub/foo", "foo"},
	};

	for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autofree char *plain = modinfo_plain_name(rows[i].from);

		g_assert_cmpstr(plain, ==, rows[i].to);
	}
}

static void test_builtin(void)
{
	g_autofree char *folder = g_dir_make_tmp("devvm-modinfo-XXXXXX", NULL);
	g_autofree char *path = g_build_filename(folder, "modules.builtin", NULL);

	g_assert_true(g_file_set_contents(path, "kernel/fs/a-b.ko\nkernel/c.ko\n", -1, NULL));
	g_assert_true(modinfo_is_builtin(folder, "a_b"));
	g_assert_true(modinfo_is_builtin(folder, "c"));
	g_assert_false(modinfo_is_builtin(folder, "b"));
	g_remove(path);
	g_rmdir(folder);
	g_assert_false(modinfo_is_builtin(folder, "c"));
}

int main(int argc, char **argv)
{
	int status;

	g_test_init(&argc, &argv, NULL);
	kernel_folder = find_kernel();
	g_test_add_func("/modinfo/fields", test_fields);
	g_test_add_func("/modinfo/build-id", test_build_id);
	g_test_add_func("/modinfo/strip", test_strip);
	g_test_add_func("/modinfo/no-module", test_no_module);
	g_test_add_func("/modinfo/plain-name", test_plain_name);
	g_test_add_func("/modinfo/builtin", test_builtin);
	status = g_test_run();
	g_free(kernel_folder);
	return status;
}
