// SPDX-License-Identifier: GPL-2.0-or-later
#include "reload.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "backends/modindex.h"
#include "backends/modinfo.h"
#include "guest-modules.h"
#include "symbols.h"
#include "util/error.h"
#include "util/paths.h"

#define LOCK_WAIT_US (10 * 60 * G_USEC_PER_SEC)
#define LOCK_POLL_US 20000
#define LOG_LINES_SHOWN 25u

/* --- The plan. ------------------------------------------------------------------------------- */

void reload_plan_free(ReloadPlan *plan)
{
	if (!plan)
		return;
	module_config_free(plan->module);
	g_free(plan->name);
	buildplan_free(plan->build);
	g_free(plan->kernel_modules);
	g_free(plan);
}

/* The guest's /etc is the host's. */
static gboolean check_override(const ReloadPlan *plan, GError **error)
{
	g_autofree char *command = modinfo_install_override(plan->name);

	if (!command)
		return TRUE;
	return devvm_fail(error, DEVVM_ERROR_CONFIG,
			  "modprobe is configured to run '%s' instead of loading %s: `grep -r %s "
			  "/etc/modprobe.d` shows where; take that line out",
			  command, plan->name, plan->name);
}

/* In the project's trees, else in those of a kernel that is a build tree. */
static ModPlace *find_module(const Vm *vm, const char *name, const ModuleConfig *module,
			     GError **error)
{
	g_autofree char *link = vm->build ? g_build_filename(vm->build, "source", NULL) : NULL;
	g_autofree char *source = link && vm->build_tree ? realpath(link, NULL) : NULL;
	char *kernel[] = {source ? source : vm->build, NULL};
	g_autoptr(GError) local = NULL;
	ModPlace *place = modfind(name, vm->trees, module, &local);

	if (!place && vm->build_tree && g_error_matches(local, DEVVM_ERROR, DEVVM_ERROR_NOT_FOUND))
		place = modfind(name, kernel, module, NULL);
	if (!place)
		g_propagate_error(error, g_steal_pointer(&local));
	return place;
}

ReloadPlan *reload_plan(const Vm *vm, const Config *config, const char *name,
			const ReloadOptions *options, GError **error)
{
	g_autoptr(ReloadPlan) plan = g_new0(ReloadPlan, 1);
	g_autoptr(ModPlace) place = NULL;

	plan->vm = vm;
	plan->config = config;
	plan->options = *options;
	plan->name = modinfo_plain_name(name);
	plan->kernel_modules = modindex_kernel_modules(vm, error);
	plan->module = plan->kernel_modules ? config_module(config, plan->name, error) : NULL;
	if (!plan->module)
		return NULL;
	if (plan->options.where == BUILD_AUTO)
		plan->options.where = plan->module->build;
	if (modinfo_is_builtin(plan->kernel_modules, plan->name)) {
		devvm_fail(
			error, DEVVM_ERROR_MISMATCH,
			"%s is built into kernel %s, so it cannot be a module of it: boot a kernel "
			"that has it as a module or not at all",
			plan->name, vm->release);
		return NULL;
	}
	if (!check_override(plan, error))
		return NULL;
	place = find_module(vm, name, plan->module, error);
	plan->build = place ? modbuild_plan(vm, place, plan->options.where, error) : NULL;
	return plan->build ? g_steal_pointer(&plan) : NULL;
}

static void print_list(const char *what, char **list)
{
	for (gsize i = 0; list && list[i]; i++)
		printf("  %-8s %s\n", what, list[i]);
}

gboolean reload_plan_print(const ReloadPlan *plan, Link *link, GError **error)
{
	g_autoptr(GHashTable) loaded = NULL;
	g_autoptr(GPtrArray) order = NULL;
	const char *parameters = plan->module->parameters ? plan->module->parameters : "";

	printf("%s in %s:\n", plan->name, plan->vm->name);
	printf("  %-8s in %s, on the %s (%s): %s\n", "build", plan->build->root,
	       plan->build->in_guest ? "guest" : "host", plan->build->why, plan->build->command);
	if (link) {
		loaded = guest_modules(link, error);
		if (!loaded)
			return FALSE;
		order = moddeps_unload_order(loaded, plan->name);
	}
	print_list("guest", plan->module->before_unload);
	for (guint i = 0; order && i < order->len; i++)
		printf("  %-8s %s\n", "unload", (char *) order->pdata[i]);
	printf("  %-8s /lib/modules/%s/updates/devvm/%s.ko\n", "install", plan->vm->release,
	       plan->name);
	printf("  %-8s modprobe %s %s\n", "load", plan->name, parameters);
	for (guint i = order ? order->len : 0; i-- > 0;)
		if (i + 1 < order->len)
			printf("  %-8s modprobe %s\n", "load", (char *) order->pdata[i]);
	print_list("guest", plan->module->after_load);
	return TRUE;
}

/* --- One reload at a time. ------------------------------------------------------------------- */

int reload_lock(const Vm *vm, GError **error)
{
	g_autofree char *path = g_build_filename(vm->run_dir, "reload.lock", NULL);
	gint64 deadline = g_get_monotonic_time() + LOCK_WAIT_US;
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0) {
		devvm_fail_errno(error, DEVVM_ERROR_FAILED, errno, "cannot open %s", path);
		return -1;
	}
	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (g_get_monotonic_time() > deadline || errno != EWOULDBLOCK) {
			devvm_fail(error, DEVVM_ERROR_BUSY,
				   "another devvm works on the modules of %s (`fuser -v %s` says "
				   "which)",
				   vm->name, path);
			close(fd);
			return -1;
		}
		g_usleep(LOCK_POLL_US); /* the lock has no event to wait for with a deadline */
	}
	return fd;
}

/* --- Execution. ------------------------------------------------------------------------------ */

/* All that a run knows; each step fills in its part. */
typedef struct {
	const ReloadPlan *plan;
	Link *link;
	ReloadReport *report;
	BuildResult *built;
	GHashTable *loaded; /* before */
	GPtrArray *unload;  /* char*: what goes, in order */
	GPtrArray *load;    /* char*: what comes, in order; the module itself is first */
	GPtrArray *infos;   /* ModInfo*: fresh files to install; the module itself is first */
	ModIndex *index;
	guint64 log_start;
} Run;

static void run_clear(Run *run)
{
	g_clear_pointer(&run->built, buildresult_free);
	g_clear_pointer(&run->loaded, g_hash_table_unref);
	g_clear_pointer(&run->unload, g_ptr_array_unref);
	g_clear_pointer(&run->load, g_ptr_array_unref);
	g_clear_pointer(&run->infos, g_ptr_array_unref);
	g_clear_pointer(&run->index, modindex_free);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Run, run_clear)

void reload_report_clear(ReloadReport *report)
{
	g_clear_pointer(&report->ko, g_free);
	g_clear_pointer(&report->identity, g_free);
	g_clear_pointer(&report->unloaded_modules, g_ptr_array_unref);
	g_clear_pointer(&report->loaded_modules, g_ptr_array_unref);
}

static gboolean has_name(GPtrArray *names, const char *name)
{
	for (guint i = 0; i < names->len; i++)
		if (!strcmp(names->pdata[i], name))
			return TRUE;
	return FALSE;
}

static gboolean has_info(GPtrArray *infos, const char *name)
{
	for (guint i = 0; i < infos->len; i++)
		if (!strcmp(((ModInfo *) infos->pdata[i])->name, name))
			return TRUE;
	return FALSE;
}

/* The .ko that the build has for a module's name, or NULL: it is none of the project's. */
static const char *built_ko(const Run *run, const char *name)
{
	if (!strcmp(name, run->plan->name))
		return run->built->ko;
	for (guint i = 0; i < run->built->modules->len; i++) {
		g_autofree char *plain = modinfo_plain_name(run->built->modules->pdata[i]);

		if (!strcmp(plain, name))
			return run->built->modules->pdata[i];
	}
	return NULL;
}

/*
 * What a reload that was cut off has left unloaded. It is kept in the guest's RAM, so that it is
 * gone when a boot has made it pointless.
 */
static char *pending_path(const Run *run)
{
	return g_strdup_printf("/run/devvm/reload-%s", run->plan->name);
}

static gboolean take_pending(Run *run, GError **error)
{
	g_autofree char *path = pending_path(run);
	g_autoptr(GError) local = NULL;
	g_autofree char *text = link_get(run->link, path, NULL, &local);
	g_auto(GStrv) names = NULL;

	if (!text && !g_error_matches(local, DEVVM_ERROR, DEVVM_ERROR_NOT_FOUND)) {
		g_propagate_error(error, g_steal_pointer(&local));
		return FALSE;
	}
	names = g_strsplit(text ? text : "", "\n", -1);
	for (gsize i = 0; names[i]; i++)
		if (*names[i] && !has_name(run->load, names[i]))
			g_ptr_array_add(run->load, g_strdup(names[i]));
	return TRUE;
}

/* Writes down what is to be loaded again; nothing when all is loaded. */
static gboolean put_pending(const Run *run, gboolean done, GError **error)
{
	g_autofree char *path = pending_path(run);
	GString *text = g_string_new(NULL);
	gboolean ok;

	for (guint i = 1; !done && i < run->load->len; i++)
		g_string_append_printf(text, "%s\n", (char *) run->load->pdata[i]);
	ok = run->load->len < 2 || link_put(run->link, path, 0600, text->str, text->len, error);
	g_string_free(text, TRUE);
	return ok;
}

/* What is loaded, what has to go and what comes back. */
static gboolean look_at_guest(Run *run, GError **error)
{
	const char *name = run->plan->name;

	g_clear_pointer(&run->loaded, g_hash_table_unref);
	g_clear_pointer(&run->unload, g_ptr_array_unref);
	g_clear_pointer(&run->load, g_ptr_array_unref);
	run->loaded = guest_modules(run->link, error);
	if (!run->loaded)
		return FALSE;
	run->unload = moddeps_unload_order(run->loaded, name);
	run->load = g_ptr_array_new_with_free_func(g_free);
	g_ptr_array_add(run->load, g_strdup(name));
	for (guint i = run->unload->len; i-- > 0;)
		if (strcmp(run->unload->pdata[i], name))
			g_ptr_array_add(run->load, g_strdup(run->unload->pdata[i]));
	return take_pending(run, error);
}

static gboolean check_holders(const Run *run, GError **error)
{
	GString *names;

	if (run->plan->options.holders || run->unload->len < 2)
		return TRUE;
	names = g_string_new(NULL);
	for (guint i = 0; i + 1 < run->unload->len; i++)
		g_string_append_printf(names, "%s%s", i ? ", " : "",
				       (char *) run->unload->pdata[i]);
	devvm_fail(error, DEVVM_ERROR_BUSY,
		   "%s is held by %s: without --holders=no they are unloaded and loaded again too",
		   run->plan->name, names->str);
	g_string_free(names, TRUE);
	return FALSE;
}

/* Keeps a copy of a fresh .ko, and with it those that it needs and that are not loaded yet. */
static gboolean take_module(Run *run, const char *name, GError **error)
{
	const char *ko = built_ko(run, name);
	ModInfo *info;

	if (!ko || has_info(run->infos, name))
		return TRUE;
	info = symbols_keep(ko, error);
	if (!info)
		return FALSE;
	g_ptr_array_add(run->infos, info);
	for (gsize i = 0; info->depends[i]; i++)
		if (!g_hash_table_contains(run->loaded, info->depends[i]) &&
		    !take_module(run, info->depends[i], error))
			return FALSE;
	return TRUE;
}

static gboolean check_vermagic(const Run *run, GError **error)
{
	g_autofree char *kernel = modinfo_kernel_vermagic(run->plan->kernel_modules, NULL);
	const char *release = run->plan->vm->release;

	if (kernel)
		g_strchomp(kernel);
	for (guint i = 0; i < run->infos->len; i++) {
		const ModInfo *info = run->infos->pdata[i];
		g_autofree char *vermagic = g_strchomp(g_strdup(info->vermagic));
		gsize length = strcspn(vermagic, " ");
		gboolean same =
			kernel ? !strcmp(vermagic, kernel)
			       : length == strlen(release) && !strncmp(vermagic, release, length);

		if (!same)
			return devvm_fail(error, DEVVM_ERROR_MISMATCH,
					  "%s.ko is for another kernel, nothing was unloaded:\n  "
					  "module: %s\n  "
					  "kernel: %s\nbuild it against %s, or `devvm up` a VM "
					  "with its kernel",
					  info->name, vermagic, kernel ? kernel : release,
					  run->plan->build->objtree);
	}
	return TRUE;
}

/* Dependencies that this build has made anew stay loaded as they are: say so. */
static void warn_of_old_dependencies(const Run *run)
{
	const ModInfo *info = run->infos->pdata[0];

	for (gsize i = 0; info->depends[i]; i++) {
		const char *name = info->depends[i], *ko = built_ko(run, name);

		for (guint j = 0; ko && j < run->built->fresh->len; j++)
			if (run->built->fresh->pdata[j] == ko &&
			    g_hash_table_contains(run->loaded, name))
				fprintf(stderr,
					"note: %s was built anew too, but stays loaded as it was: "
					"devvm reload-module %s\n",
					name, name);
	}
}

/* Copies, and everything that can be checked while the old module is in. */
static gboolean prepare(Run *run, GError **error)
{
	const ModInfo *info;

	run->infos = g_ptr_array_new_with_free_func((GDestroyNotify) modinfo_free);
	for (guint i = 0; i < run->load->len; i++)
		if (!take_module(run, run->load->pdata[i], error))
			return FALSE;
	info = run->infos->pdata[0];
	if (strcmp(info->name, run->plan->name))
		return devvm_fail(error, DEVVM_ERROR_MISMATCH,
				  "%s calls itself %s: reload it by that name", run->built->ko,
				  info->name);
	run->report->ko = g_strdup(run->built->ko);
	run->report->identity = modinfo_identity(info, NULL);
	return check_vermagic(run, error);
}

/* Index files are computed, and gdb is told, while the old module is still in. */
static gboolean stage(Run *run, GError **error)
{
	run->index = modindex_open(run->plan->vm, run->plan->kernel_modules, run->link, error);
	if (!run->index)
		return FALSE;
	for (guint i = 0; i < run->infos->len; i++)
		if (!modindex_add(run->index, run->infos->pdata[i], error))
			return FALSE;
	return modindex_prepare(run->index, error) &&
	       symbols_register(run->plan->vm, run->infos, error);
}

/* before_unload of all that goes. One that fails is no reason to stop: what still uses the module
 * is looked at next. */
static gboolean run_before_unload(Run *run, GError **error)
{
	gboolean any = FALSE;

	for (guint i = 0; i < run->unload->len; i++) {
		g_autoptr(ModuleConfig) module =
			config_module(run->plan->config, run->unload->pdata[i], error);
		g_autoptr(GError) local = NULL;

		if (!module)
			return FALSE;
		any |= module->before_unload && module->before_unload[0];
		if (!guest_modules_run(run->link, module->before_unload, "before_unload", &local))
			fprintf(stderr, "note: %s\n", local->message);
	}
	return !any || look_at_guest(run, error);
}

static gboolean run_after_load(Run *run, GError **error)
{
	for (guint i = 0; i < run->load->len; i++) {
		g_autoptr(ModuleConfig) module =
			config_module(run->plan->config, run->load->pdata[i], error);

		if (!module || !guest_modules_run(run->link, module->after_load,
						  "the modules are loaded, but after_load", error))
			return FALSE;
	}
	return TRUE;
}

/* The kernel's messages since the start, at the end of the error. */
static void add_kernel_log(const Run *run, GError **error)
{
	guint64 next;
	g_autofree char *log = link_kernel_log(run->link, run->log_start, &next, NULL);
	g_auto(GStrv) lines = log ? g_strsplit(g_strchomp(log), "\n", -1) : NULL;
	guint count = lines ? g_strv_length(lines) : 0;
	GString *text = g_string_new(NULL);

	for (guint i = count > LOG_LINES_SHOWN ? count - LOG_LINES_SHOWN : 0; i < count; i++)
		g_string_append_printf(text, "\n  %s", lines[i]);
	if (error && *error && text->len) {
		g_autofree char *old = (*error)->message;

		(*error)->message = g_strconcat(old, "\nthe kernel says:", text->str, NULL);
	}
	g_string_free(text, TRUE);
}

static gboolean fail_load(const Run *run, guint at, GError *cause, GError **error)
{
	GString *out = g_string_new(NULL);

	for (guint i = at; i < run->load->len; i++)
		g_string_append_printf(out, "%s%s", i > at ? ", " : "",
				       (char *) run->load->pdata[i]);
	devvm_fail(
		error, DEVVM_ERROR_FAILED,
		"%s does not load: %s\nnot loaded now: %s%s; mend it, then: devvm reload-module %s",
		(char *) run->load->pdata[at], cause->message, out->str,
		has_name(run->unload, run->load->pdata[at]) ? " (the old one was unloaded)" : "",
		run->plan->name);
	add_kernel_log(run, error);
	g_string_free(out, TRUE);
	g_error_free(cause);
	return FALSE;
}

static gboolean load(Run *run, GError **error)
{
	run->report->loaded_modules = g_ptr_array_new_with_free_func(g_free);
	for (guint i = 0; i < run->load->len; i++) {
		GError *cause = NULL;

		if (!guest_modules_load(run->link, run->load->pdata[i], run->plan->config,
					&cause)) {
			if (cause->code == DEVVM_ERROR_FAILED)
				return fail_load(run, i, cause, error);
			g_propagate_prefixed_error(
				error, cause,
				"%s is unloaded, and not loaded again yet (then: devvm "
				"reload-module %s): ",
				(char *) run->load->pdata[i], run->plan->name);
			return FALSE;
		}
		g_ptr_array_add(run->report->loaded_modules, g_strdup(run->load->pdata[i]));
	}
	for (guint i = 0; i < run->infos->len; i++)
		if (has_name(run->load, ((ModInfo *) run->infos->pdata[i])->name) &&
		    !guest_modules_verify(run->link, run->infos->pdata[i], error))
			return FALSE;
	return TRUE;
}

static gboolean unload(Run *run, GError **error)
{
	if (!put_pending(run, FALSE, error) ||
	    !guest_modules_unload(run->link, run->loaded, run->unload, run->plan->options.force,
				  run->plan->config, error))
		return FALSE;
	run->report->unloaded_modules = g_ptr_array_ref(run->unload);
	return TRUE;
}

/* From the install on, the old module is out: an error says so, and how to go on. */
static gboolean install(Run *run, GError **error)
{
	if (modindex_install(run->index, error))
		return TRUE;
	g_prefix_error(error,
		       "%s is unloaded and could not be installed (then: devvm reload-module "
		       "%s): ",
		       run->plan->name, run->plan->name);
	return FALSE;
}

/* The time since *at in µs, at least 1; *at becomes now. */
static gint64 lap(gint64 *at)
{
	gint64 now = g_get_monotonic_time(), took = MAX(now - *at, 1);

	*at = now;
	return took;
}

/* Whoever reads that a build failed wants to know what runs in the guest now. */
static gboolean fail_build(GError *cause, GError **error)
{
	if (cause->code == DEVVM_ERROR_BUILD) {
		g_autofree char *old = cause->message;

		cause->message = g_strconcat(g_strchomp(old), "\nnothing was unloaded", NULL);
	}
	g_propagate_error(error, cause);
	return FALSE;
}

gboolean reload_execute(const ReloadPlan *plan, Link *link, ReloadReport *report, GError **error)
{
	g_auto(Run) run = {.plan = plan, .link = link, .report = report};
	gint64 start = g_get_monotonic_time(), at = start;
	g_autofree char *log = link_kernel_log(link, 0, &run.log_start, error);
	GError *cause = NULL;

	if (!log)
		return FALSE;
	run.built = modbuild_run(plan->build, link, plan->options.out_fd, &cause);
	if (!run.built)
		return fail_build(g_steal_pointer(&cause), error);
	report->rounds = run.built->rounds;
	report->built = run.built->us;
	if (!look_at_guest(&run, error) || !check_holders(&run, error) || !prepare(&run, error))
		return FALSE;
	warn_of_old_dependencies(&run);
	at = g_get_monotonic_time();
	if (!stage(&run, error))
		return FALSE;
	report->installed = lap(&at);
	if (!run_before_unload(&run, error) || !unload(&run, error))
		return FALSE;
	report->unloaded = lap(&at);
	if (!install(&run, error))
		return FALSE;
	report->installed += lap(&at);
	if (!load(&run, error) || !put_pending(&run, TRUE, error))
		return FALSE;
	report->loaded = lap(&at);
	if (!run_after_load(&run, error))
		return FALSE;
	symbols_prune(plan->vm);
	report->total = g_get_monotonic_time() - start;
	return TRUE;
}
