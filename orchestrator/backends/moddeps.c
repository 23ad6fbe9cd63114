// SPDX-License-Identifier: GPL-2.0-or-later
#include "moddeps.h"

#include <stdlib.h>
#include <string.h>

#define FIELDS 4 /* name, size, reference count, holders; state and address follow */
#define MAX_HOLDERS 10000

static void loaded_module_free(LoadedModule *module)
{
	g_free(module->name);
	g_strfreev(module->holders);
	g_free(module);
}

/* "a,b,[permanent]," or "-" */
static void take_holders(LoadedModule *module, const char *field)
{
	g_auto(GStrv) words = g_strsplit(field, ",", MAX_HOLDERS);
	g_autoptr(GStrvBuilder) holders = g_strv_builder_new();

	for (gsize i = 0; words[i]; i++) {
		if (!strcmp(words[i], "[permanent]"))
			module->permanent = TRUE;
		else if (*words[i] && strcmp(words[i], "-"))
			g_strv_builder_add(holders, words[i]);
	}
	module->holders = g_strv_builder_end(holders);
}

GHashTable *moddeps_parse(const char *proc_modules)
{
	GHashTable *loaded = g_hash_table_new_full(g_str_hash, g_str_equal, NULL,
						   (GDestroyNotify) loaded_module_free);
	g_auto(GStrv) lines = g_strsplit(proc_modules, "\n", -1);

	for (gsize i = 0; lines[i]; i++) {
		g_auto(GStrv) fields = g_strsplit(lines[i], " ", FIELDS + 1);
		LoadedModule *module;

		if (g_strv_length(fields) < FIELDS || !*fields[0])
			continue;
		module = g_new0(LoadedModule, 1);
		module->name = g_strdup(fields[0]);
		module->refcount = atoi(fields[2]);
		take_holders(module, fields[3]);
		g_hash_table_replace(loaded, module->name, module);
	}
	return loaded;
}

static void visit(GHashTable *loaded, const char *name, GHashTable *seen, GPtrArray *order)
{
	const LoadedModule *module = g_hash_table_lookup(loaded, name);

	if (!module || !g_hash_table_add(seen, (gpointer) module->name))
		return;
	for (gsize i = 0; module->holders[i]; i++)
		visit(loaded, module->holders[i], seen, order);
	g_ptr_array_add(order, g_strdup(name));
}

GPtrArray *moddeps_unload_order(GHashTable *loaded, const char *name)
{
	g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
	GPtrArray *order = g_ptr_array_new_with_free_func(g_free);

	visit(loaded, name, seen, order);
	return order;
}

int moddeps_other_users(const LoadedModule *module)
{
	return module->refcount - (int) g_strv_length(module->holders);
}
