/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How gdb is started for a VM. Pure: reads the VM's record and whether files exist, runs nothing.
 */
#pragma once

#include <glib.h>

#include "../vm.h"

typedef struct {
	const Vm *vm;
	const char *script;	     /* templates/devvm-gdb.py */
	const char *index_cache;     /* folder where gdb keeps its index of vmlinux */
	gboolean batch;		     /* run the commands, detach, end */
	gboolean lx_symbols;	     /* the kernel's own loader of module symbols, not devvm's */
	const char *const *commands; /* gdb commands to run once attached; may be NULL */
	const char *const *more;     /* more arguments for gdb, at the end; may be NULL */
} GdbRequest;

/*
 * NOT_FOUND when the VM's kernel has no vmlinux with debug information (the message says how to
 * get one), or no lx-symbols when that was asked for.
 */
gboolean gdb_request_check(const GdbRequest *request, GError **error);

/* argv for gdb, NULL-terminated; argv[0] is "gdb". */
char **gdb_command_line(const GdbRequest *request);

/* The same set-up as lines that a gdb started by something else can `source`. */
char *gdb_setup_text(const GdbRequest *request);
