// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Down and up, not a reset: a new QEMU reads kernel and initramfs again, so that a kernel that was
 * rebuilt, or a configuration that was changed, is what boots. The gdb port and the disks stay.
 */
#include "verbs.h"

#include <stdio.h>

#include "../vm-lock.h"
#include "vm-start.h"
#include "vm-stop.h"

static gboolean force;

static const GOptionEntry options[] = {
	{"force", 'f', 0, G_OPTION_ARG_NONE, &force, "do not ask the guest to power off first",
	 NULL},
	{NULL},
};

static gboolean run(const Verb *verb, VerbContext *ctx, char **args, GError **error)
{
	const char *name = ctx->vm->name;
	g_autoptr(VmLock) lock = NULL;
	g_autoptr(VmRecord) record = NULL;
	g_autoptr(Progress) progress = NULL;

	if (ctx->dry_run) {
		printf("would %s %s, then:\n", force ? "end" : "switch off", name);
		return vm_start(ctx, name, START_CHECK_AS_OFF, error);
	}
	lock = vm_lock(name, ctx->quiet, error);
	if (!lock)
		return FALSE;
	record = vm_record_get(name, error);
	if (!record)
		return FALSE;
	/* A configuration that cannot be had is found before the VM is off. */
	if (!vm_start(ctx, name, START_CHECK_AS_OFF, error))
		return FALSE;
	progress = progress_new(ctx->verbose, ctx->quiet);
	return vm_stop(record, force, progress, error) &&
	       vm_start(ctx, name, START_AS_IT_IS, error);
}

const Verb verb_reboot = {
	.name = "reboot",
	.synopsis = "[OPTION…] [NAME]",
	.help = "switch a VM off and on: fresh kernel, same disks and gdb port",
	.examples = "  $ devvm reboot lustre1\n"
		    "  $ devvm reboot --force lustre1  # when the guest hangs or has crashed",
	.flags = VERB_CONFIG | VERB_VM | VERB_VM_ARG | VERB_DRY_RUN,
	.max_args = 0,
	.options = options,
	.run = run,
};
