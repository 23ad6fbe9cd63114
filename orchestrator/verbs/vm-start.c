// SPDX-License-Identifier: GPL-2.0-or-later
#include "vm-start.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../apply.h"
#include "../backends/kernel.h"
#include "../host.h"
#include "../plan-facts.h"
#include "../vm-record.h"

#define BOOT_TIMEOUT_KVM_MS 60000
#define BOOT_TIMEOUT_TCG_MS 180000

/* libvirt is asked while configuration and kernel are read: a first connection takes a while. */
static gpointer connect_ahead(gpointer data)
{
	virt_connect(NULL);
	return NULL;
}

/* ~/work/tree for /home/u/work/tree */
static char *short_path(const char *path)
{
	const char *home = g_get_home_dir();
	gsize n = strlen(home);

	if (n > 1 && !strncmp(path, home, n) && (path[n] == '/' || !path[n]))
		return g_strdup_printf("~%s", path + n);
	return g_strdup(path);
}

static void print_summary(const Plan *plan, const ApplyTimes *times)
{
	const Vm *vm = plan->spec->vm;
	g_autofree char *gdb = vm_gdb_address(vm);
	g_autofree char *tree = short_path(vm->trees && vm->trees[0] ? vm->trees[0] : vm->project);
	g_autofree char *up = vm->state == VM_STOPPED_IN_GDB ? g_strdup("is up, stopped in gdb")
			      : plan->running
				      ? g_strdup("is up")
				      : g_strdup_printf("up in %.1f s", times->total / 1000.0);

	printf("%s  %s   kernel %s   gdb %s   tree %s\n", vm->name, up, vm->release, gdb, tree);
}

static void say_differences(const Plan *plan, Progress *progress)
{
	const char *name = plan->spec->vm->name;

	if (!plan->differences || !plan->differences[0])
		return;
	progress_say(progress,
		     "%s runs with an earlier configuration; `devvm reboot %s` applies:", name,
		     name);
	for (gsize i = 0; plan->differences[i]; i++)
		progress_say(progress, "  %s", plan->differences[i]);
}

/* For `status`: where the time of the last start went. */
static void save_times(const Vm *vm, const ApplyTimes *times)
{
	g_autofree char *path = g_build_filename(vm->run_dir, "boot.times", NULL);
	g_autofree char *text = g_strdup_printf("[boot]\ntotal_ms=%u\nstart_ms=%u\nready_ms=%u\n",
						times->total, times->start, times->ready);

	g_file_set_contents(path, text, -1, NULL);
}

static gboolean apply(const VerbContext *ctx, Plan *plan, const Kernel *kernel, Progress *progress,
		      GError **error)
{
	g_autoptr(GPtrArray) notes = g_ptr_array_new_with_free_func(g_free);
	ApplyTimes times = {0};
	guint timeout = plan->spec->vm->kvm ? BOOT_TIMEOUT_KVM_MS : BOOT_TIMEOUT_TCG_MS;
	gboolean ok;

	say_differences(plan, progress);
	for (guint i = 0; i < plan->warnings->len; i++)
		progress_say(progress, "devvm: warning: %s",
			     (char *) g_ptr_array_index(plan->warnings, i));
	ok = apply_plan(plan, kernel, timeout, progress, notes, &times, error);
	for (guint i = 0; i < notes->len; i++)
		progress_say(progress, "devvm: %s", (char *) g_ptr_array_index(notes, i));
	if (!ok)
		return FALSE;
	if (!plan->running)
		save_times(plan->spec->vm, &times);
	if (!ctx->quiet)
		print_summary(plan, &times);
	return TRUE;
}

/* What the user should know of the host, said when a VM is new and not at each start. */
static void add_host_warnings(Plan *plan, const char *no_kvm)
{
	char *lingering;

	if (plan->defined)
		return;
	if (no_kvm)
		g_ptr_array_add(plan->warnings,
				g_strdup_printf("%s runs without KVM, some 10 times slower: %s",
						plan->spec->vm->name, no_kvm));
	lingering = host_lingering();
	if (lingering)
		g_ptr_array_add(plan->warnings, lingering);
}

static Plan *make_plan(const VerbContext *ctx, const char *name, StartMode mode,
		       const VmConfig *config, const Kernel *kernel, GError **error)
{
	g_autoptr(GError) local = NULL;
	g_autoptr(VmRecord) record = vm_record_find(name, &local);
	g_autoptr(FactsBox) box = NULL;
	g_autofree char *no_kvm = NULL;
	gboolean kvm;
	Plan *plan;

	if (local) {
		g_propagate_error(error, g_steal_pointer(&local));
		return NULL;
	}
	if (!host_accel(config->accel, &kvm, &no_kvm, error) ||
	    (config->disks && config->disks->len && !kernel_check_disks(kernel, error)))
		return NULL;
	if (record && mode == START_CHECK_AS_OFF)
		record->spec->vm->state = VM_OFF;
	box = plan_facts_gather(name, config_project(ctx->config), config, kernel, kvm,
				record ? record->spec : NULL);
	plan = plan_make(&box->facts, error);
	if (plan)
		add_host_warnings(plan, no_kvm);
	return plan;
}

gboolean vm_start(const VerbContext *ctx, const char *name, StartMode mode, GError **error)
{
	g_autoptr(Progress) progress = progress_new(ctx->verbose, ctx->quiet);
	GThread *ahead = g_thread_new("connect", connect_ahead, NULL);
	g_autoptr(VmConfig) config = config_vm(ctx->config, name, error);
	g_autoptr(Kernel) kernel = NULL;
	g_autoptr(Plan) plan = NULL;
	g_autofree char *text = NULL;

	progress_step(progress, "read configuration and kernel");
	if (config && !(kernel = kernel_find(config->kernel, error)))
		config_blame(ctx->config, name, "kernel", error);
	progress_step(progress, "look at libvirt");
	g_thread_join(ahead);
	if (!kernel)
		return FALSE;
	plan = make_plan(ctx, name, mode, config, kernel, error);
	progress_step(progress, NULL);
	if (!plan)
		return FALSE;
	if (!ctx->dry_run && mode == START_CHECK_AS_OFF)
		return TRUE;
	if (!ctx->dry_run)
		return apply(ctx, plan, kernel, progress, error);
	text = plan_text(plan);
	fputs(text, stdout);
	return TRUE;
}
