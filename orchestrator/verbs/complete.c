// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the shell's completion asks: `devvm complete -- WORD…`, the words behind "devvm" up to the
 * cursor, the last one being typed. One candidate a line; none means that it is for the shell to
 * complete, as a file or a command. Everything comes from the verbs' rows: an option from the
 * options, what an argument is from the words of the synopsis.
 */
#include "verbs.h"

#include <stdio.h>
#include <string.h>

typedef struct {
	const Verb *verb;   /* NULL while it is the verb that is typed */
	const char *word;   /* the one that is typed */
	const char *option; /* the option whose value it is, without dashes; or NULL */
	guint arguments;    /* plain ones before it */
} Request;

static void offer(const Request *r, const char *candidate)
{
	if (g_str_has_prefix(candidate, r->word))
		puts(candidate);
}

static const Verb *find_verb(const char *name)
{
	for (gsize i = 0; devvm_verbs[i]; i++)
		if (g_str_equal(devvm_verbs[i]->name, name))
			return devvm_verbs[i];
	return NULL;
}

static void offer_verbs(const Request *r)
{
	for (gsize i = 0; devvm_verbs[i]; i++)
		if (!(devvm_verbs[i]->flags & VERB_HIDDEN))
			offer(r, devvm_verbs[i]->name);
	offer(r, "help");
}

static void offer_option(const Request *r, const char *name)
{
	g_autofree char *text = g_strconcat("--", name, NULL);

	offer(r, text);
}

static void offer_options(const Request *r)
{
	static const char *const shared[] = {"vm", "verbose", "quiet", "help"};
	const GOptionEntry *o = r->verb ? r->verb->options : NULL;

	for (; o && o->long_name; o++)
		if (!(o->flags & G_OPTION_FLAG_HIDDEN) && *o->long_name)
			offer_option(r, o->long_name);
	if (!r->verb) {
		offer(r, "--help");
		offer(r, "--version");
		return;
	}
	for (gsize i = 0; i < G_N_ELEMENTS(shared); i++)
		offer_option(r, shared[i]);
	if (r->verb->flags & VERB_JSON)
		offer_option(r, "json");
	if (r->verb->flags & VERB_DRY_RUN)
		offer_option(r, "dry-run");
}

/* Names of the sections "[KIND NAME]" of the configuration; a wrong one gives none. */
static void add_section(const char *section, const char *key, const char *value,
			const ConfigOrigin *origin, gpointer data)
{
	g_hash_table_add(data, g_strdup(section));
}

static void add_sections(const char *kind, GHashTable *names)
{
	g_autoptr(GHashTable) sections =
		g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	g_autoptr(Config) config = config_load(NULL, NULL);
	GHashTableIter iter;
	gpointer section;

	if (config)
		config_each(config, NULL, add_section, sections);
	g_hash_table_iter_init(&iter, sections);
	while (g_hash_table_iter_next(&iter, &section, NULL))
		if (g_str_has_prefix(section, kind))
			g_hash_table_add(names, g_strdup((char *) section + strlen(kind)));
}

static void add_vms(GHashTable *names)
{
	g_autoptr(GPtrArray) vms = vm_list(NULL);

	for (guint i = 0; vms && i < vms->len; i++)
		g_hash_table_add(names, g_strdup(((Vm *) g_ptr_array_index(vms, i))->name));
}

static void offer_names(const Request *r, gboolean modules)
{
	g_autoptr(GHashTable) names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	GHashTableIter iter;
	gpointer name;

	if (!modules)
		add_vms(names);
	add_sections(modules ? "module " : "vm ", names);
	g_hash_table_iter_init(&iter, names);
	while (g_hash_table_iter_next(&iter, &name, NULL))
		offer(r, name);
}

/* The option of the row that takes a value; NULL when there is none of that name. */
static const GOptionEntry *find_option(const Verb *verb, const char *name)
{
	const GOptionEntry *o = verb ? verb->options : NULL;

	for (; o && o->long_name; o++)
		if (g_str_equal(o->long_name, name) && o->arg != G_OPTION_ARG_NONE)
			return o;
	return NULL;
}

static gboolean takes_value(const Verb *verb, const char *word)
{
	return verb && (g_str_equal(word, "--vm") ||
			(g_str_has_prefix(word, "--") && find_option(verb, word + 2)));
}

static void answer(const Request *r)
{
	const char *synopsis = r->verb && r->verb->synopsis ? r->verb->synopsis : "";
	gboolean vm_first = r->verb && (r->verb->flags & VERB_VM_ARG);

	if (r->option && g_str_equal(r->option, "vm"))
		offer_names(r, FALSE);
	else if (r->option)
		return;
	else if (*r->word == '-')
		offer_options(r);
	else if (!r->verb)
		offer_verbs(r);
	else if (strstr(synopsis, "MODULE"))
		offer_names(r, TRUE);
	else if ((vm_first || strstr(synopsis, "NAME")) && r->arguments == 0 &&
		 !strstr(synopsis, "--vm NAME"))
		offer_names(r, FALSE);
}

/* Reads the words before the one that is typed; FALSE when there is nothing of ours to offer. */
static gboolean read_words(char **words, guint n, Request *r)
{
	for (guint i = 0; i < n; i++) {
		const char *word = words[i];

		if (r->option)
			r->option = NULL; /* this word is its value */
		else if (g_str_equal(word, "--"))
			return FALSE; /* a command follows */
		else if (takes_value(r->verb, word))
			r->option = word + 2;
		else if (!r->verb && !g_str_equal(word, "help") && !(r->verb = find_verb(word)))
			return FALSE;
		else if (r->verb && i > 0 && *word != '-')
			r->arguments++;
	}
	return TRUE;
}

static gboolean run_complete(const Verb *verb, VerbContext *ctx, char **args, GError **error)
{
	guint n = g_strv_length(args);
	Request r = {.word = n ? args[n - 1] : ""};

	if (read_words(args, n ? n - 1 : 0, &r))
		answer(&r);
	return TRUE;
}

const Verb verb_complete = {
	.name = "complete",
	.synopsis = "-- WORD…",
	.help = "what may stand at the end of a command line: for the shell's completion",
	.examples = "  $ devvm complete -- up ''\n",
	.flags = VERB_HIDDEN | VERB_REST,
	.max_args = -1,
	.run = run_complete,
};
