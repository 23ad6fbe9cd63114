// SPDX-License-Identifier: GPL-2.0-or-later
#include "verbs.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../backends/modinfo.h"
#include "../guest-modules.h"
#include "../reload.h"
#include "../util/json.h"
#include "module-options.h"

#define READY_MS 60000u

static gboolean force;
static char *holders;

static const GOptionEntry options[] = {
	{"holders", 0, 0, G_OPTION_ARG_STRING, &holders,
	 "yes: unload modules that hold it too; no: refuse (default)", "yes|no"},
	{"force", 'f', 0, G_OPTION_ARG_NONE, &force,
	 "unload even if in use (the guest may crash; its kernel must allow it)", NULL},
	{NULL},
};

static void report(VerbContext *ctx, const char *name, GPtrArray *order)
{
	g_autoptr(Json) json = NULL;

	if (ctx->json) {
		json = json_new();
		json_begin_object(json, NULL);
		json_string(json, "module", name);
		json_string(json, "vm", ctx->vm->name);
		json_begin_array(json, "unloaded");
		for (guint i = 0; i < order->len; i++)
			json_string(json, NULL, order->pdata[i]);
		json_end(json);
		json_end(json);
		json_print(json);
		return;
	}
	for (guint i = 0; !ctx->quiet && i < order->len; i++)
		printf("%s  %s\n", (char *) order->pdata[i],
		       ctx->dry_run ? "would be unloaded" : "unloaded");
}

static gboolean refuse_holders(const char *name, GPtrArray *order, GError **error)
{
	GString *names = g_string_new(NULL);

	for (guint i = 0; i + 1 < order->len; i++)
		g_string_append_printf(names, "%s%s", i ? ", " : "", (char *) order->pdata[i]);
	devvm_fail(error, DEVVM_ERROR_BUSY, "%s is held by %s: --holders=yes unloads them too",
		   name, names->str);
	g_string_free(names, TRUE);
	return FALSE;
}

/* The commands of [module NAME] for all that goes; then what is left is looked at again. */
static gboolean before_unload(VerbContext *ctx, Link *link, GPtrArray *order, GError **error)
{
	for (guint i = 0; i < order->len; i++) {
		g_autoptr(ModuleConfig) module = config_module(ctx->config, order->pdata[i], error);
		g_autoptr(GError) local = NULL;

		if (!module)
			return FALSE;
		if (!guest_modules_run(link, module->before_unload, "before_unload", &local))
			fprintf(stderr, "note: %s\n", local->message);
	}
	return TRUE;
}

static gboolean unload(VerbContext *ctx, Link *link, const char *name, gboolean with_holders,
		       GError **error)
{
	g_autoptr(GHashTable) loaded = guest_modules(link, error);
	g_autoptr(GPtrArray) order = loaded ? moddeps_unload_order(loaded, name) : NULL;

	if (!order)
		return FALSE;
	if (!order->len)
		return devvm_fail(error, DEVVM_ERROR_NOT_FOUND,
				  "%s is not loaded in %s: `devvm exec %s -- lsmod` lists what is",
				  name, ctx->vm->name, ctx->vm->name);
	if (order->len > 1 && !with_holders)
		return refuse_holders(name, order, error);
	if (!ctx->dry_run) {
		if (!before_unload(ctx, link, order, error))
			return FALSE;
		g_hash_table_unref(loaded);
		loaded = guest_modules(link, error);
		if (!loaded)
			return FALSE;
		g_ptr_array_unref(order);
		order = moddeps_unload_order(loaded, name);
		if (!guest_modules_unload(link, loaded, order, force, ctx->config, error))
			return FALSE;
	}
	report(ctx, name, order);
	return TRUE;
}

static gboolean run(const Verb *verb, VerbContext *ctx, char **args, GError **error)
{
	g_autofree char *name = modinfo_plain_name(args[0]);
	g_autoptr(Link) link = NULL;
	gboolean with_holders, ok;
	int lock;

	if (!module_options_holders(holders, FALSE, &with_holders, error))
		return FALSE;
	link = link_open(ctx->vm, error);
	if (!link || !link_wait_ready(link, READY_MS, error))
		return FALSE;
	lock = reload_lock(ctx->vm, error);
	if (lock < 0)
		return FALSE;
	ok = unload(ctx, link, name, with_holders, error);
	close(lock);
	return ok;
}

const Verb verb_unload_module = {
	.name = "unload-module",
	.synopsis = "[OPTION…] MODULE",
	.help = "unload a module in the guest",
	.examples = "  $ devvm unload-module nilfs2\n"
		    "  $ devvm unload-module --holders=yes dm-mod\n",
	.flags = VERB_CONFIG | VERB_VM | VERB_RUNNING | VERB_JSON | VERB_DRY_RUN,
	.min_args = 1,
	.max_args = 1,
	.options = options,
	.run = run,
};
