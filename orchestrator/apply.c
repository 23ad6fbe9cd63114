// SPDX-License-Identifier: GPL-2.0-or-later
#include "apply.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backends/initramfs.h"
#include "backends/link.h"
#include "backends/virt.h"
#include "run-dir.h"
#include "util/error.h"
#include "util/paths.h"
#include "vm-ports.h"

#define CONSOLES_KEPT 3 /* of earlier boots */
#define READY_SLICE_MS 2000

typedef struct {
	Plan *plan;
	const Kernel *kernel;
	guint boot_timeout_ms;
	Progress *progress;
	GPtrArray *notes;
	ApplyTimes *times;
	virDomainPtr domain;
	gboolean made_data, defined; /* by this run: undone by it */
	int port_hold;		     /* gdbport_reserve */
	GThread *keeper;	     /* opens the link while libvirt starts QEMU */
	GError *keeper_error;
	Link *link;
	gint64 started; /* monotonic, when QEMU ran */
} Apply;

static gboolean step_folders(Apply *a, GError **error)
{
	const Vm *vm = a->plan->spec->vm;

	a->made_data = !g_file_test(vm->data_dir, G_FILE_TEST_EXISTS);
	return devvm_make_private_dir(vm->run_dir, error) &&
	       devvm_make_private_dir(vm->data_dir, error);
}

static void undo_folders(Apply *a)
{
	if (!a->made_data)
		return;
	remove_folder(a->plan->spec->vm->run_dir, NULL);
	remove_folder(a->plan->spec->vm->data_dir, NULL);
}

static gboolean step_clean(Apply *a, GError **error)
{
	return run_dir_clean(a->plan->spec->vm->run_dir, error);
}

/* The lock file may have been lost (a cleaner of /tmp); what runs keeps its port in any case. */
static gboolean hold_running_port(Apply *a, GError **error)
{
	Vm *vm = a->plan->spec->vm;
	g_autofree char *note = NULL;
	guint got = vm_reserve_port(vm, FALSE, &a->port_hold, &note, error);

	if (got && got != vm->gdb_port) {
		g_ptr_array_add(a->notes, g_strdup_printf("%s: `devvm reboot %s` finds another",
							  note, vm->name));
		vm_release_ports(vm->name, NULL);
	}
	return got != 0;
}

static gboolean step_port(Apply *a, GError **error)
{
	Vm *vm = a->plan->spec->vm;
	g_autofree char *note = NULL;
	guint had = vm->gdb_port;

	if (a->plan->running)
		return hold_running_port(a, error);
	vm->gdb_port = vm_reserve_port(vm, TRUE, &a->port_hold, &note, error);
	if (!vm->gdb_port)
		return FALSE;
	if (note && had)
		g_ptr_array_add(a->notes, g_strdup_printf("%s: %s has %u from now on", note,
							  vm->name, vm->gdb_port));
	return TRUE;
}

static void undo_port(Apply *a)
{
	if (a->plan->spec->vm->gdb_port)
		vm_release_ports(a->plan->spec->vm->name, NULL);
}

static gboolean step_initramfs(Apply *a, GError **error)
{
	g_autofree char *agent = devvm_program("devvm-agent");

	g_free(a->plan->spec->initrd);
	a->plan->spec->initrd = initramfs_make(a->kernel, agent, error);
	return a->plan->spec->initrd != NULL;
}

static gboolean step_disks(Apply *a, GError **error)
{
	for (guint i = 0; i < a->plan->spec->disks->len; i++) {
		const DomainDisk *d = g_ptr_array_index(a->plan->spec->disks, i);
		int fd = open(d->path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
		struct stat st;
		gboolean ok =
			fd >= 0 && fstat(fd, &st) == 0 &&
			(st.st_size >= (off_t) d->bytes || ftruncate(fd, (off_t) d->bytes) == 0);

		if (!ok)
			devvm_fail_errno(error, DEVVM_ERROR_FAILED, errno,
					 "cannot make the scratch disk %s", d->path);
		if (fd >= 0)
			close(fd);
		if (!ok)
			return FALSE;
	}
	return TRUE;
}

static gboolean read_file(const char *path, char **text, GError **error)
{
	g_autoptr(GError) local = NULL;

	if (g_file_get_contents(path, text, NULL, &local))
		return TRUE;
	return devvm_fail(error, DEVVM_ERROR_NOT_FOUND, "%s", local->message);
}

static char *make_xml(Apply *a, char **digest, GError **error)
{
	g_autofree char *path = devvm_data_file("domain.xml");
	g_autofree char *template = NULL, *extra = NULL;

	if (!read_file(path, &template, error) ||
	    (a->plan->extra_path && !read_file(a->plan->extra_path, &extra, error)))
		return NULL;
	return domain_xml_make(template, a->plan->spec, extra, a->plan->extra_path, digest, error);
}

static gboolean step_define(Apply *a, GError **error)
{
	g_autofree char *digest = NULL;
	g_autofree char *xml = make_xml(a, &digest, error);

	if (!xml)
		return FALSE;
	if (g_strcmp0(digest, a->plan->old_digest)) {
		a->domain = virt_define(xml, error);
		a->defined = a->domain && !a->plan->defined;
		if (!a->domain && a->plan->extra_path)
			g_prefix_error(error, "with %s merged in: ", a->plan->extra_path);
	} else {
		a->domain = virt_find_uuid(a->plan->spec->vm->uuid, error);
	}
	if (!a->domain)
		return FALSE;
	if (a->port_hold >= 0)
		close(a->port_hold);
	a->port_hold = -1;
	return TRUE;
}

static void undo_define(Apply *a)
{
	if (a->defined)
		virt_undefine(a->domain, NULL);
}

/* console.log → console.1.log → … */
static gboolean step_console(Apply *a, GError **error)
{
	const char *now = a->plan->spec->console;
	int fd;

	for (int i = CONSOLES_KEPT; i >= 1; i--) {
		g_autofree char *old = console_path(a->plan->spec->vm, i - 1);
		g_autofree char *older = console_path(a->plan->spec->vm, i);

		if (rename(old, older) < 0 && errno != ENOENT)
			return devvm_fail_errno(error, DEVVM_ERROR_FAILED, errno,
						"cannot put %s aside", old);
	}
	fd = open(now, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return devvm_fail_errno(error, DEVVM_ERROR_FAILED, errno, "cannot write %s", now);
	close(fd);
	return TRUE;
}

static gboolean step_state(Apply *a, GError **error)
{
	g_autofree char *text = plan_boot_state(a->plan, virt_uri());
	g_autofree char *path = g_build_filename(a->plan->spec->vm->run_dir, "boot.state", NULL);

	if (g_file_set_contents_full(path, text, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0600, error))
		return TRUE;
	g_prefix_error(error, "cannot write the keeper's orders: ");
	return FALSE;
}

static gpointer open_link(gpointer data)
{
	Apply *a = data;

	return link_open(a->plan->spec->vm, &a->keeper_error);
}

static gboolean step_start(Apply *a, GError **error)
{
	gint64 before = g_get_monotonic_time();

	/* The keeper waits for QEMU's sockets, so it can come up meanwhile. */
	a->plan->spec->vm->state = VM_RUNNING;
	a->keeper = g_thread_new("keeper", open_link, a);
	if (!virt_start(a->domain, error))
		return FALSE;
	a->started = g_get_monotonic_time();
	a->times->start = (guint) ((a->started - before) / 1000);
	return TRUE;
}

static void join_keeper(Apply *a)
{
	if (a->keeper)
		a->link = g_thread_join(g_steal_pointer(&a->keeper));
}

static void undo_start(Apply *a)
{
	join_keeper(a);
	g_clear_pointer(&a->link, link_close);
	run_dir_clean(a->plan->spec->vm->run_dir, NULL);
}

/* A kernel that panics before it knows of the panic device spins for ever: its console tells. */
static gboolean has_panicked(const Apply *a)
{
	g_autofree char *text = NULL;
	gsize size;

	return g_file_get_contents(a->plan->spec->console, &text, &size, NULL) &&
	       g_strstr_len(text, (gssize) size, "Kernel panic - not syncing");
}

/* In slices, with a look at the console after each. */
static gboolean wait_ready(Apply *a, GError **error)
{
	const gint64 deadline = g_get_monotonic_time() + (gint64) a->boot_timeout_ms * 1000;

	for (;;) {
		gint64 now = g_get_monotonic_time();
		guint slice = (guint) CLAMP((deadline - now) / 1000, 1, READY_SLICE_MS);
		g_autoptr(GError) local = NULL;

		if (link_wait_ready(a->link, slice, &local))
			return TRUE;
		/* Before its time is up an error is no mere lateness. */
		if (g_get_monotonic_time() - now >= (gint64) slice * 1000 && !has_panicked(a) &&
		    g_get_monotonic_time() < deadline)
			continue;
		g_propagate_error(error, g_steal_pointer(&local));
		if (has_panicked(a))
			g_prefix_error(error, "the guest's kernel panicked: ");
		return FALSE;
	}
}

static gboolean step_ready(Apply *a, GError **error)
{
	Vm *vm = a->plan->spec->vm;
	gboolean ok;

	if (vm->state == VM_STOPPED_IN_GDB)
		return TRUE;
	if (!a->keeper)
		a->keeper = g_thread_new("keeper", open_link, a);
	join_keeper(a);
	if (!a->link) {
		g_propagate_error(error, g_steal_pointer(&a->keeper_error));
		return FALSE;
	}
	ok = wait_ready(a, error);
	if (ok && a->started)
		a->times->ready = (guint) ((g_get_monotonic_time() - a->started) / 1000);
	return ok;
}

/* By StepKind. An undo is called for the step that failed too. */
static const struct {
	gboolean (*run)(Apply *a, GError **error);
	void (*undo)(Apply *a);
} steps[] = {
	[STEP_FOLDERS] = {step_folders, undo_folders},
	[STEP_CLEAN] = {step_clean, NULL},
	[STEP_PORT] = {step_port, undo_port},
	[STEP_INITRAMFS] = {step_initramfs, NULL},
	[STEP_DISKS] = {step_disks, NULL},
	[STEP_DEFINE] = {step_define, undo_define},
	[STEP_CONSOLE] = {step_console, NULL},
	[STEP_STATE] = {step_state, NULL},
	[STEP_START] = {step_start, undo_start},
	[STEP_READY] = {step_ready, NULL},
};

/*
 * From the step that failed backwards. Once QEMU runs nothing is undone: a guest that does not come
 * up is there to be looked at.
 */
static void undo(Apply *a, guint failed)
{
	const PlanStep *first = g_ptr_array_index(a->plan->steps, failed);

	if (first->kind == STEP_READY)
		return;
	for (guint i = failed + 1; i-- > 0;) {
		const PlanStep *step = g_ptr_array_index(a->plan->steps, i);

		if ((step->undo || step->kind == STEP_START) && steps[step->kind].undo)
			steps[step->kind].undo(a);
	}
}

gboolean apply_plan(Plan *plan, const Kernel *kernel, guint boot_timeout_ms, Progress *progress,
		    GPtrArray *notes, ApplyTimes *times, GError **error)
{
	Apply a = {.plan = plan,
		   .kernel = kernel,
		   .boot_timeout_ms = boot_timeout_ms,
		   .progress = progress,
		   .notes = notes,
		   .times = times,
		   .port_hold = -1};
	gint64 began = g_get_monotonic_time();
	gboolean ok = TRUE;

	for (guint i = 0; ok && i < plan->steps->len; i++) {
		const PlanStep *step = g_ptr_array_index(plan->steps, i);

		progress_step(progress, step->what);
		ok = steps[step->kind].run(&a, error);
		if (!ok)
			undo(&a, i);
	}
	progress_step(progress, NULL);
	join_keeper(&a);
	g_clear_pointer(&a.link, link_close);
	g_clear_error(&a.keeper_error);
	g_clear_pointer(&a.domain, virDomainFree);
	if (a.port_hold >= 0)
		close(a.port_hold);
	times->total = (guint) ((g_get_monotonic_time() - began) / 1000);
	return ok;
}
