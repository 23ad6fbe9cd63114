// SPDX-License-Identifier: GPL-2.0-or-later
#include "vm-live.h"

#include <json-glib/json-glib.h>
#include <stdio.h>
#include <string.h>

#include "../backends/link.h"
#include "../util/printable.h"

const char *vm_record_state_name(const VmRecord *record)
{
	if (record->died)
		return "off (QEMU died)";
	return vm_state_name(record->spec->vm->state);
}

char *vm_live_uptime(const Vm *vm)
{
	gint64 s = (g_get_real_time() - vm->started_us) / G_USEC_PER_SEC;

	if (vm->state == VM_OFF || !vm->started_us || s < 0)
		return NULL;
	if (s < 60)
		return g_strdup_printf("%d s", (int) s);
	if (s < 3600)
		return g_strdup_printf("%d min", (int) (s / 60));
	if (s < 24 * 3600)
		return g_strdup_printf("%d h %d min", (int) (s / 3600), (int) (s / 60 % 60));
	return g_strdup_printf("%d d %d h", (int) (s / 86400), (int) (s / 3600 % 24));
}

/* The modules that reload-module put into the guest since it booted; NULL: none. */
static JsonObject *registered(const Vm *vm, JsonParser *parser)
{
	g_autofree char *path = g_build_filename(vm->run_dir, "symbols.json", NULL);
	JsonNode *node;

	if (!json_parser_load_from_file(parser, path, NULL))
		return NULL;
	node = json_parser_get_root(parser);
	if (!node || !JSON_NODE_HOLDS_OBJECT(node))
		return NULL;
	node = json_object_get_member(json_node_get_object(node), "modules");
	return node && JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
}

/*
 * Of /proc/modules, those that reload-module loaded, and those that are marked as built outside the
 * kernel's tree ("(O…)" at the end): they were loaded by hand.
 */
static char *project_modules(const Vm *vm, const char *text)
{
	g_autoptr(JsonParser) parser = json_parser_new();
	JsonObject *ours = registered(vm, parser);
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
	GString *names = g_string_new(NULL);

	for (gsize i = 0; lines[i]; i++) {
		const char *taint = strrchr(lines[i], '(');
		g_autofree char *name = g_strndup(lines[i], strcspn(lines[i], " "));

		if ((ours && json_object_has_member(ours, name)) || (taint && strchr(taint, 'O')))
			g_string_append_printf(names, "%s%s", names->len ? " " : "", name);
	}
	return g_string_free(names, FALSE);
}

char *vm_live_modules(const Vm *vm)
{
	g_autofree char *socket = g_build_filename(vm->run_dir, "keeper.sock", NULL);
	g_autoptr(Link) link = NULL;
	g_autofree char *text = NULL, *names = NULL;
	gsize size;

	if (!g_file_test(socket, G_FILE_TEST_EXISTS))
		return NULL;
	link = link_open(vm, NULL);
	if (!link || !link_wait_ready(link, 300, NULL))
		return NULL;
	text = link_get(link, "/proc/modules", &size, NULL);
	names = text ? project_modules(vm, text) : NULL;
	return printable(names);
}

void vm_json(Json *json, const VmRecord *record)
{
	const DomainSpec *spec = record->spec;
	const Vm *vm = spec->vm;
	g_autofree char *gdb = vm_gdb_address(vm);

	json_string(json, "name", vm->name);
	json_string(json, "uuid", vm->uuid);
	json_string(json, "state", vm_state_name(vm->state));
	json_bool(json, "qemu_died", record->died);
	json_string(json, "kernel", vm->release);
	json_string(json, "image", vm->image);
	json_string(json, "vmlinux", vm->vmlinux);
	json_string(json, "build", vm->build);
	json_string(json, "accel", vm->kvm ? "kvm" : "tcg");
	json_int(json, "cpus", vm->cpus);
	json_int(json, "memory", (gint64) vm->memory);
	json_string(json, "gdb", gdb);
	if (vm->started_us)
		json_int(json, "started_us", vm->started_us);
	else
		json_null(json, "started_us");
	json_string(json, "project", vm->project);
	json_strings(json, "trees", (const char *const *) vm->trees);
	json_string(json, "group", vm->group);
	json_string(json, "console", spec->console);
	json_string(json, "run_dir", vm->run_dir);
	json_string(json, "data_dir", vm->data_dir);
}

void print_columns(GPtrArray *rows)
{
	g_autoptr(GArray) widths = g_array_new(FALSE, TRUE, sizeof(glong));

	for (guint r = 0; r < rows->len; r++) {
		char **cells = g_ptr_array_index(rows, r);

		for (guint c = 0; cells[c]; c++) {
			if (c >= widths->len)
				g_array_set_size(widths, c + 1);
			g_array_index(widths, glong, c) =
				MAX(g_array_index(widths, glong, c), g_utf8_strlen(cells[c], -1));
		}
	}
	for (guint r = 0; r < rows->len; r++) {
		char **cells = g_ptr_array_index(rows, r);

		for (guint c = 0; cells[c]; c++) {
			glong pad = g_array_index(widths, glong, c) - g_utf8_strlen(cells[c], -1);

			printf("%s%*s", cells[c], cells[c + 1] ? (int) pad + 2 : 0, "");
		}
		putchar('\n');
	}
}
