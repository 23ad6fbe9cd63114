// SPDX-License-Identifier: GPL-2.0-or-later
#include "verbs.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../reload.h"
#include "../util/json.h"
#include "module-options.h"

#define READY_MS 60000u

static gboolean in_guest, on_host, force;
static char *holders;

static const GOptionEntry options[] = {
	{"in-guest", 0, 0, G_OPTION_ARG_NONE, &in_guest, "build in the guest", NULL},
	{"on-host", 0, 0, G_OPTION_ARG_NONE, &on_host, "build on the host", NULL},
	{"holders", 0, 0, G_OPTION_ARG_STRING, &holders,
	 "yes: unload modules that hold it, and load them again (default); no: refuse", "yes|no"},
	{"force", 'f', 0, G_OPTION_ARG_NONE, &force,
	 "unload even if in use (the guest may crash; its kernel must allow it)", NULL},
	{NULL},
};

static void print_names(Json *json, const char *key, GPtrArray *names)
{
	json_begin_array(json, key);
	for (guint i = 0; names && i < names->len; i++)
		json_string(json, NULL, names->pdata[i]);
	json_end(json);
}

static void print_json(const ReloadPlan *plan, const ReloadReport *report)
{
	g_autoptr(Json) json = json_new();

	json_begin_object(json, NULL);
	json_string(json, "module", plan->name);
	json_string(json, "vm", plan->vm->name);
	json_string(json, "where", plan->build->in_guest ? "guest" : "host");
	json_string(json, "why", plan->build->why);
	json_string(json, "dir", plan->build->root);
	json_string(json, "command", plan->build->command);
	json_string(json, "ko", report->ko);
	json_string(json, "build_id", report->identity);
	json_int(json, "rounds", report->rounds);
	json_int(json, "built_us", report->built);
	json_int(json, "unloaded_us", report->unloaded);
	json_int(json, "installed_us", report->installed);
	json_int(json, "loaded_us", report->loaded);
	json_int(json, "total_us", report->total);
	print_names(json, "unloaded", report->unloaded_modules);
	print_names(json, "loaded", report->loaded_modules);
	json_end(json);
	json_print(json);
}

static void print_summary(const ReloadPlan *plan, const ReloadReport *report)
{
	printf("%s  built %.1f s (%s)  unloaded %.2f  installed %.2f  loaded %.2f   total %.1f s\n",
	       plan->name, (double) report->built / 1e6, plan->build->in_guest ? "guest" : "host",
	       (double) report->unloaded / 1e6, (double) report->installed / 1e6,
	       (double) report->loaded / 1e6, (double) report->total / 1e6);
	for (guint i = 1; i < report->loaded_modules->len; i++)
		printf("  and %s, which holds it\n", (char *) report->loaded_modules->pdata[i]);
}

static gboolean run(const Verb *verb, VerbContext *ctx, char **args, GError **error)
{
	ReloadOptions wanted = {.force = force,
				.out_fd = ctx->quiet  ? -1
					  : ctx->json ? STDERR_FILENO
						      : STDOUT_FILENO};
	g_autoptr(ReloadPlan) plan = NULL;
	g_autoptr(Link) link = NULL;
	g_auto(ReloadReport) report = {0};
	gboolean ok;
	int lock;

	if (!module_options_where(in_guest, on_host, &wanted.where, error) ||
	    !module_options_holders(holders, TRUE, &wanted.holders, error))
		return FALSE;
	plan = reload_plan(ctx->vm, ctx->config, args[0], &wanted, error);
	link = plan ? link_open(ctx->vm, error) : NULL;
	if (!link || !link_wait_ready(link, READY_MS, error))
		return FALSE;
	if (ctx->dry_run)
		return reload_plan_print(plan, link, error);
	lock = reload_lock(ctx->vm, error);
	if (lock < 0)
		return FALSE;
	if (ctx->verbose)
		fprintf(stderr, "building in %s, on the %s (%s): %s\n", plan->build->root,
			plan->build->in_guest ? "guest" : "host", plan->build->why,
			plan->build->command);
	fflush(stdout);
	ok = reload_execute(plan, link, &report, error);
	close(lock);
	if (ok && ctx->json)
		print_json(plan, &report);
	else if (ok && !ctx->quiet)
		print_summary(plan, &report);
	return ok;
}

const Verb verb_reload_module = {
	.name = "reload-module",
	.synopsis = "[OPTION…] MODULE",
	.help = "build a module, and put it in the place of the loaded one",
	.examples = "  $ devvm reload-module nilfs2              # build, unload, install, load\n"
		    "  $ devvm reload-module -n nilfs2           # say what would be done\n"
		    "  $ devvm reload-module --in-guest nilfs2   # with the guest's processors\n"
		    "  $ devvm reload-module --holders=no dm-mod # never touch other modules\n",
	.flags = VERB_CONFIG | VERB_VM | VERB_RUNNING | VERB_JSON | VERB_DRY_RUN,
	.min_args = 1,
	.max_args = 1,
	.options = options,
	.run = run,
};
