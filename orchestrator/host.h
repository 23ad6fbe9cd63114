/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What this host can do: probes that only read. Each fills a struct or returns a string for the
 * user; `devvm doctor` prints them all, `up` asks a few.
 */
#pragma once

#include <glib.h>
#include <sys/types.h>

/* KVM, judged as virt-host-validate does: the CPU's flag and the device, not the device alone. */
typedef struct {
	gboolean cpu;	   /* vmx or svm in /proc/cpuinfo */
	gboolean is_guest; /* this host is itself a virtual machine */
	gboolean intel;
	int device_errno; /* of opening /dev/kvm read-write; 0 = it opens */
	char *group;	  /* that the device belongs to, or NULL */
	gboolean member;  /* by the user database; a session that is older does not show it */
} HostKvm;

void host_kvm(HostKvm *kvm);
void host_kvm_clear(HostKvm *kvm);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(HostKvm, host_kvm_clear)
/* Why KVM cannot be used, and the command that mends it (or NULL); NULL when it can. New. */
char *host_kvm_fault(const HostKvm *kvm, char **mend);

/*
 * `wanted`: "auto", "kvm" or "tcg" → *kvm. *why (may be NULL): for "auto" without KVM, one clause
 * that says why; else NULL. "kvm" where it is not usable: DEVVM_ERROR_HOST with the command.
 */
gboolean host_accel(const char *wanted, gboolean *kvm, char **why, GError **error);

/*
 * NULL, or a warning: with the user's last logout systemd removes /run/user/UID, and a fresh
 * libvirt session does not know the VMs that still run. Not where there is no systemd.
 */
char *host_lingering(void);
/* The same with another root than "/" and user: for tests. */
char *host_lingering_in(const char *root, const char *user);

/* NULL, or what is wrong with $XDG_RUNTIME_DIR. */
char *host_runtime_dir_fault(const char *path);

typedef struct {
	char *id;   /* "debian", "fedora", …; "" when unknown */
	char *like; /* ID_LIKE */
	char *name; /* PRETTY_NAME */
} HostOs;

void host_os(const char *root, HostOs *os);
void host_os_clear(HostOs *os);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(HostOs, host_os_clear)
/* The command that installs a package, which Debian's family and Fedora's name differently. */
char *host_install(const HostOs *os, const char *debian, const char *fedora);

/* Is libvirt's daemon there for this user? Versions as "9.0.0"; new strings. */
typedef struct {
	char *uri, *libvirt, *qemu;
	char *error; /* libvirt's own words, NULL when connected */
} HostLibvirt;

void host_libvirt(HostLibvirt *libvirt);
void host_libvirt_clear(HostLibvirt *libvirt);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(HostLibvirt, host_libvirt_clear)

/* A program in PATH or in the sbin folders, which users' PATH lacks on Debian; NULL: none. */
char *host_program(const char *name);
/* The first line that `argv` prints on standard output; NULL when it fails. */
char *host_first_line(const char *const *argv);
/* gdb can run Python. */
gboolean host_gdb_has_python(const char *gdb);

/* 0 when the kernel tells whose a loopback connection is (inet_diag), which guards gdb ports and
 * the NFS server; else an errno. Makes a connection to itself. */
int host_peer_lookup(void);

guint64 host_memory_available(void);			   /* bytes; 0 = unknown */
gboolean host_disk_free(const char *path, guint64 *bytes); /* also of a folder not yet made */

/* The compiler that a kernel with this config file was built with. */
typedef struct {
	char *program; /* "gcc-12" */
	char *version; /* "12.2.0" */
} HostCompiler;

gboolean host_kernel_compiler(const char *config, HostCompiler *compiler);
void host_compiler_clear(HostCompiler *compiler);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(HostCompiler, host_compiler_clear)
