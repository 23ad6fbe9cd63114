/* SPDX-License-Identifier: GPL-2.0-or-later */
/* gdb ports of devvm's VMs: backends/gdbport with what libvirt knows of them. */
#pragma once

#include <glib.h>

#include "vm.h"

/* As gdbport_reserve, for vm->gdb_port; ports that other VMs of ours keep are avoided. */
guint vm_reserve_port(const Vm *vm, gboolean probe, int *hold, char **note, GError **error);
gboolean vm_has_port(const char *name);
/* Frees every port whose file names this VM of ours; the VM need not exist any more. */
gboolean vm_release_ports(const char *name, GError **error);
