/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What devvm knows of one VM, read from libvirt: the domain's XML with devvm's <metadata>, and its
 * live state. libvirt is the only record: nothing of this is stored elsewhere.
 */
#pragma once

#include <glib.h>

typedef enum {
	VM_OFF,
	VM_RUNNING,
	VM_STOPPED_IN_GDB, /* paused, and not by libvirt's user */
	VM_PAUSED,	   /* by `virsh suspend` */
	VM_CRASHED,	   /* the guest panicked and is kept */
} VmState;

typedef enum { GDB_KEEPER, GDB_TCP, GDB_UNIX } GdbMode;

typedef struct {
	char *name, *uuid;
	VmState state;
	gint64 started_us; /* wall clock of the start, µs since the epoch; 0 = unknown or off */
	char *project; /* folder of the project (git top or devvm.conf's) that `up` was run for */
	char **trees;  /* absolute paths, same on host and guest */
	char *release; /* `uname -r` of the guest's kernel */
	char *image;   /* bzImage or vmlinuz */
	char *vmlinux; /* with debug info; NULL where there is none */
	char *build;   /* what /lib/modules/RELEASE/build points to; NULL where there is none */
	gboolean build_tree; /* the kernel is a build tree (then `build` is it), not a package */
	GdbMode gdb_mode;
	guint gdb_port; /* 0 in mode unix */
	char *group;	/* or NULL */
	gboolean kvm;	/* FALSE: TCG */
	guint cpus;
	guint64 memory;		  /* bytes */
	char *run_dir, *data_dir; /* util/paths.h */
} Vm;

void vm_free(Vm *vm);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Vm, vm_free)

/* The VM of that name: DEVVM_ERROR_NOT_FOUND (listing those that exist) when devvm has none. */
Vm *vm_lookup(const char *name, GError **error);
/* All VMs of devvm's, by name; an element is a Vm*. */
GPtrArray *vm_list(GError **error);
/* The only VM that is up; with none or several an error that says which and what to type. */
Vm *vm_default(GError **error);
/* "running", "stopped in gdb", "paused", "crashed", "off" */
const char *vm_state_name(VmState state);
/* "127.0.0.1:1234" or the unix socket's path; new string. */
char *vm_gdb_address(const Vm *vm);
