/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The modules of a kernel build tree, in the form that modprobe wants. */
#pragma once

#include <glib.h>

/*
 * CACHE/kernels/ID/lib/modules/RELEASE with links into the build tree `tree` and depmod's files,
 * made new only when a module or a list of modules of the tree changed; new string. Nothing is
 * written in the tree. Modules that are listed but not built are left out and counted in *missing.
 */
char *kernel_tree_modules(const char *tree, const char *release, guint *missing, GError **error);
