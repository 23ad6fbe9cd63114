// SPDX-License-Identifier: GPL-2.0-or-later
/* devvm exec: one command in the guest, as if it were here. */
#include "command.h"
#include "verbs.h"

#include <string.h>

static struct {
	gboolean tty, no_tty, no_fresh, shell;
	char **env;
	char *cwd;
} options;

static const GOptionEntry entries[] = {
	{"tty", 't', 0, G_OPTION_ARG_NONE, &options.tty, "give the command a terminal", NULL},
	{"no-tty", 'T', 0, G_OPTION_ARG_NONE, &options.no_tty, "give it none", NULL},
	{"env", 'e', 0, G_OPTION_ARG_STRING_ARRAY, &options.env, "set a variable", "KEY=VALUE"},
	{"directory", 'C', 0, G_OPTION_ARG_STRING, &options.cwd, "run it there", "DIR"},
	{"shell", 'c', 0, G_OPTION_ARG_NONE, &options.shell,
	 "the command is one string for `sh -c`", NULL},
	{"no-fresh", 0, 0, G_OPTION_ARG_NONE, &options.no_fresh,
	 "use the standing mount of the trees (host edits may show up to 1 s late)", NULL},
	{NULL},
};

static gboolean check_options(char **args, GError **error)
{
	for (gsize i = 0; options.env && options.env[i]; i++)
		if (!strchr(options.env[i], '=') || options.env[i][0] == '=')
			return devvm_fail(error, DEVVM_ERROR_USAGE, "-e %s: it is KEY=VALUE",
					  options.env[i]);
	if (options.cwd && !g_path_is_absolute(options.cwd))
		return devvm_fail(error, DEVVM_ERROR_USAGE, "-C %s: give an absolute path",
				  options.cwd);
	if (options.tty && options.no_tty)
		return devvm_fail(error, DEVVM_ERROR_USAGE, "-t and -T exclude each other");
	if (options.shell && args[1])
		return devvm_fail(error, DEVVM_ERROR_USAGE,
				  "-c takes one string: quote the whole command");
	return TRUE;
}

static gboolean run(const Verb *verb, VerbContext *ctx, char **args, GError **error)
{
	const char *shell[] = {"/bin/sh", "-c", args[0], NULL};
	const Command command = {
		.argv = options.shell ? shell : (const char *const *) args,
		.env = (const char *const *) options.env,
		.cwd = options.cwd,
		.tty = options.tty || (!options.no_tty && command_on_terminal()),
		.fresh = !options.no_fresh,
	};

	return check_options(args, error) && command_run(ctx, &command, error);
}

const Verb verb_exec = {
	.name = "exec",
	.synopsis = "[NAME] [OPTION…] -- COMMAND [ARGUMENT…]",
	.help = "run a command in the guest; its exit status is devvm's",
	.examples = "  $ devvm exec test1 -- uname -r\n"
		    "  $ devvm exec test1 -- mount -t nilfs2 /dev/vda /mnt\n"
		    "  $ devvm exec test1 -c 'dmesg | tail'       # one string, read by a shell\n"
		    "  $ tar c src | devvm exec test1 -C /tmp -- tar x\n"
		    "  $ devvm exec -- ls              # in the only VM that is up\n"
		    "The command runs in your current folder when that is in one of the VM's\n"
		    "trees, and sees every edit made before it. 255: the connection was lost.\n",
	.flags = VERB_VM | VERB_RUNNING | VERB_VM_ARG | VERB_REST,
	.min_args = 1,
	.max_args = -1,
	.options = entries,
	.run = run,
};
