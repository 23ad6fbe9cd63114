// SPDX-License-Identifier: GPL-2.0-or-later
#include "verbs.h"

#include "../util/paths.h"
#include "../vm-lock.h"
#include "vm-start.h"

static gboolean run(const Verb *verb, VerbContext *ctx, char **args, GError **error)
{
	const char *name = args[0] ? args[0] : ctx->vm_option;
	g_autoptr(VmLock) lock = NULL;

	if (!name)
		return devvm_fail(error, DEVVM_ERROR_USAGE,
				  "say which VM: devvm up NAME (any name makes a new one)");
	if (!devvm_vm_name_ok(name, error))
		return FALSE;
	lock = vm_lock(name, ctx->quiet, error);
	return lock && vm_start(ctx, name, START_AS_IT_IS, error);
}

const Verb verb_up = {
	.name = "up",
	.synopsis = "[OPTION…] NAME",
	.help = "make and start a VM with this tree in it; finish what is half done",
	.examples = "  $ devvm up lustre1            # the tree around you, the newest kernel\n"
		    "  $ devvm up lustre1 --dry-run  # what it would do\n"
		    "  $ devvm up lustre1 -v         # and how long each step took",
	.flags = VERB_CONFIG | VERB_DRY_RUN,
	.min_args = 0,
	.max_args = 1,
	.run = run,
};
