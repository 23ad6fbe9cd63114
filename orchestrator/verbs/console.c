// SPDX-License-Identifier: GPL-2.0-or-later
/* The serial console as the guest wrote it: a file that is there for running and dead VMs. */
#include "verbs.h"

#include <stdio.h>

#include "../backends/virt.h"
#include "../run-dir.h"
#include "tail.h"

static gboolean follow;
static int lines = -1, boot;

static const GOptionEntry options[] = {
	{"follow", 'f', 0, G_OPTION_ARG_NONE, &follow, "go on with what comes, until the VM is off",
	 NULL},
	{"lines", 'l', 0, G_OPTION_ARG_INT, &lines, "only the last N lines", "N"},
	{"boot", 'b', 0, G_OPTION_ARG_INT, &boot, "of an earlier boot: 1 is the one before", "N"},
	{NULL},
};

static gboolean is_up(gpointer data)
{
	VmState state;

	return virt_state(data, &state, NULL, NULL) && state != VM_OFF;
}

static gboolean run(const Verb *verb, VerbContext *ctx, char **args, GError **error)
{
	g_autofree char *path = NULL;
	g_autoptr(virDomain) domain = NULL;
	goffset end;

	if (boot < 0 || (boot && follow))
		return devvm_fail(error, DEVVM_ERROR_USAGE,
				  boot < 0 ? "--boot counts back from 0, the present one"
					   : "only the present boot can be followed");
	path = console_path(ctx->vm, (guint) boot);
	if (!tail_print(path, lines, &end, error))
		return FALSE;
	if (!follow || ctx->vm->state == VM_OFF)
		return TRUE;
	domain = virt_find(ctx->vm->name, error);
	return domain ? tail_follow(path, end, is_up, domain, error) : !(error && *error);
}

const Verb verb_console = {
	.name = "console",
	.synopsis = "[OPTION…] [NAME]",
	.help = "show the serial console: what the kernel wrote there, up to its last breath",
	.examples = "  $ devvm console lustre1\n"
		    "  $ devvm console -f lustre1       # go on with what comes\n"
		    "  $ devvm console --boot 1 lustre1 # of the boot before",
	.flags = VERB_VM | VERB_VM_ARG,
	.max_args = 0,
	.options = options,
	.run = run,
};
