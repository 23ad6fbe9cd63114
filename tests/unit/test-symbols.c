// SPDX-License-Identifier: GPL-2.0-or-later
/* symbols.json and the copies that it names, with real modules of an installed kernel. */
#include <glib/gstdio.h>
#include <json-glib/json-glib.h>
#include <string.h>
#include <unistd.h>

#include "symbols.h"

static char *top;
static Vm vm;

/* Two uncompressed modules of an installed kernel. */
static gboolean find_modules(char *found[2])
{
	g_autoptr(GDir) dir = g_dir_open("/lib/modules", 0, NULL);
	const char *name;

	while (dir && (name = g_dir_read_name(dir))) {
		found[0] = g_build_filename("/lib/modules", name, "kernel/fs/nfs/nfs.ko", NULL);
		found[1] = g_build_filename("/lib/modules", name, "kernel/fs/lockd/lockd.ko", NULL);
		if (g_file_test(found[0], G_FILE_TEST_EXISTS) &&
		    g_file_test(found[1], G_FILE_TEST_EXISTS))
			return TRUE;
		g_clear_pointer(&found[0], g_free);
		g_clear_pointer(&found[1], g_free);
	}
	g_test_skip("no uncompressed nfs.ko and lockd.ko are installed");
	return FALSE;
}

static void register_one(const char *ko)
{
	g_autoptr(GPtrArray) infos = g_ptr_array_new_with_free_func((GDestroyNotify) modinfo_free);
	g_autoptr(GError) error = NULL;
	ModInfo *info = symbols_keep(ko, &error);

	g_assert_no_error(error);
	g_assert_nonnull(strstr(info->path, info->build_id));
	g_ptr_array_add(infos, info);
	g_assert_true(symbols_register(&vm, infos, &error));
	g_assert_no_error(error);
}

/* The .ko of a module in symbols.json, or NULL. New string. */
static char *registered(const char *name)
{
	g_autofree char *path = g_build_filename(vm.run_dir, "symbols.json", NULL);
	g_autoptr(JsonParser) parser = json_parser_new();
	JsonObject *modules;

	g_assert_true(json_parser_load_from_file(parser, path, NULL));
	modules = json_object_get_object_member(json_node_get_object(json_parser_get_root(parser)),
						"modules");
	if (!json_object_has_member(modules, name))
		return NULL;
	return g_strdup(
		json_object_get_string_member(json_object_get_object_member(modules, name), "ko"));
}

static void test_register(void)
{
	char *found[2] = {NULL};
	g_autofree char *nfs = NULL, *lockd = NULL;

	if (!find_modules(found))
		return;
	register_one(found[0]);
	register_one(found[1]);
	register_one(found[1]);
	nfs = registered("nfs");
	lockd = registered("lockd");
	g_assert_true(g_file_test(nfs, G_FILE_TEST_EXISTS));
	g_assert_true(g_file_test(lockd, G_FILE_TEST_EXISTS));
	g_free(found[0]);
	g_free(found[1]);
}

/* A registry that is not one is written anew. */
static void test_broken_registry(void)
{
	g_autofree char *path = g_build_filename(vm.run_dir, "symbols.json", NULL);
	char *found[2] = {NULL};
	static const char *const texts[] = {"", "{", "[]", "{\"modules\": 3}",
					    "{\"modules\": {\"x\": 1}}"};

	if (!find_modules(found))
		return;
	for (gsize i = 0; i < G_N_ELEMENTS(texts); i++) {
		g_autofree char *ko = NULL;

		g_assert_true(g_file_set_contents(path, texts[i], -1, NULL));
		register_one(found[0]);
		ko = registered("nfs");
		g_assert_nonnull(ko);
	}
	g_free(found[0]);
	g_free(found[1]);
}

static void test_prune(void)
{
	g_autofree char *folder = g_build_filename(g_get_user_cache_dir(), "devvm", "ko", NULL);
	g_autofree char *named = NULL, *newest = NULL, *oldest = NULL;
	char *found[2] = {NULL};

	if (!find_modules(found))
		return;
	register_one(found[0]);
	named = registered("nfs");
	for (int i = 0; i < 6; i++) {
		g_autofree char *path = g_strdup_printf("%s/nfs-%d.ko", folder, i);
		g_autofree char *touch = g_strdup_printf("touch -d @%d %s", 2000000000 + i, path);

		g_assert_true(g_spawn_command_line_sync(touch, NULL, NULL, NULL, NULL));
	}
	symbols_prune(&vm);
	newest = g_build_filename(folder, "nfs-5.ko", NULL);
	oldest = g_build_filename(folder, "nfs-0.ko", NULL);
	g_assert_true(g_file_test(newest, G_FILE_TEST_EXISTS));
	g_assert_false(g_file_test(oldest, G_FILE_TEST_EXISTS));
	g_assert_true(g_file_test(named, G_FILE_TEST_EXISTS)); /* older still, but in use */
	g_free(found[0]);
	g_free(found[1]);
}

static void test_no_module(void)
{
	g_autoptr(GError) error = NULL;

	g_assert_null(symbols_keep("/etc/passwd", &error));
	g_assert_nonnull(error);
	g_clear_error(&error);
	g_assert_null(symbols_keep("/nowhere/x.ko", &error));
	g_assert_nonnull(error);
}

int main(int argc, char **argv)
{
	int status;
	g_autofree char *run = NULL;
	const char *clean[] = {"rm", "-r", NULL, NULL};

	top = g_dir_make_tmp("devvm-symbols-XXXXXX", NULL);
	run = g_build_filename(top, "run", "vm1", NULL);
	g_assert_cmpint(g_mkdir_with_parents(run, 0700), ==, 0);
	g_setenv("XDG_CACHE_HOME", top, TRUE);
	vm = (Vm){.name = (char *) "vm1", .run_dir = run};
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/symbols/register", test_register);
	g_test_add_func("/symbols/broken-registry", test_broken_registry);
	g_test_add_func("/symbols/prune", test_prune);
	g_test_add_func("/symbols/no-module", test_no_module);
	status = g_test_run();
	clean[2] = top;
	g_assert_true(g_spawn_sync(NULL, (char **) clean, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL,
				   NULL, NULL, NULL, NULL));
	g_free(top);
	return status;
}
