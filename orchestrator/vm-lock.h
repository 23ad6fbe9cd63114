/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One command at a time changes a VM: a lock file beside its runtime folder, ended by the kernel
 * with the process that holds it.
 */
#pragma once

#include <glib.h>

typedef struct {
	char *path;
	int fd;
} VmLock;

/* Waits while another devvm works on the VM, after saying so on stderr (unless quiet). */
VmLock *vm_lock(const char *name, gboolean quiet, GError **error);
/* Ends the lock; after vm_lock_remove its file goes too. */
void vm_unlock(VmLock *lock);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmLock, vm_unlock)
void vm_lock_remove(VmLock *lock);
