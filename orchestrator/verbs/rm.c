// SPDX-License-Identifier: GPL-2.0-or-later
#include "verbs.h"

#include <stdio.h>
#include <string.h>

#include "../run-dir.h"
#include "../util/paths.h"
#include "../vm-lock.h"
#include "../vm-ports.h"
#include "vm-stop.h"

static gboolean force;

static const GOptionEntry options[] = {
	{"force", 'f', 0, G_OPTION_ARG_NONE, &force, "also when it is up: ends it at once", NULL},
	{NULL},
};

static gboolean exists(const char *path)
{
	return g_file_test(path, G_FILE_TEST_EXISTS) || g_file_test(path, G_FILE_TEST_IS_SYMLINK);
}

/* What of a VM stands outside libvirt. */
static gboolean remove_files(const char *name, const char *run_dir, const char *data_dir,
			     GError **error)
{
	g_autofree char *run_base = g_path_get_basename(run_dir);
	g_autofree char *data_base = g_path_get_basename(data_dir);

	/* They come out of the definition, which anybody with virsh can edit. */
	if (strcmp(run_base, name) || strcmp(data_base, name))
		return devvm_fail(error, DEVVM_ERROR_MISMATCH,
				  "the definition of %s names folders that devvm never made (%s, "
				  "%s): remove them by hand, then `virsh undefine %s`",
				  name, run_dir, data_dir, name);
	return run_dir_clean(run_dir, error) && remove_folder(run_dir, error) &&
	       remove_folder(data_dir, error) && vm_release_ports(name, error);
}

static gboolean remove_vm(VmRecord *record, const VerbContext *ctx, GError **error)
{
	const Vm *vm = record->spec->vm;
	g_autoptr(Progress) progress = progress_new(ctx->verbose, ctx->quiet);

	if (vm->state != VM_OFF && !force)
		return devvm_fail(error, DEVVM_ERROR_BUSY,
				  "%s is %s: `devvm down %s` first, or `devvm rm --force %s`",
				  vm->name, vm_state_name(vm->state), vm->name, vm->name);
	if (ctx->dry_run) {
		printf("would %sremove the domain %s, %s and %s, and free its gdb port\n",
		       vm->state == VM_OFF ? "" : "end and ", vm->name, vm->data_dir, vm->run_dir);
		return TRUE;
	}
	if (!vm_stop(record, TRUE, progress, error))
		return FALSE;
	/* The definition goes last: killed before, `rm` still finds all the paths. */
	progress_step(progress, "remove files and definition");
	return remove_files(vm->name, vm->run_dir, vm->data_dir, error) &&
	       virt_undefine(record->domain, error);
}

/* There is no domain: of a VM that was half made or half removed, files may be left. */
static gboolean remove_debris(const char *name, const VerbContext *ctx, GError **error)
{
	g_autofree char *run_dir = devvm_run_dir(name);
	g_autofree char *data_dir = devvm_data_dir(name);
	gboolean something = exists(run_dir) || exists(data_dir) || vm_has_port(name);

	if (!something)
		return vm_lookup(name, error) != NULL; /* says what there is */
	if (ctx->dry_run) {
		printf("would remove what is left of %s: %s, %s, its gdb port\n", name, run_dir,
		       data_dir);
		return TRUE;
	}
	return remove_files(name, run_dir, data_dir, error);
}

/* devvm made it, but somebody has damaged what it wrote into the definition. */
static gboolean remove_damaged(const char *name, GError **error)
{
	g_autoptr(virDomain) domain = virt_find(name, error);
	g_autofree char *run_dir = devvm_run_dir(name);
	g_autofree char *data_dir = devvm_data_dir(name);

	return domain && virt_destroy(domain, error) && virt_undefine(domain, error) &&
	       remove_files(name, run_dir, data_dir, error);
}

static gboolean run(const Verb *verb, VerbContext *ctx, char **args, GError **error)
{
	const char *name = args[0] ? args[0] : ctx->vm_option;
	g_autoptr(VmLock) lock = NULL;
	g_autoptr(VmRecord) record = NULL;
	g_autoptr(GError) local = NULL;
	gboolean ok = FALSE;

	if (!name)
		return devvm_fail(error, DEVVM_ERROR_USAGE, "say which VM: devvm rm NAME");
	if (!devvm_vm_name_ok(name, error))
		return FALSE;
	lock = vm_lock(name, ctx->quiet, error);
	if (!lock)
		return FALSE;
	record = vm_record_find(name, &local);
	if (force && !ctx->dry_run && g_error_matches(local, DEVVM_ERROR, DEVVM_ERROR_MISMATCH))
		ok = remove_damaged(name, error);
	else if (local)
		g_propagate_error(error, g_steal_pointer(&local));
	else if (record)
		ok = remove_vm(record, ctx, error);
	else
		ok = remove_debris(name, ctx, error);
	if (!record || (ok && !ctx->dry_run))
		vm_lock_remove(lock);
	if (ok && !ctx->dry_run && !ctx->quiet)
		printf("%s  removed\n", name);
	return ok;
}

const Verb verb_rm = {
	.name = "rm",
	.synopsis = "[OPTION…] NAME",
	.help = "remove a VM and all that is its own: definition, disks, console, gdb port",
	.examples = "  $ devvm rm lustre1\n"
		    "  $ devvm rm --force lustre1   # also when it is up",
	.flags = VERB_DRY_RUN,
	.max_args = 1,
	.options = options,
	.run = run,
};
