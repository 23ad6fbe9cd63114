/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * devvm's own modules in the guest: /lib/modules/RELEASE/updates/devvm/NAME.ko, and the index
 * files that let modprobe and the kernel's request_module() find them. The files go over the
 * agent's channel, never through a cache. depmod takes more than a second in a TCG guest, so it
 * runs here, over a staging folder of links, and only when something that it looks at has changed.
 */
#pragma once

#include <glib.h>

#include "../vm.h"
#include "link.h"
#include "modinfo.h"

/* The folder on the host whose contents are the guest's /lib/modules/RELEASE. New string. */
char *modindex_kernel_modules(const Vm *vm, GError **error);

typedef struct _ModIndex ModIndex;

/* Looks at what the guest has so far. `kernel_modules`: as above. */
ModIndex *modindex_open(const Vm *vm, const char *kernel_modules, Link *link, GError **error);
void modindex_free(ModIndex *index);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ModIndex, modindex_free)

/* Takes a module in: strips it, and stages it; nothing reaches the guest yet. */
gboolean modindex_add(ModIndex *index, const ModInfo *info, GError **error);

/* Runs depmod if it must. Still nothing reaches the guest. */
gboolean modindex_prepare(ModIndex *index, GError **error);

/* Puts modules and index files into the guest. */
gboolean modindex_install(ModIndex *index, GError **error);
