// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * devvm: the list of verbs, the options that all share, and the only place that prints errors.
 */
#include "verb.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "util/paths.h"
#include "util/printable.h"
#include "verbs/verbs.h"

static const Verb *find_verb(const char *name)
{
	for (gsize i = 0; devvm_verbs[i]; i++)
		if (!strcmp(devvm_verbs[i]->name, name))
			return devvm_verbs[i];
	return NULL;
}

static void print_usage(FILE *out)
{
	fputs("devvm: a kernel developer's VM: your tree in it, modules reloaded in seconds, "
	      "a gdb that is right\n\n"
	      "Usage: devvm VERB [OPTION…] [ARGUMENT…]\n\nVerbs:\n",
	      out);
	for (gsize i = 0; devvm_verbs[i]; i++)
		if (!(devvm_verbs[i]->flags & VERB_HIDDEN))
			fprintf(out, "  %-14s %s\n", devvm_verbs[i]->name, devvm_verbs[i]->help);
	fputs("\nOptions that all verbs take:\n"
	      "  --vm NAME      the VM, where the verb's argument is something else\n"
	      "  -v, --verbose  say what is done, and how long it took\n"
	      "  -q, --quiet    say only what went wrong\n"
	      "  -h, --help     this text; after a verb, the verb's own with examples\n"
	      "  --version\n\n"
	      "First steps, in your source tree:\n"
	      "  $ devvm doctor                # is this host fit?\n"
	      "  $ devvm up test1              # a VM with this tree in it\n"
	      "  $ devvm reload-module NAME    # build NAME.ko and load it there\n"
	      "  $ devvm gdb test1             # debug it\n",
	      out);
}

/* The verb whose name is nearest to a mistyped one: the same prefix, or one slip away. */
static const Verb *guess_verb(const char *typed)
{
	for (gsize i = 0; devvm_verbs[i]; i++) {
		const char *name = devvm_verbs[i]->name;
		gsize same = 0, from_end = 0, n = strlen(name), t = strlen(typed);

		while (typed[same] && typed[same] == name[same])
			same++;
		while (from_end < MIN(n, t) - MIN(same, MIN(n, t)) &&
		       typed[t - 1 - from_end] == name[n - 1 - from_end])
			from_end++;
		if (t > 1 && (same == t || same + from_end + 1 >= MAX(n, t)))
			return devvm_verbs[i];
	}
	return NULL;
}

/*
 * "-ex" for an option whose long name is "ex": gdb's users type it so, GOption would read it as
 * the short options -e and -x.
 */
static void double_long_dashes(const Verb *verb, char **argv)
{
	for (gsize i = 0; argv[i] && strcmp(argv[i], "--"); i++)
		for (const GOptionEntry *o = verb->options; o && o->long_name; o++)
			if (argv[i][0] == '-' && strlen(o->long_name) > 1 &&
			    !strcmp(argv[i] + 1, o->long_name)) {
				char *longer = g_strconcat("-", argv[i], NULL);

				g_free(argv[i]);
				argv[i] = longer;
			}
}

/* Verb-independent options; where they are stored. */
typedef struct {
	gboolean json, dry_run, verbose, quiet, help;
	char *vm;
} Common;

static GOptionContext *option_context(const Verb *verb, Common *common)
{
	const GOptionEntry shared[] = {
		{"vm", 0, 0, G_OPTION_ARG_STRING, &common->vm, "the VM to work on", "NAME"},
		{"verbose", 'v', 0, G_OPTION_ARG_NONE, &common->verbose, "say what is done", NULL},
		{"quiet", 'q', 0, G_OPTION_ARG_NONE, &common->quiet, "say only what went wrong",
		 NULL},
		{"help", 'h', 0, G_OPTION_ARG_NONE, &common->help, "this text", NULL},
		{NULL},
	};
	const GOptionEntry json[] = {
		{"json", 0, 0, G_OPTION_ARG_NONE, &common->json, "report as JSON", NULL},
		{NULL},
	};
	const GOptionEntry dry_run[] = {
		{"dry-run", 'n', 0, G_OPTION_ARG_NONE, &common->dry_run,
		 "say what would be done, and do nothing", NULL},
		{NULL},
	};
	GOptionContext *context = g_option_context_new(NULL);

	if (verb->options)
		g_option_context_add_main_entries(context, verb->options, NULL);
	if (verb->flags & VERB_JSON)
		g_option_context_add_main_entries(context, json, NULL);
	if (verb->flags & VERB_DRY_RUN)
		g_option_context_add_main_entries(context, dry_run, NULL);
	g_option_context_add_main_entries(context, shared, NULL);
	g_option_context_set_help_enabled(context, FALSE);
	g_option_context_set_strict_posix(context, (verb->flags & VERB_REST) != 0);
	return context;
}

static void print_verb_help(const Verb *verb, GOptionContext *context)
{
	g_autofree char *all = g_option_context_get_help(context, TRUE, NULL);
	const char *options = strstr(all, "\n\n"); /* GLib's own usage lines go */

	printf("devvm %s: %s\n\nUsage: devvm %s %s%s", verb->name, verb->help, verb->name,
	       verb->synopsis ? verb->synopsis : "", options ? options : "");
	if (verb->examples)
		printf("Examples:\n%s\n", verb->examples);
}

/* Takes the VM's name, the first plain argument, away from *args. */
static char *take_vm_name(const Verb *verb, char ***args)
{
	char *name;

	if (!(verb->flags & VERB_VM_ARG) || !(*args)[0])
		return NULL;
	name = (*args)[0];
	(*args)++;
	return name;
}

static gboolean parse(GOptionContext *context, char ***argv, GError **error)
{
	/* GOption takes argv[0] for the program's name. */
	g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
	g_auto(GStrv) words = NULL;
	g_autoptr(GError) local = NULL;

	g_strv_builder_add(builder, "devvm");
	g_strv_builder_addv(builder, (const char **) *argv);
	words = g_strv_builder_end(builder);
	if (!g_option_context_parse_strv(context, &words, &local))
		return devvm_fail(error, DEVVM_ERROR_USAGE, "%s", local->message);
	g_strfreev(*argv);
	*argv = g_strdupv(words + 1);
	return TRUE;
}

/*
 * Splits the command line: options into `common` and the verb's own variables, the VM's name, and
 * the plain arguments (the command, for VERB_REST).
 */
static gboolean parse_command_line(const Verb *verb, GOptionContext *context, char **argv,
				   char **vm_name, char ***rest, GError **error)
{
	g_auto(GStrv) before = g_strdupv(argv), after = NULL;
	gboolean dashes = FALSE;
	char **args;
	g_autoptr(GStrvBuilder) builder = g_strv_builder_new();

	for (gsize i = 0; before[i] && !dashes; i++)
		if (!strcmp(before[i], "--")) {
			dashes = TRUE;
			after = g_strdupv(before + i + 1);
			for (gsize j = i; before[j]; j++)
				g_clear_pointer(&before[j], g_free);
		}
	double_long_dashes(verb, before);
	if (!parse(context, &before, error))
		return FALSE;
	args = before;
	*vm_name = g_strdup(take_vm_name(verb, &args));
	if ((verb->flags & VERB_REST) && *vm_name) {
		/* Strict parsing ended at the VM's name: more options may follow it. */
		char **more = g_strdupv(args);

		if (!parse(context, &more, error)) {
			g_strfreev(more);
			return FALSE;
		}
		g_strfreev(before);
		args = before = more;
	}
	g_strv_builder_addv(builder, (const char **) args);
	if (after)
		g_strv_builder_addv(builder, (const char **) after);
	*rest = g_strv_builder_end(builder);
	return TRUE;
}

static gboolean check_count(const Verb *verb, char **args, GError **error)
{
	int n = (int) g_strv_length(args);

	if (n < verb->min_args)
		return devvm_fail(
			error, DEVVM_ERROR_USAGE,
			"something is missing: devvm %s %s\n(`devvm %s --help` has examples)",
			verb->name, verb->synopsis ? verb->synopsis : "", verb->name);
	if (verb->max_args >= 0 && n > verb->max_args)
		return devvm_fail(
			error, DEVVM_ERROR_USAGE, "'%s' is one argument too many: devvm %s %s",
			args[verb->max_args], verb->name, verb->synopsis ? verb->synopsis : "");
	return TRUE;
}

/* Opens what the verb's row asks for. */
static gboolean open_context(const Verb *verb, VerbContext *ctx, const char *vm_name,
			     GError **error)
{
	if (vm_name && ctx->vm_option && strcmp(vm_name, ctx->vm_option))
		return devvm_fail(error, DEVVM_ERROR_USAGE,
				  "two VMs are named, '%s' and '%s': name one", vm_name,
				  ctx->vm_option);
	if (verb->flags & VERB_CONFIG) {
		ctx->config = config_load(NULL, error);
		if (!ctx->config)
			return FALSE;
	}
	if (verb->flags & VERB_VM) {
		const char *name = vm_name ? vm_name : ctx->vm_option;

		if (name && !devvm_vm_name_ok(name, error))
			return FALSE;
		ctx->vm = name ? vm_lookup(name, error) : vm_default(error);
		if (!ctx->vm)
			return FALSE;
	}
	if ((verb->flags & VERB_RUNNING) && ctx->vm->state == VM_OFF)
		return devvm_fail(error, DEVVM_ERROR_NOT_RUNNING,
				  "%s is not running: start it with `devvm up %s`", ctx->vm->name,
				  ctx->vm->name);
	return TRUE;
}

static gboolean run_verb(const Verb *verb, char **argv, int *status, GError **error)
{
	Common common = {0};
	VerbContext ctx = {0};
	g_autoptr(GOptionContext) context = option_context(verb, &common);
	g_autofree char *vm_name = NULL;
	g_auto(GStrv) args = NULL;
	gboolean ok = parse_command_line(verb, context, argv, &vm_name, &args, error);

	if (ok && common.help) {
		print_verb_help(verb, context);
	} else if (ok) {
		ctx.vm_option = common.vm;
		ctx.json = common.json;
		ctx.dry_run = common.dry_run;
		ctx.verbose = common.verbose;
		ctx.quiet = common.quiet;
		ok = check_count(verb, args, error) && open_context(verb, &ctx, vm_name, error) &&
		     verb->run(verb, &ctx, args, error);
		*status = ctx.status;
	}
	g_clear_pointer(&ctx.vm, vm_free);
	g_clear_pointer(&ctx.config, config_free);
	g_free(common.vm);
	return ok;
}

/* A standard stream that is closed must not become the next file or socket that is opened. */
static void open_standard_streams(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

int main(int argc, char **argv)
{
	const Verb *verb;
	g_autoptr(GError) error = NULL;
	int status = 0;

	open_standard_streams();
	setlocale(LC_ALL, "");
	g_set_prgname("devvm");
	signal(SIGPIPE, SIG_IGN); /* a reader that left shows as EPIPE where it matters */
	if (argc > 1 && !strcmp(argv[1], "help") && argc > 2) {
		argv[1] = argv[2];
		argv[2] = (char *) "--help";
		argc = 3;
	}
	if (argc < 2 || !strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") ||
	    !strcmp(argv[1], "help")) {
		print_usage(argc < 2 ? stderr : stdout);
		return argc < 2 ? 2 : 0;
	}
	if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "version")) {
		printf("devvm %s\n", DEVVM_VERSION);
		return 0;
	}
	verb = find_verb(argv[1]);
	if (!verb) {
		const Verb *guess = guess_verb(argv[1]);

		if (guess)
			fprintf(stderr, "devvm: there is no verb '%s': did you mean `devvm %s`?\n",
				argv[1], guess->name);
		else
			fprintf(stderr, "devvm: there is no verb '%s': `devvm --help` lists them\n",
				argv[1]);
		return DEVVM_ERROR_USAGE;
	}
	if (!run_verb(verb, argv + 2, &status, &error)) {
		/* It may quote the guest. */
		g_autofree char *message = printable(error->message);

		fprintf(stderr, "devvm %s: %s\n", verb->name, message);
		return devvm_exit_status(error);
	}
	if (fflush(stdout) == EOF && errno != EPIPE) {
		fprintf(stderr, "devvm %s: cannot write the answer: %s\n", verb->name,
			g_strerror(errno));
		return 1;
	}
	return status;
}
