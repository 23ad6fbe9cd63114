// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * make's race, with make itself: a Makefile whose "compiler" joins its inputs, keeps .cmd files as
 * kbuild does, and runs a hook after it has read and before it writes. Whatever is edited when and
 * how, the build that starts after the edit must have it in the object.
 */
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backends/buildinputs.h"
#include "util/error.h"

#define TICK_TRIES 30

/* a.o hangs on a.c and common.h, b.o on b.c, old.o on a file that nobody has edited for long. */
static const char makefile[] =
	"MAKEFLAGS += -r\n"
	".PHONY: all\n"
	"all: a.o b.o old.o\n"
	"a.o: a.c common.h\n"
	"b.o: b.c\n"
	"old.o: $(OLD)\n"
	"%.o:\n"
	"\t@cat $^ > $@.tmp\n"
	"\t@if [ -e hook-$@ ]; then sh ./hook-$@; fi\n"
	"\t@cat $@.tmp > $@; rm $@.tmp\n"
	"\t@{ echo 'cmd_$@ := cat'; echo; echo 'source_$@ := $(abspath $<)'; echo; \\\n"
	"\t  echo 'deps_$@ := \\'; echo '    $$(wildcard include/config/FOO) \\'; \\\n"
	"\t  for i in $(abspath $^); do echo \"  $$i \\\\\"; done; echo; \\\n"
	"\t  echo '$@: $$(deps_$@)'; echo; echo '$$(deps_$@):'; } > .$@.cmd\n";

typedef struct {
	char *top, *root, *objtree, *old;
} Fixture;

static char *file(Fixture *f, const char *name)
{
	return g_build_filename(f->root, name, NULL);
}

/* In place: the file keeps its inode. */
static void put(Fixture *f, const char *name, const char *text)
{
	g_autofree char *path = file(f, name);
	FILE *out = fopen(path, "w");

	g_assert_nonnull(out);
	g_assert_cmpint(fputs(text, out), >=, 0);
	g_assert_cmpint(fclose(out), ==, 0);
}

static void set_up(Fixture *f, gconstpointer data)
{
	g_autofree char *generated = NULL, *autoconf = NULL;

	f->top = g_dir_make_tmp("devvm-inputs-XXXXXX", NULL);
	f->root = g_build_filename(f->top, "module", NULL);
	f->objtree = g_build_filename(f->top, "kernel", NULL);
	f->old = g_strdup("/etc/passwd");
	generated = g_build_filename(f->objtree, "include", "generated", NULL);
	autoconf = g_build_filename(generated, "autoconf.h", NULL);
	g_assert_cmpint(g_mkdir_with_parents(f->root, 0755), ==, 0);
	g_assert_cmpint(g_mkdir_with_parents(generated, 0755), ==, 0);
	g_assert_true(g_file_set_contents(autoconf, "#define CONFIG_FOO 1\n", -1, NULL));
	put(f, "Makefile", makefile);
	put(f, "a.c", "a1\n");
	put(f, "b.c", "b1\n");
	put(f, "common.h", "h1\n");
}

static void tear_down(Fixture *f, gconstpointer data)
{
	const char *argv[] = {"rm", "-r", f->top, NULL};

	g_assert_true(g_spawn_sync(NULL, (char **) argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL,
				   NULL, NULL, NULL, NULL));
	g_free(f->top);
	g_free(f->root);
	g_free(f->objtree);
	g_free(f->old);
}

static BuildInputs *open_inputs(Fixture *f)
{
	g_autoptr(GError) error = NULL;
	BuildInputs *inputs = buildinputs_open(f->root, f->objtree, NULL, 0, &error);

	g_assert_no_error(error);
	return inputs;
}

static void run(Fixture *f, const char *command)
{
	g_autofree char *old = g_strconcat("OLD=", f->old, NULL);
	const char *make[] = {"make", "-s", old, NULL};
	const char *shell[] = {"sh", "-c", command, NULL};
	int status;

	g_assert_true(g_spawn_sync(f->root, (char **) (command ? shell : make), NULL,
				   G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, &status, NULL));
	g_assert_cmpint(status, ==, 0);
}

/* As modbuild does; the number of inputs that changed meanwhile. */
static guint build(Fixture *f, guint *removed)
{
	g_autoptr(BuildInputs) inputs = open_inputs(f);
	g_autoptr(GError) error = NULL;
	g_autoptr(GPtrArray) changed = NULL;

	g_assert_true(buildinputs_begin(inputs, removed, &error));
	g_assert_no_error(error);
	run(f, NULL);
	changed = buildinputs_end(inputs, &error);
	g_assert_no_error(error);
	return changed->len;
}

static void assert_object(Fixture *f, const char *name, const char *want)
{
	g_autofree char *path = file(f, name);
	g_autofree char *text = NULL;

	g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
	g_assert_cmpstr(text, ==, want);
}

static void test_nothing_changed(Fixture *f, gconstpointer data)
{
	guint removed = 99;

	g_assert_cmpuint(build(f, &removed), ==, 0);
	g_assert_cmpuint(removed, ==, 0);
	for (int i = 0; i < 3; i++) {
		g_assert_cmpuint(build(f, &removed), ==, 0);
		g_assert_cmpuint(removed, ==, 0);
	}
	assert_object(f, "a.o", "a1\nh1\n");
}

/* Each edit that make alone would miss, or may: data is the shell command that edits a.c to "a2".
 */
static const char *const edits[] = {
	"printf 'a2\\n' > a.c",					     /* in place, same size */
	"printf 'a2\\n' > new; mv new a.c",			     /* by rename */
	"printf 'a2\\n' > new; touch -d 2001-01-01 new; mv new a.c", /* with an old time stamp */
	"printf 'a2\\n' > new; touch -r a.c new; mv new a.c",	     /* with the same one */
	"cp -p a.c keep; printf 'a2\\n' > a.c; touch -r keep a.c",   /* in place, the same one */
};

static void test_edit_between(Fixture *f, gconstpointer data)
{
	for (gsize i = 0; i < G_N_ELEMENTS(edits); i++) {
		guint removed;

		put(f, "a.c", "a1\n");
		build(f, NULL);
		run(f, edits[i]);
		build(f, &removed);
		g_assert_cmpuint(removed, ==, 1);
		assert_object(f, "a.o", "a2\nh1\n");
	}
}

static void test_edit_during(Fixture *f, gconstpointer data)
{
	g_autofree char *hook = file(f, "hook-a.o");
	g_autofree char *object = file(f, "a.o");

	for (gsize i = 0; i < G_N_ELEMENTS(edits); i++) {
		guint removed;

		put(f, "a.c", "a1\n");
		g_unlink(object);
		put(f, "hook-a.o", edits[i]);
		g_assert_cmpuint(build(f, NULL), ==, 1);
		assert_object(f, "a.o", "a1\nh1\n"); /* the race is there … */
		g_unlink(hook);
		run(f, NULL);
		if (i == 0)
			assert_object(f, "a.o", "a1\nh1\n"); /* … and make does not see it */
		build(f, &removed);
		g_assert_cmpuint(removed, ==, 1);
		assert_object(f, "a.o", "a2\nh1\n");
	}
}

/* There and back while it was compiled: the same text, but the object has the other one. */
static void test_edit_and_back(Fixture *f, gconstpointer data)
{
	g_autofree char *hook = file(f, "hook-b.o");

	put(f, "hook-b.o", "printf 'bX\\n' > b.c; cat b.c > b.o.tmp; printf 'b1\\n' > b.c");
	g_assert_cmpuint(build(f, NULL), ==, 1);
	assert_object(f, "b.o", "bX\n");
	g_unlink(hook);
	build(f, NULL);
	assert_object(f, "b.o", "b1\n");
}

static void test_header_during(Fixture *f, gconstpointer data)
{
	g_autofree char *hook = file(f, "hook-a.o");
	guint removed;

	put(f, "hook-a.o", "printf 'h2\\n' > common.h");
	g_assert_cmpuint(build(f, NULL), ==, 1);
	g_unlink(hook);
	build(f, &removed);
	g_assert_cmpuint(removed, ==, 1); /* b.o stays */
	assert_object(f, "a.o", "a1\nh2\n");
}

/* Two edits of one size within one tick of the clock look alike but for their contents. */
static void test_same_tick(Fixture *f, gconstpointer data)
{
	g_autofree char *path = file(f, "a.c");
	gboolean alike = FALSE;

	for (int i = 0; i < TICK_TRIES && !alike; i++) {
		g_autoptr(BuildInputs) inputs = open_inputs(f);
		g_autoptr(GPtrArray) changed = NULL;
		struct stat before, after;

		put(f, "a.c", "a1\n");
		g_assert_true(buildinputs_begin(inputs, NULL, NULL));
		g_assert_cmpint(stat(path, &before), ==, 0);
		run(f, NULL);
		put(f, "a.c", "a2\n");
		g_assert_cmpint(stat(path, &after), ==, 0);
		alike = before.st_ctim.tv_nsec == after.st_ctim.tv_nsec &&
			before.st_ctim.tv_sec == after.st_ctim.tv_sec;
		if (!alike) { /* make is too slow for one tick: edit before it runs */
			put(f, "a.c", "a1\n");
			g_assert_true(buildinputs_begin(inputs, NULL, NULL));
			g_assert_cmpint(stat(path, &before), ==, 0);
			put(f, "a.c", "a2\n");
			g_assert_cmpint(stat(path, &after), ==, 0);
			alike = before.st_ctim.tv_nsec == after.st_ctim.tv_nsec &&
				before.st_ctim.tv_sec == after.st_ctim.tv_sec;
		}
		changed = buildinputs_end(inputs, NULL);
		g_assert_cmpuint(changed->len, ==, 1);
	}
	if (!alike)
		g_test_message("no two edits fell into one tick of this clock");
	build(f, NULL);
	assert_object(f, "a.o", "a2\nh1\n");
}

/* kill -9 in the middle: what was written since the start is not believed, half a file or not. */
static void test_cut_off(Fixture *f, gconstpointer data)
{
	guint removed;

	build(f, NULL);
	put(f, "a.c", "a2\n");
	{
		g_autoptr(BuildInputs) inputs = open_inputs(f);

		g_assert_true(buildinputs_begin(inputs, NULL, NULL));
		run(f, NULL);
		put(f, "a.o", "half");
	}
	build(f, &removed);
	g_assert_cmpuint(removed, ==, 1);
	assert_object(f, "a.o", "a2\nh1\n");
	g_assert_cmpuint(build(f, &removed), ==, 0);
	g_assert_cmpuint(removed, ==, 0);
}

/* … also when the edit came after the kill, and when the source was edited during the cut build. */
static void test_cut_off_and_edited(Fixture *f, gconstpointer data)
{
	build(f, NULL);
	put(f, "a.c", "a2\n");
	{
		g_autoptr(BuildInputs) inputs = open_inputs(f);

		g_assert_true(buildinputs_begin(inputs, NULL, NULL));
		run(f, "printf 'a3\\n' > a.c; printf stale > a.o; printf 'b2\\n' > n; touch -d "
		       "2001-01-01 n; mv n b.c");
	}
	build(f, NULL);
	assert_object(f, "a.o", "a3\nh1\n");
	assert_object(f, "b.o", "b2\n");
}

/* Objects of a make that somebody ran by hand: believed only when their inputs were long at rest.
 */
static void test_foreign(Fixture *f, gconstpointer data)
{
	guint removed;

	run(f, NULL);
	run(f, "printf 'a2\\n' > n; touch -d 2001-01-01 n; mv n a.c");
	build(f, &removed);
	g_assert_cmpuint(removed, ==, 2); /* a.o and b.o, but not old.o */
	assert_object(f, "a.o", "a2\nh1\n");

	build(f, NULL);
	put(f, "a.c", "a3\n");
	run(f, NULL);
	run(f, "printf 'a4\\n' > n; touch -d 2001-01-01 n; mv n a.c");
	build(f, &removed);
	g_assert_cmpuint(removed, ==, 1);
	assert_object(f, "a.o", "a4\nh1\n");
}

static void test_other_kernel(Fixture *f, gconstpointer data)
{
	g_autofree char *autoconf =
		g_build_filename(f->objtree, "include", "generated", "autoconf.h", NULL);
	guint removed;

	build(f, NULL);
	g_assert_true(g_file_set_contents(autoconf, "#define CONFIG_FOO 2\n", -1, NULL));
	build(f, &removed);
	g_assert_cmpuint(removed, ==, 3);
}

/* A deleted input, and one that is a folder below. */
static void test_deleted_input(Fixture *f, gconstpointer data)
{
	guint removed;

	build(f, NULL);
	run(f, "rm common.h; sed -i 's/ common.h//' Makefile");
	build(f, &removed);
	g_assert_cmpuint(removed, ==, 1);
	assert_object(f, "a.o", "a1\n");
}

static void test_broken_record(Fixture *f, gconstpointer data)
{
	g_autofree char *command = g_strdup_printf(
		"for i in %s/devvm/builds/*; do case $i in *.lock) ;; *) head -c 300 $i > x; cat x "
		"> $i;; esac; done",
		g_get_user_cache_dir());

	build(f, NULL);
	run(f, command);
	run(f, "printf 'a2\\n' > n; touch -d 2001-01-01 n; mv n a.c");
	build(f, NULL);
	assert_object(f, "a.o", "a2\nh1\n");
}

static void test_lock(Fixture *f, gconstpointer data)
{
	g_autoptr(BuildInputs) first = open_inputs(f);
	g_autoptr(GError) error = NULL;

	g_assert_null(buildinputs_open(f->root, f->objtree, NULL, 50, &error));
	g_assert_error(error, DEVVM_ERROR, DEVVM_ERROR_BUSY);
	g_clear_pointer(&first, buildinputs_close);
	first = open_inputs(f);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*f)(Fixture *, gconstpointer);
	} tests[] = {
		{"/buildinputs/nothing-changed", test_nothing_changed},
		{"/buildinputs/edit-between", test_edit_between},
		{"/buildinputs/edit-during", test_edit_during},
		{"/buildinputs/edit-and-back", test_edit_and_back},
		{"/buildinputs/header-during", test_header_during},
		{"/buildinputs/same-tick", test_same_tick},
		{"/buildinputs/cut-off", test_cut_off},
		{"/buildinputs/cut-off-and-edited", test_cut_off_and_edited},
		{"/buildinputs/foreign", test_foreign},
		{"/buildinputs/other-kernel", test_other_kernel},
		{"/buildinputs/deleted-input", test_deleted_input},
		{"/buildinputs/broken-record", test_broken_record},
		{"/buildinputs/lock", test_lock},
	};
	g_autofree char *cache = g_dir_make_tmp("devvm-cache-XXXXXX", NULL);
	const char *clean[] = {"rm", "-r", cache, NULL};
	int status;

	g_setenv("XDG_CACHE_HOME", cache, TRUE);
	g_unsetenv("MAKEFLAGS");
	g_unsetenv("MAKELEVEL");
	g_test_init(&argc, &argv, NULL);
	for (gsize i = 0; i < G_N_ELEMENTS(tests); i++)
		g_test_add(tests[i].name, Fixture, NULL, set_up, tests[i].f, tear_down);
	status = g_test_run();
	g_assert_true(g_spawn_sync(NULL, (char **) clean, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL,
				   NULL, NULL, NULL, NULL));
	return status;
}
