// SPDX-License-Identifier: GPL-2.0-or-later
#include <glib/gstdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/error.h"
#include "util/paths.h"

static void test_vm_names(void)
{
	const char *good[] = {"a", "lustre1", "9p", "x.y_z-1"};
	const char *bad[] = {"",    "../x", "a/b",
			     "-x",  ".x",   "a\"b<c>",
			     "a b", "é",    "a1234567890123456789012345678901234567890"};

	for (gsize i = 0; i < G_N_ELEMENTS(good); i++)
		g_assert_true(devvm_vm_name_ok(good[i], NULL));
	for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_autoptr(GError) error = NULL;

		g_assert_false(devvm_vm_name_ok(bad[i], &error));
		g_assert_error(error, DEVVM_ERROR, DEVVM_ERROR_USAGE);
	}
}

static void test_private_dir(void)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *top = g_dir_make_tmp("devvm-paths-XXXXXX", NULL);
	g_autofree char *deep = g_build_filename(top, "a", "b", NULL);
	g_autofree char *link = g_build_filename(top, "link", NULL);
	struct stat st;

	g_assert_true(devvm_make_private_dir(deep, &error));
	g_assert_no_error(error);
	g_chmod(deep, 0755);
	g_assert_true(devvm_make_private_dir(deep, &error));
	g_assert_cmpint(stat(deep, &st), ==, 0);
	g_assert_cmpint(st.st_mode & 07777, ==, 0700);

	/* A link planted where our folder should be is refused, not followed. */
	g_assert_cmpint(symlink("/tmp", link), ==, 0);
	g_assert_false(devvm_make_private_dir(link, &error));
	g_assert_error(error, DEVVM_ERROR, DEVVM_ERROR_FAILED);

	g_unlink(link);
	g_rmdir(deep);
	g_autofree char *parent = g_path_get_dirname(deep);
	g_rmdir(parent);
	g_rmdir(top);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/paths/vm-names", test_vm_names);
	g_test_add_func("/paths/private-dir", test_private_dir);
	return g_test_run();
}
