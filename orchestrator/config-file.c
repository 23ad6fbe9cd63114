// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * GKeyFile reads the values, with its rules for escapes and lists; but it knows no lines, merges
 * what stands twice, and takes any name. So the lines are read here first: what a line is, in
 * which section, whether that key may stand there and does so once. Then GKeyFile is asked for
 * just the keys that were found.
 */
#include "config-file.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/error.h"
#include "util/nearest.h"
#include "util/paths.h"

#define FILE_SIZE_MAX (1 << 20)

/* Where the reading stands. */
typedef struct {
	ConfigFile *file;
	char *base; /* the file's folder */
	gboolean project;
	GKeyFile *keys;
	char *group; /* as written between the brackets; NULL before the first section */
	ConfigSection section;
	char *name;
	GHashTable *seen; /* sections "vm x" and settings "vm x/memory" → line */
	int line;
} Reader;

char *config_module_name(const char *name)
{
	return g_strdelimit(g_strdup(name), "-", '_');
}

static void setting_free(ConfigSetting *setting)
{
	g_free(setting->name);
	g_strfreev(setting->values);
	g_free(setting);
}

void config_file_free(ConfigFile *file)
{
	if (!file)
		return;
	g_free(file->path);
	g_ptr_array_unref(file->settings);
	g_free(file);
}

const ConfigSetting *config_file_get(const ConfigFile *file, const ConfigKey *key, const char *name)
{
	for (guint i = 0; i < file->settings->len; i++) {
		const ConfigSetting *s = g_ptr_array_index(file->settings, i);

		if (s->key == key && g_strcmp0(s->name, name) == 0)
			return s;
	}
	return NULL;
}

static G_GNUC_PRINTF(3, 4) gboolean wrong(const Reader *r, GError **error, const char *format, ...)
{
	va_list args;
	g_autofree char *text = NULL;

	va_start(args, format);
	text = g_strdup_vprintf(format, args);
	va_end(args);
	return devvm_fail(error, DEVVM_ERROR_CONFIG, "%s:%d: %s", r->file->path, r->line, text);
}

/* Nobody but the caller and root may have written what the host will act on. */
static gboolean check_owner(const char *path, const struct stat *st, const char *what,
			    GError **error)
{
	if (st->st_uid != geteuid() && st->st_uid != 0)
		return devvm_fail(error, DEVVM_ERROR_CONFIG,
				  "%s: the %s belongs to another user (uid %u), and devvm runs "
				  "commands that stand in it: not used. If you trust it, copy it "
				  "over itself: cp FILE FILE.new && mv FILE.new FILE",
				  path, what, (guint) st->st_uid);
	if (!S_ISLNK(st->st_mode) && (st->st_mode & S_IWOTH))
		return devvm_fail(error, DEVVM_ERROR_CONFIG,
				  "%s: every user can write to this file, and devvm runs commands "
				  "that stand in it: not used. Mend it with: chmod o-w %s",
				  path, path);
	return TRUE;
}

static gboolean check_file(const char *path, int fd, GError **error)
{
	struct stat link, st;

	if (lstat(path, &link) < 0 || fstat(fd, &st) < 0)
		return devvm_fail_errno(error, DEVVM_ERROR_CONFIG, errno, "%s", path);
	if (!S_ISREG(st.st_mode))
		return devvm_fail(error, DEVVM_ERROR_CONFIG, "%s: not a plain file", path);
	if (st.st_size > FILE_SIZE_MAX)
		return devvm_fail(error, DEVVM_ERROR_CONFIG, "%s: larger than 1M", path);
	return check_owner(path, &link, S_ISLNK(link.st_mode) ? "link" : "file", error) &&
	       check_owner(path, &st, "file", error);
}

static GString *read_fd(const char *path, int fd, GError **error)
{
	g_autoptr(GString) data = g_string_new(NULL);
	char buffer[4096];
	ssize_t n;

	while ((n = TEMP_FAILURE_RETRY(read(fd, buffer, sizeof(buffer)))) > 0 &&
	       data->len <= FILE_SIZE_MAX)
		g_string_append_len(data, buffer, n);
	if (n < 0) {
		devvm_fail_errno(error, DEVVM_ERROR_CONFIG, errno, "cannot read %s", path);
		return NULL;
	}
	return g_steal_pointer(&data);
}

static GString *read_checked(const char *path, GError **error)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	GString *data;

	if (fd < 0) {
		int code = errno == ENOENT || errno == ENOTDIR ? DEVVM_ERROR_NOT_FOUND
							       : DEVVM_ERROR_CONFIG;

		devvm_fail_errno(error, code, errno, "cannot read %s", path);
		return NULL;
	}
	data = check_file(path, fd, error) ? read_fd(path, fd, error) : NULL;
	close(fd);
	return data;
}

/* Bytes that are no text, named with their line. */
static gboolean check_text(Reader *r, const char *data, gsize size, GError **error)
{
	const char *end;

	if (g_utf8_validate_len(data, size, &end))
		return TRUE;
	r->line = 1;
	for (const char *p = data; p < end; p++)
		r->line += *p == '\n';
	if ((gsize) (end - data) < size && *end == '\0')
		return wrong(r, error, "a NUL byte: this is no text file");
	return wrong(r, error, "this line is not UTF-8");
}

/* Notes that `what` stands on this line; FALSE when it stood somewhere before. */
static gboolean once(Reader *r, char *what, const char *shown, GError **error)
{
	int before = GPOINTER_TO_INT(g_hash_table_lookup(r->seen, what));

	if (before) {
		g_free(what);
		return wrong(r, error, "%s stands twice, first on line %d", shown, before);
	}
	g_hash_table_insert(r->seen, what, GINT_TO_POINTER(r->line));
	return TRUE;
}

static gboolean check_section_name(Reader *r, const char *name, GError **error)
{
	g_autoptr(GError) local = NULL;

	if (r->section == SECTION_PROJECT)
		return !name || wrong(r, error, "[project] takes no name");
	if (r->section == SECTION_MODULE && !name)
		return wrong(r, error, "[module] needs a name: [module NAME]");
	if (name && r->section == SECTION_VM && !devvm_vm_name_ok(name, &local))
		return wrong(r, error, "%s", local->message);
	if (name && r->section == SECTION_MODULE &&
	    (strlen(name) > 55 ||
	     strspn(name, "-_" G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS) != strlen(name)))
		return wrong(r, error,
			     "'%s' is no name for a module: use letters, digits, '_' and '-'",
			     name);
	return TRUE;
}

static gboolean find_section(Reader *r, const char *word, GError **error)
{
	const char *names[] = {"project", "vm", "module", NULL};
	const char *nearest;

	for (int s = 0; s < SECTION_COUNT; s++)
		if (g_str_equal(names[s], word)) {
			r->section = (ConfigSection) s;
			return TRUE;
		}
	nearest = nearest_word(word, names);
	if (nearest)
		return wrong(r, error, "there is no section [%s]: did you mean [%s]?", word,
			     nearest);
	return wrong(r, error,
		     "there is no section [%s]; there are [project], [vm], [vm NAME] and "
		     "[module NAME]",
		     word);
}

/* "[vm NAME]" */
static gboolean read_section(Reader *r, char *text, GError **error)
{
	char *end = strchr(text, ']');
	g_auto(GStrv) words = NULL;
	const char *name;

	if (!end || *g_strchug(end + 1))
		return wrong(r, error, "a section is written [NAME], with nothing behind it");
	*end = '\0';
	g_free(r->group);
	r->group = g_strdup(text + 1);
	words = g_strsplit_set(g_strstrip(text + 1), " \t", 2);
	name = words[0] && words[1] ? g_strstrip(words[1]) : NULL;
	if (!find_section(r, words[0] ? words[0] : "", error) ||
	    !check_section_name(r, name, error))
		return FALSE;
	if (r->section == SECTION_PROJECT && !r->project)
		return wrong(r, error,
			     "[project] belongs in a project's devvm.conf; for a kernel that all "
			     "projects use write it in [vm]");
	g_free(r->name);
	r->name = name && r->section == SECTION_MODULE ? config_module_name(name) : g_strdup(name);
	return once(
		r,
		g_strdup_printf("%s %s", config_section_name(r->section), r->name ? r->name : ""),
		r->group, error);
}

/* The values behind a key, with GKeyFile's escapes undone. */
static char **key_values(Reader *r, const ConfigKey *key, GError **error)
{
	g_autoptr(GError) local = NULL;
	char **values = NULL;

	if (config_type_is_list(key->type)) {
		values = g_key_file_get_string_list(r->keys, r->group, key->key, NULL, &local);
	} else {
		char *value = g_key_file_get_string(r->keys, r->group, key->key, &local);

		if (value) {
			values = g_new0(char *, 2);
			values[0] = value;
		}
	}
	if (local) {
		g_clear_pointer(&values, g_strfreev); /* GKeyFile gives both, error and value */
		wrong(r, error,
		      "%s: a backslash that means nothing here; write \\\\ for a backslash, "
		      "\\s for a space, \\; for a ';' inside a list",
		      key->key);
	}
	return values;
}

static gboolean unknown_key(Reader *r, const char *word, GError **error)
{
	g_autofree const char **names = config_key_names(r->section);
	const char *nearest = nearest_word(word, names);
	g_autofree char *all = g_strjoinv(", ", (char **) names);

	if (nearest)
		return wrong(r, error, "there is no key '%s' in [%s]: did you mean %s?", word,
			     r->group, nearest);
	return wrong(r, error, "there is no key '%s' in [%s]; there are: %s", word, r->group, all);
}

static gboolean check_values(Reader *r, const ConfigKey *key, char **raw, char ***values,
			     GError **error)
{
	g_autoptr(GError) local = NULL;

	*values = config_key_check(key, r->base, raw, &local);
	if (*values)
		return TRUE;
	if (raw[0] && strchr(raw[0], '#'))
		return wrong(r, error, "%s: %s (a comment needs a line of its own)", key->key,
			     local->message);
	return wrong(r, error, "%s: %s", key->key, local->message);
}

/* "key = value" */
static gboolean read_setting(Reader *r, char *text, GError **error)
{
	char *equals = strchr(text, '=');
	const ConfigKey *key;
	ConfigSetting *setting;
	g_auto(GStrv) raw = NULL;
	char **values;

	if (!equals || equals == text)
		return wrong(r, error, "neither [section] nor key = value nor # comment");
	*equals = '\0';
	g_strchomp(text);
	if (!r->group)
		return wrong(r, error, "'%s' stands before the first section", text);
	key = config_key_find(r->section, text);
	if (!key)
		return unknown_key(r, text, error);
	if (!once(r,
		  g_strdup_printf("%s %s/%s", config_section_name(r->section),
				  r->name ? r->name : "", text),
		  text, error))
		return FALSE;
	raw = key_values(r, key, error);
	if (!raw || !check_values(r, key, raw, &values, error))
		return FALSE;
	setting = g_new0(ConfigSetting, 1);
	setting->key = key;
	setting->name = g_strdup(r->name);
	setting->values = values;
	setting->line = r->line;
	g_ptr_array_add(r->file->settings, setting);
	return TRUE;
}

static gboolean read_lines(Reader *r, const char *data, GError **error)
{
	g_auto(GStrv) lines = g_strsplit(data, "\n", -1);

	for (r->line = 1; lines[r->line - 1]; r->line++) {
		char *text = g_strstrip(lines[r->line - 1]);
		gboolean ok = TRUE;

		if (*text == '[')
			ok = read_section(r, text, error);
		else if (*text && *text != '#')
			ok = read_setting(r, text, error);
		if (!ok)
			return FALSE;
	}
	return TRUE;
}

/* Whether GKeyFile takes this (stripped) line, which is no comment. */
static gboolean key_file_takes(const char *text)
{
	gsize n = strlen(text), key;

	if (*text == '[')
		return n > 2 && strcspn(text + 1, "[]") == n - 2 && text[n - 1] == ']';
	key = strspn(text, G_CSET_a_2_z "_");
	return key > 0 && text[key + strspn(text + key, " \t")] == '=';
}

/*
 * GKeyFile refuses a whole text for one bad line, and cannot say which. It gets only what it
 * takes; the other lines read_lines() will name.
 */
static GKeyFile *load_keys(const char *data)
{
	GKeyFile *keys = g_key_file_new();
	g_auto(GStrv) lines = g_strsplit(data, "\n", -1);
	g_autoptr(GString) good = g_string_new(NULL);

	for (char **line = lines; *line; line++) {
		char *text = g_strstrip(*line);

		if (key_file_takes(text) && (good->len || *text == '['))
			g_string_append_printf(good, "%s\n", text);
	}
	g_key_file_load_from_data(keys, good->str, good->len, G_KEY_FILE_NONE, NULL);
	return keys;
}

ConfigFile *config_file_read(const char *path, gboolean project, GError **error)
{
	g_autoptr(ConfigFile) file = g_new0(ConfigFile, 1);
	g_autoptr(GString) data = NULL;
	Reader r = {.file = file, .project = project};
	gboolean ok;

	file->path = g_canonicalize_filename(path, NULL);
	file->settings = g_ptr_array_new_with_free_func((GDestroyNotify) setting_free);
	data = read_checked(file->path, error);
	if (!data)
		return NULL;
	r.base = g_path_get_dirname(file->path);
	r.seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	ok = check_text(&r, data->str, data->len, error);
	if (ok) {
		r.keys = load_keys(data->str);
		ok = read_lines(&r, data->str, error);
		g_key_file_unref(r.keys);
	}
	g_hash_table_unref(r.seen);
	g_free(r.base);
	g_free(r.group);
	g_free(r.name);
	return ok ? g_steal_pointer(&file) : NULL;
}
