// SPDX-License-Identifier: GPL-2.0-or-later
/* Real files in a folder of the test's own, which is also the home folder. */
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config.h"
#include "config-schema.h"
#include "util/error.h"
#include "temp-tree.h"

static char *top; /* stands in for a place below / */
static char *home;

static char *fresh_project(void)
{
	static int n;
	g_autofree char *name = g_strdup_printf("p%d", n++);
	char *path = g_build_filename(home, name, NULL);

	g_assert_cmpint(g_mkdir_with_parents(path, 0755), ==, 0);
	return path;
}

static Config *load(const char *project, const char *text, GError **error)
{
	g_autofree char *file = temp_put(project, "devvm.conf", text);

	return config_load(project, error);
}

static void test_bad_lines(void)
{
	static const struct {
		const char *text;
		int line;
		const char *says;
	} cases[] = {
		{"[vm]\nmemroy = 1G\n", 2, "did you mean memory"},
		{"[vm]\nzzz = 1G\n", 2, "there are: memory, cpus"},
		{"# c\n\n[wm]\n", 3, "did you mean [vm]"},
		{"[something]\n", 1, "there are [project]"},
		{"[]\n", 1, "no section []"},
		{"[vm", 1, "a section is written"},
		{"[vm] # mine\n", 1, "nothing behind it"},
		{"memory = 1G\n", 1, "before the first section"},
		{"[vm]\nmemory\n", 2, "neither"},
		{"[vm]\n= 1G\n", 2, "neither"},
		{"[vm]\nmemory = \n", 2, "a value is missing"},
		{"[vm]\nmemory = 1\n", 2, "no size"},
		{"[vm]\nmemory = 1G # much\n", 2, "a comment needs a line of its own"},
		{"[vm]\nmemory = 1K\n", 2, "between 64M and 16T"},
		{"[vm]\nmemory = 17T\n", 2, "between 64M and 16T"},
		{"[vm]\ncpus = 0\n", 2, "from 1 to 255"},
		{"[vm]\ncpus = -1\n", 2, "from 1 to 255"},
		{"[vm]\ncpus = 256\n", 2, "from 1 to 255"},
		{"[vm]\ncpus = 2 3\n", 2, "from 1 to 255"},
		{"[vm]\ndisks = 2x\n", 2, "no size"},
		{"[vm]\ndisks = 17x1G\n", 2, "16 disks"},
		{"[vm]\ndisks = 4K\n", 2, "at least 1M"},
		{"[vm]\ngdb = yes\n", 2, "none of: keeper, tcp, unix"},
		{"[vm]\naccel = KVM\n", 2, "none of: auto, kvm, tcg"},
		{"[vm]\nroot = image\n", 2, "none of: host"},
		{"[vm]\ngroup = ../x\n", 2, "no safe name"},
		{"[vm]\nkernel = 6.1;rm\n", 2, "no kernel release"},
		{"[vm]\nkernel = ~dev/linux\n", 2, "write ~/"},
		{"[vm]\nappend = a\\qb\n", 2, "backslash"},
		{"[vm]\nappend = a\\nb\n", 2, "control characters"},
		{"[vm]\nappend = a\\\n", 2, "backslash"},
		{"[vm]\nmemory = 1G\n\n# again\nmemory = 2G\n", 5, "twice, first on line 2"},
		{"[vm]\n[vm x]\n[vm]\n", 3, "twice, first on line 1"},
		{"[vm x]\n[vm   x]\n", 2, "twice"},
		{"[module a-b]\n[module a_b]\n", 2, "twice"},
		{"[vm ../x]\n", 1, "no name for a VM"},
		{"[vm a\"b<c>]\n", 1, "no name for a VM"},
		{"[vm a b]\n", 1, "no name for a VM"},
		{"[project x]\n", 1, "takes no name"},
		{"[module]\n", 1, "needs a name"},
		{"[module ../../etc]\n", 1, "no name for a module"},
		{"[module m]\nko = m.o\n", 2, "no .ko file"},
		{"[module m]\nko = m.ko;../x.ko\n", 2, "below the module's dir"},
		{"[module m]\nbuild = maybe\n", 2, "none of: auto, guest, host"},
		{"[vm]\nmemory[de] = 1G\n", 2, "no key 'memory[de]'"},
		{"[vm]\na[b = 1\nmemory = 1G\n", 2, "no key 'a[b'"},
		{"[vm]\r\nmemroy = 1G\r\n", 2, "did you mean memory"},
		{"[vm]\n# \xff\n", 2, "not UTF-8"},
		{"[vm]\nmemory = \xc3\n", 2, "not UTF-8"},
	};

	for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(GError) error = NULL;
		g_autofree char *project = fresh_project();
		g_autofree char *start =
			g_strdup_printf("%s/devvm.conf:%d: ", project, cases[i].line);
		g_autoptr(Config) config = load(project, cases[i].text, &error);

		if (config)
			g_error("taken for good: %s", cases[i].text);
		g_assert_error(error, DEVVM_ERROR, DEVVM_ERROR_CONFIG);
		if (!g_str_has_prefix(error->message, start) ||
		    !strstr(error->message, cases[i].says))
			g_error("case %zu: expected '%s…%s', got '%s'", i, start, cases[i].says,
				error->message);
	}
}

static void test_nul_byte(void)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *project = fresh_project();
	g_autofree char *path = g_build_filename(project, "devvm.conf", NULL);
	g_autofree char *says = g_strdup_printf("%s:3: a NUL byte", path);

	g_assert_true(g_file_set_contents(path, "[vm]\n\nmem\0ory = 1G\n", 18, NULL));
	g_assert_null(config_load(project, &error));
	g_assert_error(error, DEVVM_ERROR, DEVVM_ERROR_CONFIG);
	g_assert_nonnull(strstr(error->message, says));
}

static void test_defaults(void)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *project = fresh_project();
	g_autoptr(Config) config = config_load(project, &error);
	g_autoptr(VmConfig) vm = NULL;
	g_autoptr(ModuleConfig) module = NULL;

	g_assert_no_error(error);
	g_assert_cmpstr(config_project(config), ==, project);
	vm = config_vm(config, "x", &error);
	g_assert_no_error(error);
	g_assert_cmpuint(vm->memory, ==, 1ULL << 30);
	g_assert_cmpuint(vm->cpus, ==, sysconf(_SC_NPROCESSORS_ONLN) < 2 ? 1 : 2);
	g_assert_cmpuint(vm->disks->len, ==, 2);
	g_assert_null(vm->kernel);
	g_assert_null(vm->append);
	g_assert_null(vm->domain_xml);
	g_assert_cmpstr(vm->gdb, ==, "keeper");
	g_assert_cmpstr(vm->accel, ==, "auto");
	g_assert_cmpstr(vm->root, ==, "host");
	g_assert_cmpstr(vm->trees[0], ==, project);
	g_assert_null(vm->trees[1]);
	module = config_module(config, "foo-bar", &error);
	g_assert_no_error(error);
	g_assert_cmpstr(module->name, ==, "foo_bar");
	g_assert_null(module->dir);
	g_assert_null(module->ko);
	g_assert_cmpint(module->build, ==, BUILD_AUTO);
}

static void test_values(void)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *project = fresh_project();
	g_autofree char *linux_tree = g_build_filename(home, "linux-6", NULL);
	g_autofree char *dir = g_build_filename(project, "fs", "foo", NULL);
	g_autofree char *xml = temp_put(project, "extra.xml", "<x/>");
	g_autoptr(Config) config = NULL;
	g_autoptr(VmConfig) a = NULL, b = NULL;
	g_autoptr(ModuleConfig) m = NULL;

	g_mkdir_with_parents(linux_tree, 0755);
	g_mkdir_with_parents(dir, 0755);
	config = load(project,
		      "[project]\ntrees = .;../linux-6;./fs;\nkernel = ../linux-6\n"
		      "[vm]\nmemory=512M\ndisks = none\ndomain_xml = extra.xml\n"
		      "[vm a]\n  memory =  2G  \nkernel = 6.1.0-56\ncpus = 3\nappend = x=\"1 2\"\n"
		      "disks = 2x1G,512M\ngdb = unix\ngroup = g1\naccel = tcg\n"
		      "[module foo-bar]\ndir = fs/foo\nbuild_command = make \\\\ -j2\n"
		      "ko = foo.ko;sub/bar.ko\nparameters = a=1\n"
		      "before_unload = umount /mnt\\; sync;rmmod x\nbuild = host\n",
		      &error);
	g_assert_no_error(error);
	a = config_vm(config, "a", &error);
	g_assert_no_error(error);
	b = config_vm(config, "b", &error);
	g_assert_no_error(error);
	g_assert_cmpuint(a->memory, ==, 2ULL << 30);
	g_assert_cmpuint(b->memory, ==, 512ULL << 20);
	g_assert_cmpuint(a->disks->len, ==, 3);
	g_assert_cmpuint(b->disks->len, ==, 0);
	g_assert_cmpuint(a->cpus, ==, 3);
	g_assert_cmpstr(a->kernel, ==, "6.1.0-56");
	g_assert_cmpstr(b->kernel, ==, linux_tree);
	g_assert_cmpstr(a->append, ==, "x=\"1 2\"");
	g_assert_cmpstr(a->group, ==, "g1");
	g_assert_cmpstr(b->domain_xml, ==, xml);
	g_assert_cmpuint(g_strv_length(a->trees), ==, 2); /* ./fs lies in . */
	g_assert_cmpstr(a->trees[0], ==, project);
	g_assert_cmpstr(a->trees[1], ==, linux_tree);
	m = config_module(config, "foo_bar", &error);
	g_assert_no_error(error);
	g_assert_cmpstr(m->dir, ==, dir);
	g_assert_cmpstr(m->build_command, ==, "make \\ -j2");
	g_assert_cmpstr(m->ko[1], ==, "sub/bar.ko");
	g_assert_cmpstr(m->before_unload[0], ==, "umount /mnt; sync");
	g_assert_cmpstr(m->before_unload[1], ==, "rmmod x");
	g_assert_cmpint(m->build, ==, BUILD_HOST);
}

typedef struct {
	const char *section, *key;
	char *value, *file;
	int line;
} Wanted;

static void remember(const char *section, const char *key, const char *value,
		     const ConfigOrigin *origin, gpointer data)
{
	Wanted *w = data;

	if (g_str_equal(section, w->section) && g_str_equal(key, w->key)) {
		g_assert_null(w->value);
		w->value = g_strdup(value);
		w->file = g_strdup(origin->file);
		w->line = origin->line;
	}
}

static void assert_in_force(const Config *config, const char *vm, const char *section,
			    const char *key, const char *value, const char *file, int line)
{
	Wanted w = {.section = section, .key = key};

	config_each(config, vm, remember, &w);
	g_assert_cmpstr(w.value, ==, value);
	g_assert_cmpstr(w.file, ==, file);
	g_assert_cmpint(w.line, ==, line);
	g_free(w.value);
	g_free(w.file);
}

static void test_nearest_file_wins(void)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *project = fresh_project();
	g_autofree char *sub = g_build_filename(project, "a", "b", NULL);
	g_autofree char *user =
		temp_put(home, ".config/devvm/devvm.conf",
			 "[vm]\nmemory = 3G\ncpus = 4\n[vm x]\nmemory = 4G\ncpus = 5\n");
	g_autofree char *own = temp_put(project, "devvm.conf", "[vm]\n\nmemory = 2G\n");
	g_autoptr(Config) config = NULL;

	g_mkdir_with_parents(sub, 0755);
	config = config_load(sub, &error);
	g_assert_no_error(error);
	g_assert_cmpstr(config_project(config), ==, project);
	assert_in_force(config, "x", "vm", "memory", "2G", own, 3);
	assert_in_force(config, "x", "vm", "cpus", "5", user, 6);
	assert_in_force(config, "y", "vm", "cpus", "4", user, 3);
	assert_in_force(config, "x", "vm", "gdb", "keeper", NULL, 0);
	assert_in_force(config, NULL, "vm x", "cpus", "5", user, 6);
	assert_in_force(config, NULL, "vm x", "memory", NULL, NULL, 0); /* a farther file's */
	assert_in_force(config, NULL, "project", "trees", project, NULL, 0);

	g_clear_pointer(&config, config_free);
	g_free(user);
	user = temp_put(home, ".config/devvm/devvm.conf", "[project]\ntrees = /x\n");
	g_assert_null(config_load(sub, &error));
	g_assert_error(error, DEVVM_ERROR, DEVVM_ERROR_CONFIG);
	g_assert_nonnull(strstr(error->message, "devvm/devvm.conf:1: [project] belongs"));
	g_unlink(user);
}

static void assert_project(const char *folder, const char *project)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(Config) config = config_load(folder, &error);

	g_assert_no_error(error);
	g_assert_cmpstr(config_project(config), ==, project);
}

static void test_project_folder(void)
{
	g_autofree char *project = fresh_project();
	g_autofree char *deep = g_build_filename(project, "x", "y", NULL);
	g_autofree char *mid = g_path_get_dirname(deep);
	g_autofree char *dotfiles = temp_put(home, ".git/HEAD", "");
	g_autofree char *link = g_build_filename(home, "link", NULL);

	g_mkdir_with_parents(deep, 0755);
	assert_project(deep, deep); /* home's .git is not this folder's */
	g_autofree char *git =
		temp_put(project, ".git", "gitdir: elsewhere\n"); /* as in a worktree */
	assert_project(deep, project);
	g_assert_cmpint(symlink(deep, link), ==, 0);
	assert_project(link, project);
	g_autofree char *conf = temp_put(mid, "devvm.conf", "");
	assert_project(deep, mid);
	g_unlink(conf);
	g_free(conf);
	conf = temp_put(project, "devvm.conf", "");
	g_autofree char *inner = temp_put(deep, ".git", "");
	assert_project(deep, project); /* a sub-module's .git does not hide the devvm.conf */
	g_unlink(dotfiles);
	g_unlink(link);
}

static void assert_trees_refused(const char *folder, const char *start, const char *says)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(Config) config = config_load(folder, &error);
	g_autoptr(VmConfig) vm = NULL;

	g_assert_no_error(error);
	vm = config_vm(config, "x", &error);
	g_assert_null(vm);
	g_assert_error(error, DEVVM_ERROR, DEVVM_ERROR_CONFIG);
	if (!g_str_has_prefix(error->message, start) || !strstr(error->message, says))
		g_error("expected '%s…%s', got '%s'", start, says, error->message);
}

static void test_trees_refused(void)
{
	static const char *const never[] = {"/",	  "/usr",   "/tmp",	   "/home",
					    "/proc/self", "/../..", "/var/../usr", "/dev/shm"};
	g_autoptr(GError) error = NULL;
	g_autofree char *project = fresh_project();
	g_autofree char *start = g_strdup_printf("%s/devvm.conf:3: ", project);
	g_autofree char *up = g_strdup_printf("[project]\n\ntrees = .;%s\n", top);
	g_autoptr(Config) config = NULL;
	g_autoptr(VmConfig) vm = NULL;

	assert_trees_refused("/", "/ cannot be a tree", "devvm init");
	assert_trees_refused("/usr/bin", "/usr/bin cannot be a tree", "devvm init");
	assert_trees_refused(home, "the guest would get your whole home", "devvm init");
	for (gsize i = 0; i < G_N_ELEMENTS(never); i++) {
		g_autofree char *text = g_strdup_printf("[project]\n\ntrees = .;%s\n", never[i]);

		config_free(load(project, text, &error));
		g_assert_no_error(error);
		assert_trees_refused(project, start, "cannot be a tree");
	}
	config_free(load(project, up, &error));
	assert_trees_refused(project, start, "cannot be a tree"); /* the home is below it */
	config_free(load(project, "[project]\n\ntrees = nowhere\n", &error));
	assert_trees_refused(project, start, "No such file");
	config_free(load(project, "[project]\n\ntrees = devvm.conf\n", &error));
	assert_trees_refused(project, start, "is no folder");
	/* A home folder that somebody names is his wish. */
	config = load(project, "[project]\ntrees = ~/\n", &error);
	g_assert_no_error(error);
	vm = config_vm(config, "x", &error);
	g_assert_no_error(error);
	g_assert_cmpstr(vm->trees[0], ==, home);
}

static void test_named_files_missing(void)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *project = fresh_project();
	g_autofree char *start = g_strdup_printf("%s/devvm.conf:2: domain_xml: ", project);
	g_autoptr(Config) config =
		load(project, "[vm]\ndomain_xml = no.xml\n[module m]\ndir = no\n", &error);

	g_assert_no_error(error);
	g_assert_null(config_vm(config, "x", &error));
	g_assert_error(error, DEVVM_ERROR, DEVVM_ERROR_CONFIG);
	g_assert_true(g_str_has_prefix(error->message, start));
	g_clear_error(&error);
	g_assert_null(config_module(config, "m", &error));
	g_assert_error(error, DEVVM_ERROR, DEVVM_ERROR_CONFIG);
	g_assert_nonnull(strstr(error->message, "devvm.conf:4: dir: "));
	g_clear_error(&error);
	/* Who uses a value later can say where it stands. */
	devvm_fail(&error, DEVVM_ERROR_FAILED, "it is bad");
	config_blame(config, "x", "memory", &error); /* a default: nobody to blame */
	g_assert_cmpstr(error->message, ==, "it is bad");
	config_blame(config, "x", "domain_xml", &error);
	g_assert_true(g_str_has_suffix(error->message, "/devvm.conf:2: it is bad"));
}

static void assert_file_refused(const char *project, const char *says)
{
	g_autoptr(GError) error = NULL;

	g_assert_null(config_load(project, &error));
	g_assert_error(error, DEVVM_ERROR, DEVVM_ERROR_CONFIG);
	if (!strstr(error->message, says))
		g_error("expected '%s', got '%s'", says, error->message);
}

static void test_files_of_others(void)
{
	g_autofree char *project = fresh_project();
	g_autofree char *path = temp_put(project, "devvm.conf", "");

	g_chmod(path, 0666);
	assert_file_refused(project, "chmod o-w");
	g_chmod(path, 0664);
	config_free(config_load(project, NULL));
	g_unlink(path);
	g_mkdir(path, 0755);
	assert_file_refused(project, "not a plain file");
	g_rmdir(path);
	g_assert_cmpint(mkfifo(path, 0600), ==, 0);
	assert_file_refused(project, "not a plain file"); /* and does not wait for a writer */
	g_unlink(path);
	g_assert_cmpint(symlink("/dev/zero", path), ==, 0);
	assert_file_refused(project, "not a plain file");
	g_unlink(path);
	g_free(path);
	path = temp_put(project, "devvm.conf", "");
	g_assert_cmpint(truncate(path, 2 << 20), ==, 0);
	assert_file_refused(project, "larger than 1M");
	if (geteuid() != 0) {
		g_test_skip("only root can make a file of another user's");
		return;
	}
	g_assert_cmpint(truncate(path, 0), ==, 0);
	g_assert_cmpint(chown(path, 12345, 12345), ==, 0);
	assert_file_refused(project, "belongs to another user (uid 12345)");
}

/* The file of `devvm init` is good as it is, and with every line in force. */
static void test_template(void)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *project = fresh_project();
	g_autofree char *text = config_template();
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
	g_autoptr(GString) all = g_string_new(NULL);
	g_autoptr(Config) plain = load(project, text, &error), full = NULL;
	guint set = 0, keys = 0;

	g_assert_no_error(error);
	for (char **line = lines; *line; line++) {
		gboolean off = (*line)[0] == '#' && ((*line)[1] != ' ' && (*line)[1]);

		g_assert_cmpint(g_utf8_strlen(*line, -1), <=, 100);
		set += off && (*line)[1] != '[';
		g_string_append_printf(all, "%s\n", *line + off);
	}
	for (const ConfigKey *k = config_keys; k->key; k++)
		keys++;
	g_assert_cmpuint(set, ==, keys);
	full = load(project, all->str, &error);
	g_assert_no_error(error);
	g_assert_nonnull(full);
}

/* Whatever stands in a file: it is taken, or refused with file and line. */
static void test_random_text(void)
{
	static const char pieces[][16] = {"[vm]\n",
					  "[vm x]\n",
					  "memory",
					  "=",
					  "1G",
					  "\n",
					  "\\",
					  ";",
					  "[",
					  "]",
					  "[module m]\n",
					  "ko",
					  "\xff",
					  "#",
					  "disks",
					  "2x",
					  "\t",
					  "trees",
					  "..",
					  "\r\n",
					  "build_command",
					  "\x01",
					  "\xc2\x85",
					  "~/",
					  "[project]\n"};
	g_autofree char *project = fresh_project();
	g_autofree char *start = g_strdup_printf("%s/devvm.conf:", project);
	guint taken = 0;

	for (int i = 0; i < 3000; i++) {
		g_autoptr(GError) error = NULL;
		g_autoptr(GString) text = g_string_new(g_test_rand_bit() ? "[vm]\n" : "");
		g_autoptr(Config) config = NULL;

		for (int n = g_test_rand_int_range(0, 12); n > 0; n--)
			g_string_append(text,
					pieces[g_test_rand_int_range(0, G_N_ELEMENTS(pieces))]);
		config = load(project, text->str, &error);
		taken += config != NULL;
		if (!config && !g_str_has_prefix(error->message, start))
			g_error("%s\n%s", error->message, text->str);
		if (!config)
			g_assert_true(g_ascii_isdigit(error->message[strlen(start)]));
	}
	g_assert_cmpuint(taken, >, 0);
}

int main(int argc, char **argv)
{
	int status;
	g_autofree char *config = NULL;

	top = g_dir_make_tmp("devvm-config-XXXXXX", NULL);
	home = g_build_filename(top, "home", NULL);
	config = g_build_filename(home, ".config", NULL);
	g_mkdir(home, 0755);
	g_setenv("HOME", home, TRUE);
	g_setenv("XDG_CONFIG_HOME", config, TRUE);
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/config/bad-lines", test_bad_lines);
	g_test_add_func("/config/nul-byte", test_nul_byte);
	g_test_add_func("/config/defaults", test_defaults);
	g_test_add_func("/config/values", test_values);
	g_test_add_func("/config/nearest-file-wins", test_nearest_file_wins);
	g_test_add_func("/config/project-folder", test_project_folder);
	g_test_add_func("/config/trees-refused", test_trees_refused);
	g_test_add_func("/config/named-files-missing", test_named_files_missing);
	g_test_add_func("/config/files-of-others", test_files_of_others);
	g_test_add_func("/config/template", test_template);
	g_test_add_func("/config/random-text", test_random_text);
	status = g_test_run();
	temp_remove(top);
	g_free(home);
	g_free(top);
	return status;
}
