// SPDX-License-Identifier: GPL-2.0-or-later
#include "plan.h"

#include <string.h>
#include <sys/un.h>

#include "guest-exports.h"
#include "util/error.h"

/*
 * The kernel's command line. nokaslr: gdb has the addresses of vmlinux. nopti: gdb can set
 * breakpoints in the kernel also while a processor is in user space. quiet: under TCG each line
 * on the serial port costs; warnings and worse still go there, everything is in the log. What is
 * off or cut short here is of no use to a VM without the hardware in question, and costs boot time
 * where nothing is accelerated.
 */
#define CMDLINE                                                                      \
	"console=ttyS0 quiet nokaslr nopti 8250.nr_uarts=1 i8042.noaux i8042.nokbd " \
	"random.trust_cpu=on "                                                       \
	"cryptomgr.notests no_timer_check rcupdate.rcu_expedited=1"

#define LONGEST_SOCKET "keeper.sock" /* in the runtime folder */
#define MIN_DISK_FREE (64ull << 20)  /* for consoles, logs, state */

static PlanStep *add_step(Plan *plan, StepKind kind, char *what, const char *undo)
{
	PlanStep *step = g_new0(PlanStep, 1);

	step->kind = kind;
	step->what = what;
	step->undo = g_strdup(undo);
	g_ptr_array_add(plan->steps, step);
	return step;
}

static void plan_step_free(gpointer data)
{
	PlanStep *step = data;

	g_free(step->what);
	g_free(step->undo);
	g_free(step);
}

void plan_free(Plan *plan)
{
	if (!plan)
		return;
	domain_spec_free(plan->spec);
	g_strfreev(plan->differences);
	g_ptr_array_unref(plan->steps);
	g_ptr_array_unref(plan->warnings);
	g_free(plan->extra_path);
	g_free(plan->old_digest);
	g_strfreev(plan->setup);
	g_strfreev(plan->exports);
	g_free(plan);
}

static GdbMode gdb_mode_of(const char *word)
{
	if (!g_strcmp0(word, "tcp"))
		return GDB_TCP;
	return !g_strcmp0(word, "unix") ? GDB_UNIX : GDB_KEEPER;
}

static DomainSpec *make_spec(const PlanFacts *f)
{
	DomainSpec *spec = domain_spec_new();
	Vm *vm = spec->vm;

	vm->name = g_strdup(f->name);
	vm->uuid = g_strdup(f->uuid);
	vm->project = g_strdup(f->project);
	vm->trees = g_strdupv(f->config->trees);
	vm->release = g_strdup(f->kernel->release);
	vm->image = g_strdup(f->kernel->image);
	vm->vmlinux = g_strdup(f->kernel->vmlinux);
	vm->build = g_strdup(f->kernel->build);
	vm->build_tree = f->kernel->build_tree;
	vm->gdb_mode = gdb_mode_of(f->config->gdb);
	if (f->existing && vm->gdb_mode != GDB_UNIX)
		vm->gdb_port = f->existing->vm->gdb_port;
	vm->group = g_strdup(f->config->group);
	vm->kvm = f->kvm;
	vm->cpus = f->config->cpus;
	vm->memory = f->config->memory;
	vm->run_dir = g_strdup(f->run_dir);
	vm->data_dir = g_strdup(f->data_dir);
	spec->uid = f->uid;
	spec->cmdline = f->config->append && *f->config->append
				? g_strdup_printf("%s %s", CMDLINE, f->config->append)
				: g_strdup(CMDLINE);
	spec->console = g_build_filename(f->data_dir, "console.log", NULL);
	spec->modules = g_strdup(f->kernel->modules);
	spec->source = g_strdup(f->kernel->source);
	for (guint i = 0; f->config->disks && i < f->config->disks->len; i++) {
		g_autofree char *file = g_strdup_printf("scratch%u.img", i);
		g_autofree char *path = g_build_filename(f->data_dir, file, NULL);

		domain_spec_add_disk(spec, path, g_array_index(f->config->disks, guint64, i));
	}
	return spec;
}

/* Rounded to a tenth of a GiB or MiB: what is free is no round number. */
static char *size_text(guint64 bytes)
{
	const guint64 mib = 1 << 20;

	if (bytes >= 1024 * mib)
		return g_strdup_printf("%.1f GiB", (double) bytes / (double) (1024 * mib));
	return g_strdup_printf("%.1f MiB", (double) bytes / (double) mib);
}

static void warn(Plan *plan, char *text)
{
	g_ptr_array_add(plan->warnings, text);
}

static gboolean check_memory(Plan *plan, const PlanFacts *f, GError **error)
{
	g_autofree char *wanted = size_text(f->config->memory);
	g_autofree char *total = size_text(f->memory_total);
	g_autofree char *free_now = size_text(f->memory_free);

	if (f->memory_total && f->config->memory > f->memory_total)
		return devvm_fail(error, DEVVM_ERROR_HOST,
				  "%s needs %s of memory, the host has %s in all: set a smaller "
				  "memory in devvm.conf",
				  f->name, wanted, total);
	if (!plan->running && f->memory_free && f->config->memory > f->memory_free)
		warn(plan, g_strdup_printf("%s may use %s of memory, but only %s are free now",
					   f->name, wanted, free_now));
	return TRUE;
}

static gboolean check_disks(Plan *plan, const PlanFacts *f, GError **error)
{
	g_autofree char *have = size_text(f->disk_free);
	guint64 wanted = 0;

	if (f->disk_free < MIN_DISK_FREE)
		return devvm_fail(error, DEVVM_ERROR_HOST,
				  "only %s are free where %s is: make room, or set XDG_DATA_HOME",
				  have, f->data_dir);
	for (guint i = 0; i < plan->spec->disks->len; i++) {
		DomainDisk *d = g_ptr_array_index(plan->spec->disks, i);
		guint64 there = i < f->n_disk_sizes ? f->disk_sizes[i] : 0;

		if (there > d->bytes) {
			g_autofree char *now = size_text(there);

			warn(plan,
			     g_strdup_printf("disk %u of %s keeps its %s, for cutting it would "
					     "lose data: to begin anew, remove %s",
					     i, f->name, now, d->path));
			d->bytes = there;
		}
		wanted += d->bytes - there;
	}
	if (wanted > f->disk_free) {
		g_autofree char *most = size_text(wanted);

		warn(plan, g_strdup_printf("the disks of %s may grow by %s, but only %s are free",
					   f->name, most, have));
	}
	return TRUE;
}

static gboolean check_paths(const PlanFacts *f, GError **error)
{
	gsize length = strlen(f->run_dir) + strlen("/" LONGEST_SOCKET);
	gsize room = sizeof(((struct sockaddr_un *) NULL)->sun_path) - 1;

	if (length > room)
		return devvm_fail(
			error, DEVVM_ERROR_HOST,
			"%s/%s is %zu bytes long, and a socket's path may have %zu: give "
			"the VM a shorter name, or set XDG_RUNTIME_DIR to a shorter folder",
			f->run_dir, LONGEST_SOCKET, length, room);
	if (f->missing_trees && f->missing_trees[0])
		return devvm_fail(error, DEVVM_ERROR_NOT_FOUND,
				  "the tree %s is no folder: mend `trees` in devvm.conf",
				  f->missing_trees[0]);
	return TRUE;
}

static gboolean check_state(const Plan *plan, const PlanFacts *f, GError **error)
{
	if (!f->existing)
		return TRUE;
	if (f->existing->vm->state == VM_CRASHED)
		return devvm_fail(error, DEVVM_ERROR_FAILED,
				  "%s has crashed and is kept for a look (`devvm console %s`, "
				  "`devvm gdb %s`): `devvm reboot %s` starts it again",
				  f->name, f->name, f->name, f->name);
	if (f->existing->vm->state == VM_PAUSED)
		return devvm_fail(
			error, DEVVM_ERROR_FAILED,
			"%s was paused by somebody else than devvm: `virsh resume %s` lets "
			"it run on",
			f->name, f->name);
	return TRUE;
}

static void plan_disks(Plan *plan, const PlanFacts *f)
{
	for (guint i = 0; i < plan->spec->disks->len; i++) {
		const DomainDisk *d = g_ptr_array_index(plan->spec->disks, i);
		guint64 there = i < f->n_disk_sizes ? f->disk_sizes[i] : 0;
		g_autofree char *size = size_text(d->bytes);

		if (there != d->bytes)
			add_step(plan, STEP_DISKS,
				 g_strdup_printf("%s the scratch disk %s (%s, sparse)",
						 there ? "grow" : "make", d->path, size),
				 NULL);
	}
}

static void plan_new_run(Plan *plan, const PlanFacts *f)
{
	const Vm *vm = plan->spec->vm;
	gboolean new = !plan->defined;

	add_step(plan, STEP_CLEAN, g_strdup("remove sockets and keeper of the last run"), NULL);
	if (vm->gdb_mode != GDB_UNIX)
		add_step(plan, STEP_PORT,
			 vm->gdb_port ? g_strdup_printf("reserve the gdb port %u again, or another",
							vm->gdb_port)
				      : g_strdup("reserve a gdb port"),
			 new ? "free the gdb port" : NULL);
	add_step(plan, STEP_INITRAMFS,
		 g_strdup_printf("find or make the initramfs for %s", vm->release), NULL);
	plan_disks(plan, f);
	add_step(plan, STEP_DEFINE,
		 g_strdup_printf("%s the libvirt domain %s (%s)", new ? "define" : "update",
				 vm->name, vm->kvm ? "KVM" : "TCG"),
		 new ? "undefine the domain" : NULL);
	add_step(plan, STEP_CONSOLE, g_strdup("put the console of the last boot aside"), NULL);
}

static void make_steps(Plan *plan, const PlanFacts *f)
{
	const Vm *vm = plan->spec->vm;

	add_step(plan, STEP_FOLDERS, g_strdup_printf("make %s and %s", vm->run_dir, vm->data_dir),
		 plan->defined ? NULL : "remove the folders and what was put there");
	if (!plan->running)
		plan_new_run(plan, f);
	else if (vm->gdb_port)
		add_step(plan, STEP_PORT, g_strdup_printf("see that port %u is held", vm->gdb_port),
			 NULL);
	add_step(plan, STEP_STATE, g_strdup_printf("write %s/boot.state", vm->run_dir), NULL);
	if (!plan->running)
		add_step(plan, STEP_START, g_strdup("start the domain and its keeper"), NULL);
	add_step(plan, STEP_READY, g_strdup("wait until the guest is ready"), NULL);
}

Plan *plan_make(const PlanFacts *f, GError **error)
{
	g_autoptr(Plan) plan = g_new0(Plan, 1);

	plan->steps = g_ptr_array_new_with_free_func(plan_step_free);
	plan->warnings = g_ptr_array_new_with_free_func(g_free);
	plan->spec = make_spec(f);
	plan->defined = f->existing != NULL;
	plan->running = f->existing && f->existing->vm->state != VM_OFF;
	plan->extra_path = g_strdup(f->config->domain_xml);
	plan->old_digest = f->existing ? g_strdup(f->existing->digest) : NULL;
	if (plan->running) {
		/* What runs is described by what it was started with. */
		plan->differences = domain_spec_differences(f->existing, plan->spec);
		domain_spec_free(plan->spec);
		plan->spec = domain_spec_copy(f->existing);
	}
	if (!check_state(plan, f, error) || !check_paths(f, error) ||
	    (!plan->running && (!check_memory(plan, f, error) || !check_disks(plan, f, error))))
		return NULL;
	if (f->existing && !plan->running && g_strcmp0(f->existing->vm->project, f->project))
		warn(plan, g_strdup_printf("%s was the VM of %s until now, and becomes that of %s",
					   f->name, f->existing->vm->project, f->project));
	plan->setup = guest_setup_lines(plan->spec, f->gid, f->user, f->home, f->module_entries);
	plan->exports = guest_export_lines(plan->spec);
	for (gsize i = 0; f->kernel->warnings && f->kernel->warnings[i]; i++)
		warn(plan, g_strdup(f->kernel->warnings[i]));
	make_steps(plan, f);
	return g_steal_pointer(&plan);
}

char *plan_text(const Plan *plan)
{
	GString *text = g_string_new(NULL);

	for (guint i = 0; i < plan->warnings->len; i++)
		g_string_append_printf(text, "warning: %s\n",
				       (char *) g_ptr_array_index(plan->warnings, i));
	for (gsize i = 0; plan->differences && plan->differences[i]; i++)
		g_string_append_printf(text, "runs with another configuration: %s\n",
				       plan->differences[i]);
	for (guint i = 0; i < plan->steps->len; i++) {
		const PlanStep *step = g_ptr_array_index(plan->steps, i);

		g_string_append_printf(text, "would %s\n", step->what);
		if (step->undo)
			g_string_append_printf(text, "      (on failure: %s)\n", step->undo);
	}
	return g_string_free(text, FALSE);
}

static const char *const gdb_words[] = {
	[GDB_KEEPER] = "keeper", [GDB_TCP] = "tcp", [GDB_UNIX] = "unix"};

static void set_socket(GKeyFile *file, const char *group, const Vm *vm, const char *name)
{
	g_autofree char *path = g_build_filename(vm->run_dir, name, NULL);

	g_key_file_set_string(file, group, "socket", path);
}

char *plan_boot_state(const Plan *plan, const char *uri)
{
	const Vm *vm = plan->spec->vm;
	g_autoptr(GKeyFile) file = g_key_file_new();

	g_key_file_set_string(file, "vm", "name", vm->name);
	g_key_file_set_string(file, "vm", "uuid", vm->uuid);
	g_key_file_set_string(file, "vm", "uri", uri);
	set_socket(file, "agent", vm, "agent.sock");
	g_key_file_set_string_list(file, "agent", "setup", (const char *const *) plan->setup,
				   g_strv_length(plan->setup));
	g_key_file_set_string(file, "gdb", "mode", gdb_words[vm->gdb_mode]);
	g_key_file_set_integer(file, "gdb", "port", (int) vm->gdb_port);
	set_socket(file, "gdb", vm, "gdb.sock");
	set_socket(file, "qmp", vm, "qmp.sock");
	g_key_file_set_string_list(file, "nfs", "exports", (const char *const *) plan->exports,
				   g_strv_length(plan->exports));
	return g_key_file_to_data(file, NULL, NULL);
}
