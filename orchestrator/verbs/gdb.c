// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * devvm gdb: becomes a gdb that is attached to the VM. What is set up and why stands in
 * backends/gdbcmd.c; what goes on inside of gdb, in templates/devvm-gdb.py.
 *
 * gdb detaches when it ends, and the VM goes on. Of a gdb that was killed the keeper takes leave
 * in its stead.
 */
#include "verbs.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "../backends/gdbcmd.h"
#include "../backends/link.h"
#include "../util/paths.h"

static struct {
	gboolean batch, lx_symbols, print;
	char **commands;
} options;

/* A gdb at the terminal: what the user should know of the VM's state before using it. */
static void tell_state(const Vm *vm)
{
	if (vm->state == VM_STOPPED_IN_GDB && vm->gdb_mode != GDB_KEEPER)
		fprintf(stderr,
			"devvm gdb: %s is stopped in a gdb already; if that one is still attached, "
			"this one gets no answer\n",
			vm->name);
	else if (vm->state == VM_CRASHED)
		fprintf(stderr,
			"devvm gdb: %s has crashed: look, and take a dump; when gdb ends, the "
			"guest "
			"runs on\n",
			vm->name);
	else if (vm->state == VM_PAUSED)
		fprintf(stderr, "devvm gdb: %s is paused: when gdb ends, the guest runs on\n",
			vm->name);
}

/* In mode keeper the port is the keeper's, which lets one gdb in: it is up, and nobody is there. */
static gboolean check_keeper(const Vm *vm, GError **error)
{
	g_autoptr(Link) link = link_open(vm, error);
	g_autoptr(GHashTable) status = link ? link_status(link, error) : NULL;
	const char *client, *trouble;

	if (!status)
		return FALSE;
	client = g_hash_table_lookup(status, "gdb-client");
	trouble = g_hash_table_lookup(status, "gdb-error");
	if (client)
		return devvm_fail(error, DEVVM_ERROR_BUSY,
				  "a gdb is attached to %s already (pid %s): end that one first",
				  vm->name, client);
	if (trouble)
		return devvm_fail(error, DEVVM_ERROR_FAILED, "%s has no gdb port: %s", vm->name,
				  trouble);
	return TRUE;
}

static gboolean become(char **argv, GError **error)
{
	g_autofree char *program = g_find_program_in_path(argv[0]);

	if (!program)
		return devvm_fail(error, DEVVM_ERROR_HOST,
				  "gdb is not installed: `sudo apt install gdb`");
	fflush(NULL);
	signal(SIGPIPE, SIG_DFL); /* main ignores it, and what is ignored stays so over exec */
	execv(program, argv);
	return devvm_fail_errno(error, DEVVM_ERROR_FAILED, errno, "cannot run %s", program);
}

static gboolean run_gdb(const Verb *verb, VerbContext *ctx, char **args, GError **error)
{
	g_autofree char *script = devvm_data_file("devvm-gdb.py");
	g_autofree char *cache = devvm_cache_dir();
	g_autofree char *index_cache = g_build_filename(cache, "gdb-index", NULL);
	g_auto(GStrv) argv = NULL;
	const GdbRequest request = {
		.vm = ctx->vm,
		.script = script,
		.index_cache = index_cache,
		.batch = options.batch,
		.lx_symbols = options.lx_symbols,
		.commands = (const char *const *) options.commands,
		.more = (const char *const *) args,
	};

	if (!gdb_request_check(&request, error))
		return FALSE;
	if (options.print) {
		g_autofree char *text = gdb_setup_text(&request);

		fputs(text, stdout);
		return TRUE;
	}
	argv = gdb_command_line(&request);
	if (ctx->dry_run) {
		for (gsize i = 0; argv[i]; i++) {
			g_autofree char *quoted = g_shell_quote(argv[i]);

			printf("%s%s", i ? " " : "", quoted);
		}
		putchar('\n');
		return TRUE;
	}
	if (ctx->vm->gdb_mode == GDB_KEEPER && !check_keeper(ctx->vm, error))
		return FALSE;
	if (!ctx->quiet && !options.batch)
		tell_state(ctx->vm);
	return become(argv, error);
}

static const GOptionEntry gdb_options[] = {
	{"batch", 0, 0, G_OPTION_ARG_NONE, &options.batch, "run the commands, detach, end", NULL},
	{"ex", 0, 0, G_OPTION_ARG_STRING_ARRAY, &options.commands,
	 "a gdb command to run once attached; also -ex, as in gdb", "COMMAND"},
	{"lx-symbols", 0, 0, G_OPTION_ARG_NONE, &options.lx_symbols,
	 "let the kernel's lx-symbols load module symbols, not devvm", NULL},
	{"print", 0, 0, G_OPTION_ARG_NONE, &options.print,
	 "print the set-up as gdb commands, for an editor's gdb to source", NULL},
	{NULL},
};

const Verb verb_gdb = {
	.name = "gdb",
	.synopsis = "[NAME] [OPTION…] [-- GDB-ARGUMENT…]",
	.help = "debug the VM's kernel and modules in gdb",
	.examples = "  $ devvm gdb test1\n"
		    "  (gdb) break nilfs_fill_super\n"
		    "  $ devvm gdb test1 --batch -ex 'info threads' -ex 'bt'\n"
		    "  $ devvm gdb test1 -- -tui\n",
	.flags = VERB_VM | VERB_RUNNING | VERB_VM_ARG | VERB_DRY_RUN,
	.min_args = 0,
	.max_args = -1,
	.options = gdb_options,
	.run = run_gdb,
};
