// SPDX-License-Identifier: GPL-2.0-or-later
/* Finding the folder that makes a module, from Kbuild files as they are met in the wild. */
#include <glib/gstdio.h>

#include "backends/kbuildfile.h"
#include "backends/modfind.h"
#include "util/error.h"

typedef struct {
	char *tree;
} Fixture;

static void set_up(Fixture *f, gconstpointer data)
{
	f->tree = g_dir_make_tmp("devvm-modfind-XXXXXX", NULL);
	g_assert_nonnull(f->tree);
}

static void tear_down(Fixture *f, gconstpointer data)
{
	const char *argv[] = {"rm", "-r", f->tree, NULL};

	g_assert_true(g_spawn_sync(NULL, (char **) argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL,
				   NULL, NULL, NULL, NULL));
	g_free(f->tree);
}

static void put(Fixture *f, const char *name, const char *text)
{
	g_autofree char *path = g_build_filename(f->tree, name, NULL);
	g_autofree char *folder = g_path_get_dirname(path);

	g_assert_cmpint(g_mkdir_with_parents(folder, 0755), ==, 0);
	g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static ModPlace *find(Fixture *f, const char *name, GError **error)
{
	char *trees[] = {f->tree, NULL};

	return modfind(name, trees, NULL, error);
}

static void assert_below(Fixture *f, const char *path, const char *rel)
{
	g_autofree char *want = *rel ? g_build_filename(f->tree, rel, NULL) : g_strdup(f->tree);

	g_assert_cmpstr(path, ==, want);
}

/* Each way to say it; the folder is sub/dir. */
static void test_forms(Fixture *f, gconstpointer data)
{
	static const struct {
		const char *file, *text, *name, *ko;
	} rows[] = {
		{"Makefile", "obj-m := foo.o\n", "foo", "foo.ko"},
		{"Makefile", "obj-m+=foo.o", "foo", "foo.ko"},
		{"Kbuild", "obj-m += bar.o \\\n\tfoo.o # two\n", "foo", "foo.ko"},
		{"Makefile", "obj-$(CONFIG_FOO) += foo.o\n", "foo", "foo.ko"},
		{"Makefile", "obj-${CONFIG_FOO} += foo.o\n", "foo", "foo.ko"},
		{"Makefile", "obj-m := foo.o\nfoo-y := a.o b.o\n", "foo", "foo.ko"},
		{"Makefile", "obj-m := foo.o\nfoo-objs := a.o b.o\n", "foo", "foo.ko"},
		{"Makefile", "obj-m := my-foo.o\n", "my_foo", "my-foo.ko"},
		{"Makefile", "obj-m := my_foo.o\n", "my-foo", "my_foo.ko"},
		{"Makefile", "obj-m := src/foo.o\n", "foo", "src/foo.ko"},
		{"Makefile", "NAME := foo\nobj-m := $(NAME).o\n", "foo", "foo.ko"},
		{"Makefile", "MODS = foo bar\nobj-m += $(addsuffix .o,$(MODS))\n", "foo", "foo.ko"},
		{"Makefile", "MODS = foo bar\nobj-m += $(patsubst %,%.o,$(MODS))\n", "foo",
		 "foo.ko"},
		{"Makefile", "SRCS := foo.c bar.c\nobj-m := $(SRCS:.c=.o)\n", "foo", "foo.ko"},
		{"Makefile",
		 "ifneq ($(KERNELRELEASE),)\nobj-m := foo.o\nelse\nall:\n\t$(MAKE) -C $(KDIR) "
		 "M=$$PWD\nendif\n",
		 "foo", "foo.ko"},
	};

	for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autofree char *file = g_build_filename("sub/dir", rows[i].file, NULL);
		g_autofree char *ko = g_build_filename("sub/dir", rows[i].ko, NULL);
		g_autofree char *path = g_build_filename(f->tree, file, NULL);
		g_autoptr(GError) error = NULL;
		g_autoptr(ModPlace) place = NULL;

		put(f, file, rows[i].text);
		place = find(f, rows[i].name, &error);
		g_assert_no_error(error);
		assert_below(f, place->dir, "sub/dir");
		assert_below(f, place->ko, ko);
		g_remove(path);
	}
}

/* What looks like it and is not. */
static void test_not_made(Fixture *f, gconstpointer data)
{
	static const char *const texts[] = {
		"# obj-m := foo.o\n",
		"obj-y := foo.o\n",
		"foo-y := foo.o\nobj-m := bar.o\n",
		"obj-m := foobar.o\n",
		"obj-m += foo/\n",
		"all:\n\techo obj-m := foo.o\n",
		"obj-m := foo.c\n",
		"",
	};

	for (gsize i = 0; i < G_N_ELEMENTS(texts); i++) {
		g_autoptr(GError) error = NULL;

		put(f, "Makefile", texts[i]);
		g_assert_null(find(f, "foo", &error));
		g_assert_error(error, DEVVM_ERROR, DEVVM_ERROR_NOT_FOUND);
		g_assert_nonnull(strstr(error->message, f->tree));
	}
}

/* kbuild reads Kbuild and not the Makefile beside it; .git is no source. */
static void test_which_file(Fixture *f, gconstpointer data)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(ModPlace) place = NULL;

	put(f, "a/Kbuild", "obj-m := other.o\n");
	put(f, "a/Makefile", "obj-m := foo.o\n");
	put(f, ".git/Makefile", "obj-m := foo.o\n");
	g_assert_null(find(f, "foo", &error));
	g_assert_error(error, DEVVM_ERROR, DEVVM_ERROR_NOT_FOUND);
	place = find(f, "other", NULL);
	assert_below(f, place->dir, "a");
}

static void test_ambiguous(Fixture *f, gconstpointer data)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(ModPlace) place = NULL;
	g_autofree char *b = g_build_filename(f->tree, "b", NULL);
	ModuleConfig config = {.name = (char *) "foo", .dir = b};
	char *trees[] = {f->tree, NULL};

	put(f, "a/Kbuild", "obj-m := foo.o\n");
	put(f, "b/Kbuild", "obj-m := foo.o\n");
	put(f, "b/foo.mod", "foo.o\n");
	g_assert_null(find(f, "foo", &error));
	g_assert_error(error, DEVVM_ERROR, DEVVM_ERROR_FAILED);
	g_assert_nonnull(strstr(error->message, "[module foo] dir="));
	g_assert_true(strstr(error->message, "/b  (built before)") < strstr(error->message, "/a"));
	place = modfind("foo", trees, &config, NULL);
	assert_below(f, place->dir, "b");
}

/* The same tree said twice is no second candidate. */
static void test_nested_trees(Fixture *f, gconstpointer data)
{
	g_autofree char *inner = g_build_filename(f->tree, "a", NULL);
	char *trees[] = {f->tree, inner, NULL};
	g_autoptr(GError) error = NULL;
	g_autoptr(ModPlace) place = NULL;

	put(f, "a/b/Kbuild", "obj-m := foo.o\n");
	place = modfind("foo", trees, NULL, &error);
	g_assert_no_error(error);
	g_assert_cmpstr(place->tree, ==, inner);
}

/* From where to build: the top that descends into the folder, or the Makefile that calls M= on it.
 */
static void test_roots(Fixture *f, gconstpointer data)
{
	g_autoptr(ModPlace) top = NULL, call = NULL, own = NULL, alone = NULL;

	put(f, "top/Kbuild", "obj-m += fs/foo/\nobj-$(CONFIG_BAR) += fs/bar/\n");
	put(f, "top/fs/foo/Makefile", "obj-$(CONFIG_FOO) += foo.o\n");
	top = find(f, "foo", NULL);
	assert_below(f, top->dir, "top/fs/foo");
	assert_below(f, top->root, "top");
	g_assert_false(top->own_make);
	g_assert_cmpstr(top->configs[0], ==, "CONFIG_FOO");
	g_assert_null(top->configs[1]);

	put(f, "call/Makefile", "all:\n\t$(MAKE) -C $(KSRC) M=$(CURDIR)/src modules\n");
	put(f, "call/src/Kbuild", "obj-m := called.o\n");
	call = find(f, "called", NULL);
	assert_below(f, call->root, "call");
	g_assert_true(call->own_make);
	g_assert_cmpstr(call->kernel_variable, ==, "KSRC");

	put(f, "own/Makefile",
	    "obj-m := own.o\nall:\n\tmake -C /lib/modules/$(shell uname -r)/build M=$(PWD) "
	    "modules\n");
	own = find(f, "own", NULL);
	g_assert_true(own->own_make);
	g_assert_null(own->kernel_variable);

	/* A kernel's fs/Makefile descends too, but is not made to be built from. */
	put(f, "kernel/fs/Makefile", "obj-y += open.o\nobj-$(CONFIG_BAZ) += baz/\n");
	put(f, "kernel/fs/baz/Makefile", "obj-$(CONFIG_BAZ) += baz.o\n");
	alone = find(f, "baz", NULL);
	assert_below(f, alone->root, "kernel/fs/baz");
	g_assert_null(alone->kernel_source);
}

/* A top-level Makefile which only recurses leaves the folder itself to be built. */
static void test_recursing_makefile(Fixture *f, gconstpointer data)
{
	g_autoptr(ModPlace) place = NULL;

	put(f, "Makefile",
	    "SUBDIRS_ALL = one two\nall:\n\tfor d in $(SUBDIRS_ALL); do $(MAKE) -C "
	    "$$d; done\n");
	put(f, "one/Makefile", "obj-m := foo.o\nall:\n\t$(MAKE) -C $(KDIR) M=$(PWD)\n");
	place = find(f, "foo", NULL);
	assert_below(f, place->root, "one");
	g_assert_true(place->own_make);
}

static void test_config(Fixture *f, gconstpointer data)
{
	g_autofree char *dir = g_build_filename(f->tree, "lustre", NULL);
	g_autofree char *missing = g_build_filename(f->tree, "missing", NULL);
	char *ko[] = {(char *) "llite/lustre.ko", NULL};
	ModuleConfig config = {.name = (char *) "lustre",
			       .dir = dir,
			       .build_command = (char *) "make modules",
			       .ko = ko};
	char *trees[] = {f->tree, NULL};
	g_autoptr(GError) error = NULL;
	g_autoptr(ModPlace) place = NULL;

	put(f, "lustre/Makefile", "all:\n\ttrue\n");
	place = modfind("lustre", trees, &config, &error);
	g_assert_no_error(error);
	assert_below(f, place->ko, "lustre/llite/lustre.ko");
	assert_below(f, place->root, "lustre");
	g_assert_cmpstr(place->build_command, ==, "make modules");

	config.build_command = NULL;
	g_assert_null(modfind("lustre", trees, &config, &error));
	g_assert_error(error, DEVVM_ERROR, DEVVM_ERROR_NOT_FOUND);
	g_clear_error(&error);
	config.dir = missing;
	g_assert_null(modfind("lustre", trees, &config, &error));
	g_assert_error(error, DEVVM_ERROR, DEVVM_ERROR_NOT_FOUND);
	g_clear_error(&error);
	g_assert_null(modfind("../x", trees, NULL, &error));
	g_assert_error(error, DEVVM_ERROR, DEVVM_ERROR_USAGE);
}

/* Left-overs decide nothing, but the error tells of them. */
static void test_leftover(Fixture *f, gconstpointer data)
{
	g_autoptr(GError) error = NULL;

	put(f, "x/foo.ko", "");
	g_assert_null(find(f, "foo", &error));
	g_assert_error(error, DEVVM_ERROR, DEVVM_ERROR_NOT_FOUND);
	g_assert_nonnull(strstr(error->message, "x/foo.ko"));
	g_assert_nonnull(strstr(error->message, "build_command="));
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*f)(Fixture *, gconstpointer);
	} tests[] = {
		{"/modfind/forms", test_forms},
		{"/modfind/not-made", test_not_made},
		{"/modfind/which-file", test_which_file},
		{"/modfind/ambiguous", test_ambiguous},
		{"/modfind/nested-trees", test_nested_trees},
		{"/modfind/roots", test_roots},
		{"/modfind/recursing-makefile", test_recursing_makefile},
		{"/modfind/config", test_config},
		{"/modfind/left-over", test_leftover},
	};

	g_test_init(&argc, &argv, NULL);
	for (gsize i = 0; i < G_N_ELEMENTS(tests); i++)
		g_test_add(tests[i].name, Fixture, NULL, set_up, tests[i].f, tear_down);
	return g_test_run();
}
