// SPDX-License-Identifier: GPL-2.0-or-later
#include "plan-facts.h"

#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "util/paths.h"

/* A line "key:  N kB" of /proc/meminfo, in bytes; 0: unknown. */
static guint64 meminfo(const char *text, const char *key)
{
	const char *line = strstr(text, key);

	return line ? g_ascii_strtoull(line + strlen(key), NULL, 10) * 1024 : 0;
}

/* Free where `path` is, or will be. */
static guint64 free_space(const char *path)
{
	g_autofree char *p = g_strdup(path);
	struct statvfs st;

	while (statvfs(p, &st) < 0) {
		char *parent = g_path_get_dirname(p);

		g_free(p);
		p = parent;
		if (!strcmp(p, "/") && statvfs(p, &st) < 0)
			return G_MAXUINT64;
	}
	return (guint64) st.f_bavail * st.f_frsize;
}

static char **folders_missing(char **trees)
{
	g_autoptr(GStrvBuilder) missing = g_strv_builder_new();

	for (gsize i = 0; trees && trees[i]; i++)
		if (!g_file_test(trees[i], G_FILE_TEST_IS_DIR))
			g_strv_builder_add(missing, trees[i]);
	return g_strv_builder_end(missing);
}

static int by_name(gconstpointer a, gconstpointer b)
{
	return strcmp(*(char *const *) a, *(char *const *) b);
}

static char **entries_of(const char *folder)
{
	g_autoptr(GDir) dir = folder ? g_dir_open(folder, 0, NULL) : NULL;
	GPtrArray *names = g_ptr_array_new();
	const char *name;

	while (dir && (name = g_dir_read_name(dir)))
		if (!g_str_has_prefix(name, "devvm."))
			g_ptr_array_add(names, g_strdup(name));
	g_ptr_array_sort(names, by_name);
	g_ptr_array_add(names, NULL);
	return (char **) g_ptr_array_free(names, FALSE);
}

static guint64 *sizes_of_disks(const char *data_dir, guint n)
{
	guint64 *sizes = g_new0(guint64, n + 1);

	for (guint i = 0; i < n; i++) {
		g_autofree char *file = g_strdup_printf("scratch%u.img", i);
		g_autofree char *path = g_build_filename(data_dir, file, NULL);
		struct stat st;

		if (lstat(path, &st) == 0)
			sizes[i] = (guint64) st.st_size;
	}
	return sizes;
}

FactsBox *plan_facts_gather(const char *name, const char *project, const VmConfig *config,
			    const Kernel *kernel, gboolean kvm, const DomainSpec *existing)
{
	FactsBox *box = g_new0(FactsBox, 1);
	PlanFacts *f = &box->facts;
	g_autofree char *text = NULL;

	box->uuid = existing ? g_strdup(existing->vm->uuid) : g_uuid_string_random();
	box->run_dir = devvm_run_dir(name);
	box->data_dir = devvm_data_dir(name);
	box->missing_trees = folders_missing(config->trees);
	box->module_entries = kernel->build_tree ? entries_of(kernel->modules) : NULL;
	f->n_disk_sizes = config->disks ? config->disks->len : 0;
	box->disk_sizes = sizes_of_disks(box->data_dir, f->n_disk_sizes);
	f->name = name;
	f->project = project;
	f->config = config;
	f->kernel = kernel;
	f->kvm = kvm;
	f->existing = existing;
	f->uuid = box->uuid;
	f->run_dir = box->run_dir;
	f->data_dir = box->data_dir;
	f->missing_trees = (const char *const *) box->missing_trees;
	f->disk_sizes = box->disk_sizes;
	f->module_entries = (const char *const *) box->module_entries;
	f->uid = getuid();
	f->gid = getgid();
	f->user = g_get_user_name();
	f->home = g_get_home_dir();
	if (g_file_get_contents("/proc/meminfo", &text, NULL, NULL)) {
		f->memory_total = meminfo(text, "MemTotal:");
		f->memory_free = meminfo(text, "MemAvailable:");
	}
	f->disk_free = free_space(box->data_dir);
	return box;
}

void facts_box_free(FactsBox *box)
{
	if (!box)
		return;
	g_free(box->uuid);
	g_free(box->run_dir);
	g_free(box->data_dir);
	g_strfreev(box->missing_trees);
	g_strfreev(box->module_entries);
	g_free(box->disk_sizes);
	g_free(box);
}
