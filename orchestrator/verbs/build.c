// SPDX-License-Identifier: GPL-2.0-or-later
#include "verbs.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../reload.h"
#include "../util/json.h"
#include "module-options.h"

#define READY_MS 60000u

static gboolean in_guest, on_host;

static const GOptionEntry options[] = {
	{"in-guest", 0, 0, G_OPTION_ARG_NONE, &in_guest, "build in the guest", NULL},
	{"on-host", 0, 0, G_OPTION_ARG_NONE, &on_host, "build on the host", NULL},
	{NULL},
};

static void print_json(const BuildPlan *plan, const BuildResult *result)
{
	g_autoptr(Json) json = json_new();

	json_begin_object(json, NULL);
	json_string(json, "module", plan->name);
	json_string(json, "where", plan->in_guest ? "guest" : "host");
	json_string(json, "why", plan->why);
	json_string(json, "dir", plan->root);
	json_string(json, "command", plan->command);
	json_string(json, "ko", result->ko);
	json_begin_array(json, "modules");
	for (guint i = 0; i < result->modules->len; i++)
		json_string(json, NULL, result->modules->pdata[i]);
	json_end(json);
	json_int(json, "rounds", result->rounds);
	json_int(json, "built_us", result->us);
	json_end(json);
	json_print(json);
}

static gboolean run(const Verb *verb, VerbContext *ctx, char **args, GError **error)
{
	ReloadOptions wanted = {.out_fd = ctx->quiet  ? -1
					  : ctx->json ? STDERR_FILENO
						      : STDOUT_FILENO};
	g_autoptr(ReloadPlan) plan = NULL;
	g_autoptr(BuildResult) result = NULL;
	g_autoptr(Link) link = NULL;

	if (!module_options_where(in_guest, on_host, &wanted.where, error))
		return FALSE;
	plan = reload_plan(ctx->vm, ctx->config, args[0], &wanted, error);
	if (!plan)
		return FALSE;
	if (ctx->dry_run) {
		printf("build %s in %s, on the %s (%s): %s\n", plan->name, plan->build->root,
		       plan->build->in_guest ? "guest" : "host", plan->build->why,
		       plan->build->command);
		return TRUE;
	}
	if (plan->build->in_guest) {
		if (ctx->vm->state == VM_OFF)
			return devvm_fail(
				error, DEVVM_ERROR_NOT_RUNNING,
				"%s is not running: start it with `devvm up %s`, or build "
				"with --on-host",
				ctx->vm->name, ctx->vm->name);
		link = link_open(ctx->vm, error);
		if (!link || !link_wait_ready(link, READY_MS, error))
			return FALSE;
	}
	result = modbuild_run(plan->build, link, wanted.out_fd, error);
	if (!result)
		return FALSE;
	if (ctx->json)
		print_json(plan->build, result);
	else if (!ctx->quiet)
		printf("%s  built %.1f s (%s)\n", result->ko, (double) result->us / 1e6,
		       plan->build->in_guest ? "guest" : "host");
	return TRUE;
}

const Verb verb_build = {
	.name = "build",
	.synopsis = "[OPTION…] MODULE",
	.help = "build a module for a VM's kernel, and only that",
	.examples = "  $ devvm build nilfs2\n"
		    "  $ devvm build --in-guest --vm lustre1 nilfs2\n",
	.flags = VERB_CONFIG | VERB_VM | VERB_JSON | VERB_DRY_RUN,
	.min_args = 1,
	.max_args = 1,
	.options = options,
	.run = run,
};
