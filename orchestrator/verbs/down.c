// SPDX-License-Identifier: GPL-2.0-or-later
#include "verbs.h"

#include <stdio.h>

#include "../vm-lock.h"
#include "vm-stop.h"

static gboolean force;

static const GOptionEntry options[] = {
	{"force", 'f', 0, G_OPTION_ARG_NONE, &force, "end it at once, without asking the guest",
	 NULL},
	{NULL},
};

static gboolean run(const Verb *verb, VerbContext *ctx, char **args, GError **error)
{
	const char *name = ctx->vm->name;
	g_autoptr(VmLock) lock = NULL;
	g_autoptr(VmRecord) record = NULL;
	g_autoptr(Progress) progress = NULL;
	gboolean was_off;

	if (ctx->dry_run) {
		printf("would %s %s, keeping its disks, gdb port and definition\n",
		       ctx->vm->state == VM_OFF ? "tidy up after"
		       : force			? "end"
						: "switch off",
		       name);
		return TRUE;
	}
	lock = vm_lock(name, ctx->quiet, error);
	if (!lock)
		return FALSE;
	/* Once more: it may have changed while we waited. */
	record = vm_record_get(name, error);
	if (!record)
		return FALSE;
	was_off = record->spec->vm->state == VM_OFF;
	progress = progress_new(ctx->verbose, ctx->quiet);
	if (!vm_stop(record, force, progress, error))
		return FALSE;
	if (!ctx->quiet)
		printf("%s  %s\n", name, was_off ? "was off" : "off");
	return TRUE;
}

const Verb verb_down = {
	.name = "down",
	.synopsis = "[OPTION…] [NAME]",
	.help = "switch a VM off; its disks and gdb port stay",
	.examples = "  $ devvm down lustre1\n"
		    "  $ devvm down --force lustre1  # when the guest hangs and you are in a hurry",
	.flags = VERB_VM | VERB_VM_ARG | VERB_DRY_RUN,
	.max_args = 0,
	.options = options,
	.run = run,
};
