// SPDX-License-Identifier: GPL-2.0-or-later
#include "verbs.h"

#include <stdio.h>

#include "../util/json.h"
#include "../vm-record.h"
#include "vm-live.h"

typedef struct {
	const VmRecord *record;
	char *modules; /* those of the project that are loaded; NULL: unknown */
} Row;

static void row_free(gpointer data)
{
	Row *row = data;

	g_free(row->modules);
	g_free(row);
}

static gpointer ask_modules(gpointer data)
{
	Row *row = data;

	row->modules = vm_live_modules(row->record->spec->vm);
	return NULL;
}

/* All guests at once: the slowest decides how long it takes. */
static GPtrArray *make_rows(GPtrArray *records)
{
	GPtrArray *rows = g_ptr_array_new_with_free_func(row_free);
	g_autoptr(GPtrArray) threads = g_ptr_array_new();

	for (guint i = 0; i < records->len; i++) {
		Row *row = g_new0(Row, 1);

		row->record = g_ptr_array_index(records, i);
		g_ptr_array_add(rows, row);
		if (row->record->spec->vm->state == VM_RUNNING)
			g_ptr_array_add(threads, g_thread_new("modules", ask_modules, row));
	}
	for (guint i = 0; i < threads->len; i++)
		g_thread_join(g_ptr_array_index(threads, i));
	return rows;
}

static void print_table(GPtrArray *rows, gboolean trees)
{
	g_autoptr(GPtrArray) table = g_ptr_array_new_with_free_func((GDestroyNotify) g_strfreev);
	const char *head[] = {
		"NAME", "STATE", "KERNEL", "GDB", "UPTIME", "MODULES", trees ? "TREES" : NULL,
		NULL};

	g_ptr_array_add(table, g_strdupv((char **) head));
	for (guint i = 0; i < rows->len; i++) {
		const Row *row = g_ptr_array_index(rows, i);
		const Vm *vm = row->record->spec->vm;
		g_autofree char *gdb = vm_gdb_address(vm);
		g_autofree char *uptime = vm_live_uptime(vm);
		g_autofree char *paths = trees ? g_strjoinv(" ", vm->trees) : NULL;
		const char *cells[] = {vm->name,
				       vm_record_state_name(row->record),
				       vm->release,
				       gdb,
				       uptime ? uptime : "-",
				       row->modules && *row->modules ? row->modules : "-",
				       paths,
				       NULL};

		g_ptr_array_add(table, g_strdupv((char **) cells));
	}
	print_columns(table);
}

static void print_json(GPtrArray *rows)
{
	g_autoptr(Json) json = json_new();

	json_begin_array(json, NULL);
	for (guint i = 0; i < rows->len; i++) {
		const Row *row = g_ptr_array_index(rows, i);

		json_begin_object(json, NULL);
		vm_json(json, row->record);
		if (row->modules) {
			g_auto(GStrv) modules = g_strsplit(row->modules, " ", -1);

			json_strings(json, "modules",
				     (const char *const *) (*row->modules ? modules : NULL));
		} else {
			json_null(json, "modules");
		}
		json_end(json);
	}
	json_end(json);
	json_print(json);
}

static gboolean run(const Verb *verb, VerbContext *ctx, char **args, GError **error)
{
	g_autoptr(GPtrArray) records = vm_record_list(error);
	g_autoptr(GPtrArray) rows = NULL;

	if (!records)
		return FALSE;
	rows = make_rows(records);
	if (ctx->json)
		print_json(rows);
	else if (rows->len)
		print_table(rows, ctx->verbose);
	else if (!ctx->quiet)
		fprintf(stderr, "there is no VM yet: `devvm up NAME` makes one\n");
	return TRUE;
}

const Verb verb_ls = {
	.name = "ls",
	.synopsis = "[OPTION…]",
	.help = "list your VMs",
	.examples = "  $ devvm ls\n"
		    "  $ devvm ls -v      # with their trees\n"
		    "  $ devvm ls --json",
	.flags = VERB_JSON,
	.max_args = 0,
	.run = run,
};
