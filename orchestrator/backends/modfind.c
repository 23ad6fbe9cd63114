// SPDX-License-Identifier: GPL-2.0-or-later
#include "modfind.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../util/error.h"
#include "kbuildfile.h"
#include "modinfo.h"

#define MAX_DEPTH 64		/* of folders; deeper ones are a loop or no source tree */
#define MAX_MAKEFILE (4u << 20) /* bytes; a longer one is no Makefile */
#define MAX_CANDIDATES_SHOWN 8u

void modplace_free(ModPlace *place)
{
	if (!place)
		return;
	g_free(place->name);
	g_free(place->tree);
	g_free(place->dir);
	g_free(place->ko);
	g_free(place->root);
	g_strfreev(place->configs);
	g_free(place->kernel_variable);
	g_free(place->kernel_source);
	g_free(place->build_command);
	g_free(place);
}

/* --- Walking. -------------------------------------------------------------------------------- */

typedef void (*FolderFunc)(const char *folder, GPtrArray *files, gpointer data);

static gboolean is_dot(const char *name)
{
	return name[0] == '.';
}

/* Calls f for `folder` and all below it; hidden folders (.git) and links are left out. */
static void walk(const char *folder, int depth, FolderFunc f, gpointer data)
{
	g_autoptr(GPtrArray) files = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GPtrArray) folders = g_ptr_array_new_with_free_func(g_free);
	DIR *dir = depth < MAX_DEPTH ? opendir(folder) : NULL;
	struct dirent *entry;

	if (!dir)
		return;
	while ((entry = readdir(dir))) {
		unsigned char type = entry->d_type;
		struct stat st;

		if (is_dot(entry->d_name))
			continue;
		if (type == DT_UNKNOWN &&
		    !fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW))
			type = S_ISDIR(st.st_mode) ? DT_DIR : DT_REG;
		g_ptr_array_add(type == DT_DIR ? folders : files, g_strdup(entry->d_name));
	}
	closedir(dir);
	f(folder, files, data);
	for (guint i = 0; i < folders->len; i++) {
		g_autofree char *child = g_build_filename(folder, folders->pdata[i], NULL);

		walk(child, depth + 1, f, data);
	}
}

typedef struct {
	const char *plain; /* NULL: all */
	GPtrArray *found;
} BuiltSearch;

static void look_for_built(const char *folder, GPtrArray *files, gpointer data)
{
	BuiltSearch *search = data;

	for (guint i = 0; i < files->len; i++) {
		g_autofree char *plain = NULL;

		if (!g_str_has_suffix(files->pdata[i], ".ko"))
			continue;
		plain = modinfo_plain_name(files->pdata[i]);
		if (!search->plain || !strcmp(plain, search->plain))
			g_ptr_array_add(search->found,
					g_build_filename(folder, files->pdata[i], NULL));
	}
}

GPtrArray *modfind_built(const char *folder, const char *name)
{
	g_autofree char *plain = name ? modinfo_plain_name(name) : NULL;
	BuiltSearch search = {plain, g_ptr_array_new_with_free_func(g_free)};

	walk(folder, 0, look_for_built, &search);
	return search.found;
}

/* --- Kbuild files. --------------------------------------------------------------------------- */

static char *read_makefile(const char *folder, const char *name)
{
	g_autofree char *path = g_build_filename(folder, name, NULL);
	struct stat st;
	char *text = NULL;

	if (stat(path, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > MAX_MAKEFILE)
		return NULL;
	g_file_get_contents(path, &text, NULL, NULL);
	return text;
}

/* As kbuild does: Kbuild where there is one, else Makefile. */
static char *read_kbuild(const char *folder)
{
	char *text = read_makefile(folder, "Kbuild");

	return text ? text : read_makefile(folder, "Makefile");
}

static KbuildFile *parse_kbuild(const char *folder)
{
	g_autofree char *text = read_kbuild(folder);

	return kbuildfile_parse(text ? text : "");
}

/* What `make` without a target would read; GNU make's order. */
static KbuildFile *parse_makefile(const char *folder)
{
	static const char *const names[] = {"GNUmakefile", "makefile", "Makefile"};

	for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
		g_autofree char *text = read_makefile(folder, names[i]);

		if (text)
			return kbuildfile_parse(text);
	}
	return kbuildfile_parse("");
}

char *modfind_kernel_source(const char *dir)
{
	g_autofree char *at = g_strdup(dir);

	while (strcmp(at, "/") && strcmp(at, ".")) {
		g_autofree char *build = g_build_filename(at, "scripts", "Makefile.build", NULL);
		g_autofree char *kconfig = g_build_filename(at, "Kconfig", NULL);
		char *up;

		if (g_file_test(build, G_FILE_TEST_EXISTS) &&
		    g_file_test(kconfig, G_FILE_TEST_EXISTS))
			return g_steal_pointer(&at);
		up = g_path_get_dirname(at);
		g_free(at);
		at = up;
	}
	return NULL;
}

/* --- The search. ----------------------------------------------------------------------------- */

typedef struct {
	const char *plain;
	GPtrArray *folders; /* char*: those that make it */
} Search;

static gboolean has_file(GPtrArray *files, const char *name)
{
	for (guint i = 0; i < files->len; i++)
		if (!strcmp(files->pdata[i], name))
			return TRUE;
	return FALSE;
}

static void look_for_goal(const char *folder, GPtrArray *files, gpointer data)
{
	Search *search = data;
	const char *name = has_file(files, "Kbuild")	 ? "Kbuild"
			   : has_file(files, "Makefile") ? "Makefile"
							 : NULL;
	g_autofree char *text = name ? read_makefile(folder, name) : NULL;
	g_autofree char *plain_text = NULL;
	g_autoptr(KbuildFile) file = NULL;

	if (!text)
		return;
	/* Thousands of Makefiles in a kernel: parse only those that hold the name at all. */
	plain_text = g_strdelimit(g_strdup(text), "-", '_');
	if (!strstr(plain_text, search->plain))
		return;
	file = kbuildfile_parse(text);
	if (kbuildfile_module(file, search->plain))
		g_ptr_array_add(search->folders, g_strdup(folder));
}

static gboolean fail_not_found(const char *plain, char **trees, GError **error)
{
	g_autofree char *searched = g_strjoinv(", ", trees);
	g_autoptr(GPtrArray) built = NULL;

	for (gsize i = 0; trees[i] && (!built || !built->len); i++) {
		g_clear_pointer(&built, g_ptr_array_unref);
		built = modfind_built(trees[i], plain);
	}
	if (built && built->len)
		return devvm_fail(
			error, DEVVM_ERROR_NOT_FOUND,
			"no Kbuild or Makefile says that it makes %s.ko, yet %s is there: "
			"say how it is built in devvm.conf: [module %s] dir= and "
			"build_command=",
			plain, (char *) built->pdata[0], plain);
	return devvm_fail(error, DEVVM_ERROR_NOT_FOUND,
			  "no Kbuild or Makefile makes %s.ko in %s: check the name, or say the "
			  "folder in devvm.conf: [module %s] dir=",
			  plain, searched, plain);
}

/* TRUE when left-overs show that the module was built in that folder. */
static gboolean was_built(const char *folder, const char *plain)
{
	g_autofree char *dashed = g_strdelimit(g_strdup(plain), "_", '-');
	const char *names[] = {plain, dashed};

	for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
		g_autofree char *file = g_strconcat(names[i], ".mod", NULL);
		g_autofree char *path = g_build_filename(folder, file, NULL);

		if (g_file_test(path, G_FILE_TEST_EXISTS))
			return TRUE;
	}
	return FALSE;
}

static gboolean fail_ambiguous(const char *plain, GPtrArray *folders, GError **error)
{
	GString *list = g_string_new(NULL);
	guint shown = 0;

	/* Those that were built before come first: it is likely one of them. */
	for (int built = 1; built >= 0; built--)
		for (guint i = 0; i < folders->len; i++)
			if (was_built(folders->pdata[i], plain) == built &&
			    shown++ < MAX_CANDIDATES_SHOWN)
				g_string_append_printf(list, "\n  %s%s", (char *) folders->pdata[i],
						       built ? "  (built before)" : "");
	if (shown > MAX_CANDIDATES_SHOWN)
		g_string_append_printf(list, "\n  … and %u more", shown - MAX_CANDIDATES_SHOWN);
	devvm_fail(error, DEVVM_ERROR_FAILED,
		   "%u folders make %s.ko: say which in devvm.conf: [module %s] dir=%s",
		   folders->len, plain, plain, list->str);
	g_string_free(list, TRUE);
	return FALSE;
}

/* --- From where to build. -------------------------------------------------------------------- */

/* "b/c" for /a and /a/b/c; NULL when `path` is not below `folder`. */
static const char *below(const char *folder, const char *path)
{
	gsize length = strlen(folder);

	return g_str_has_prefix(path, folder) && path[length] == '/' ? path + length + 1 : NULL;
}

/* TRUE when one of the M= of that Makefile means the folder `rel` below it. */
static gboolean calls_kbuild_for(const KbuildFile *file, const char *rel)
{
	g_autofree char *suffix = g_strconcat("/", rel, NULL);

	for (guint i = 0; i < file->extmods->len; i++) {
		g_autofree char *value =
			g_strdelimit(g_strdup(file->extmods->pdata[i]), "\"'", ' ');

		g_strstrip(value);
		if (g_str_has_suffix(value, "/"))
			value[strlen(value) - 1] = '\0';
		if (!strcmp(value, rel) || g_str_has_suffix(value, suffix))
			return TRUE;
	}
	return FALSE;
}

static void take_own_make(ModPlace *place, const KbuildFile *makefile)
{
	place->own_make = TRUE;
	g_free(place->kernel_variable);
	place->kernel_variable = g_strdup(makefile->kernel_variable);
}

/*
 * Goes up from the module's folder to the top of its tree. A folder above becomes the root when
 * its Kbuild file descends to the root so far and it is made to be built from (obj-m, or its
 * Makefile calls the kernel's build); else when its Makefile calls the kernel's build on the root.
 */
static void climb(ModPlace *place, GPtrArray *configs)
{
	g_autofree char *at = g_strdup(place->dir);
	g_autoptr(GPtrArray) pending = g_ptr_array_new(); /* configs on the way, not yet taken */

	while (place->tree && strcmp(at, place->tree) && strcmp(at, "/")) {
		g_autoptr(KbuildFile) kbuild = NULL, makefile = NULL;
		const KbuildGoal *goal;
		const char *rel;
		char *up = g_path_get_dirname(at);

		g_free(at);
		at = up;
		kbuild = parse_kbuild(at);
		makefile = parse_makefile(at);
		rel = below(at, place->root);
		goal = rel ? kbuildfile_folder(kbuild, rel) : NULL;
		if (goal && (goal->explicit_m || makefile->calls_kbuild)) {
			if (goal->config)
				g_ptr_array_add(configs, g_strdup(goal->config));
			g_free(place->root);
			place->root = g_strdup(at);
			place->own_make = FALSE;
			if (makefile->calls_kbuild)
				take_own_make(place, makefile);
		} else if (rel && !place->own_make && makefile->calls_kbuild &&
			   calls_kbuild_for(makefile, rel)) {
			g_free(place->root);
			place->root = g_strdup(at);
			take_own_make(place, makefile);
		}
	}
}

/* Fills in all that follows from name, tree and dir. FALSE when dir does not make the module. */
static gboolean fill_place(ModPlace *place)
{
	g_autoptr(KbuildFile) kbuild = parse_kbuild(place->dir);
	g_autoptr(KbuildFile) makefile = parse_makefile(place->dir);
	const KbuildGoal *goal = kbuildfile_module(kbuild, place->name);
	g_autoptr(GPtrArray) configs = g_ptr_array_new();

	place->root = g_strdup(place->dir);
	place->kernel_source = modfind_kernel_source(place->dir);
	if (goal) {
		g_autofree char *file = g_strconcat(goal->object, ".ko", NULL);

		place->ko = g_build_filename(place->dir, file, NULL);
		if (goal->config)
			g_ptr_array_add(configs, g_strdup(goal->config));
	}
	if (makefile->calls_kbuild)
		take_own_make(place, makefile);
	if (!place->kernel_source)
		climb(place, configs);
	g_ptr_array_add(configs, NULL);
	place->configs = (char **) g_ptr_array_free(g_steal_pointer(&configs), FALSE);
	return goal != NULL;
}

/* The tree that a folder lies in; the longest, when trees lie in each other. */
static char *tree_of(char **trees, const char *folder)
{
	const char *best = NULL;

	for (gsize i = 0; trees[i]; i++)
		if ((!strcmp(trees[i], folder) || below(trees[i], folder)) &&
		    (!best || strlen(trees[i]) > strlen(best)))
			best = trees[i];
	return g_strdup(best);
}

/* The configuration's .ko of that name, absolute, or NULL. */
static char *configured_ko(const ModuleConfig *config, const char *plain, const char *dir)
{
	for (gsize i = 0; config->ko && config->ko[i]; i++) {
		g_autofree char *name = modinfo_plain_name(config->ko[i]);

		if (!strcmp(name, plain))
			return g_canonicalize_filename(config->ko[i], dir);
	}
	return NULL;
}

/* The place that the configuration names. */
static gboolean place_from_config(ModPlace *place, char **trees, const ModuleConfig *config,
				  GError **error)
{
	char *ko;

	place->dir = g_strdup(config->dir);
	place->tree = tree_of(trees, place->dir);
	if (!g_file_test(place->dir, G_FILE_TEST_IS_DIR))
		return devvm_fail(
			error, DEVVM_ERROR_NOT_FOUND,
			"there is no folder %s, which devvm.conf says for [module %s] dir=",
			place->dir, place->name);
	if (!fill_place(place) && !config->build_command && !place->own_make)
		return devvm_fail(error, DEVVM_ERROR_NOT_FOUND,
				  "the Kbuild or Makefile of %s does not make %s.ko: say another "
				  "folder in devvm.conf: [module %s] dir=, or its build_command=",
				  place->dir, place->name, place->name);
	ko = configured_ko(config, place->name, place->dir);
	if (ko) {
		g_free(place->ko);
		place->ko = ko;
	}
	return TRUE;
}

static gboolean place_from_search(ModPlace *place, char **trees, GError **error)
{
	g_autoptr(GPtrArray) folders = g_ptr_array_new_with_free_func(g_free);
	Search search = {place->name, folders};

	for (gsize i = 0; trees[i]; i++)
		walk(trees[i], 0, look_for_goal, &search);
	/* Trees may lie in each other. */
	for (guint i = 0; i < folders->len; i++)
		for (guint j = folders->len - 1; j > i; j--)
			if (!strcmp(folders->pdata[i], folders->pdata[j]))
				g_ptr_array_remove_index(folders, j);
	if (!folders->len)
		return fail_not_found(place->name, trees, error);
	if (folders->len > 1)
		return fail_ambiguous(place->name, folders, error);
	place->dir = g_strdup(folders->pdata[0]);
	place->tree = tree_of(trees, place->dir);
	fill_place(place);
	return TRUE;
}

ModPlace *modfind(const char *name, char **trees, const ModuleConfig *config, GError **error)
{
	g_autoptr(ModPlace) place = g_new0(ModPlace, 1);

	place->name = modinfo_plain_name(name);
	if (!*place->name || strchr(name, '/')) {
		devvm_fail(error, DEVVM_ERROR_USAGE,
			   "'%s' is no module's name: say it as lsmod does, without a folder",
			   name);
		return NULL;
	}
	if (config && config->dir ? !place_from_config(place, trees, config, error)
				  : !place_from_search(place, trees, error))
		return NULL;
	if (config && config->build_command) {
		place->build_command = g_strdup(config->build_command);
		g_free(place->root);
		place->root = g_strdup(place->dir);
	}
	return g_steal_pointer(&place);
}
