// SPDX-License-Identifier: GPL-2.0-or-later
#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>

#include "backends/gdbcmd.h"
#include "util/error.h"

static char *const trees[] = {(char *) "/src/a tree", (char *) "/src/b", NULL};

static Vm sample(void)
{
	return (Vm){
		.name = (char *) "t1",
		.trees = (char **) trees,
		.release = (char *) "6.1.0-test",
		.vmlinux = (char *) "/usr/lib/debug/boot/vmlinux-6.1.0-test",
		.gdb_mode = GDB_TCP,
		.gdb_port = 1234,
		.run_dir = (char *) "/run/user/1/devvm/t1",
	};
}

static GdbRequest request_for(const Vm *vm)
{
	return (GdbRequest){.vm = vm, .script = "/s/devvm-gdb.py", .index_cache = "/c/gdb-index"};
}

static gssize position(char **argv, const char *word)
{
	for (gsize i = 0; argv[i]; i++)
		if (!strcmp(argv[i], word))
			return (gssize) i;
	return -1;
}

static void test_order(void)
{
	const char *const commands[] = {"bt", NULL}, *const more[] = {"-tui", NULL};
	Vm vm = sample();
	GdbRequest request = request_for(&vm);
	g_auto(GStrv) argv = NULL;
	gssize local, vmlinux, source, target, user;

	request.commands = commands;
	request.more = more;
	request.batch = TRUE;
	argv = gdb_command_line(&request);
	g_assert_cmpstr(argv[0], ==, "gdb");
	g_assert_cmpint(position(argv, "--batch"), >, 0);
	local = position(argv, "set auto-load local-gdbinit off");
	vmlinux = position(argv, vm.vmlinux);
	source = position(argv, "source /s/devvm-gdb.py");
	target = position(argv, "target remote 127.0.0.1:1234");
	user = position(argv, "bt");
	g_assert_cmpint(local, >, 0);
	g_assert_cmpstr(argv[local - 1], ==, "-iex");
	g_assert_cmpint(local, <, vmlinux);
	g_assert_cmpint(vmlinux, <, source);
	g_assert_cmpint(source, <, target);
	g_assert_cmpint(target, <, user);
	g_assert_cmpint(user, <, position(argv, "-tui"));
	g_assert_cmpint(position(argv, "set $devvm_search = \"/src/a tree\\n/src/b\""), <, source);
	g_assert_cmpint(
		position(argv, "set $devvm_symbols = \"/run/user/1/devvm/t1/symbols.json\""), >, 0);
}

static void test_quotes(void)
{
	Vm vm = sample();
	char *const odd[] = {(char *) "/a\"b\\c", NULL};
	GdbRequest request = request_for(&vm);
	g_auto(GStrv) argv = NULL;

	vm.trees = (char **) odd;
	argv = gdb_command_line(&request);
	g_assert_cmpint(position(argv, "set $devvm_search = \"/a\\\"b\\\\c\""), >, 0);
}

static void test_unix(void)
{
	Vm vm = sample();
	GdbRequest request = request_for(&vm);
	g_autofree char *text = NULL;

	vm.gdb_mode = GDB_UNIX;
	vm.gdb_port = 0;
	text = gdb_setup_text(&request);
	g_assert_nonnull(strstr(text, "\ntarget remote /run/user/1/devvm/t1/gdb.sock\n"));
	g_assert_nonnull(strstr(text, "\nfile /usr/lib/debug/boot/vmlinux-6.1.0-test\n"));
}

static void test_no_vmlinux(void)
{
	Vm vm = sample();
	GdbRequest request = request_for(&vm);
	g_autoptr(GError) error = NULL;

	vm.vmlinux = NULL;
	g_assert_false(gdb_request_check(&request, &error));
	g_assert_error(error, DEVVM_ERROR, DEVVM_ERROR_NOT_FOUND);
	g_assert_nonnull(strstr(error->message, "apt install linux-image-6.1.0-test-dbg"));
}

static void test_lx_symbols(void)
{
	g_autofree char *build = g_dir_make_tmp("devvm-gdb-XXXXXX", NULL);
	g_autofree char *scripts = g_build_filename(build, "vmlinux-gdb.py", NULL);
	g_autofree char *safe = g_strdup_printf("add-auto-load-safe-path %s", build);
	g_autofree char *lx = g_strdup_printf("lx-symbols /src/a tree /src/b %s", build);
	char *both[] = {g_path_get_dirname(build), NULL};
	g_autofree char *above = g_strdup_printf("lx-symbols %s", both[0]);
	g_auto(GStrv) other = NULL;
	Vm vm = sample();
	GdbRequest request = request_for(&vm);
	g_autoptr(GError) error = NULL;
	g_auto(GStrv) argv = NULL;

	vm.build = build;
	vm.build_tree = TRUE;
	request.lx_symbols = TRUE;
	g_assert_false(gdb_request_check(&request, &error));
	g_assert_error(error, DEVVM_ERROR, DEVVM_ERROR_NOT_FOUND);
	g_assert_true(g_file_set_contents(scripts, "", 0, NULL));
	g_assert_true(gdb_request_check(&request, NULL));
	argv = gdb_command_line(&request);
	g_assert_cmpint(position(argv, safe), >, 0);
	g_assert_cmpint(position(argv, "set $devvm_loader = \"off\""), >, 0);
	g_assert_cmpint(position(argv, lx), >, 0);
	vm.trees = both;
	other = gdb_command_line(&request);
	g_assert_cmpint(position(other, above), >, 0);
	g_free(both[0]);
	g_unlink(scripts);
	g_rmdir(build);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/gdbcmd/order", test_order);
	g_test_add_func("/gdbcmd/quotes", test_quotes);
	g_test_add_func("/gdbcmd/unix", test_unix);
	g_test_add_func("/gdbcmd/no-vmlinux", test_no_vmlinux);
	g_test_add_func("/gdbcmd/lx-symbols", test_lx_symbols);
	return g_test_run();
}
