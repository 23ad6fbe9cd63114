// SPDX-License-Identifier: GPL-2.0-or-later
#include "symbols.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <json-glib/json-glib.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/error.h"
#include "util/json.h"
#include "util/paths.h"

#define KEPT_OF_A_MODULE 3u
#define FILE_NAME "symbols.json"

/* --- Copies. --------------------------------------------------------------------------------- */

static char *copies_folder(void)
{
	g_autofree char *cache = devvm_cache_dir();

	return g_build_filename(cache, "ko", NULL);
}

/* All of `from` into `to`; shares the blocks where the file system can. */
static gboolean copy_bytes(int from, int to)
{
	struct stat st;
	off_t left;

	if (ioctl(to, FICLONE, from) == 0)
		return TRUE;
	if (fstat(from, &st) < 0)
		return FALSE;
	for (left = st.st_size; left > 0;) {
		ssize_t n =
			sendfile(to, from, NULL, (size_t) left); /* between any two file systems */

		if (n <= 0)
			return FALSE;
		left -= n;
	}
	return TRUE;
}

static gboolean copy_file(const char *from, const char *to)
{
	int in = open(from, O_RDONLY | O_CLOEXEC);
	int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	gboolean ok = in >= 0 && out >= 0 && copy_bytes(in, out);
	int saved = errno;

	if (in >= 0)
		close(in);
	if (out >= 0 && close(out) < 0)
		ok = FALSE;
	errno = saved;
	return ok;
}

ModInfo *symbols_keep(const char *ko, GError **error)
{
	g_autofree char *folder = copies_folder();
	g_autofree char *temp_name = g_strdup_printf(".new-%d", getpid());
	g_autofree char *temp = g_build_filename(folder, temp_name, NULL);
	g_autofree char *identity = NULL, *name = NULL, *path = NULL;
	g_autoptr(ModInfo) info = NULL;

	if (!devvm_make_private_dir(folder, error))
		return NULL;
	/* First the copy, then the look at it: the one in the tree may change in between. */
	if (!copy_file(ko, temp)) {
		devvm_fail_errno(error, DEVVM_ERROR_FAILED, errno, "cannot copy %s to %s", ko,
				 folder);
		unlink(temp);
		return NULL;
	}
	info = modinfo_read(temp, error);
	identity = info ? modinfo_identity(info, error) : NULL;
	if (!identity) {
		g_prefix_error(error, "%s: ", ko);
		unlink(temp);
		return NULL;
	}
	name = g_strdup_printf("%s-%s.ko", info->name, identity);
	path = g_build_filename(folder, name, NULL);
	if (rename(temp, path) < 0) {
		devvm_fail_errno(error, DEVVM_ERROR_FAILED, errno, "cannot write %s", path);
		unlink(temp);
		return NULL;
	}
	g_free(info->path);
	info->path = g_steal_pointer(&path);
	return g_steal_pointer(&info);
}

/* --- symbols.json. --------------------------------------------------------------------------- */

static gboolean is_among(GPtrArray *infos, const char *name)
{
	for (guint i = 0; i < infos->len; i++)
		if (!strcmp(((ModInfo *) infos->pdata[i])->name, name))
			return TRUE;
	return FALSE;
}

static const char *member(JsonObject *object, const char *name)
{
	JsonNode *node = json_object_get_member(object, name);

	return node && JSON_NODE_HOLDS_VALUE(node) ? json_node_get_string(node) : NULL;
}

static void put_row(Json *json, const char *name, const char *ko, const char *build_id,
		    const char *srcversion)
{
	json_begin_object(json, name);
	json_string(json, "ko", ko);
	json_string(json, "build_id", build_id);
	json_string(json, "srcversion", srcversion);
	json_end(json);
}

/* The rows of the file as it is, but for those that are about to be written anew. */
static void put_old_rows(Json *json, const char *path, GPtrArray *infos)
{
	g_autoptr(JsonParser) parser = json_parser_new();
	g_autoptr(GList) names = NULL;
	JsonNode *root, *modules;

	if (!json_parser_load_from_file(parser, path, NULL))
		return;
	root = json_parser_get_root(parser);
	modules = root && JSON_NODE_HOLDS_OBJECT(root)
			  ? json_object_get_member(json_node_get_object(root), "modules")
			  : NULL;
	if (!modules || !JSON_NODE_HOLDS_OBJECT(modules))
		return;
	names = json_object_get_members(json_node_get_object(modules));
	for (GList *at = names; at; at = at->next) {
		JsonNode *node = json_object_get_member(json_node_get_object(modules), at->data);
		JsonObject *row = JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;

		if (row && !is_among(infos, at->data))
			put_row(json, at->data, member(row, "ko"), member(row, "build_id"),
				member(row, "srcversion"));
	}
}

gboolean symbols_register(const Vm *vm, GPtrArray *infos, GError **error)
{
	g_autofree char *path = g_build_filename(vm->run_dir, FILE_NAME, NULL);
	g_autofree char *cache = copies_folder();
	g_autoptr(Json) json = json_new();
	const char *text;

	json_begin_object(json, NULL);
	json_begin_object(json, "modules");
	put_old_rows(json, path, infos);
	for (guint i = 0; i < infos->len; i++) {
		const ModInfo *info = infos->pdata[i];

		put_row(json, info->name, info->path, info->build_id, info->srcversion);
	}
	json_end(json);
	json_begin_array(json, "search");
	for (gsize i = 0; vm->trees && vm->trees[i]; i++)
		json_string(json, NULL, vm->trees[i]);
	if (vm->build_tree && vm->build)
		json_string(json, NULL, vm->build);
	json_end(json);
	json_string(json, "cache", cache);
	json_end(json);
	text = json_text(json);
	if (!g_file_set_contents_full(path, text, (gssize) strlen(text),
				      G_FILE_SET_CONTENTS_CONSISTENT, 0600, error)) {
		g_prefix_error(error, "cannot tell gdb of the module's symbols: ");
		return FALSE;
	}
	return TRUE;
}

/* --- Pruning. -------------------------------------------------------------------------------- */

typedef struct {
	char *name, *path;
	gsize module_length; /* of the module's name within `name` */
	gint64 mtime;
} Copy;

static void copy_free(Copy *copy)
{
	g_free(copy->name);
	g_free(copy->path);
	g_free(copy);
}

static gint newest_first(gconstpointer a, gconstpointer b)
{
	const Copy *x = *(const Copy *const *) a, *y = *(const Copy *const *) b;

	return x->mtime < y->mtime ? 1 : x->mtime > y->mtime ? -1 : 0;
}

/* All symbols.json of this user's VMs, one after the other. */
static char *all_registries(const Vm *vm)
{
	g_autofree char *parent = g_path_get_dirname(vm->run_dir);
	g_autoptr(GDir) dir = g_dir_open(parent, 0, NULL);
	GString *text = g_string_new(NULL);
	const char *name;

	while (dir && (name = g_dir_read_name(dir))) {
		g_autofree char *path = g_build_filename(parent, name, FILE_NAME, NULL);
		g_autofree char *one = NULL;

		if (g_file_get_contents(path, &one, NULL, NULL))
			g_string_append(text, one);
	}
	return g_string_free(text, FALSE);
}

static GPtrArray *list_copies(void)
{
	GPtrArray *copies = g_ptr_array_new_with_free_func((GDestroyNotify) copy_free);
	g_autofree char *folder = copies_folder();
	g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
	const char *name;

	while (dir && (name = g_dir_read_name(dir))) {
		const char *dash = strrchr(name, '-');
		struct stat st;
		Copy *copy;

		if (!dash || name[0] == '.')
			continue;
		copy = g_new0(Copy, 1);
		copy->name = g_strdup(name);
		copy->path = g_build_filename(folder, name, NULL);
		copy->module_length = (gsize) (dash - name);
		copy->mtime = stat(copy->path, &st) ? 0 : st.st_mtime;
		g_ptr_array_add(copies, copy);
	}
	g_ptr_array_sort(copies, newest_first);
	return copies;
}

void symbols_prune(const Vm *vm)
{
	g_autofree char *named = all_registries(vm);
	g_autoptr(GPtrArray) copies = list_copies();
	g_autoptr(GHashTable) counts = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

	for (guint i = 0; i < copies->len; i++) {
		const Copy *copy = copies->pdata[i];
		char *module = g_strndup(copy->name, copy->module_length);
		guint count = GPOINTER_TO_UINT(g_hash_table_lookup(counts, module)) + 1;

		g_hash_table_replace(counts, module, GUINT_TO_POINTER(count));
		if (count > KEPT_OF_A_MODULE && !strstr(named, copy->name))
			unlink(copy->path);
	}
}
