/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The runtime and data folders of one VM, and what stands in them. */
#pragma once

#include <glib.h>

#include "vm.h"

/*
 * For a VM that is off: ends its keeper (which ends the NFS server), waits until it is gone, and
 * removes what it and QEMU left in the runtime folder. Silent when there is nothing.
 */
gboolean run_dir_clean(const char *run_dir, GError **error);

/* Removes the folder and all in it; no link is followed. Silent when there is none. */
gboolean remove_folder(const char *path, GError **error);

/* The serial console's file: boot 0 is the present one, 1 the one before… */
char *console_path(const Vm *vm, guint boot);
