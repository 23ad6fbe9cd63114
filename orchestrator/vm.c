// SPDX-License-Identifier: GPL-2.0-or-later
#include "vm.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/error.h"
#include "vm-record.h"

void vm_free(Vm *vm)
{
	if (!vm)
		return;
	g_free(vm->name);
	g_free(vm->uuid);
	g_free(vm->project);
	g_strfreev(vm->trees);
	g_free(vm->release);
	g_free(vm->image);
	g_free(vm->vmlinux);
	g_free(vm->build);
	g_free(vm->group);
	g_free(vm->run_dir);
	g_free(vm->data_dir);
	g_free(vm);
}

void vm_record_free(VmRecord *record)
{
	if (!record)
		return;
	g_clear_pointer(&record->domain, virDomainFree);
	domain_spec_free(record->spec);
	g_free(record);
}

/* QEMU makes its monitor's socket when it starts. libvirt does not tell the time of a start. */
static gint64 start_time(const Vm *vm)
{
	g_autofree char *path = g_build_filename(vm->run_dir, "qmp.sock", NULL);
	struct stat st;

	if (lstat(path, &st) < 0)
		return 0;
	return st.st_mtim.tv_sec * G_USEC_PER_SEC + st.st_mtim.tv_nsec / 1000;
}

/* Takes the reference. NULL without an error: not devvm's, or not this user's. */
static VmRecord *read_record(virDomainPtr domain, GError **error)
{
	g_autoptr(VmRecord) record = g_new0(VmRecord, 1);
	g_autofree char *xml = NULL;

	record->domain = domain;
	xml = virt_xml(domain, error);
	if (!xml)
		return NULL;
	record->spec = domain_xml_read(xml, error);
	if (!record->spec || record->spec->uid != getuid())
		return NULL;
	if (!virt_state(domain, &record->spec->vm->state, &record->died, error))
		return NULL;
	if (record->spec->vm->state != VM_OFF)
		record->spec->vm->started_us = start_time(record->spec->vm);
	return g_steal_pointer(&record);
}

VmRecord *vm_record_find(const char *name, GError **error)
{
	g_autoptr(GError) local = NULL;
	virDomainPtr domain = virt_find(name, &local);
	VmRecord *record;

	if (!domain) {
		if (local)
			g_propagate_error(error, g_steal_pointer(&local));
		return NULL;
	}
	record = read_record(domain, &local);
	if (record)
		return record;
	if (local)
		g_propagate_error(error, g_steal_pointer(&local));
	else
		devvm_fail(
			error, DEVVM_ERROR_BUSY,
			"libvirt (%s) has a domain '%s' that devvm did not make, or not for you: "
			"choose another name",
			virt_uri(), name);
	return NULL;
}

static gint by_name(gconstpointer a, gconstpointer b)
{
	const VmRecord *const *x = a, *const *y = b;

	return strcmp((*x)->spec->vm->name, (*y)->spec->vm->name);
}

GPtrArray *vm_record_list(GError **error)
{
	g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func((GDestroyNotify) vm_record_free);
	virDomainPtr *domains = virt_domains(error);

	if (!domains)
		return NULL;
	for (gsize i = 0; domains[i]; i++) {
		VmRecord *record;

		virDomainRef(domains[i]);
		record = read_record(domains[i], NULL);
		if (record)
			g_ptr_array_add(list, record);
	}
	virt_domains_free(domains);
	g_ptr_array_sort(list, by_name);
	return g_steal_pointer(&list);
}

/* Ours to keep: the record goes. */
static Vm *take_vm(VmRecord *record)
{
	Vm *vm = g_steal_pointer(&record->spec->vm);

	vm_record_free(record);
	return vm;
}

GPtrArray *vm_list(GError **error)
{
	g_autoptr(GPtrArray) records = vm_record_list(error);
	GPtrArray *vms;

	if (!records)
		return NULL;
	vms = g_ptr_array_new_with_free_func((GDestroyNotify) vm_free);
	for (guint i = 0; i < records->len; i++) {
		VmRecord *record = g_ptr_array_index(records, i);

		g_ptr_array_add(vms, g_steal_pointer(&record->spec->vm));
	}
	return vms;
}

/* "a, b and c": those that are up, or all. */
static char *names(GPtrArray *vms, gboolean up_only, guint *n)
{
	GString *text = g_string_new(NULL);

	*n = 0;
	for (guint i = 0; i < vms->len; i++) {
		const Vm *vm = g_ptr_array_index(vms, i);

		if (up_only && vm->state == VM_OFF)
			continue;
		g_string_append_printf(text, "%s%s", *n ? ", " : "", vm->name);
		(*n)++;
	}
	return g_string_free(text, FALSE);
}

VmRecord *vm_record_get(const char *name, GError **error)
{
	g_autoptr(GError) local = NULL;
	VmRecord *record = vm_record_find(name, &local);
	g_autoptr(GPtrArray) vms = NULL;
	g_autofree char *all = NULL;
	guint n;

	if (record)
		return record;
	if (local) {
		g_propagate_error(error, g_steal_pointer(&local));
		return NULL;
	}
	vms = vm_list(error);
	if (!vms)
		return NULL;
	all = names(vms, FALSE, &n);
	if (n)
		devvm_fail(error, DEVVM_ERROR_NOT_FOUND, "there is no VM '%s': there %s %s", name,
			   n == 1 ? "is" : "are", all);
	else
		devvm_fail(error, DEVVM_ERROR_NOT_FOUND,
			   "there is no VM '%s', nor any other: `devvm up %s` makes it", name,
			   name);
	return NULL;
}

Vm *vm_lookup(const char *name, GError **error)
{
	VmRecord *record = vm_record_get(name, error);

	return record ? take_vm(record) : NULL;
}

Vm *vm_default(GError **error)
{
	g_autoptr(GPtrArray) vms = vm_list(error);
	g_autofree char *up = NULL, *all = NULL;
	guint n, total;

	if (!vms)
		return NULL;
	up = names(vms, TRUE, &n);
	if (n == 1)
		for (guint i = 0; i < vms->len; i++) {
			const Vm *vm = g_ptr_array_index(vms, i);

			if (vm->state != VM_OFF)
				return g_ptr_array_steal_index(vms, i);
		}
	if (n > 1) {
		devvm_fail(error, DEVVM_ERROR_USAGE,
			   "several VMs are up: say which with --vm NAME: %s", up);
		return NULL;
	}
	all = names(vms, FALSE, &total);
	if (total)
		devvm_fail(error, DEVVM_ERROR_NOT_RUNNING,
			   "no VM is up: start one with `devvm up NAME`; there %s %s",
			   total == 1 ? "is" : "are", all);
	else
		devvm_fail(error, DEVVM_ERROR_NOT_FOUND,
			   "there is no VM yet: `devvm up NAME` makes one");
	return NULL;
}

const char *vm_state_name(VmState state)
{
	switch (state) {
	case VM_OFF:
		return "off";
	case VM_RUNNING:
		return "running";
	case VM_STOPPED_IN_GDB:
		return "stopped in gdb";
	case VM_PAUSED:
		return "paused";
	case VM_CRASHED:
		return "crashed";
	}
	return "unknown";
}

char *vm_gdb_address(const Vm *vm)
{
	if (vm->gdb_mode == GDB_UNIX)
		return g_build_filename(vm->run_dir, "gdb.sock", NULL);
	return g_strdup_printf("127.0.0.1:%u", vm->gdb_port);
}
