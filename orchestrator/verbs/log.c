// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The kernel's log, all levels, with times, from the agent. Where the guest does not answer there
 * still is the console, which has warnings and worse: that is shown then, and said.
 */
#include "verbs.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../backends/link.h"
#include "../run-dir.h"
#include "tail.h"

#define ANSWER_MS 2000
#define FOLLOW_MS 250 /* the agent does not wait for more, so we ask again */

static gboolean follow;
static int lines = -1;

static const GOptionEntry options[] = {
	{"follow", 'f', 0, G_OPTION_ARG_NONE, &follow, "go on with what comes", NULL},
	{"lines", 'l', 0, G_OPTION_ARG_INT, &lines, "only the last N lines", "N"},
	{NULL},
};

static gboolean show_console(const Vm *vm, const char *why, GError **error)
{
	g_autofree char *path = console_path(vm, 0);
	goffset end;

	fprintf(stderr, "devvm: %s: this is its console, with warnings and worse only\n", why);
	return tail_print(path, lines, &end, error);
}

/* FALSE: the reader of our output has left. */
static gboolean wait_a_moment(void)
{
	struct pollfd p = {.fd = STDOUT_FILENO};

	return poll(&p, 1, FOLLOW_MS) == 0 || !(p.revents & (POLLERR | POLLHUP));
}

static gboolean follow_log(Link *link, guint64 next, GError **error)
{
	while (wait_a_moment()) {
		g_autofree char *text = link_kernel_log(link, next, &next, error);

		if (!text)
			return FALSE;
		if (!tail_write(text, strlen(text)))
			return TRUE;
	}
	return TRUE;
}

static gboolean show_log(Link *link, GError **error)
{
	guint64 next = 0;
	g_autofree char *text = link_kernel_log(link, 0, &next, error);
	const char *part;

	if (!text)
		return FALSE;
	part = tail_of_text(text, lines);
	if (!tail_write(part, strlen(part)) || !follow)
		return TRUE;
	return follow_log(link, next, error);
}

static gboolean run(const Verb *verb, VerbContext *ctx, char **args, GError **error)
{
	const Vm *vm = ctx->vm;
	g_autoptr(Link) link = NULL;
	g_autoptr(GError) why = NULL;
	g_autofree char *reason = NULL;

	if (vm->state != VM_RUNNING) {
		reason = g_strdup_printf("%s is %s", vm->name, vm_state_name(vm->state));
		return show_console(vm, reason, error);
	}
	link = link_open(vm, &why);
	if (link && link_wait_ready(link, ANSWER_MS, &why))
		return show_log(link, error);
	reason = g_strdup_printf("%s does not answer (%.*s)", vm->name,
				 (int) strcspn(why->message, "\n"), why->message);
	return show_console(vm, reason, error);
}

const Verb verb_log = {
	.name = "log",
	.synopsis = "[OPTION…] [NAME]",
	.help = "show the guest kernel's log; where the guest does not answer, its console",
	.examples = "  $ devvm log lustre1\n"
		    "  $ devvm log -f lustre1        # go on with what comes\n"
		    "  $ devvm log --lines 20 lustre1",
	.flags = VERB_VM | VERB_VM_ARG,
	.max_args = 0,
	.options = options,
	.run = run,
};
