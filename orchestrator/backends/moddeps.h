/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which modules hold which, as the guest's /proc/modules says, and the orders that follow. Pure. */
#pragma once

#include <glib.h>

typedef struct {
	char *name;
	int refcount;	    /* holders and other users together */
	char **holders;	    /* modules that use it; never NULL */
	gboolean permanent; /* it has no exit function: it cannot be unloaded */
} LoadedModule;

/* /proc/modules (proc(5)) → name → LoadedModule*. Lines that make no sense are left out. */
GHashTable *moddeps_parse(const char *proc_modules);

/*
 * The order in which to unload `name` and all that holds it, directly or not: holders first, `name`
 * last. Empty when it is not loaded. char*.
 */
GPtrArray *moddeps_unload_order(GHashTable *loaded, const char *name);

/* How often the module is in use by something that is no module: mounts, open files, the kernel. */
int moddeps_other_users(const LoadedModule *module);
