// SPDX-License-Identifier: GPL-2.0-or-later
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "config-file.h"
#include "project.h"
#include "util/error.h"
#include "util/paths.h"
#include "util/size.h"

#define HOST_FILE "/etc/devvm.conf"

struct _Config {
	char *project;
	GPtrArray *files; /* of ConfigFile*, nearest first */
};

/* A value in force and where it stands; strv is owned by the file, or by `fallback`. */
typedef struct {
	char **values; /* NULL: not set */
	ConfigOrigin origin;
	char **fallback;
} Found;

static void found_clear(Found *found)
{
	g_strfreev(found->fallback);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Found, found_clear)

/* A missing file is fine; any other fault is not. */
static gboolean add_file(Config *config, const char *path, gboolean project, GError **error)
{
	g_autoptr(GError) local = NULL;
	ConfigFile *file = config_file_read(path, project, &local);

	if (file)
		g_ptr_array_add(config->files, file);
	else if (!g_error_matches(local, DEVVM_ERROR, DEVVM_ERROR_NOT_FOUND)) {
		g_propagate_error(error, g_steal_pointer(&local));
		return FALSE;
	}
	return TRUE;
}

Config *config_load(const char *folder, GError **error)
{
	g_autoptr(Config) config = g_new0(Config, 1);
	g_autofree char *cwd = folder ? g_strdup(folder) : g_get_current_dir();
	g_autofree char *real = realpath(cwd, NULL);
	g_autofree char *nearest = NULL;
	g_autofree char *user =
		g_build_filename(g_get_user_config_dir(), "devvm", "devvm.conf", NULL);

	config->files = g_ptr_array_new_with_free_func((GDestroyNotify) config_file_free);
	if (!real) {
		devvm_fail_errno(error, DEVVM_ERROR_NOT_FOUND, errno, "cannot use the folder %s",
				 cwd);
		return NULL;
	}
	config->project = project_find(real, &nearest);
	if ((nearest && !add_file(config, nearest, TRUE, error)) ||
	    !add_file(config, user, FALSE, error) || !add_file(config, HOST_FILE, FALSE, error))
		return NULL;
	return g_steal_pointer(&config);
}

void config_free(Config *config)
{
	if (!config)
		return;
	g_free(config->project);
	g_ptr_array_unref(config->files);
	g_free(config);
}

const char *config_project(const Config *config)
{
	return config->project;
}

static gboolean take(Found *found, const ConfigFile *file, const ConfigKey *key, const char *name)
{
	const ConfigSetting *setting = config_file_get(file, key, name);

	if (!setting)
		return FALSE;
	found->values = setting->values;
	found->origin.file = file->path;
	found->origin.line = setting->line;
	return TRUE;
}

/* `name` NULL: without the sections that have a name. */
static void find_value(const Config *config, ConfigSection section, const char *word,
		       const char *name, Found *found)
{
	const ConfigKey *key = config_key_find(section, word);
	const ConfigKey *shared = NULL; /* [project] kernel stands behind [vm] kernel */

	*found = (Found){0};
	if (section == SECTION_VM)
		shared = config_key_find(SECTION_PROJECT, word);
	for (guint i = 0; i < config->files->len; i++) {
		const ConfigFile *file = g_ptr_array_index(config->files, i);

		if ((name && take(found, file, key, name)) ||
		    (section == SECTION_VM && take(found, file, key, NULL)) ||
		    (shared && take(found, file, shared, NULL)) ||
		    (section == SECTION_PROJECT && take(found, file, key, NULL)))
			return;
	}
	found->values = found->fallback = config_key_default(key);
}

static const char *vm_text(const Config *config, const char *vm, const char *key, Found *found)
{
	find_value(config, SECTION_VM, key, vm, found);
	return found->values && *found->values && **found->values ? *found->values : NULL;
}

static char *vm_string(const Config *config, const char *vm, const char *key)
{
	g_auto(Found) found = {0};

	return g_strdup(vm_text(config, vm, key, &found));
}

static guint64 vm_size(const Config *config, const char *vm, const char *key)
{
	g_auto(Found) found = {0};
	guint64 bytes = 0;

	size_parse(vm_text(config, vm, key, &found), &bytes, NULL); /* checked when read */
	return bytes;
}

static GArray *vm_sizes(const Config *config, const char *vm, const char *key)
{
	g_auto(Found) found = {0};
	const char *text = vm_text(config, vm, key, &found);

	return size_list_parse(text ? text : "", NULL); /* checked when read */
}

/* The word of the error that a value is to blame for: "FILE:LINE: ". */
static void blame(const ConfigOrigin *origin, GError **error)
{
	if (origin->file)
		g_prefix_error(error, "%s:%d: ", origin->file, origin->line);
}

void config_blame(const Config *config, const char *vm, const char *key, GError **error)
{
	g_auto(Found) found = {0};

	find_value(config, SECTION_VM, key, vm, &found);
	blame(&found.origin, error);
}

/* TRUE when `tree` is, or lies in, one of `trees` on the same file system. */
static gboolean is_covered(const char *tree, GPtrArray *trees)
{
	struct stat inner, outer;

	for (guint i = 0; i < trees->len; i++) {
		const char *other = g_ptr_array_index(trees, i);
		gsize n = strlen(other);

		if (g_str_has_prefix(tree, other) && (tree[n] == '/' || tree[n] == '\0') &&
		    stat(tree, &inner) == 0 && stat(other, &outer) == 0 &&
		    inner.st_dev == outer.st_dev)
			return TRUE;
	}
	return FALSE;
}

static char **find_trees(const Config *config, GError **error)
{
	g_auto(Found) found = {0};
	g_autoptr(GPtrArray) trees = g_ptr_array_new_with_free_func(g_free);
	char *fallback[] = {config->project, NULL};
	char **paths;
	gboolean chosen;

	find_value(config, SECTION_PROJECT, "trees", NULL, &found);
	chosen = found.values && *found.values;
	paths = chosen ? found.values : fallback;
	for (; *paths; paths++) {
		char *tree = project_tree_check(*paths, chosen, error);

		if (!tree) {
			blame(&found.origin, error);
			return NULL;
		}
		if (is_covered(tree, trees))
			g_free(tree);
		else
			g_ptr_array_add(trees, tree);
	}
	g_ptr_array_add(trees, NULL);
	return (char **) g_ptr_array_steal(trees, NULL);
}

/* A folder or file that a key names has to be there. */
static gboolean check_exists(const Found *found, const char *key, GFileTest test, GError **error)
{
	if (!found->values || g_file_test(*found->values, test))
		return TRUE;
	devvm_fail(error, DEVVM_ERROR_CONFIG, "%s: there is no %s %s", key,
		   test == G_FILE_TEST_IS_DIR ? "folder" : "file", *found->values);
	blame(&found->origin, error);
	return FALSE;
}

VmConfig *config_vm(const Config *config, const char *vm, GError **error)
{
	g_autoptr(VmConfig) v = g_new0(VmConfig, 1);
	g_auto(Found) xml = {0}, cpus = {0};

	v->trees = find_trees(config, error);
	if (!v->trees)
		return NULL;
	find_value(config, SECTION_VM, "domain_xml", vm, &xml);
	if (!check_exists(&xml, "domain_xml", G_FILE_TEST_IS_REGULAR, error))
		return NULL;
	v->domain_xml = vm_string(config, vm, "domain_xml");
	v->memory = vm_size(config, vm, "memory");
	v->cpus = (guint) g_ascii_strtoull(vm_text(config, vm, "cpus", &cpus), NULL, 10);
	v->disks = vm_sizes(config, vm, "disks");
	v->kernel = vm_string(config, vm, "kernel");
	v->append = vm_string(config, vm, "append");
	v->root = vm_string(config, vm, "root");
	v->group = vm_string(config, vm, "group");
	v->gdb = vm_string(config, vm, "gdb");
	v->accel = vm_string(config, vm, "accel");
	return g_steal_pointer(&v);
}

void vm_config_free(VmConfig *vm)
{
	if (!vm)
		return;
	g_free(vm->kernel);
	g_free(vm->append);
	g_clear_pointer(&vm->disks, g_array_unref);
	g_free(vm->root);
	g_free(vm->group);
	g_free(vm->domain_xml);
	g_free(vm->gdb);
	g_free(vm->accel);
	g_strfreev(vm->trees);
	g_free(vm);
}

static char **module_values(const Config *config, const char *name, const char *key)
{
	g_auto(Found) found = {0};

	find_value(config, SECTION_MODULE, key, name, &found);
	return found.values && *found.values ? g_strdupv(found.values) : NULL;
}

static char *module_text(const Config *config, const char *name, const char *key)
{
	g_auto(GStrv) values = module_values(config, name, key);

	return values && **values ? g_strdup(*values) : NULL;
}

static BuildWhere module_build(const Config *config, const char *name)
{
	g_autofree char *text = module_text(config, name, "build");

	if (g_str_equal(text, "guest"))
		return BUILD_GUEST;
	return g_str_equal(text, "host") ? BUILD_HOST : BUILD_AUTO;
}

ModuleConfig *config_module(const Config *config, const char *name, GError **error)
{
	g_autoptr(ModuleConfig) m = g_new0(ModuleConfig, 1);
	g_auto(Found) dir = {0};

	m->name = config_module_name(name);
	find_value(config, SECTION_MODULE, "dir", m->name, &dir);
	if (!check_exists(&dir, "dir", G_FILE_TEST_IS_DIR, error))
		return NULL;
	m->dir = module_text(config, m->name, "dir");
	m->build_command = module_text(config, m->name, "build_command");
	m->ko = module_values(config, m->name, "ko");
	m->parameters = module_text(config, m->name, "parameters");
	m->before_unload = module_values(config, m->name, "before_unload");
	m->after_load = module_values(config, m->name, "after_load");
	m->build = module_build(config, m->name);
	return g_steal_pointer(&m);
}

void module_config_free(ModuleConfig *module)
{
	if (!module)
		return;
	g_free(module->name);
	g_free(module->dir);
	g_free(module->build_command);
	g_strfreev(module->ko);
	g_free(module->parameters);
	g_strfreev(module->before_unload);
	g_strfreev(module->after_load);
	g_free(module);
}

static void each_resolved(const Config *config, ConfigSection section, const char *vm, ConfigEach f,
			  gpointer data)
{
	for (const ConfigKey *k = config_keys; k->key; k++) {
		g_auto(Found) found = {0};
		g_autofree char *joined = NULL;

		if (k->section != section)
			continue;
		find_value(config, section, k->key, vm, &found);
		joined = found.values ? g_strjoinv(";", found.values) : NULL;
		if (!joined && g_str_equal(k->key, "trees"))
			joined = g_strdup(config->project);
		f(config_section_name(section), k->key, joined ? joined : "", &found.origin, data);
	}
}

/* Settings of sections with a name, where no nearer file has the same. */
static void each_named(const Config *config, ConfigSection section, ConfigEach f, gpointer data)
{
	for (guint i = 0; i < config->files->len; i++) {
		const ConfigFile *file = g_ptr_array_index(config->files, i);

		for (guint j = 0; j < file->settings->len; j++) {
			const ConfigSetting *s = g_ptr_array_index(file->settings, j);
			g_auto(Found) found = {0};
			g_autofree char *title = NULL, *joined = NULL;

			if (s->key->section != section || !s->name)
				continue;
			find_value(config, section, s->key->key, s->name, &found);
			if (found.values != s->values)
				continue;
			title = g_strdup_printf("%s %s", config_section_name(section), s->name);
			joined = g_strjoinv(";", s->values);
			f(title, s->key->key, joined, &found.origin, data);
		}
	}
}

void config_each(const Config *config, const char *vm, ConfigEach f, gpointer data)
{
	each_resolved(config, SECTION_PROJECT, NULL, f, data);
	each_resolved(config, SECTION_VM, vm, f, data);
	if (!vm)
		each_named(config, SECTION_VM, f, data);
	each_named(config, SECTION_MODULE, f, data);
}
