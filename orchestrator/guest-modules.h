/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Modules in the live guest: what is loaded, who uses it, unloading, loading, and the proof that
 * what is loaded is what was built. */
#pragma once

#include <glib.h>

#include "backends/link.h"
#include "backends/moddeps.h"
#include "backends/modinfo.h"
#include "config.h"

/* name → LoadedModule* */
GHashTable *guest_modules(Link *link, GError **error);

/*
 * Unloads the modules of `order` (moddeps_unload_order). Before the first one goes it is checked
 * that nothing but each other uses them: else BUSY, naming who does. A module that refuses in
 * mid-way: those that are out already are loaded again, and the error says so.
 */
gboolean guest_modules_unload(Link *link, GHashTable *loaded, GPtrArray *order, gboolean force,
			      const Config *config, GError **error);

/* modprobe, with the parameters of [module NAME]. */
gboolean guest_modules_load(Link *link, const char *name, const Config *config, GError **error);

/* That the loaded module is the one of `info`: else MISMATCH. */
gboolean guest_modules_verify(Link *link, const ModInfo *info, GError **error);

/* Runs the commands of a configuration in the guest's shell, one after the other. */
gboolean guest_modules_run(Link *link, char **commands, const char *key, GError **error);
