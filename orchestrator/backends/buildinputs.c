// SPDX-License-Identifier: GPL-2.0-or-later
/* The rules of buildinputs.h; the record itself is read and written by buildrecord.c. */
#include "buildinputs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../util/error.h"
#include "../util/paths.h"
#include "buildrecord.h"
#include "cmdfile.h"

#define NS_PER_S G_GINT64_CONSTANT(1000000000)
#define RACY_NS (3 * NS_PER_S)
#define FOREIGN_NS (300 * NS_PER_S)
#define LOCK_POLL_US 20000
#define MAX_DEPTH 64

struct _BuildInputs {
	char *root, *objtree;
	int lock_fd;
	char *record_path;
	BuildRecord *record; /* of the last build; of the running one between begin and end */
};

/* What stands in the folder now. */
typedef struct {
	GHashTable *targets;  /* path → GPtrArray of inputs (borrowed from `inputs`), or empty */
	GHashTable *inputs;   /* paths */
	GHashTable *relative; /* name in .cmd files → GPtrArray of inputs that it may mean */
} Scan;

static void scan_clear(Scan *scan)
{
	g_clear_pointer(&scan->targets, g_hash_table_unref);
	g_clear_pointer(&scan->relative, g_hash_table_unref);
	g_clear_pointer(&scan->inputs, g_hash_table_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Scan, scan_clear)

/* --- What is in the folder. ------------------------------------------------------------------ */

static gboolean is_source(const char *name)
{
	static const char *const suffixes[] = {".c",   ".h",  ".S",   ".s",
					       ".inc", ".rs", ".lds", ".def"};

	if (g_str_has_suffix(name, ".mod.c"))
		return FALSE; /* modpost's */
	for (gsize i = 0; i < G_N_ELEMENTS(suffixes); i++)
		if (g_str_has_suffix(name, suffixes[i]))
			return TRUE;
	return FALSE;
}

/* The path as it stands in the table of inputs. */
static char *intern(Scan *scan, const char *path)
{
	char *known = g_hash_table_lookup(scan->inputs, path);

	if (!known) {
		known = g_strdup(path);
		g_hash_table_add(scan->inputs, known);
	}
	return known;
}

typedef struct {
	Scan *scan;
	const BuildInputs *inputs;
	const char *folder;
	GPtrArray *list;
} Deps;

/* What a relative name means: relative to where the kernel's make ran, since 6.13 the module's
 * folder. Where both are there, both count. */
static GPtrArray *resolve_relative(const Deps *deps, const char *path)
{
	const char *const bases[] = {deps->inputs->root, deps->inputs->objtree};
	GPtrArray *found = g_hash_table_lookup(deps->scan->relative, path);

	if (found)
		return found;
	found = g_ptr_array_new();
	for (gsize i = 0; i < G_N_ELEMENTS(bases); i++) {
		g_autofree char *full = g_build_filename(bases[i], path, NULL);

		if (access(full, F_OK) == 0)
			g_ptr_array_add(found, intern(deps->scan, full));
	}
	g_hash_table_insert(deps->scan->relative, g_strdup(path), found);
	return found;
}

/* An input that a .cmd file names. */
static void take_input(const char *path, gpointer data)
{
	Deps *deps = data;

	if (g_str_has_suffix(path, ".mod.c"))
		return;
	if (*path == '/')
		g_ptr_array_add(deps->list, intern(deps->scan, path));
	else
		g_ptr_array_extend(deps->list, resolve_relative(deps, path), NULL, NULL);
}

static void scan_cmd_file(const BuildInputs *inputs, Scan *scan, const char *folder,
			  const char *name)
{
	g_autofree char *path = g_build_filename(folder, name, NULL);
	g_autofree char *target_name =
		g_strndup(name + 1, strlen(name) - strlen(".") - strlen(".cmd"));
	GPtrArray *list = g_ptr_array_new();
	Deps deps = {scan, inputs, folder, list};

	cmdfile_each_input(path, take_input, &deps);
	g_hash_table_replace(scan->targets, g_build_filename(folder, target_name, NULL), list);
}

static void scan_folder(const BuildInputs *inputs, Scan *scan, const char *folder, int depth)
{
	DIR *dir = depth < MAX_DEPTH ? opendir(folder) : NULL;
	struct dirent *entry;

	if (!dir)
		return;
	while ((entry = readdir(dir))) {
		const char *name = entry->d_name;
		unsigned char type = entry->d_type;
		struct stat st;

		if (type == DT_UNKNOWN && !fstatat(dirfd(dir), name, &st, AT_SYMLINK_NOFOLLOW))
			type = S_ISDIR(st.st_mode) ? DT_DIR : DT_REG;
		if (name[0] == '.') {
			if (type != DT_DIR && g_str_has_suffix(name, ".cmd") && strlen(name) > 5)
				scan_cmd_file(inputs, scan, folder, name);
		} else if (type == DT_DIR) {
			g_autofree char *child = g_build_filename(folder, name, NULL);

			scan_folder(inputs, scan, child, depth + 1);
		} else if (is_source(name)) {
			g_autofree char *path = g_build_filename(folder, name, NULL);

			intern(scan, path);
		}
	}
	closedir(dir);
}

static void scan_root(const BuildInputs *inputs, Scan *scan)
{
	GHashTableIter iter;
	gpointer target;

	scan->targets = g_hash_table_new_full(g_str_hash, g_str_equal, g_free,
					      (GDestroyNotify) g_ptr_array_unref);
	scan->inputs = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	scan->relative = g_hash_table_new_full(g_str_hash, g_str_equal, g_free,
					       (GDestroyNotify) g_ptr_array_unref);
	scan_folder(inputs, scan, inputs->root, 0);
	/* Generated sources are make's business: their own .cmd files say what they hang on. */
	g_hash_table_iter_init(&iter, scan->targets);
	while (g_hash_table_iter_next(&iter, &target, NULL)) {
		char *input = g_hash_table_lookup(scan->inputs, target);
		GHashTableIter others;
		gpointer list;

		if (!input)
			continue;
		g_hash_table_iter_init(&others, scan->targets);
		while (g_hash_table_iter_next(&others, NULL, &list))
			while (g_ptr_array_remove(list, input))
				continue;
		g_hash_table_remove(scan->inputs, input);
	}
}

/* --- Whom to believe. ------------------------------------------------------------------------ */

/* TRUE when `now`, the stamp of that path, is like the one recorded at the start of a build. */
static gboolean is_as_recorded(const BuildRecord *record, const char *path, const Stamp *now)
{
	const Stamp *then = g_hash_table_lookup(record->inputs, path);
	Stamp hashed = *now;

	if (!then || !stamp_same(then, now))
		return FALSE;
	if (!*then->hash)
		return TRUE;
	if (!*hashed.hash)
		stamp_hash(&hashed, path);
	return !strcmp(then->hash, hashed.hash);
}

/*
 * TRUE when the target is there, and right. `fresh` holds the stamps of all inputs, `changed`
 * those inputs that are not as recorded.
 */
static gboolean believe(const BuildRecord *record, const BuildRecord *fresh, GHashTable *changed,
			const char *target, GPtrArray *list)
{
	const Stamp *made = g_hash_table_lookup(record->targets, target);
	gboolean ours;
	Stamp now;

	if (!stamp_take(&now, target))
		return TRUE; /* not there: make will make it */
	if (record->exists && strcmp(record->kernel, fresh->kernel))
		return FALSE;
	ours = made && stamp_same(made, &now);
	if (record->exists && !record->end && !ours)
		return FALSE; /* written by a build that was cut off */
	for (guint i = 0; i < list->len; i++) {
		const Stamp *input = g_hash_table_lookup(fresh->inputs, list->pdata[i]);

		if (ours ? g_hash_table_contains(changed, list->pdata[i])
			 : !input->ino || stamp_changed(input) >= now.mtime - FOREIGN_NS)
			return FALSE;
	}
	return TRUE;
}

static gboolean remove_unbelievable(const BuildRecord *record, const BuildRecord *fresh,
				    const Scan *scan, guint *removed, GError **error)
{
	g_autoptr(GHashTable) changed = g_hash_table_new(g_str_hash, g_str_equal);
	GHashTableIter iter;
	gpointer key, value;

	g_hash_table_iter_init(&iter, fresh->inputs);
	while (g_hash_table_iter_next(&iter, &key, &value))
		if (!is_as_recorded(record, key, value))
			g_hash_table_add(changed, key);
	g_hash_table_iter_init(&iter, scan->targets);
	while (g_hash_table_iter_next(&iter, &key, &value)) {
		if (believe(record, fresh, changed, key, value))
			continue;
		if (unlink(key) < 0 && errno != ENOENT)
			return devvm_fail_errno(error, DEVVM_ERROR_BUILD, errno,
						"cannot remove the outdated %s", (char *) key);
		++*removed;
	}
	return TRUE;
}

/* What tells a kernel's build folder from another one at the same path. */
static char *kernel_identity(const char *objtree)
{
	static const char *const files[] = {"include/generated/autoconf.h",
					    "include/generated/utsrelease.h"};
	g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA1);

	g_checksum_update(sum, (const guchar *) objtree, -1);
	for (gsize i = 0; i < G_N_ELEMENTS(files); i++) {
		g_autofree char *path = g_build_filename(objtree, files[i], NULL);
		g_autofree char *text = NULL;
		gsize size;

		if (g_file_get_contents(path, &text, &size, NULL))
			g_checksum_update(sum, (const guchar *) text, (gssize) size);
	}
	return g_strdup(g_checksum_get_string(sum));
}

/* --- Start and end. -------------------------------------------------------------------------- */

static gint64 now_ns(void)
{
	return g_get_real_time() * 1000;
}

static void record_targets(BuildRecord *record, const Scan *scan)
{
	GHashTableIter iter;
	gpointer target;

	g_hash_table_remove_all(record->targets);
	g_hash_table_iter_init(&iter, scan->targets);
	while (g_hash_table_iter_next(&iter, &target, NULL)) {
		Stamp *stamp = g_new0(Stamp, 1);

		stamp_take(stamp, target);
		g_hash_table_replace(record->targets, g_strdup(target), stamp);
	}
}

/* The stamps of all inputs, with the hashes of those that changed just now. */
static void record_inputs(BuildRecord *record, const Scan *scan)
{
	GHashTableIter iter;
	gpointer path;

	g_hash_table_iter_init(&iter, scan->inputs);
	while (g_hash_table_iter_next(&iter, &path, NULL)) {
		Stamp *stamp = g_new0(Stamp, 1);

		if (stamp_take(stamp, path) && stamp_changed(stamp) > record->start - RACY_NS)
			stamp_hash(stamp, path);
		g_hash_table_replace(record->inputs, g_strdup(path), stamp);
	}
}

gboolean buildinputs_begin(BuildInputs *inputs, guint *removed, GError **error)
{
	g_autoptr(BuildRecord) fresh = buildrecord_new();
	g_auto(Scan) scan = {0};
	guint count = 0;

	fresh->start = now_ns();
	g_free(fresh->kernel);
	fresh->kernel = kernel_identity(inputs->objtree);
	scan_root(inputs, &scan);
	/* Each input is looked at once: what is judged here is what is recorded, and a change after
	 * it shows as a change during the build. Removal comes before the record is written, which
	 * would make the removed files look right. */
	record_inputs(fresh, &scan);
	if (!remove_unbelievable(inputs->record, fresh, &scan, &count, error))
		return FALSE;
	record_targets(fresh, &scan);
	if (!buildrecord_save(fresh, inputs->record_path, error))
		return FALSE;
	fresh->exists = TRUE;
	buildrecord_free(inputs->record);
	inputs->record = g_steal_pointer(&fresh);
	if (removed)
		*removed = count;
	return TRUE;
}

static gint compare_paths(gconstpointer a, gconstpointer b)
{
	return strcmp(*(const char *const *) a, *(const char *const *) b);
}

GPtrArray *buildinputs_end(BuildInputs *inputs, GError **error)
{
	g_autoptr(GPtrArray) changed = g_ptr_array_new_with_free_func(g_free);
	BuildRecord *record = inputs->record;
	g_auto(Scan) scan = {0};
	GHashTableIter iter;
	gpointer path;

	scan_root(inputs, &scan);
	g_hash_table_iter_init(&iter, scan.inputs);
	while (g_hash_table_iter_next(&iter, &path, NULL)) {
		g_autofree Stamp *now = g_new0(Stamp, 1);

		stamp_take(now, path);
		if (g_hash_table_contains(record->inputs, path)) {
			/* What has changed keeps the old stamp: its objects go at the next start.
			 */
			if (!is_as_recorded(record, path, now))
				g_ptr_array_add(changed, g_strdup(path));
			continue;
		}
		if (stamp_changed(now) > record->start - RACY_NS) {
			g_ptr_array_add(changed, g_strdup(path));
			memset(now, 0, sizeof(*now)); /* like nothing */
		}
		g_hash_table_replace(record->inputs, g_strdup(path), g_steal_pointer(&now));
	}
	record_targets(record, &scan);
	record->end = now_ns();
	g_ptr_array_sort(changed, compare_paths);
	return buildrecord_save(record, inputs->record_path, error) ? g_steal_pointer(&changed)
								    : NULL;
}

/* --- Record and lock. ------------------------------------------------------------------------ */

static gboolean lock(BuildInputs *inputs, const char *path, void (*waiting)(const char *),
		     guint wait_ms, GError **error)
{
	gint64 deadline = g_get_monotonic_time() + (gint64) wait_ms * 1000;
	gboolean told = FALSE;

	inputs->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (inputs->lock_fd < 0)
		return devvm_fail_errno(error, DEVVM_ERROR_FAILED, errno, "cannot open %s", path);
	while (flock(inputs->lock_fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return devvm_fail_errno(error, DEVVM_ERROR_FAILED, errno, "cannot lock %s",
						path);
		if (g_get_monotonic_time() > deadline)
			return devvm_fail(error, DEVVM_ERROR_BUSY,
					  "another build in %s does not end: `fuser -v %s` says "
					  "whose it is",
					  inputs->root, path);
		if (!told && waiting)
			waiting(inputs->root);
		told = TRUE;
		g_usleep(LOCK_POLL_US); /* the lock has no event to wait for with a deadline */
	}
	return TRUE;
}

BuildInputs *buildinputs_open(const char *root, const char *objtree, void (*waiting)(const char *),
			      guint wait_ms, GError **error)
{
	g_autoptr(BuildInputs) inputs = g_new0(BuildInputs, 1);
	g_autofree char *cache = devvm_cache_dir();
	g_autofree char *folder = g_build_filename(cache, "builds", NULL);
	g_autofree char *id = g_compute_checksum_for_string(G_CHECKSUM_SHA1, root, -1);
	g_autofree char *lock_name = g_strconcat(id, ".lock", NULL);
	g_autofree char *lock_path = g_build_filename(folder, lock_name, NULL);

	inputs->lock_fd = -1;
	inputs->root = g_strdup(root);
	inputs->objtree = g_strdup(objtree);
	inputs->record_path = g_build_filename(folder, id, NULL);
	if (!devvm_make_private_dir(folder, error) ||
	    !lock(inputs, lock_path, waiting, wait_ms, error))
		return NULL;
	inputs->record = buildrecord_load(inputs->record_path);
	return g_steal_pointer(&inputs);
}

void buildinputs_close(BuildInputs *inputs)
{
	if (!inputs)
		return;
	if (inputs->lock_fd >= 0) {
		flock(inputs->lock_fd, LOCK_UN); /* also for a daemon that the build started */
		close(inputs->lock_fd);
	}
	buildrecord_free(inputs->record);
	g_free(inputs->record_path);
	g_free(inputs->root);
	g_free(inputs->objtree);
	g_free(inputs);
}

int buildinputs_lock_fd(const BuildInputs *inputs)
{
	return inputs->lock_fd;
}
