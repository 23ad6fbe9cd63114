// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>

#include "guest-exports.h"
#include "plan.h"
#include "util/error.h"

/* Facts of a healthy host and a new VM; tests change what they are about. */
typedef struct {
	PlanFacts facts;
	VmConfig config;
	Kernel kernel;
	GArray *disks;
	guint64 sizes[2];
	char *trees[3];
} Fixture;

static void set_up(Fixture *f, gconstpointer data)
{
	const guint64 size = 1ull << 30;

	memset(f, 0, sizeof(*f));
	f->disks = g_array_new(FALSE, FALSE, sizeof(guint64));
	g_array_append_val(f->disks, size);
	g_array_append_val(f->disks, size);
	f->trees[0] = (char *) "/home/u/fs-tree";
	f->config = (VmConfig){.memory = 1ull << 30,
			       .cpus = 2,
			       .disks = f->disks,
			       .gdb = (char *) "keeper",
			       .accel = (char *) "auto",
			       .trees = f->trees};
	f->kernel = (Kernel){.release = (char *) "6.1.0-x",
			     .image = (char *) "/boot/vmlinuz-6.1.0-x",
			     .modules = (char *) "/lib/modules/6.1.0-x"};
	f->facts = (PlanFacts){.name = "a",
			       .uuid = "7bc316ad-08bb-4e12-8a6a-7b7675861ff1",
			       .project = "/home/u/fs-tree",
			       .config = &f->config,
			       .kernel = &f->kernel,
			       .run_dir = "/run/user/1000/devvm/a",
			       .data_dir = "/home/u/.local/share/devvm/a",
			       .uid = 1000,
			       .gid = 1000,
			       .user = "u",
			       .home = "/home/u",
			       .memory_total = 8ull << 30,
			       .memory_free = 4ull << 30,
			       .disk_free = 100ull << 30,
			       .disk_sizes = f->sizes,
			       .n_disk_sizes = 2};
}

static void tear_down(Fixture *f, gconstpointer data)
{
	g_array_unref(f->disks);
}

static Plan *make(Fixture *f)
{
	g_autoptr(GError) error = NULL;
	Plan *plan = plan_make(&f->facts, &error);

	g_assert_no_error(error);
	return plan;
}

static void assert_refused(Fixture *f, DevvmError code, const char *word)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(Plan) plan = plan_make(&f->facts, &error);

	g_assert_null(plan);
	g_assert_error(error, DEVVM_ERROR, (int) code);
	if (!strstr(error->message, word))
		g_error("'%s' does not say '%s'", error->message, word);
}

/* "0 2 3 …": the kinds of the steps, without repetition. */
static char *kinds(const Plan *plan)
{
	GString *text = g_string_new(NULL);
	int last = -1;

	for (guint i = 0; i < plan->steps->len; i++) {
		const PlanStep *step = g_ptr_array_index(plan->steps, i);

		if ((int) step->kind != last)
			g_string_append_printf(text, "%d ", (int) step->kind);
		last = (int) step->kind;
	}
	return g_string_free(text, FALSE);
}

static void test_new(Fixture *f, gconstpointer data)
{
	g_autoptr(Plan) plan = make(f);
	g_autofree char *order = kinds(plan), *text = plan_text(plan);

	g_assert_cmpstr(order, ==, "0 1 2 3 4 5 6 7 8 9 ");
	g_assert_false(plan->defined);
	g_assert_cmpuint(plan->spec->vm->gdb_port, ==, 0);
	g_assert_cmpuint(plan->warnings->len, ==, 0);
	g_assert_nonnull(strstr(text, "would define the libvirt domain a (TCG)"));
	g_assert_nonnull(strstr(text, "(on failure: undefine the domain)"));
}

static void test_stopped(Fixture *f, gconstpointer data)
{
	g_autoptr(Plan) first = make(f), plan = NULL;
	g_autofree char *text = NULL;

	first->spec->vm->state = VM_OFF;
	first->spec->vm->gdb_port = 1300;
	first->spec->digest = g_strdup("d");
	f->facts.existing = first->spec;
	f->sizes[0] = f->sizes[1] = 1ull << 30;
	plan = make(f);
	text = plan_text(plan);
	g_assert_true(plan->defined);
	g_assert_false(plan->running);
	g_assert_cmpuint(plan->spec->vm->gdb_port, ==, 1300);
	g_assert_cmpstr(plan->old_digest, ==, "d");
	g_assert_null(strstr(text, "scratch"));	   /* the disks are there */
	g_assert_null(strstr(text, "on failure")); /* what was there before stays */
}

static void test_running(Fixture *f, gconstpointer data)
{
	g_autoptr(Plan) first = make(f), same = NULL, changed = NULL, with_port = NULL;
	g_autofree char *order = NULL;

	first->spec->vm->state = VM_RUNNING;
	f->facts.existing = first->spec;
	same = make(f);
	order = kinds(same);
	g_assert_cmpstr(order, ==, "0 7 9 "); /* folders, boot.state, wait */
	first->spec->vm->gdb_port = 1300;
	with_port = make(f);
	g_free(order);
	order = kinds(with_port);
	g_assert_cmpstr(order, ==, "0 2 7 9 ");
	g_assert_null(same->differences[0]);

	f->config.memory *= 2;
	f->config.append = (char *) "x=1";
	changed = make(f);
	g_assert_cmpuint(g_strv_length(changed->differences), ==, 2);
	g_assert_cmpstr(changed->differences[1], ==, "kernel command line +x=1");
	g_assert_cmpuint(changed->spec->vm->memory, ==, 1ull << 30); /* what runs */
}

static void test_states(Fixture *f, gconstpointer data)
{
	g_autoptr(Plan) first = make(f), gdb = NULL;

	f->facts.existing = first->spec;
	first->spec->vm->state = VM_CRASHED;
	assert_refused(f, DEVVM_ERROR_FAILED, "devvm reboot a");
	first->spec->vm->state = VM_PAUSED;
	assert_refused(f, DEVVM_ERROR_FAILED, "virsh resume a");
	first->spec->vm->state = VM_STOPPED_IN_GDB;
	gdb = make(f);
	g_assert_true(gdb->running);
}

static void test_resources(Fixture *f, gconstpointer data)
{
	g_autoptr(Plan) tight = NULL;

	f->facts.memory_free = 1 << 20;
	f->facts.disk_free = 1ull << 30;
	tight = make(f);
	g_assert_cmpuint(tight->warnings->len, ==, 2);
	f->facts.disk_free = 1 << 20;
	assert_refused(f, DEVVM_ERROR_HOST, "free");
	f->facts.disk_free = 1ull << 40;
	f->config.memory = 1ull << 40;
	assert_refused(f, DEVVM_ERROR_HOST, "memory");
}

static void test_disk_never_cut(Fixture *f, gconstpointer data)
{
	g_autoptr(Plan) plan = NULL;
	const DomainDisk *disk;

	f->sizes[1] = 2ull << 30;
	plan = make(f);
	g_assert_cmpuint(plan->warnings->len, ==, 1);
	g_assert_nonnull(strstr(g_ptr_array_index(plan->warnings, 0), "scratch1.img"));
	disk = g_ptr_array_index(plan->spec->disks, 1);
	g_assert_cmpuint(disk->bytes, ==, 2ull << 30);
}

static void test_paths(Fixture *f, gconstpointer data)
{
	const char *missing[] = {"/home/u/gone", NULL};
	g_autofree char *deep = g_strnfill(100, 'x');
	g_autofree char *run_dir = g_strdup_printf("/run/%s", deep);

	f->facts.missing_trees = missing;
	assert_refused(f, DEVVM_ERROR_NOT_FOUND, "/home/u/gone");
	f->facts.missing_trees = NULL;
	f->facts.run_dir = run_dir;
	assert_refused(f, DEVVM_ERROR_HOST, "XDG_RUNTIME_DIR");
}

static void test_gdb_unix(Fixture *f, gconstpointer data)
{
	g_autoptr(Plan) plan = NULL;
	g_autofree char *text = NULL;

	f->config.gdb = (char *) "unix";
	plan = make(f);
	text = plan_text(plan);
	g_assert_null(strstr(text, "port"));
}

/* The keeper reads it back as it was meant, whatever is in a path. */
static void test_boot_state(Fixture *f, gconstpointer data)
{
	g_autoptr(Plan) plan = NULL;
	g_autofree char *text = NULL;
	g_autoptr(GKeyFile) file = g_key_file_new();
	g_auto(GStrv) setup = NULL, exports = NULL;

	const char *entries[] = {"kernel", "modules.dep", NULL};

	f->facts.module_entries = entries;
	f->trees[1] = (char *) "/home/u/a b;c%d,e";
	f->kernel.build_tree = TRUE;
	f->kernel.build = (char *) "/home/u/linux";
	f->kernel.modules = (char *) "/home/u/.cache/devvm/m";
	plan = make(f);
	text = plan_boot_state(plan, "qemu:///session");
	g_assert_true(g_key_file_load_from_data(file, text, -1, G_KEY_FILE_NONE, NULL));
	setup = g_key_file_get_string_list(file, "agent", "setup", NULL, NULL);
	exports = g_key_file_get_string_list(file, "nfs", "exports", NULL, NULL);
	g_assert_true(
		g_strv_contains((const char *const *) setup, "tree t1 /home/u/a%20b%3Bc%25d%2Ce"));
	g_assert_true(g_strv_contains((const char *const *) setup, "tree t3 /home/u/linux"));
	g_assert_true(g_strv_contains((const char *const *) setup,
				      "link /lib/modules/6.1.0-x/modules.dep "
				      "/home/u/.cache/devvm/m/modules.dep"));
	g_assert_true(g_strv_contains((const char *const *) setup,
				      "link /lib/modules/6.1.0-x/build /home/u/linux"));
	g_assert_cmpuint(g_strv_length(exports), ==, 5); /* root, trees, build, modules */
	g_assert_true(g_str_has_prefix(exports[0], "root / ro,"));
	g_assert_true(g_str_has_prefix(exports[2], "t1 /home/u/a%20b%3Bc%25d%2Ce rw,"));
	g_assert_cmpstr(exports[1], ==, "t0 /home/u/.cache/devvm/m ro");
}

static void add(const char *path, void (*test)(Fixture *, gconstpointer))
{
	g_test_add(path, Fixture, NULL, set_up, test, tear_down);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	add("/plan/new", test_new);
	add("/plan/stopped", test_stopped);
	add("/plan/running", test_running);
	add("/plan/states", test_states);
	add("/plan/resources", test_resources);
	add("/plan/disk-never-cut", test_disk_never_cut);
	add("/plan/paths", test_paths);
	add("/plan/gdb-unix", test_gdb_unix);
	add("/plan/boot-state", test_boot_state);
	return g_test_run();
}
