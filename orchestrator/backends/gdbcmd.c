// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The set-up is two lists of gdb commands: those that must be in force before vmlinux is read, and
 * those after it. The command line and the text for other front ends are made from the same lists.
 *
 * A guest may write to the trees, and gdb runs files that it finds beside what it debugs. So the
 * current folder's .gdbinit is never read, and the only folder added to gdb's safe path is the
 * kernel's own build tree, for the lx- commands.
 */
#include "gdbcmd.h"

#include <stdlib.h>
#include <string.h>

#include "../util/error.h"

typedef struct {
	GPtrArray *early, *late;
} Setup;

static void setup_clear(Setup *setup)
{
	g_ptr_array_unref(setup->early);
	g_ptr_array_unref(setup->late);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Setup, setup_clear)

G_GNUC_PRINTF(2, 3) static void add(GPtrArray *list, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	g_ptr_array_add(list, g_strdup_vprintf(format, args));
	va_end(args);
}

/* A gdb string: C's escapes, but bytes above 127 stay as they are (file names). */
static char *gdb_string(const char *text)
{
	GString *s = g_string_new("\"");

	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			g_string_append_c(s, '\\');
		if (*text == '\n')
			g_string_append(s, "\\n");
		else
			g_string_append_c(s, *text);
	}
	g_string_append_c(s, '"');
	return g_string_free(s, FALSE);
}

static void add_string(GPtrArray *list, const char *variable, const char *value)
{
	g_autofree char *quoted = gdb_string(value);

	add(list, "set $devvm_%s = %s", variable, quoted);
}

/* The kernel's own gdb scripts, or NULL: only a build tree with CONFIG_GDB_SCRIPTS has them. */
static char *kernel_scripts(const Vm *vm)
{
	g_autofree char *path = NULL;

	if (!vm->build_tree || !vm->build)
		return NULL;
	path = g_build_filename(vm->build, "vmlinux-gdb.py", NULL);
	return g_file_test(path, G_FILE_TEST_EXISTS) ? g_steal_pointer(&path) : NULL;
}

static void add_safe_path(GPtrArray *list, const char *scripts)
{
	g_autofree char *folder = g_path_get_dirname(scripts);
	g_autofree char *target = realpath(scripts, NULL);

	add(list, "add-auto-load-safe-path %s", folder);
	/* It is a link into the source tree, which for O= builds is another folder. */
	if (target && !g_str_has_prefix(target, folder))
		add(list, "add-auto-load-safe-path %s", target);
}

static gboolean has_folder(char **folders, const char *path)
{
	for (gsize i = 0; folders && folders[i]; i++) {
		gsize n = strlen(folders[i]);

		if (!strncmp(path, folders[i], n) && (path[n] == '/' || !path[n]))
			return TRUE;
	}
	return FALSE;
}

/* Where modules may stand: the trees, and the kernel's build tree. */
static char *search_folders(const Vm *vm, const char *separator)
{
	g_autofree char *trees = g_strjoinv(separator, vm->trees);

	if (!vm->build_tree || !vm->build || has_folder(vm->trees, vm->build))
		return g_steal_pointer(&trees);
	return g_strconcat(trees, *trees ? separator : "", vm->build, NULL);
}

static void setup_make(const GdbRequest *request, Setup *setup)
{
	const Vm *vm = request->vm;
	g_autofree char *scripts = kernel_scripts(vm);
	g_autofree char *symbols = g_build_filename(vm->run_dir, "symbols.json", NULL);
	g_autofree char *search = search_folders(vm, "\n");
	g_autofree char *address = vm_gdb_address(vm);

	setup->early = g_ptr_array_new_with_free_func(g_free);
	setup->late = g_ptr_array_new_with_free_func(g_free);
	add(setup->early, "set auto-load local-gdbinit off");
	if (scripts)
		add_safe_path(setup->early, scripts);
	add(setup->early, "set index-cache directory %s", request->index_cache);
	add(setup->early, "set index-cache enabled on");
	add(setup->early, "set breakpoint pending on");
	add_string(setup->late, "vm", vm->name);
	add_string(setup->late, "symbols", symbols);
	add_string(setup->late, "search", search);
	if (request->lx_symbols)
		add(setup->late, "set $devvm_loader = \"off\"");
	add(setup->late, "source %s", request->script);
	add(setup->late, "target remote %s", address);
	if (request->lx_symbols) {
		g_autofree char *folders = search_folders(vm, " ");

		add(setup->late, "lx-symbols %s", folders);
	}
	for (gsize i = 0; request->commands && request->commands[i]; i++)
		add(setup->late, "%s", request->commands[i]);
}

gboolean gdb_request_check(const GdbRequest *request, GError **error)
{
	const Vm *vm = request->vm;
	g_autofree char *scripts = kernel_scripts(vm);

	if (!vm->vmlinux && vm->build_tree)
		return devvm_fail(
			error, DEVVM_ERROR_NOT_FOUND,
			"%s has no vmlinux with debug information: switch on "
			"CONFIG_DEBUG_INFO_DWARF_TOOLCHAIN_DEFAULT there and `make -C %s vmlinux`",
			vm->build, vm->build);
	if (!vm->vmlinux)
		return devvm_fail(error, DEVVM_ERROR_NOT_FOUND,
				  "kernel %s has no vmlinux with debug information here: "
				  "`sudo apt install linux-image-%s-dbg`, then `devvm up %s` again",
				  vm->release, vm->release, vm->name);
	if (request->lx_symbols && !scripts)
		return devvm_fail(
			error, DEVVM_ERROR_NOT_FOUND,
			"kernel %s has no lx-symbols: that needs a build tree with "
			"CONFIG_GDB_SCRIPTS; without --lx-symbols devvm loads the symbols",
			vm->release);
	return TRUE;
}

static void add_strings(GStrvBuilder *out, const char *option, GPtrArray *commands)
{
	for (guint i = 0; i < commands->len; i++)
		g_strv_builder_add_many(out, option, g_ptr_array_index(commands, i), NULL);
}

char **gdb_command_line(const GdbRequest *request)
{
	g_autoptr(GStrvBuilder) out = g_strv_builder_new();
	g_auto(Setup) setup = {NULL, NULL};

	setup_make(request, &setup);
	g_strv_builder_add_many(out, "gdb", "-q", NULL);
	if (request->batch)
		g_strv_builder_add(out, "--batch");
	add_strings(out, "-iex", setup.early);
	g_strv_builder_add(out, request->vm->vmlinux);
	add_strings(out, "-ex", setup.late);
	if (request->more)
		g_strv_builder_addv(out, (const char **) request->more);
	return g_strv_builder_end(out);
}

char *gdb_setup_text(const GdbRequest *request)
{
	GString *text = g_string_new("# gdb's set-up for ");
	g_auto(Setup) setup = {NULL, NULL};

	setup_make(request, &setup);
	g_string_append_printf(text, "%s, by `devvm gdb --print`\n", request->vm->name);
	for (guint i = 0; i < setup.early->len; i++)
		g_string_append_printf(text, "%s\n", (char *) g_ptr_array_index(setup.early, i));
	g_string_append_printf(text, "file %s\n", request->vm->vmlinux);
	for (guint i = 0; i < setup.late->len; i++)
		g_string_append_printf(text, "%s\n", (char *) g_ptr_array_index(setup.late, i));
	return g_string_free(text, FALSE);
}
