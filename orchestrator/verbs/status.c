// SPDX-License-Identifier: GPL-2.0-or-later
#include "verbs.h"

#include <stdio.h>
#include <string.h>

#include "../backends/link.h"
#include "../guest-exports.h"
#include "../util/printable.h"
#include "../util/size.h"
#include "vm-live.h"

static void line(const char *key, const char *value)
{
	if (value && *value)
		printf("%-10s %s\n", key, value);
}

static void line_take(const char *key, char *value)
{
	line(key, value);
	g_free(value);
}

/* The keeper's "key value"s; NULL when there is no keeper, and none is started. */
static GHashTable *keeper_status(const Vm *vm)
{
	g_autofree char *socket = g_build_filename(vm->run_dir, "keeper.sock", NULL);
	g_autoptr(Link) link = NULL;

	if (vm->state == VM_OFF || !g_file_test(socket, G_FILE_TEST_EXISTS))
		return NULL;
	link = link_open(vm, NULL);
	return link ? link_status(link, NULL) : NULL;
}

static gint64 number(GHashTable *keeper, const char *key)
{
	const char *text = keeper ? g_hash_table_lookup(keeper, key) : NULL;

	return text ? g_ascii_strtoll(text, NULL, 10) : 0;
}

/* Where the time of the last boot went, from times that the keeper and `up` noted. */
static char *boot_split(const Vm *vm, GHashTable *keeper)
{
	g_autofree char *path = g_build_filename(vm->run_dir, "boot.times", NULL);
	g_autoptr(GKeyFile) file = g_key_file_new();
	gint64 agent = number(keeper, "t-agent"), ready = number(keeper, "t-ready");
	gint64 qmp = number(keeper, "t-qmp");
	GString *text;

	if (!g_key_file_load_from_file(file, path, G_KEY_FILE_NONE, NULL))
		return NULL;
	text = g_string_new(NULL);
	g_string_append_printf(text, "%.2f s: libvirt's start %.2f s, then ready after %.2f s",
			       g_key_file_get_integer(file, "boot", "total_ms", NULL) / 1000.0,
			       g_key_file_get_integer(file, "boot", "start_ms", NULL) / 1000.0,
			       g_key_file_get_integer(file, "boot", "ready_ms", NULL) / 1000.0);
	if (qmp && agent > qmp && ready >= agent)
		g_string_append_printf(text, " (kernel to agent %.2f s, set-up %.2f s)",
				       (double) (agent - qmp) / G_USEC_PER_SEC,
				       (double) (ready - agent) / G_USEC_PER_SEC);
	return g_string_free(text, FALSE);
}

static char *agent_text(GHashTable *keeper)
{
	const char *state, *version, *text;
	g_autofree char *said = NULL;

	if (!keeper)
		return NULL;
	state = g_hash_table_lookup(keeper, "agent");
	version = g_hash_table_lookup(keeper, "agent-version");
	text = g_hash_table_lookup(keeper, "agent-error");
	if (!text)
		text = g_hash_table_lookup(keeper, "agent-text");
	said = g_strdup_printf("%s%s%s%s%s", state ? state : "unknown", version ? ", version " : "",
			       version ? version : "", text ? ": " : "", text ? text : "");
	return printable(said); /* the guest's words */
}

static char *server_text(const Vm *vm, GHashTable *keeper)
{
	const char *fault = keeper ? g_hash_table_lookup(keeper, "nfs-error") : NULL;

	if (!keeper)
		return g_strdup(vm->state == VM_OFF ? NULL : "none: the next command starts one");
	return g_strdup_printf("process %d; NFS server process %d, port %d, restarts %d%s%s",
			       (int) number(keeper, "keeper-pid"), (int) number(keeper, "nfs-pid"),
			       (int) number(keeper, "nfs-port"),
			       (int) number(keeper, "nfs-restarts"), fault ? ": " : "",
			       fault ? fault : "");
}

static void print_exports(const DomainSpec *spec)
{
	g_auto(GStrv) exports = guest_export_lines(spec);

	for (gsize i = 0; exports[i]; i++) {
		g_auto(GStrv) words = g_strsplit(exports[i], " ", 3);
		g_autofree char *path = g_uri_unescape_string(words[1], NULL);

		if (words[1] && words[2])
			printf("%-10s %s (%s)\n", i ? "" : "exports", path ? path : words[1],
			       g_str_has_prefix(words[2], "rw") ? "read-write"
			       : i				? "read-only"
				   : "the guest's root, an allow-list, read-only");
	}
}

static void print_disks(const DomainSpec *spec)
{
	for (guint i = 0; i < spec->disks->len; i++) {
		const DomainDisk *d = g_ptr_array_index(spec->disks, i);

		printf("%-10s /dev/vd%c: %s\n", i ? "" : "disks", (char) ('a' + i), d->path);
	}
}

static void print_text(const VmRecord *record, GHashTable *keeper)
{
	const DomainSpec *spec = record->spec;
	const Vm *vm = spec->vm;
	g_autofree char *uptime = vm_live_uptime(vm), *gdb = vm_gdb_address(vm);
	g_autofree char *memory = size_format(vm->memory);
	const char *client = keeper ? g_hash_table_lookup(keeper, "gdb-client") : NULL;
	const char *gdb_fault = keeper ? g_hash_table_lookup(keeper, "gdb-error") : NULL;

	line("name", vm->name);
	line_take("state", g_strdup_printf("%s%s%s", vm_record_state_name(record),
					   uptime ? ", up " : "", uptime ? uptime : ""));
	line_take("machine", g_strdup_printf("%s, %u CPU%s, %s", vm->kvm ? "KVM" : "TCG", vm->cpus,
					     vm->cpus == 1 ? "" : "s", memory));
	line("kernel", vm->release);
	line("image", vm->image);
	line("vmlinux", vm->vmlinux ? vm->vmlinux : "none: gdb will know no symbols");
	line("build", vm->build ? vm->build : "none: modules cannot be built for it");
	line("append", spec->cmdline);
	line_take("gdb", g_strdup_printf("%s%s%s%s%s", gdb, client ? ", in use by " : "",
					 client ? client : "", gdb_fault ? ": " : "",
					 gdb_fault ? gdb_fault : ""));
	line("group", vm->group);
	line("project", vm->project);
	print_exports(spec);
	print_disks(spec);
	line_take("agent", agent_text(keeper));
	line_take("keeper", server_text(vm, keeper));
	line_take("modules", vm->state == VM_RUNNING ? vm_live_modules(vm) : NULL);
	line_take("last boot", vm->state == VM_OFF ? NULL : boot_split(vm, keeper));
	line("console", spec->console);
	line("folders", vm->run_dir);
	line("", vm->data_dir);
	line("libvirt", virt_uri());
}

static void print_json(const VmRecord *record, GHashTable *keeper)
{
	g_autoptr(Json) json = json_new();
	g_autofree char *split = boot_split(record->spec->vm, keeper);
	GHashTableIter iter;
	gpointer key, value;

	json_begin_object(json, NULL);
	vm_json(json, record);
	json_string(json, "cmdline", record->spec->cmdline);
	json_string(json, "uri", virt_uri());
	json_string(json, "last_boot", split);
	if (keeper) {
		json_begin_object(json, "keeper");
		g_hash_table_iter_init(&iter, keeper);
		while (g_hash_table_iter_next(&iter, &key, &value))
			json_string(json, key, value);
		json_end(json);
	} else {
		json_null(json, "keeper");
	}
	json_end(json);
	json_print(json);
}

static gboolean run(const Verb *verb, VerbContext *ctx, char **args, GError **error)
{
	g_autoptr(VmRecord) record = vm_record_get(ctx->vm->name, error);
	g_autoptr(GHashTable) keeper = NULL;

	if (!record)
		return FALSE;
	keeper = keeper_status(record->spec->vm);
	if (ctx->json)
		print_json(record, keeper);
	else
		print_text(record, keeper);
	return TRUE;
}

const Verb verb_status = {
	.name = "status",
	.synopsis = "[OPTION…] [NAME]",
	.help = "all about one VM",
	.examples = "  $ devvm status lustre1\n"
		    "  $ devvm status --json lustre1",
	.flags = VERB_VM | VERB_VM_ARG | VERB_JSON,
	.max_args = 0,
	.run = run,
};
