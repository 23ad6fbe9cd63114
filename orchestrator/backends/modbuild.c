// SPDX-License-Identifier: GPL-2.0-or-later
#include "modbuild.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../util/error.h"
#include "../util/paths.h"
#include "modinfo.h"

#define MAX_ROUNDS 3u
#define LOCK_WAIT_MS (10u * 60 * 1000)
#define OUTPUT_SHOWN 4000u /* bytes of a quiet build's output that an error shows */
#define CHANGED_SHOWN 3u

void buildplan_free(BuildPlan *plan)
{
	if (!plan)
		return;
	g_free(plan->name);
	g_free(plan->root);
	g_free(plan->search);
	g_free(plan->ko);
	g_free(plan->objtree);
	g_free(plan->release);
	g_free(plan->command);
	g_free(plan->why);
	g_free(plan);
}

void buildresult_free(BuildResult *result)
{
	if (!result)
		return;
	g_free(result->ko);
	g_clear_pointer(&result->modules, g_ptr_array_unref);
	g_clear_pointer(&result->fresh, g_ptr_array_unref);
	buildinputs_close(result->lock);
	g_free(result);
}

/* --- The plan. ------------------------------------------------------------------------------- */

static gboolean same_file(const char *a, const char *b)
{
	struct stat sa, sb;

	return !stat(a, &sa) && !stat(b, &sb) && sa.st_dev == sb.st_dev && sa.st_ino == sb.st_ino;
}

/* TRUE when `line` stands in the text as a line of its own. */
static gboolean has_line(const char *text, const char *line)
{
	gsize length = strlen(line);

	for (const char *at = text; at && (at = strstr(at, line)); at += length)
		if ((at == text || at[-1] == '\n') && (at[length] == '\n' || !at[length]))
			return TRUE;
	return FALSE;
}

/*
 * Options that the kernel was not configured with, but that the Makefile hangs the module on:
 * make's variable says to build it, the macro says so to sources with IS_ENABLED().
 */
static char *config_arguments(const BuildPlan *plan, char **configs)
{
	g_autofree char *auto_conf =
		g_build_filename(plan->objtree, "include/config/auto.conf", NULL);
	g_autofree char *text = NULL;
	GString *args = g_string_new(NULL);
	GString *macros = g_string_new(NULL);

	g_file_get_contents(auto_conf, &text, NULL, NULL);
	for (gsize i = 0; configs && configs[i]; i++) {
		g_autofree char *module = g_strconcat(configs[i], "=m", NULL);
		g_autofree char *builtin = g_strconcat(configs[i], "=y", NULL);

		if (text && has_line(text, module))
			continue;
		g_string_append_printf(args, " %s", module);
		if (g_str_has_prefix(configs[i], "CONFIG_") && !(text && has_line(text, builtin)))
			g_string_append_printf(macros, "%s-D%s_MODULE=1", macros->len ? " " : "",
					       configs[i]);
	}
	if (macros->len) {
		g_autofree char *flags = g_strconcat("KCFLAGS=", macros->str, NULL);
		g_autofree char *quoted = g_shell_quote(flags);

		g_string_append_printf(args, " %s", quoted);
	}
	g_string_free(macros, TRUE);
	return g_string_free(args, FALSE);
}

/* The module's place below the kernel source that its VM runs, or NULL when it is another one. */
static const char *in_kernel_tree(const Vm *vm, const ModPlace *place)
{
	g_autofree char *source = vm->build ? g_build_filename(vm->build, "source", NULL) : NULL;

	if (!place->kernel_source || !vm->build || !vm->build_tree)
		return NULL;
	if (!same_file(place->kernel_source, vm->build) &&
	    !(source && same_file(place->kernel_source, source)))
		return NULL;
	return place->dir + strlen(place->kernel_source) + 1;
}

static char *make_command(const Vm *vm, const ModPlace *place, const BuildPlan *plan)
{
	g_autofree char *args = config_arguments(plan, place->configs);
	g_autofree char *objtree = g_shell_quote(plan->objtree);
	g_autofree char *root = g_shell_quote(plan->root);
	const char *in_tree = in_kernel_tree(vm, place);
	guint jobs = plan->in_guest ? MAX(vm->cpus, 1u) : g_get_num_processors();

	if (place->build_command)
		return g_strdup(place->build_command);
	if (in_tree) {
		g_autofree char *folder = g_shell_quote(in_tree);

		return g_strdup_printf("make -j%u -C %s M=%s%s modules", jobs, objtree, folder,
				       args);
	}
	if (place->own_make && place->kernel_variable)
		return g_strdup_printf("make -j%u %s=%s%s", jobs, place->kernel_variable, objtree,
				       args);
	if (place->own_make)
		return g_strdup_printf("make -j%u%s", jobs, args);
	return g_strdup_printf("make -j%u -C %s M=%s%s modules", jobs, objtree, root, args);
}

static gboolean is_below(const char *folder, const char *path)
{
	gsize length = strlen(folder);

	return g_str_has_prefix(path, folder) && (path[length] == '/' || !path[length]);
}

/* TRUE when the guest has the folder, to write in: a tree, or its kernel's build tree. */
static gboolean in_trees(const Vm *vm, const char *folder)
{
	for (gsize i = 0; vm->trees && vm->trees[i]; i++)
		if (is_below(vm->trees[i], folder))
			return TRUE;
	return vm->build_tree && vm->build && is_below(vm->build, folder);
}

static gboolean choose_where(const Vm *vm, BuildPlan *plan, BuildWhere where, GError **error)
{
	gboolean shared = in_trees(vm, plan->root);

	if (where == BUILD_GUEST && !shared)
		return devvm_fail(
			error, DEVVM_ERROR_USAGE,
			"%s is in none of %s's trees, so the guest does not see it: build "
			"with --on-host, or add it in devvm.conf: [project] trees=",
			plan->root, vm->name);
	plan->in_guest = where == BUILD_GUEST || (where == BUILD_AUTO && vm->kvm && shared);
	if (where != BUILD_AUTO)
		plan->why = g_strdup("as asked");
	else if (plan->in_guest)
		plan->why = g_strdup("where it will run");
	else if (!shared)
		plan->why = g_strdup("the folder is in none of the guest's trees");
	else
		plan->why = g_strdup("the guest has the same compiler and headers, but no KVM");
	return TRUE;
}

BuildPlan *modbuild_plan(const Vm *vm, const ModPlace *place, BuildWhere where, GError **error)
{
	g_autoptr(BuildPlan) plan = g_new0(BuildPlan, 1);
	g_autofree char *makefile = NULL;
	const char *in_tree = in_kernel_tree(vm, place);

	plan->name = g_strdup(place->name);
	plan->root = g_strdup(place->root);
	plan->release = g_strdup(vm->release);
	/* The same path on both sides, so that kbuild does not see another command line. */
	plan->objtree = vm->build ? g_strdup(vm->build)
				  : g_strdup_printf("/lib/modules/%s/build", vm->release);
	makefile = g_build_filename(plan->objtree, "Makefile", NULL);
	if (!g_file_test(makefile, G_FILE_TEST_EXISTS)) {
		devvm_fail(error, DEVVM_ERROR_HOST,
			   "the headers of kernel %s are not there (%s): install "
			   "linux-headers-%s, or see `devvm doctor`",
			   vm->release, plan->objtree, vm->release);
		return NULL;
	}
	plan->ko = g_strdup(place->ko);
	plan->search = g_strdup(place->root);
	if (in_tree && !same_file(place->kernel_source, plan->objtree) && place->ko) {
		/* O=: products stand in the build folder. */
		g_free(plan->ko);
		plan->ko = g_build_filename(plan->objtree, place->ko + strlen(place->kernel_source),
					    NULL);
		g_free(plan->search);
		plan->search = g_build_filename(plan->objtree, in_tree, NULL);
	}
	if (!choose_where(vm, plan, where, error))
		return NULL;
	plan->command = make_command(vm, place, plan);
	return g_steal_pointer(&plan);
}

/* --- Running it. ----------------------------------------------------------------------------- */

/*
 * Makefiles ask `uname -r` which kernel to build for; on the host the answer must be the VM's. A
 * folder with a uname that gives it, for the front of PATH.
 */
static char *uname_folder(const char *release, GError **error)
{
	g_autofree char *cache = devvm_cache_dir();
	g_autofree char *folder = g_build_filename(cache, "uname", release, NULL);
	g_autofree char *path = g_build_filename(folder, "uname", NULL);
	g_autofree char *quoted = g_shell_quote(release);
	g_autofree char *script =
		g_strdup_printf("#!/bin/sh\n"
				"# uname for builds on the host: the kernel release is the VM's.\n"
				"case \"$*\" in\n"
				"-r | --kernel-release) echo %s ;;\n"
				"*) PATH=${PATH#*:} exec uname \"$@\" ;;\n"
				"esac\n",
				quoted);
	g_autofree char *old = NULL;

	if (!devvm_make_private_dir(folder, error))
		return NULL;
	if ((!g_file_get_contents(path, &old, NULL, NULL) || strcmp(old, script)) &&
	    !g_file_set_contents_full(path, script, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0700,
				      error))
		return NULL;
	return g_steal_pointer(&folder);
}

/* In the child: a build does not outlive devvm. */
static void die_with_parent(gpointer data)
{
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() == 1)
		_exit(1);
}

static char *read_all(int fd)
{
	GString *text = g_string_new(NULL);
	char buffer[4096];
	ssize_t n;

	lseek(fd, 0, SEEK_SET);
	while ((n = read(fd, buffer, sizeof(buffer))) > 0)
		g_string_append_len(text, buffer, n);
	return g_string_free(text, FALSE);
}

/* Where a build's output goes when nobody wants to see it live: a file without a name. */
static int output_file(GError **error)
{
	g_autofree char *path = NULL;
	int fd = g_file_open_tmp("devvm-build-XXXXXX", &path, error);

	if (fd >= 0)
		unlink(path);
	return fd;
}

static gboolean fail_command(const BuildPlan *plan, const char *how, const char *output,
			     GError **error)
{
	gsize length = output ? strlen(output) : 0;
	const char *tail = length > OUTPUT_SHOWN ? output + length - OUTPUT_SHOWN : output;

	return devvm_fail(error, DEVVM_ERROR_BUILD, "the build of %s %s (in %s, on the %s: %s)%s%s",
			  plan->name, how, plan->root, plan->in_guest ? "guest" : "host",
			  plan->command, length ? "\n" : "", length ? tail : "");
}

static gboolean run_on_host(const BuildPlan *plan, const BuildInputs *inputs, int fd, char **how,
			    GError **error)
{
	g_autoptr(GSubprocessLauncher) launcher = g_subprocess_launcher_new(0);
	g_autoptr(GSubprocess) child = NULL;
	g_autofree char *folder = uname_folder(plan->release, error);
	g_autofree char *path = NULL;

	if (!folder)
		return FALSE;
	path = g_strconcat(folder, ":", g_getenv("PATH") ? g_getenv("PATH") : "/usr/bin:/bin",
			   NULL);
	g_subprocess_launcher_set_cwd(launcher, plan->root);
	g_subprocess_launcher_setenv(launcher, "PATH", path, TRUE);
	g_subprocess_launcher_setenv(launcher, "DEVVM_KERNEL_RELEASE", plan->release, TRUE);
	g_subprocess_launcher_setenv(launcher, "DEVVM_KERNEL_BUILD", plan->objtree, TRUE);
	/* A make above us would hand its own options and job server down. */
	g_subprocess_launcher_unsetenv(launcher, "MAKEFLAGS");
	g_subprocess_launcher_unsetenv(launcher, "MAKELEVEL");
	g_subprocess_launcher_unsetenv(launcher, "MFLAGS");
	g_subprocess_launcher_set_child_setup(launcher, die_with_parent, NULL, NULL);
	g_subprocess_launcher_take_stdout_fd(launcher, fcntl(fd, F_DUPFD_CLOEXEC, 3));
	g_subprocess_launcher_take_stderr_fd(launcher, fcntl(fd, F_DUPFD_CLOEXEC, 3));
	g_subprocess_launcher_take_fd(launcher,
				      fcntl(buildinputs_lock_fd(inputs), F_DUPFD_CLOEXEC, 3), 3);
	child = g_subprocess_launcher_spawn(launcher, error, "sh", "-c", plan->command, NULL);
	if (!child || !g_subprocess_wait(child, NULL, error))
		return FALSE;
	if (g_subprocess_get_if_signaled(child))
		*how = g_strdup_printf("was killed by signal %d", g_subprocess_get_term_sig(child));
	else if (g_subprocess_get_exit_status(child))
		*how = g_strdup_printf("failed with status %d",
				       g_subprocess_get_exit_status(child));
	return TRUE;
}

/*
 * In the guest: under a lock there too, since a build that lost its devvm dies a moment later than
 * the host's lock; and what it wrote is on the host before the command ends.
 */
static char *guest_script(const BuildPlan *plan)
{
	g_autofree char *quoted_ko = plan->ko ? g_shell_quote(plan->ko) : NULL;
	g_autofree char *flush =
		quoted_ko ? g_strdup_printf("sync -- %s", quoted_ko) : g_strdup("sync");
	g_autofree char *id = g_compute_checksum_for_string(G_CHECKSUM_SHA1, plan->root, -1);

	return g_strdup_printf("exec 9>/run/devvm-build-%.12s.lock && { flock -w 60 9 || "
			       "{ echo 'another build goes on in this folder' >&2; exit 75; }; }\n"
			       "( %s\n) && %s",
			       id, plan->command, flush);
}

static gboolean run_in_guest(const BuildPlan *plan, Link *link, int fd, char **how, GError **error)
{
	g_autofree char *script = guest_script(plan);
	g_autofree char *release = g_strconcat("DEVVM_KERNEL_RELEASE=", plan->release, NULL);
	g_autofree char *build = g_strconcat("DEVVM_KERNEL_BUILD=", plan->objtree, NULL);
	const char *argv[] = {"sh", "-c", script, NULL};
	const char *env[] = {release, build, NULL};
	LinkExec exec = {.cwd = plan->root,
			 .argv = argv,
			 .env = env,
			 .fresh = TRUE,
			 .in_fd = -1,
			 .out_fd = fd,
			 .err_fd = fd,
			 .pass_signals = TRUE};
	LinkExit exit;

	if (!link_exec(link, &exec, &exit, error))
		return FALSE;
	if (exit.signaled)
		*how = g_strdup_printf("was killed by signal %d", exit.value);
	else if (exit.value)
		*how = g_strdup_printf("failed with status %d", exit.value);
	return TRUE;
}

/* Runs the command once between start and end of the record. */
static gboolean run_round(const BuildPlan *plan, Link *link, BuildInputs *inputs, int out_fd,
			  GPtrArray **changed, GError **error)
{
	g_autofree char *how = NULL, *output = NULL;
	int fd = out_fd >= 0 ? out_fd : output_file(error);
	gboolean ok;

	if (fd < 0 || !buildinputs_begin(inputs, NULL, error))
		return FALSE;
	ok = plan->in_guest ? run_in_guest(plan, link, fd, &how, error)
			    : run_on_host(plan, inputs, fd, &how, error);
	if (out_fd < 0) {
		output = read_all(fd);
		close(fd);
	}
	if (!ok) /* nobody knows whether it has ended: the record stays without an end */
		return FALSE;
	*changed = buildinputs_end(inputs, error);
	if (!*changed)
		return FALSE;
	return how ? fail_command(plan, how, output, error) : TRUE;
}

static void say_waiting(const char *root)
{
	fprintf(stderr, "waiting for another build in %s to end\n", root);
}

static void say_changed(const GPtrArray *changed)
{
	GString *text = g_string_new(NULL);

	for (guint i = 0; i < MIN(changed->len, CHANGED_SHOWN); i++)
		g_string_append_printf(text, "%s%s", i ? ", " : "", (char *) changed->pdata[i]);
	if (changed->len > CHANGED_SHOWN)
		g_string_append_printf(text, " and %u more", changed->len - CHANGED_SHOWN);
	fprintf(stderr, "changed while it was compiled: %s: building again\n", text->str);
	g_string_free(text, TRUE);
}

/* --- What came out. -------------------------------------------------------------------------- */

static gint64 mtime_ns(const char *path)
{
	struct stat st;

	return stat(path, &st) < 0
		       ? -1
		       : st.st_mtim.tv_sec * G_GINT64_CONSTANT(1000000000) + st.st_mtim.tv_nsec;
}

/* A build command may end well and yet have left the module's objects unmade. NAME.mod lists them.
 */
static gboolean check_objects(const BuildPlan *plan, const char *ko, GError **error)
{
	g_autofree char *mod = g_strdup_printf("%.*s.mod", (int) (strlen(ko) - strlen(".ko")), ko);
	g_autofree char *text = NULL;
	g_auto(GStrv) words = NULL;
	gint64 made = mtime_ns(ko);

	if (!g_file_get_contents(mod, &text, NULL, NULL))
		return TRUE; /* no kbuild of today: nothing to check by */
	words = g_strsplit_set(text, " \n", -1);
	for (gsize i = 0; words[i]; i++) {
		g_autofree char *object = NULL;
		gint64 at;

		if (!g_str_has_suffix(words[i], ".o"))
			continue;
		object = g_canonicalize_filename(words[i], plan->objtree);
		at = mtime_ns(object);
		if (at < 0 && *words[i] != '/')
			continue; /* relative to another folder */
		if (at < 0 || at > made)
			return devvm_fail(error, DEVVM_ERROR_BUILD,
					  "the build ended well, but %s is %s: `%s` in %s does not "
					  "build this module: say what does in devvm.conf: [module "
					  "%s] build_command=",
					  at < 0 ? object : ko,
					  at < 0 ? "not there" : "older than its objects",
					  plan->command, plan->root, plan->name);
	}
	return TRUE;
}

static gboolean find_result(const BuildPlan *plan, BuildResult *result, gint64 start_ns,
			    GError **error)
{
	g_autoptr(GPtrArray) own = NULL;

	result->modules = modfind_built(plan->search, NULL);
	result->fresh = g_ptr_array_new();
	for (guint i = 0; i < result->modules->len; i++)
		if (mtime_ns(result->modules->pdata[i]) >= start_ns)
			g_ptr_array_add(result->fresh, result->modules->pdata[i]);
	if (plan->ko && g_file_test(plan->ko, G_FILE_TEST_EXISTS)) {
		result->ko = g_strdup(plan->ko);
		return check_objects(plan, result->ko, error);
	}
	own = modfind_built(plan->search, plan->name);
	if (!own->len)
		return devvm_fail(
			error, DEVVM_ERROR_BUILD,
			"the build ended well, but made no %s.ko below %s (`%s`): say what "
			"does in devvm.conf: [module %s] build_command= and ko=",
			plan->name, plan->search, plan->command, plan->name);
	if (own->len > 1)
		return devvm_fail(error, DEVVM_ERROR_BUILD,
				  "the build made %s and %s: say which one in devvm.conf: [module "
				  "%s] ko=",
				  (char *) own->pdata[0], (char *) own->pdata[1], plan->name);
	result->ko = g_strdup(own->pdata[0]);
	return check_objects(plan, result->ko, error);
}

BuildResult *modbuild_run(const BuildPlan *plan, Link *link, int out_fd, GError **error)
{
	g_autoptr(BuildResult) result = g_new0(BuildResult, 1);
	gint64 start = g_get_monotonic_time(), start_ns;
	gboolean again = TRUE;

	result->lock =
		buildinputs_open(plan->root, plan->objtree, say_waiting, LOCK_WAIT_MS, error);
	if (!result->lock)
		return NULL;
	start_ns = g_get_real_time() * 1000;
	while (again) {
		g_autoptr(GPtrArray) changed = NULL;

		result->rounds++;
		if (!run_round(plan, link, result->lock, out_fd, &changed, error))
			return NULL;
		again = changed->len && result->rounds < MAX_ROUNDS;
		if (again)
			say_changed(changed);
	}
	if (!find_result(plan, result, start_ns, error))
		return NULL;
	result->us = g_get_monotonic_time() - start;
	return g_steal_pointer(&result);
}
