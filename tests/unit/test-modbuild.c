// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Builds of real modules against the headers of an installed kernel, on the host. Each source
 * carries a text which is looked for in the .ko: what was edited last must be in there.
 */
#include <glib/gstdio.h>
#include <string.h>

#include "backends/modbuild.h"
#include "backends/modinfo.h"
#include "util/error.h"

static char *release; /* of a kernel with headers, or NULL */

typedef struct {
	char *tree;
	Vm vm;
	char *trees[2];
} Fixture;

static char *find_release(void)
{
	g_autoptr(GDir) dir = g_dir_open("/lib/modules", 0, NULL);
	const char *name;

	while (dir && (name = g_dir_read_name(dir))) {
		g_autofree char *makefile =
			g_build_filename("/lib/modules", name, "build", "Makefile", NULL);

		if (g_file_test(makefile, G_FILE_TEST_EXISTS))
			return g_strdup(name);
	}
	return NULL;
}

static void put(Fixture *f, const char *name, const char *text)
{
	g_autofree char *path = g_build_filename(f->tree, name, NULL);
	g_autofree char *folder = g_path_get_dirname(path);
	FILE *out;

	g_assert_cmpint(g_mkdir_with_parents(folder, 0755), ==, 0);
	out = fopen(path, "w");
	g_assert_nonnull(out);
	g_assert_cmpint(fputs(text, out), >=, 0);
	g_assert_cmpint(fclose(out), ==, 0);
}

static void put_module(Fixture *f, const char *name, const char *text)
{
	g_autofree char *source = g_strdup_printf(
		"#include <linux/module.h>\n"
		"static char text[] = \"TEXT-%s\";\n"
		"static int __init start(void) { pr_info(\"%%s\\n\", text); return 0; }\n"
		"static void __exit stop(void) { }\n"
		"module_init(start);\nmodule_exit(stop);\nMODULE_LICENSE(\"GPL\");\n",
		text);

	put(f, name, source);
}

static void set_up(Fixture *f, gconstpointer data)
{
	f->tree = g_dir_make_tmp("devvm-modbuild-XXXXXX", NULL);
	f->trees[0] = f->tree;
	f->vm = (Vm){.name = (char *) "test",
		     .trees = f->trees,
		     .release = release,
		     .cpus = 1,
		     .build = g_strdup_printf("/lib/modules/%s/build", release)};
	put_module(f, "probe.c", "1");
}

static void tear_down(Fixture *f, gconstpointer data)
{
	const char *argv[] = {"rm", "-r", f->tree, NULL};

	g_assert_true(g_spawn_sync(NULL, (char **) argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL,
				   NULL, NULL, NULL, NULL));
	g_free(f->tree);
	g_free(f->vm.build);
}

static BuildPlan *plan(Fixture *f, const char *name, const ModuleConfig *config, GError **error)
{
	g_autoptr(ModPlace) place = modfind(name, f->trees, config, error);

	return place ? modbuild_plan(&f->vm, place, BUILD_AUTO, error) : NULL;
}

static BuildResult *build(Fixture *f, GError **error)
{
	g_autoptr(BuildPlan) p = plan(f, "probe", NULL, error);

	return p ? modbuild_run(p, NULL, -1, error) : NULL;
}

static gboolean holds(const char *path, const char *text)
{
	g_autofree char *bytes = NULL;
	gsize size;

	g_assert_true(g_file_get_contents(path, &bytes, &size, NULL));
	return memmem(bytes, size, text, strlen(text)) != NULL;
}

static void assert_builds(Fixture *f, const char *text, guint rounds)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(BuildResult) result = build(f, &error);
	g_autofree char *want = g_strconcat("TEXT-", text, NULL);

	g_assert_no_error(error);
	g_assert_true(holds(result->ko, want));
	g_assert_cmpuint(result->rounds, ==, rounds);
	g_assert_cmpuint(result->modules->len, ==, 1);
}

/* Nothing but obj-m. */
static void test_obj_m(Fixture *f, gconstpointer data)
{
	g_autofree char *other = g_build_filename(f->tree, "probe.new", NULL);
	g_autofree char *source = g_build_filename(f->tree, "probe.c", NULL);
	g_autofree char *touch = NULL;

	put(f, "Makefile", "obj-m := probe.o\n");
	assert_builds(f, "1", 1);
	assert_builds(f, "1", 1);
	put_module(f, "probe.c", "2");
	assert_builds(f, "2", 1);
	/* A rename that brings a time stamp from before the build: make alone takes it for old. */
	put_module(f, "probe.new", "3");
	touch = g_strdup_printf("touch -d 2001-01-01 %s", other);
	g_assert_true(g_spawn_command_line_sync(touch, NULL, NULL, NULL, NULL));
	g_assert_cmpint(g_rename(other, source), ==, 0);
	assert_builds(f, "3", 1);
}

/* A source hung on an option that the kernel does not have, and which asks for it. */
static void test_config_option(Fixture *f, gconstpointer data)
{
	g_autoptr(BuildPlan) p = NULL;

	put(f, "Makefile", "obj-$(CONFIG_DEVVM_PROBE) += probe.o\n");
	put(f, "probe.c",
	    "#include <linux/module.h>\n"
	    "#if !IS_ENABLED(CONFIG_DEVVM_PROBE)\n#error not configured\n#endif\n"
	    "char text[] = \"TEXT-option\";\nMODULE_LICENSE(\"GPL\");\n");
	p = plan(f, "probe", NULL, NULL);
	g_assert_nonnull(strstr(p->command, "CONFIG_DEVVM_PROBE=m"));
	assert_builds(f, "option", 1);
}

/* A Makefile of the tree's own, which asks uname: it must build for the VM's kernel. */
static void test_own_makefile(Fixture *f, gconstpointer data)
{
	static const char *const texts[] = {
		"obj-m := probe.o\nall:\n\t$(MAKE) -C /lib/modules/$(shell uname -r)/build "
		"M=$(CURDIR) modules\n",
		"obj-m := probe.o\nKDIR ?= /nowhere\nall:\n\t$(MAKE) -C $(KDIR) M=$(CURDIR) "
		"modules\n",
	};

	for (gsize i = 0; i < G_N_ELEMENTS(texts); i++) {
		g_autofree char *text = g_strdup_printf("own%zu", i);

		put(f, "Makefile", texts[i]);
		put_module(f, "probe.c", text);
		assert_builds(f, text, 1);
	}
}

/* An edit in the middle of the compilation is in the next round. */
static void test_edit_while_building(Fixture *f, gconstpointer data)
{
	g_autofree char *command = g_strdup_printf("make -C %s M=%s modules && if [ ! -e once ]; "
						   "then touch once; sed -i s/TEXT-1/TEXT-2/ "
						   "probe.c; touch -d 2001-01-01 probe.c; fi",
						   f->vm.build, f->tree);
	ModuleConfig config = {.name = (char *) "probe", .build_command = command};
	g_autoptr(GError) error = NULL;
	g_autoptr(BuildPlan) p = NULL;
	g_autoptr(BuildResult) result = NULL;

	put(f, "Makefile", "obj-m := probe.o\n");
	p = plan(f, "probe", &config, &error);
	g_assert_no_error(error);
	result = modbuild_run(p, NULL, -1, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(result->rounds, ==, 2);
	g_assert_true(holds(result->ko, "TEXT-2"));
}

static void assert_fails(Fixture *f, const char *command, const char *says)
{
	ModuleConfig config = {
		.name = (char *) "probe", .dir = f->tree, .build_command = (char *) command};
	g_autoptr(GError) error = NULL;
	g_autoptr(BuildPlan) p = plan(f, "probe", &config, &error);

	g_assert_no_error(error);
	g_assert_null(modbuild_run(p, NULL, -1, &error));
	g_assert_error(error, DEVVM_ERROR, DEVVM_ERROR_BUILD);
	if (!strstr(error->message, says))
		g_error("'%s' does not say '%s'", error->message, says);
}

static void test_failures(Fixture *f, gconstpointer data)
{
	g_autoptr(GError) error = NULL;

	put(f, "Makefile", "obj-m := probe.o\n");
	put(f, "probe.c", "#error THIS-IS-WRONG\n");
	g_assert_null(build(f, &error));
	g_assert_error(error, DEVVM_ERROR, DEVVM_ERROR_BUILD);
	g_assert_nonnull(strstr(error->message, "THIS-IS-WRONG"));
	assert_fails(f, "true", "made no probe.ko");
	assert_fails(f, "kill -9 $$", "killed by signal 9");
	assert_fails(f, "exit 3", "status 3");
	/* A command that ends well, and does nothing. */
	put_module(f, "probe.c", "1");
	assert_builds(f, "1", 1);
	put_module(f, "probe.c", "2");
	assert_fails(f, "true", "build_command=");
	assert_builds(f, "2", 1);
}

static void test_where(Fixture *f, gconstpointer data)
{
	g_autoptr(ModPlace) place = NULL;
	g_autoptr(BuildPlan) tcg = NULL, kvm = NULL, asked = NULL, outside = NULL;
	g_autoptr(GError) error = NULL;
	char *elsewhere[] = {(char *) "/nowhere", NULL};

	put(f, "Makefile", "obj-m := probe.o\n");
	place = modfind("probe", f->trees, NULL, NULL);
	tcg = modbuild_plan(&f->vm, place, BUILD_AUTO, NULL);
	g_assert_false(tcg->in_guest);
	asked = modbuild_plan(&f->vm, place, BUILD_GUEST, NULL);
	g_assert_true(asked->in_guest);
	f->vm.kvm = TRUE;
	kvm = modbuild_plan(&f->vm, place, BUILD_AUTO, NULL);
	g_assert_true(kvm->in_guest);
	g_assert_cmpstr(kvm->command, ==, asked->command);
	f->vm.trees = elsewhere;
	outside = modbuild_plan(&f->vm, place, BUILD_AUTO, NULL);
	g_assert_false(outside->in_guest);
	g_assert_null(modbuild_plan(&f->vm, place, BUILD_GUEST, &error));
	g_assert_error(error, DEVVM_ERROR, DEVVM_ERROR_USAGE);
	g_clear_error(&error);
	g_free(f->vm.build);
	f->vm.build = g_strdup("/nowhere");
	g_assert_null(modbuild_plan(&f->vm, place, BUILD_AUTO, &error));
	g_assert_error(error, DEVVM_ERROR, DEVVM_ERROR_HOST);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*f)(Fixture *, gconstpointer);
	} tests[] = {
		{"/modbuild/obj-m", test_obj_m},
		{"/modbuild/config-option", test_config_option},
		{"/modbuild/own-makefile", test_own_makefile},
		{"/modbuild/edit-while-building", test_edit_while_building},
		{"/modbuild/failures", test_failures},
		{"/modbuild/where", test_where},
	};
	g_autofree char *cache = g_dir_make_tmp("devvm-cache-XXXXXX", NULL);
	const char *clean[] = {"rm", "-r", cache, NULL};
	int status;

	g_setenv("XDG_CACHE_HOME", cache, TRUE);
	g_test_init(&argc, &argv, NULL);
	release = find_release();
	if (!release) {
		g_print("1..0 # SKIP no kernel headers are installed\n");
		return 0;
	}
	for (gsize i = 0; i < G_N_ELEMENTS(tests); i++)
		g_test_add(tests[i].name, Fixture, NULL, set_up, tests[i].f, tear_down);
	status = g_test_run();
	g_assert_true(g_spawn_sync(NULL, (char **) clean, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL,
				   NULL, NULL, NULL, NULL));
	g_free(release);
	return status;
}
