/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What `ls` and `status` tell of a VM, and how. */
#pragma once

#include "../util/json.h"
#include "../vm-record.h"

/* "running"… and "off (QEMU died)". */
const char *vm_record_state_name(const VmRecord *record);
/* "3 min", "2 h 5 min", "4 d"; NULL when it is off or unknown. New string. */
char *vm_live_uptime(const Vm *vm);
/*
 * The project's modules that are loaded in the guest, by blanks; NULL when the guest does not
 * answer at once. Never starts a keeper.
 */
char *vm_live_modules(const Vm *vm);
/* Members of an object: all that the record says. */
void vm_json(Json *json, const VmRecord *record);
/* Rows (of char**, equally long) as aligned columns on standard output. */
void print_columns(GPtrArray *rows);
