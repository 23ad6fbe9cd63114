// SPDX-License-Identifier: GPL-2.0-or-later
#include "doctor-checks.h"

#include <string.h>
#include <sys/stat.h>

#include "backends/kernel.h"
#include "config.h"
#include "host.h"
#include "project.h"
#include "util/error.h"
#include "util/paths.h"
#include "util/size.h"

#define DISK_LEAST (256ULL << 20)
#define DISK_BETTER (2ULL << 30)
#define MEMORY_SPARE (256ULL << 20) /* QEMU's own, above the guest's */

typedef struct {
	GPtrArray *findings;
	HostOs os;
	const char *vm;
	Config *files;	  /* NULL when the configuration is wrong, as is config */
	VmConfig *config; /* … or when no tree can be had */
	Kernel *kernel;	  /* NULL when there is none */
} Doctor;

static void finding_free(Finding *finding)
{
	g_free(finding->text);
	g_free(finding->mend);
	g_free(finding);
}

/* Takes `mend`. */
static G_GNUC_PRINTF(5, 6) void note(Doctor *d, FindingLevel level, const char *name, char *mend,
				     const char *format, ...)
{
	Finding *finding = g_new0(Finding, 1);
	va_list args;

	va_start(args, format);
	finding->text = g_strdup_vprintf(format, args);
	va_end(args);
	finding->name = name;
	finding->level = level;
	finding->mend = mend;
	g_ptr_array_add(d->findings, finding);
}

static void check_kvm(Doctor *d)
{
	g_auto(HostKvm) kvm = {0};
	g_autofree char *fault = NULL;
	char *mend;

	host_kvm(&kvm);
	fault = host_kvm_fault(&kvm, &mend);
	if (fault)
		note(d, FINDING_WARNING, "KVM", mend,
		     "not usable: %s; VMs run emulated (TCG), several times slower", fault);
	else
		note(d, FINDING_OK, "KVM", NULL, "usable");
}

static gboolean has_daemon(void)
{
	g_autofree char *old = host_program("libvirtd"), *new = host_program("virtqemud");

	return old || new;
}

static void check_libvirt(Doctor *d)
{
	g_auto(HostLibvirt) libvirt = {0};

	host_libvirt(&libvirt);
	if (libvirt.error)
		note(d, FINDING_FAILURE, "libvirt",
		     has_daemon() ? g_strdup_printf("virsh -c %s list  (its daemon's words are in "
						    "~/.cache/libvirt)",
						    libvirt.uri)
				  : host_install(&d->os,
						 "libvirt-daemon libvirt-clients qemu-system-x86",
						 "libvirt-daemon-driver-qemu libvirt-client "
						 "qemu-system-x86-core"),
		     "cannot connect to %s: %s", libvirt.uri, libvirt.error);
	else
		note(d, FINDING_OK, "libvirt", NULL, "%s at %s", libvirt.libvirt, libvirt.uri);
	if (libvirt.qemu)
		note(d, FINDING_OK, "QEMU", NULL, "%s", libvirt.qemu);
}

static void check_qemu(Doctor *d)
{
	g_autofree char *path = host_program("qemu-system-x86_64");

	if (!path)
		note(d, FINDING_FAILURE, "QEMU",
		     host_install(&d->os, "qemu-system-x86", "qemu-system-x86-core"),
		     "there is no qemu-system-x86_64");
}

static void check_schema(Doctor *d)
{
	static const char path[] = "/usr/share/libvirt/schemas/domain.rng";

	if (g_file_test(path, G_FILE_TEST_EXISTS))
		note(d, FINDING_OK, "XML schema", NULL, "domains are checked against %s", path);
	else
		note(d, FINDING_WARNING, "XML schema",
		     host_install(&d->os, "libvirt-daemon", "libvirt-libs"),
		     "%s is missing: mistakes in extra domain XML show only at the start", path);
}

static void check_runtime_dir(Doctor *d)
{
	const char *path = g_getenv("XDG_RUNTIME_DIR");
	g_autofree char *fault = host_runtime_dir_fault(path);
	gboolean unset = !path || !*path;

	if (!fault)
		note(d, FINDING_OK, "runtime folder", NULL, "%s", path);
	else
		note(d, unset ? FINDING_WARNING : FINDING_FAILURE, "runtime folder",
		     g_strdup(unset ? "log in as yourself (ssh, console), or: export "
				      "XDG_RUNTIME_DIR=/run/user/$(id -u)"
				    : "unset XDG_RUNTIME_DIR, or name a folder of mode 0700 of "
				      "yours"),
		     "%s", fault);
}

static void check_lingering(Doctor *d)
{
	g_autofree char *warning = host_lingering();

	if (warning)
		note(d, FINDING_WARNING, "lingering", g_strdup("loginctl enable-linger"),
		     "off: when you log out, the way to VMs that still run is lost");
	else if (g_file_test("/run/systemd/system", G_FILE_TEST_IS_DIR))
		note(d, FINDING_OK, "lingering", NULL, "on: VMs outlive your logout");
	else
		note(d, FINDING_OK, "lingering", NULL, "not needed here: no systemd");
}

static gboolean is_shared_folder(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == 0 &&
	       (st.st_mode & 01002) == 01002;
}

/* As backends/gdbport.h wants it. */
static void check_locks(Doctor *d)
{
	static const char *const places[] = {"/run/lock", "/var/lock", "/tmp"};

	for (gsize i = 0; i < G_N_ELEMENTS(places); i++)
		if (is_shared_folder(places[i])) {
			note(d, FINDING_OK, "gdb ports", NULL, "shared out in %s", places[i]);
			return;
		}
	note(d, FINDING_FAILURE, "gdb ports", g_strdup("sudo chmod 1777 /tmp"),
	     "neither /run/lock nor /tmp is root's with mode 1777, where all users reserve ports");
}

static void check_peers(Doctor *d)
{
	int fault = host_peer_lookup();

	if (fault)
		note(d, FINDING_FAILURE, "peers", g_strdup("sudo modprobe tcp_diag"),
		     "the kernel does not tell whose a local connection is (%s): nobody could be "
		     "kept from gdb and from the trees",
		     g_strerror(fault));
	else
		note(d, FINDING_OK, "peers", NULL, "the kernel tells whose a local connection is");
}

static void check_own_programs(Doctor *d)
{
	static const char *const names[] = {"devvm-keeper", "devvm-nfsd", "devvm-agent"};
	g_autoptr(GString) missing = g_string_new(NULL);

	for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
		g_autofree char *path = devvm_program(names[i]);

		if (!g_file_test(path, G_FILE_TEST_IS_EXECUTABLE))
			g_string_append_printf(missing, " %s", path);
	}
	if (missing->len)
		note(d, FINDING_FAILURE, "devvm",
		     g_strdup("build and install it whole: sh setup.sh build"),
		     "parts of it are missing:%s", missing->str);
	else
		note(d, FINDING_OK, "devvm", NULL, "%s", DEVVM_VERSION);
}

static void check_gdb(Doctor *d)
{
	g_autofree char *path = host_program("gdb");
	const char *argv[] = {path, "-nx", "--version", NULL};
	g_autofree char *version = path ? host_first_line(argv) : NULL;

	if (!path)
		note(d, FINDING_FAILURE, "gdb", host_install(&d->os, "gdb", "gdb"),
		     "there is no gdb");
	else if (!host_gdb_has_python(path))
		note(d, FINDING_FAILURE, "gdb", host_install(&d->os, "gdb", "gdb"),
		     "%s has no Python, which loads the modules' symbols", path);
	else
		note(d, FINDING_OK, "gdb", NULL, "%s, with Python", version ? version : path);
}

static void check_program(Doctor *d, const char *name, const char *debian, const char *fedora,
			  const char *what_for)
{
	g_autofree char *path = host_program(name);

	if (path)
		note(d, FINDING_OK, name, NULL, "%s", path);
	else
		note(d, FINDING_FAILURE, name, host_install(&d->os, debian, fedora),
		     "is missing: %s", what_for);
}

static void check_tools(Doctor *d)
{
	check_program(d, "make", "make", "make", "it builds modules");
	check_program(d, "depmod", "kmod", "kmod", "it finds out what modules depend on");
}

static gboolean in_project(void)
{
	g_autofree char *cwd = g_get_current_dir(), *file = NULL;
	g_autofree char *project = project_find(cwd, &file);

	return file != NULL;
}

static void check_configuration(Doctor *d)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *trees = NULL;

	d->files = config_load(NULL, &error);
	if (d->files)
		d->config = config_vm(d->files, d->vm, &error);
	if (!d->config) {
		/* To stand in no project says nothing of the host; a wrong devvm.conf does. */
		note(d, d->files && !in_project() ? FINDING_WARNING : FINDING_FAILURE, "project",
		     NULL, "%s", error->message);
		return;
	}
	trees = g_strjoinv(", ", d->config->trees);
	note(d, FINDING_OK, "project", NULL, "%s", trees);
}

static void check_kernel(Doctor *d)
{
	g_autoptr(GError) error = NULL;

	d->kernel = kernel_find(d->config ? d->config->kernel : NULL, &error);
	if (d->kernel && d->config && d->config->disks->len &&
	    !kernel_check_disks(d->kernel, &error))
		g_clear_pointer(&d->kernel, kernel_free);
	if (!d->kernel) {
		if (d->config)
			config_blame(d->files, d->vm, "kernel", &error);
		note(d, FINDING_FAILURE, "kernel", NULL, "%s", error->message);
		return;
	}
	note(d, FINDING_OK, "kernel", NULL, "%s (%s)", d->kernel->release, d->kernel->image);
	for (char **line = d->kernel->warnings; *line; line++)
		note(d, FINDING_WARNING, "kernel", NULL, "%s", *line);
}

static char *symbols_mend(const Doctor *d)
{
	const char *release = d->kernel->release;

	if (d->kernel->build_tree)
		return g_strdup_printf(
			"in %s: scripts/config -e DEBUG_INFO_DWARF_TOOLCHAIN_DEFAULT "
			"&& make olddefconfig && make -j",
			d->kernel->build);
	if (g_str_equal(d->os.id, "ubuntu"))
		return g_strdup_printf("sudo apt-get install linux-image-%s-dbgsym  (from "
				       "ddebs.ubuntu.com)",
				       release);
	if (g_str_equal(d->os.id, "fedora"))
		return g_strdup_printf("sudo dnf debuginfo-install kernel-core-%s", release);
	return g_strdup_printf("sudo apt-get install linux-image-%s-dbg", release);
}

static void check_symbols(Doctor *d)
{
	if (!d->kernel)
		return;
	if (d->kernel->vmlinux)
		note(d, FINDING_OK, "debug symbols", NULL, "%s", d->kernel->vmlinux);
	else
		note(d, FINDING_WARNING, "debug symbols", symbols_mend(d),
		     "none for %s: gdb can show your modules, but nothing of the kernel itself",
		     d->kernel->release);
}

static void check_headers(Doctor *d)
{
	g_autofree char *debian = NULL, *fedora = NULL;

	if (!d->kernel)
		return;
	if (d->kernel->build) {
		note(d, FINDING_OK, "headers", NULL, "%s", d->kernel->build);
		return;
	}
	debian = g_strdup_printf("linux-headers-%s", d->kernel->release);
	fedora = g_strdup_printf("kernel-devel-%s", d->kernel->release);
	note(d, FINDING_FAILURE, "headers", host_install(&d->os, debian, fedora),
	     "none for %s: modules cannot be built", d->kernel->release);
}

/* The version of a compiler that is installed; NULL when it is not. */
static char *compiler_version(const char *program)
{
	const char *gcc[] = {program, "-dumpfullversion", NULL};
	const char *clang[] = {program, "-dumpversion", NULL};
	char *version = host_first_line(gcc);

	return version ? version : host_first_line(clang);
}

static void check_compiler(Doctor *d)
{
	g_auto(HostCompiler) wanted = {0};
	g_autofree char *have = NULL;

	if (!d->kernel || !host_kernel_compiler(d->kernel->config, &wanted)) {
		check_program(d, "gcc", "gcc", "gcc", "it builds modules");
		return;
	}
	have = compiler_version(wanted.program);
	if (!have)
		note(d, FINDING_FAILURE, "compiler",
		     host_install(&d->os, wanted.program, wanted.program),
		     "there is no %s, which built the kernel", wanted.program);
	else if (!g_str_equal(have, wanted.version))
		note(d, FINDING_WARNING, "compiler", NULL,
		     "%s is version %s, the kernel was built with %s: modules mostly work all the "
		     "same",
		     wanted.program, have, wanted.version);
	else
		note(d, FINDING_OK, "compiler", NULL, "%s %s, as the kernel's", wanted.program,
		     have);
}

static void check_memory(Doctor *d)
{
	guint64 available = host_memory_available();
	guint64 wanted = (d->config ? d->config->memory : 1ULL << 30) + MEMORY_SPARE;
	g_autofree char *guest = size_format(wanted - MEMORY_SPARE);

	if (!available)
		return;
	if (available >= wanted)
		note(d, FINDING_OK, "memory", NULL, "%.1f GiB free, a VM takes up to %s",
		     (double) available / (1 << 30), guest);
	else
		note(d, FINDING_WARNING, "memory",
		     g_strdup("end something, or set memory = in devvm.conf"),
		     "%.1f GiB free, but a VM takes up to %s", (double) available / (1 << 30),
		     guest);
}

static void check_disk(Doctor *d, const char *name, const char *path)
{
	guint64 bytes;

	if (!host_disk_free(path, &bytes))
		note(d, FINDING_FAILURE, name, NULL, "cannot tell the free space of %s", path);
	else if (bytes < DISK_BETTER)
		note(d, bytes < DISK_LEAST ? FINDING_FAILURE : FINDING_WARNING, name,
		     g_strdup_printf("du -xsh %s/* | sort -h", g_get_home_dir()),
		     "only %.1f GiB free for %s", (double) bytes / (1 << 30), path);
	else
		note(d, FINDING_OK, name, NULL, "%.1f GiB free for %s", (double) bytes / (1 << 30),
		     path);
}

static void check_disks(Doctor *d)
{
	g_autofree char *cache = devvm_cache_dir(), *vm = devvm_data_dir("x");
	g_autofree char *data = g_path_get_dirname(vm);

	check_disk(d, "disk (VMs)", data);
	check_disk(d, "disk (cache)", cache);
}

static void (*const CHECKS[])(Doctor *) = {
	check_own_programs, check_kvm,		 check_qemu,   check_libvirt, check_schema,
	check_runtime_dir,  check_lingering,	 check_locks,  check_peers,   check_gdb,
	check_tools,	    check_configuration, check_kernel, check_symbols, check_headers,
	check_compiler,	    check_memory,	 check_disks,
};

GPtrArray *doctor_check(const char *vm)
{
	Doctor d = {.vm = vm};

	d.findings = g_ptr_array_new_with_free_func((GDestroyNotify) finding_free);
	host_os("/", &d.os);
	for (gsize i = 0; i < G_N_ELEMENTS(CHECKS); i++)
		CHECKS[i](&d);
	host_os_clear(&d.os);
	g_clear_pointer(&d.files, config_free);
	g_clear_pointer(&d.config, vm_config_free);
	g_clear_pointer(&d.kernel, kernel_free);
	return d.findings;
}
