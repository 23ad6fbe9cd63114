// SPDX-License-Identifier: GPL-2.0-or-later
#include "verbs.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "doctor-checks.h"
#include "util/json.h"

static const char *const LEVELS[] = {"ok", "warning", "failure"};

static gboolean use_colours(void)
{
	const char *no = g_getenv("NO_COLOR"), *term = g_getenv("TERM");

	return isatty(STDOUT_FILENO) && !(no && *no) && term && !g_str_equal(term, "dumb");
}

static void print_finding(const Finding *f, gboolean colours)
{
	static const char *const starts[] = {"\033[32m", "\033[33m", "\033[1;31m"};
	g_auto(GStrv) text = g_strsplit(f->text, "\n", -1);
	g_auto(GStrv) mend = g_strsplit(f->mend ? f->mend : "", "\n", -1);

	printf("%s%-7s%s  %-14s %s\n", colours ? starts[f->level] : "", LEVELS[f->level],
	       colours ? "\033[0m" : "", f->name, *text);
	for (char **line = text + 1; *text && *line; line++)
		printf("%24s%s\n", "", *line);
	for (char **line = mend; *line; line++)
		printf("%26s%s\n", "-> ", *line);
}

static void count(const GPtrArray *findings, guint counts[3])
{
	for (guint i = 0; i < findings->len; i++) {
		const Finding *f = g_ptr_array_index(findings, i);

		counts[f->level]++;
	}
}

static void print_text(const GPtrArray *findings, gboolean quiet)
{
	gboolean colours = use_colours();
	guint counts[3] = {0};

	count(findings, counts);
	for (guint i = 0; i < findings->len; i++) {
		const Finding *f = g_ptr_array_index(findings, i);

		if (!quiet || f->level == FINDING_FAILURE)
			print_finding(f, colours);
	}
	if (quiet)
		return;
	if (counts[FINDING_FAILURE])
		printf("\nthis host is not fit yet: %u failure%s, %u warning%s\n",
		       counts[FINDING_FAILURE], counts[FINDING_FAILURE] == 1 ? "" : "s",
		       counts[FINDING_WARNING], counts[FINDING_WARNING] == 1 ? "" : "s");
	else
		printf("\nthis host is fit%s\n",
		       counts[FINDING_WARNING] ? "; the warnings say what could be better" : "");
}

static void print_json(const GPtrArray *findings)
{
	g_autoptr(Json) json = json_new();
	guint counts[3] = {0};

	count(findings, counts);
	json_begin_object(json, NULL);
	json_bool(json, "fit", counts[FINDING_FAILURE] == 0);
	json_begin_array(json, "checks");
	for (guint i = 0; i < findings->len; i++) {
		const Finding *f = g_ptr_array_index(findings, i);

		json_begin_object(json, NULL);
		json_string(json, "name", f->name);
		json_string(json, "level", LEVELS[f->level]);
		json_string(json, "text", f->text);
		json_string(json, "mend", f->mend);
		json_end(json);
	}
	json_end(json);
	json_end(json);
	json_print(json);
}

static gboolean run_doctor(const Verb *verb, VerbContext *ctx, char **args, GError **error)
{
	g_autoptr(GPtrArray) findings = doctor_check(ctx->vm_option);
	guint counts[3] = {0};

	if (ctx->json)
		print_json(findings);
	else
		print_text(findings, ctx->quiet);
	count(findings, counts);
	if (counts[FINDING_FAILURE])
		ctx->status = DEVVM_ERROR_HOST;
	return TRUE;
}

const Verb verb_doctor = {
	.name = "doctor",
	.synopsis = "[--vm NAME] [--json]",
	.help = "say whether this host is fit, and what mends it",
	.examples = "  $ devvm doctor\n"
		    "  $ devvm doctor --vm lustre1   # with the kernel of that VM\n"
		    "  $ devvm doctor --json | jq '.checks[] | select(.level != \"ok\")'\n",
	.flags = VERB_JSON,
	.run = run_doctor,
};
