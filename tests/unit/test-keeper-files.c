// SPDX-License-Identifier: GPL-2.0-or-later
/* The files that the keeper reads and writes: boot.state, keeper.log. */
#include <glib/gstdio.h>
#include <unistd.h>

#include "keeper/boot-state.h"
#include "keeper/log.h"

#define GOOD                                                                             \
	"[vm]\nname=t1\nuuid=u\n[agent]\nsocket=/r/agent.sock\n"                         \
	"setup=hostname t1;tree t0 /a%20b;\nfiles=/etc/x=/host/x=y;\n"                   \
	"[gdb]\nmode=keeper\nport=1234\nsocket=/r/gdb.sock\n[qmp]\nsocket=/r/qmp.sock\n" \
	"[nfs]\nexports=root / ro,only=usr;t0 /a rw;\n"

typedef struct {
	char *folder, *before;
} Fixture;

static void set_up(Fixture *f, gconstpointer unused)
{
	f->before = g_get_current_dir();
	f->folder = g_dir_make_tmp("devvm-keeper-XXXXXX", NULL);
	g_assert_cmpint(chdir(f->folder), ==, 0);
}

static void tear_down(Fixture *f, gconstpointer unused)
{
	g_unlink("boot.state");
	g_unlink("keeper.log");
	g_unlink("keeper.log.old");
	g_assert_cmpint(chdir(f->before), ==, 0);
	g_assert_cmpint(g_rmdir(f->folder), ==, 0);
	g_free(f->folder);
	g_free(f->before);
}

static BootState *load(const char *text, GError **error)
{
	g_assert_true(g_file_set_contents("boot.state", text, -1, NULL));
	return boot_state_load("boot.state", error);
}

static void good_state(Fixture *f, gconstpointer unused)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(BootState) b = load(GOOD, &error);
	const BootFile *file;

	g_assert_no_error(error);
	g_assert_cmpstr(b->name, ==, "t1");
	g_assert_cmpstr(b->setup[1], ==, "tree t0 /a%20b");
	g_assert_cmpuint(b->gdb_port, ==, 1234);
	g_assert_cmpstr(b->exports[0], ==, "root / ro,only=usr");
	g_assert_null(b->exports[2]);
	g_assert_cmpuint(b->files->len, ==, 1);
	file = g_ptr_array_index(b->files, 0);
	g_assert_cmpstr(file->guest, ==, "/etc/x");
	g_assert_cmpstr(file->host, ==, "/host/x=y");
}

/* Each bad state is refused with words that name the file. */
static void bad_states(Fixture *f, gconstpointer unused)
{
	static const struct {
		const char *from, *to;
	} changes[] = {
		{"name=t1", "name=../x"},
		{"name=t1\n", ""},
		{"socket=/r/agent.sock\n", ""},
		{"socket=/r/qmp.sock\n", ""},
		{"port=1234", "port=70000"},
		{"port=1234", "port=-1"},
		{"port=1234\n", ""},
		{"socket=/r/gdb.sock\n", ""},
		{"/etc/x=/host/x=y", "/etc/x"},
		{"/etc/x=/host/x=y", "etc/x=/host/x"},
		{"/etc/x=/host/x=y", "/etc/x=host"},
		{"[vm]", "vm]"},
	};

	for (gsize i = 0; i < G_N_ELEMENTS(changes); i++) {
		g_autoptr(GString) text = g_string_new(GOOD);
		g_autoptr(GError) error = NULL;

		g_assert_cmpuint(g_string_replace(text, changes[i].from, changes[i].to, 1), ==, 1);
		g_assert_null(load(text->str, &error));
		g_assert_nonnull(error);
		g_assert_nonnull(strstr(error->message, "boot.state"));
	}
}

static gsize size_of(const char *name)
{
	GStatBuf st;

	g_assert_cmpint(g_stat(name, &st), ==, 0);
	return (gsize) st.st_size;
}

static void log_is_bounded(Fixture *f, gconstpointer unused)
{
	g_autofree char *long_text = g_strnfill(10000, 'x'), *text = NULL;
	g_autoptr(GError) error = NULL;

	g_assert_true(klog_open(&error));
	g_assert_no_error(error);
	for (guint i = 0; i < 600; i++)
		klog("line %u\nof %s", i, long_text);
	g_assert_cmpuint(size_of("keeper.log"), <=, 256 * 1024);
	g_assert_cmpuint(size_of("keeper.log.old"), <=, 256 * 1024);
	g_assert_true(g_file_get_contents("keeper.log", &text, NULL, NULL));
	g_assert_nonnull(strstr(text, "line 599 of xxx")); /* one line each, the last one there */
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add("/keeper/boot-state/good", Fixture, NULL, set_up, good_state, tear_down);
	g_test_add("/keeper/boot-state/bad", Fixture, NULL, set_up, bad_states, tear_down);
	g_test_add("/keeper/log/bounded", Fixture, NULL, set_up, log_is_bounded, tear_down);
	return g_test_run();
}
