// SPDX-License-Identifier: GPL-2.0-or-later
#include "vm-ports.h"

#include <string.h>

#include "backends/gdbport.h"
#include "backends/virt.h"
#include "util/paths.h"

/* What libvirt is asked for is not there: TRUE also when it cannot tell. */
static gboolean exists(const char *uuid, gpointer data)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(virDomain) domain = virt_find_uuid(uuid, &error);

	return domain || error;
}

/* One URI can lead to different session daemons: they differ in their runtime folder. */
static char *scope_text(void)
{
	g_autofree char *run_dirs = devvm_run_dir("");

	return g_strdup_printf("%s %s", virt_uri(), run_dirs);
}

/* Kept by other VMs, which may have lost their lock files with a reboot. */
static GArray *ports_of_others(const char *uuid, GError **error)
{
	g_autoptr(GPtrArray) vms = vm_list(error);
	GArray *ports;

	if (!vms)
		return NULL;
	ports = g_array_new(FALSE, FALSE, sizeof(guint));
	for (guint i = 0; i < vms->len; i++) {
		const Vm *other = g_ptr_array_index(vms, i);

		if (strcmp(other->uuid, uuid) && other->gdb_port)
			g_array_append_val(ports, other->gdb_port);
	}
	return ports;
}

guint vm_reserve_port(const Vm *vm, gboolean probe, int *hold, char **note, GError **error)
{
	g_autofree char *scope = scope_text();
	g_autoptr(GArray) avoid = ports_of_others(vm->uuid, error);
	const GdbPortOwner owner = {
		.scope = scope, .vm = vm->name, .uuid = vm->uuid, .exists = exists};

	guint wanted;

	if (!avoid)
		return 0;
	/* One that it had before the definition was lost or `gdb = unix` was tried, if any. */
	wanted = vm->gdb_port ? vm->gdb_port : gdbport_find(&owner);
	return gdbport_reserve(&owner, wanted, avoid, probe, hold, note, error);
}

gboolean vm_release_ports(const char *name, GError **error)
{
	g_autofree char *scope = scope_text();
	const GdbPortOwner owner = {.scope = scope, .vm = name, .uuid = "", .exists = exists};

	return gdbport_release(&owner, error);
}

gboolean vm_has_port(const char *name)
{
	g_autofree char *scope = scope_text();
	const GdbPortOwner owner = {.scope = scope, .vm = name, .uuid = "", .exists = exists};

	return gdbport_find(&owner) != 0;
}
