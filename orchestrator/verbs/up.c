// SPDX-License-Identifier: GPL-2.0-or-later
#include "verbs.h"

#include "../util/paths.h"
#include "../vm-lock.h"
#include "vm-start.h"

/* Of a VM that did not come to be, nothing stays: not its lock's file either. */
static void drop_unused_lock(VmLock *lock, const char *name)
{
	g_autofree char *run_dir = devvm_run_dir(name);

	if (!g_file_test(run_dir, G_FILE_TEST_EXISTS))
		vm_lock_remove(lock);
}

static gboolean run(const Verb *verb, VerbContext *ctx, char **args, GError **error)
{
	const char *name = args[0] ? args[0] : ctx->vm_option;
	g_autoptr(VmLock) lock = NULL;
	gboolean ok;

	if (!name)
		return devvm_fail(error, DEVVM_ERROR_USAGE,
				  "say which VM: devvm up NAME (any name makes a new one)");
	if (!devvm_vm_name_ok(name, error))
		return FALSE;
	lock = vm_lock(name, ctx->quiet, error);
	if (!lock)
		return FALSE;
	ok = vm_start(ctx, name, START_AS_IT_IS, error);
	if (!ok || ctx->dry_run)
		drop_unused_lock(lock, name);
	return ok;
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
