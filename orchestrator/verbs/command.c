// SPDX-License-Identifier: GPL-2.0-or-later
#include "command.h"

#include <string.h>
#include <unistd.h>

#include "backends/link.h"

gboolean command_on_terminal(void)
{
	return isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
}

/* The current folder when the guest has it at the same path, else "/": new string. */
static char *default_cwd(const Vm *vm)
{
	g_autofree char *here = g_get_current_dir();
	/* $PWD may go through a link; the trees' paths are canonical. */
	g_autofree char *real = realpath(here, NULL);

	for (gsize i = 0; real && vm->trees && vm->trees[i]; i++) {
		gsize n = strlen(vm->trees[i]);

		if (!strncmp(real, vm->trees[i], n) && (real[n] == '/' || real[n] == 0))
			return g_strdup(real);
	}
	return g_strdup("/");
}

/* The command's variables, and the kind of our terminal where it gets one: new list. */
static char **with_terminal(const Command *command)
{
	g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
	static const char *const names[] = {"TERM", "COLORTERM"};

	for (gsize i = 0; command->tty && i < G_N_ELEMENTS(names); i++) {
		g_autofree char *pair = g_strdup_printf(
			"%s=%s", names[i], g_getenv(names[i]) ? g_getenv(names[i]) : "");

		if (g_getenv(names[i]))
			g_strv_builder_add(builder, pair);
	}
	for (gsize i = 0; command->env && command->env[i]; i++)
		g_strv_builder_add(builder, command->env[i]);
	return g_strv_builder_end(builder);
}

gboolean command_run(VerbContext *ctx, const Command *command, GError **error)
{
	g_autoptr(Link) link = link_open(ctx->vm, error);
	g_autofree char *cwd = default_cwd(ctx->vm);
	g_auto(GStrv) env = with_terminal(command);
	const LinkExec e = {.cwd = command->cwd ? command->cwd : cwd,
			    .argv = command->argv,
			    .env = (const char *const *) env,
			    .tty = command->tty,
			    .fresh = command->fresh,
			    .in_fd = STDIN_FILENO,
			    .out_fd = STDOUT_FILENO,
			    .err_fd = STDERR_FILENO,
			    .pass_signals = TRUE};
	LinkExit how;

	if (!link || !link_exec(link, &e, &how, error))
		return FALSE;
	ctx->status = how.signaled ? 128 + how.value : how.value;
	return TRUE;
}
