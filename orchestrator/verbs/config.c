// SPDX-License-Identifier: GPL-2.0-or-later
#include "verbs.h"

#include <stdio.h>
#include <string.h>

#include "util/json.h"
#include "util/paths.h"

typedef struct {
	Json *json;    /* NULL: lines for people */
	char *section; /* of the line before */
} Output;

static void print_value(const char *section, const char *key, const char *value,
			const ConfigOrigin *origin, gpointer data)
{
	Output *out = data;
	g_autofree char *setting = g_strdup_printf("%s = %s", key, *value ? value : "(not set)");

	if (g_strcmp0(out->section, section) != 0) {
		printf("%s[%s]\n", out->section ? "\n" : "", section);
		g_free(out->section);
		out->section = g_strdup(section);
	}
	if (origin->file)
		printf("%-40s  # %s:%d\n", setting, origin->file, origin->line);
	else
		printf("%-40s  # default\n", setting);
}

static void add_value(const char *section, const char *key, const char *value,
		      const ConfigOrigin *origin, gpointer data)
{
	Output *out = data;

	json_begin_object(out->json, NULL);
	json_string(out->json, "section", section);
	json_string(out->json, "key", key);
	json_string(out->json, "value", *value ? value : NULL);
	json_string(out->json, "file", origin->file);
	if (origin->file)
		json_int(out->json, "line", origin->line);
	json_end(out->json);
}

static void print_json(const Config *config, const char *vm)
{
	g_autoptr(Json) json = json_new();
	Output out = {.json = json};

	json_begin_object(json, NULL);
	json_string(json, "project", config_project(config));
	json_string(json, "vm", vm);
	json_begin_array(json, "values");
	config_each(config, vm, add_value, &out);
	json_end(json);
	json_end(json);
	json_print(json);
}

static gboolean run_config(const Verb *verb, VerbContext *ctx, char **args, GError **error)
{
	const char *vm = args[0] ? args[0] : ctx->vm_option;
	Output out = {0};

	if (vm && !devvm_vm_name_ok(vm, error))
		return FALSE;
	if (ctx->json) {
		print_json(ctx->config, vm);
		return TRUE;
	}
	printf("# project: %s\n\n", config_project(ctx->config));
	config_each(ctx->config, vm, print_value, &out);
	g_free(out.section);
	return TRUE;
}

const Verb verb_config = {
	.name = "config",
	.synopsis = "[--json] [NAME]",
	.help = "show each value in force, and where it comes from",
	.examples = "  $ devvm config                # all VMs\n"
		    "  $ devvm config lustre1        # as it is for this VM\n"
		    "  $ devvm config --json | jq .project\n",
	.flags = VERB_CONFIG | VERB_JSON,
	.max_args = 1,
	.run = run_config,
};
