// SPDX-License-Identifier: GPL-2.0-or-later
#include "kbuildfile.h"

#include <string.h>

#include "modinfo.h"

#define MAX_EXPANSION_DEPTH 16

static char *expand(GHashTable *variables, const char *text, int depth);

static void goal_free(KbuildGoal *goal)
{
	g_free(goal->object);
	g_free(goal->config);
	g_free(goal);
}

void kbuildfile_free(KbuildFile *file)
{
	if (!file)
		return;
	g_ptr_array_unref(file->modules);
	g_ptr_array_unref(file->folders);
	g_ptr_array_unref(file->extmods);
	g_free(file->kernel_variable);
	g_free(file);
}

/* --- Expansion of variables and of the few functions that lists of modules are made with. --- */

/* "%.c" against "foo.c" gives the stem "foo"; NULL when the word does not match. */
static char *pattern_stem(const char *pattern, const char *word)
{
	const char *percent = strchr(pattern, '%');
	gsize head, tail = strlen(word);

	if (!percent)
		return strcmp(pattern, word) ? NULL : g_strdup(word);
	head = (gsize) (percent - pattern);
	if (tail < head + strlen(percent + 1) || strncmp(pattern, word, head) ||
	    !g_str_has_suffix(word, percent + 1))
		return NULL;
	return g_strndup(word + head, tail - head - strlen(percent + 1));
}

/* Each word that matches `pattern` becomes `replacement`; both may hold one '%'. */
static char *patsubst(const char *pattern, const char *replacement, const char *words)
{
	g_auto(GStrv) list = g_strsplit_set(words, " \t", -1);
	GString *out = g_string_new(NULL);
	const char *percent = strchr(replacement, '%');

	for (gsize i = 0; list[i]; i++) {
		g_autofree char *stem = NULL;

		if (!*list[i])
			continue;
		if (out->len)
			g_string_append_c(out, ' ');
		stem = pattern_stem(pattern, list[i]);
		if (!stem) {
			g_string_append(out, list[i]);
		} else if (!percent) {
			g_string_append(out, replacement);
		} else {
			g_string_append_len(out, replacement, percent - replacement);
			g_string_append(out, stem);
			g_string_append(out, percent + 1);
		}
	}
	return g_string_free(out, FALSE);
}

/* $(NAME ARGS): NULL when it is none of the functions known here. */
static char *call_function(GHashTable *variables, const char *body, int depth)
{
	g_autofree char *name = NULL, *from = NULL, *to = NULL, *words = NULL;
	g_auto(GStrv) args = NULL;
	gsize length = strcspn(body, " \t");
	gboolean three;

	if (!body[length])
		return NULL;
	name = g_strndup(body, length);
	three = !strcmp(name, "patsubst");
	args = g_strsplit(body + length + 1, ",", three ? 3 : 2);
	if (g_strv_length(args) != (three ? 3u : 2u))
		return NULL;
	words = expand(variables, args[three ? 2 : 1], depth);
	if (three) {
		from = expand(variables, args[0], depth);
		to = expand(variables, args[1], depth);
		return patsubst(g_strstrip(from), g_strstrip(to), words);
	}
	if (strcmp(name, "addsuffix") && strcmp(name, "addprefix"))
		return NULL;
	from = expand(variables, args[0], depth);
	g_strstrip(from);
	to = g_strconcat(!strcmp(name, "addprefix") ? from : "%",
			 !strcmp(name, "addprefix") ? "%" : from, NULL);
	return patsubst("%", to, words);
}

/* What $(body) stands for. */
static char *expand_reference(GHashTable *variables, const char *body, int depth)
{
	char *result = call_function(variables, body, depth);
	const char *colon = strchr(body, ':'), *equals = colon ? strchr(colon, '=') : NULL;
	const char *value;

	if (result)
		return result;
	if (equals) { /* $(VAR:a=b) */
		g_autofree char *name = g_strndup(body, (gsize) (colon - body));
		g_autofree char *from = g_strndup(colon + 1, (gsize) (equals - colon - 1));
		g_autofree char *words = NULL, *from_pattern = NULL, *to = NULL;
		gboolean percent = strchr(from, '%') != NULL;

		value = g_hash_table_lookup(variables, name);
		words = expand(variables, value ? value : "", depth);
		from_pattern = g_strconcat(percent ? "" : "%", from, NULL);
		to = g_strconcat(percent ? "" : "%", equals + 1, NULL);
		return patsubst(from_pattern, to, words);
	}
	value = g_hash_table_lookup(variables, body);
	return expand(variables, value ? value : "", depth);
}

/* The end of "$(…)" whose body begins at `at`, nested ones counted; NULL when it has none. */
static const char *reference_end(const char *at, char open, char close)
{
	for (int level = 1; *at; at++) {
		if (*at == open)
			level++;
		else if (*at == close && --level == 0)
			return at;
	}
	return NULL;
}

static char *expand(GHashTable *variables, const char *text, int depth)
{
	GString *out = g_string_new(NULL);

	for (const char *at = text; *at; at++) {
		const char *end = NULL;

		if (at[0] == '$' && (at[1] == '(' || at[1] == '{'))
			end = reference_end(at + 2, at[1], at[1] == '(' ? ')' : '}');
		if (end && depth < MAX_EXPANSION_DEPTH) {
			g_autofree char *body = g_strndup(at + 2, (gsize) (end - at - 2));
			g_autofree char *value = expand_reference(variables, body, depth + 1);

			g_string_append(out, value);
			at = end;
		} else {
			g_string_append_c(out, *at);
		}
	}
	return g_string_free(out, FALSE);
}

/* --- Lines. ---------------------------------------------------------------------------------- */

/* One assignment to obj-…, kept until all variables are known. */
typedef struct {
	char *selector; /* what stands behind "obj-" */
	char *value;
} ObjLine;

static void obj_line_free(ObjLine *line)
{
	g_free(line->selector);
	g_free(line->value);
	g_free(line);
}

static void add_goals(KbuildFile *file, GHashTable *variables, const ObjLine *line)
{
	g_autofree char *value = expand(variables, line->value, 0);
	g_auto(GStrv) words = g_strsplit_set(value, " \t", -1);
	gboolean explicit_m = !strcmp(line->selector, "m");
	gboolean built_in = !strcmp(line->selector, "y");
	g_autofree char *config = NULL;

	if (line->selector[0] == '$' && line->selector[1] && line->selector[2])
		config = g_strndup(line->selector + 2, strlen(line->selector) - 3);
	if (config && strspn(config, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				     "0123456789_") != strlen(config))
		g_clear_pointer(&config, g_free); /* $(if …) and the like: some condition */
	for (gsize i = 0; words[i]; i++) {
		gsize length = strlen(words[i]);
		gboolean folder = g_str_has_suffix(words[i], "/");
		KbuildGoal *goal;

		if (!folder && (built_in || !g_str_has_suffix(words[i], ".o") || length < 3))
			continue;
		goal = g_new0(KbuildGoal, 1);
		goal->object = g_strndup(words[i], length - (folder ? 1 : 2));
		goal->config = g_strdup(config);
		goal->explicit_m = explicit_m;
		g_ptr_array_add(folder ? file->folders : file->modules, goal);
	}
}

static gboolean is_variable_name(const char *name)
{
	return *name && !strpbrk(name, " \t:#=");
}

/* NAME = value, with :=, ::=, ?=, +=; *name and *value are new. */
static gboolean split_assignment(const char *line, char **name, char **value, gboolean *append)
{
	const char *equals = strchr(line, '='), *end = equals;
	const char *start = line + strspn(line, " ");
	static const char *const prefixes[] = {"export ", "override ", "private "};

	*append = FALSE;
	if (!equals || equals == line)
		return FALSE;
	if (end[-1] == '+' || end[-1] == '?') {
		*append = end[-1] == '+';
		end--;
	}
	while (end > start && end[-1] == ':')
		end--;
	for (gsize i = 0; i < G_N_ELEMENTS(prefixes); i++)
		if (g_str_has_prefix(start, prefixes[i]))
			start += strlen(prefixes[i]);
	if (end <= start)
		return FALSE;
	*name = g_strstrip(g_strndup(start, (gsize) (end - start)));
	if (!is_variable_name(*name)) {
		g_clear_pointer(name, g_free);
		return FALSE;
	}
	*value = g_strstrip(g_strdup(equals + 1));
	return TRUE;
}

/* Notes a call of the kernel's build: `-C KERNEL … M=FOLDER`, in a recipe or in a variable. */
static void look_for_kbuild_call(KbuildFile *file, const char *line)
{
	g_autoptr(GRegex) extmod =
		g_regex_new("(?:^|[\\s\"'])(?:M|SUBDIRS|KBUILD_EXTMOD)=(\\S+)", 0, 0, NULL);
	g_autoptr(GRegex) kernel =
		g_regex_new("-C\\s*[\"']?\\$[({](\\w+)[)}][\"']?(?:\\s|$)", 0, 0, NULL);
	g_autoptr(GMatchInfo) match = NULL, kernel_match = NULL;
	const char *folder = strstr(line, "-C");

	if (!folder || !g_regex_match(extmod, line, 0, &match))
		return;
	file->calls_kbuild = TRUE;
	g_ptr_array_add(file->extmods, g_match_info_fetch(match, 1));
	if (!file->kernel_variable && g_regex_match(kernel, line, 0, &kernel_match))
		file->kernel_variable = g_match_info_fetch(kernel_match, 1);
}

static void take_line(KbuildFile *file, GHashTable *variables, GPtrArray *obj_lines, char *line)
{
	g_autofree char *name = NULL, *value = NULL;
	gboolean append;

	if (strstr(line, "M=") || strstr(line, "SUBDIRS=") || strstr(line, "KBUILD_EXTMOD="))
		look_for_kbuild_call(file, line);
	if (*line == '\t') /* a recipe; what looks like an assignment there is the shell's */
		return;
	line[strcspn(line, "#")] = '\0';
	if (!split_assignment(line, &name, &value, &append))
		return;
	if (g_str_has_prefix(name, "obj-")) {
		ObjLine *obj = g_new0(ObjLine, 1);

		obj->selector = g_strdup(name + strlen("obj-"));
		obj->value = g_steal_pointer(&value);
		g_ptr_array_add(obj_lines, obj);
		return;
	}
	if (append) {
		const char *old = g_hash_table_lookup(variables, name);
		char *both = g_strconcat(old ? old : "", " ", value, NULL);

		g_hash_table_replace(variables, g_steal_pointer(&name), both);
	} else {
		g_hash_table_replace(variables, g_steal_pointer(&name), g_steal_pointer(&value));
	}
}

/* The next logical line: continuations joined; new string, NULL at the end. */
static char *next_line(const char **at)
{
	GString *line;

	if (!**at)
		return NULL;
	line = g_string_new(NULL);
	for (;;) {
		gsize length = strcspn(*at, "\n");
		gboolean more = length > 0 && (*at)[length - 1] == '\\' && (*at)[length];

		g_string_append_len(line, *at, (gssize) (more ? length - 1 : length));
		*at += length + ((*at)[length] ? 1 : 0);
		if (!more)
			return g_string_free(line, FALSE);
		g_string_append_c(line, ' ');
	}
}

KbuildFile *kbuildfile_parse(const char *text)
{
	KbuildFile *file = g_new0(KbuildFile, 1);
	g_autoptr(GHashTable) variables =
		g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	g_autoptr(GPtrArray) obj_lines =
		g_ptr_array_new_with_free_func((GDestroyNotify) obj_line_free);
	char *line;

	file->modules = g_ptr_array_new_with_free_func((GDestroyNotify) goal_free);
	file->folders = g_ptr_array_new_with_free_func((GDestroyNotify) goal_free);
	file->extmods = g_ptr_array_new_with_free_func(g_free);
	while ((line = next_line(&text))) {
		take_line(file, variables, obj_lines, line);
		g_free(line);
	}
	for (guint i = 0; i < obj_lines->len; i++)
		add_goals(file, variables, obj_lines->pdata[i]);
	return file;
}

const KbuildGoal *kbuildfile_module(const KbuildFile *file, const char *plain_name)
{
	for (guint i = 0; i < file->modules->len; i++) {
		const KbuildGoal *goal = file->modules->pdata[i];
		g_autofree char *plain = modinfo_plain_name(goal->object);

		if (!strcmp(plain, plain_name))
			return goal;
	}
	return NULL;
}

const KbuildGoal *kbuildfile_folder(const KbuildFile *file, const char *folder)
{
	for (guint i = 0; i < file->folders->len; i++) {
		const KbuildGoal *goal = file->folders->pdata[i];
		const char *object = goal->object;

		while (g_str_has_prefix(object, "./"))
			object += 2;
		if (!strcmp(object, folder))
			return goal;
	}
	return NULL;
}
