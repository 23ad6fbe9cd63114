/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which file on the host has the symbols of each module in the guest: RUNDIR/symbols.json, which
 * templates/gdb/devvm_registry.py reads (its format stands there), and the copies that it names:
 * CACHE/ko/NAME-IDENTITY.ko, never written again once they are there, since make rewrites the .ko's
 * of a tree at any moment.
 */
#pragma once

#include <glib.h>

#include "backends/modinfo.h"
#include "vm.h"

/* Copies the .ko to its immutable place and reads it there: path is that of the copy. */
ModInfo *symbols_keep(const char *ko, GError **error);

/* Adds modules (of ModInfo*, from symbols_keep) to the VM's symbols.json, atomically. */
gboolean symbols_register(const Vm *vm, GPtrArray *infos, GError **error);

/* Removes copies that no VM's symbols.json names, but the newest few of each module. */
void symbols_prune(const Vm *vm);
