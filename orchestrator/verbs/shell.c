// SPDX-License-Identifier: GPL-2.0-or-later
/* devvm shell: a login shell in the guest. */
#include "command.h"
#include "verbs.h"

static struct {
	char *shell;
	gboolean tty;
} options;

static const GOptionEntry entries[] = {
	{"shell", 's', 0, G_OPTION_ARG_STRING, &options.shell, "which one (/bin/bash)", "PROGRAM"},
	{"tty", 't', 0, G_OPTION_ARG_NONE, &options.tty,
	 "give it a terminal even when ours is none", NULL},
	{NULL},
};

static gboolean run(const Verb *verb, VerbContext *ctx, char **args, GError **error)
{
	const char *argv[] = {options.shell ? options.shell : "/bin/bash", "-l", NULL};
	const Command command = {.argv = argv, .tty = options.tty || command_on_terminal()};

	return command_run(ctx, &command, error);
}

const Verb verb_shell = {
	.name = "shell",
	.synopsis = "[NAME] [OPTION…]",
	.help = "a login shell in the guest",
	.examples = "  $ devvm shell test1\n"
		    "  $ echo 'uname -r; lsmod' | devvm shell test1\n"
		    "To leave a guest that does not answer: Enter, then ~.\n",
	.flags = VERB_VM | VERB_RUNNING | VERB_VM_ARG,
	.min_args = 0,
	.max_args = 0,
	.options = entries,
	.run = run,
};
