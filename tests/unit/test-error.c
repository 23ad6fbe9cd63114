// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <gio/gio.h>

#include "util/error.h"

static void test_fail(void)
{
	g_autoptr(GError) error = NULL;

	g_assert_false(devvm_fail(&error, DEVVM_ERROR_BUSY, "%s is in use", "nilfs2"));
	g_assert_error(error, DEVVM_ERROR, DEVVM_ERROR_BUSY);
	g_assert_cmpstr(error->message, ==, "nilfs2 is in use");
	g_assert_false(devvm_fail(NULL, DEVVM_ERROR_BUSY, "nobody listens"));
}

static void test_fail_errno(void)
{
	g_autoptr(GError) error = NULL;

	devvm_fail_errno(&error, DEVVM_ERROR_FAILED, ENOSPC, "cannot write %s", "/x");
	g_assert_true(g_str_has_prefix(error->message, "cannot write /x: "));
	g_assert_true(g_str_has_suffix(error->message, g_strerror(ENOSPC)));
}

static void test_exit_status(void)
{
	g_autoptr(GError) lost = g_error_new(DEVVM_ERROR, DEVVM_ERROR_LOST, "x");
	g_autoptr(GError) other = g_error_new(G_IO_ERROR, G_IO_ERROR_BUSY, "x");
	g_autoptr(GError) cancelled = g_error_new(G_IO_ERROR, G_IO_ERROR_CANCELLED, "x");

	g_assert_cmpint(devvm_exit_status(lost), ==, 255);
	g_assert_cmpint(devvm_exit_status(other), ==, 1);
	g_assert_cmpint(devvm_exit_status(cancelled), ==, 130);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/error/fail", test_fail);
	g_test_add_func("/error/fail-errno", test_fail_errno);
	g_test_add_func("/error/exit-status", test_exit_status);
	return g_test_run();
}
