/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which kernel modules an initramfs needs, in which order, and their bytes. libkmod, libarchive. */
#pragma once

#include <glib.h>

/*
 * The files of `names` and of all they depend on, soft dependencies too, in an order in which they
 * can be inserted. What is built in, or unknown to this kernel, is left out (kernel_find has
 * refused kernels that lack what is needed). `folder` is /lib/modules/RELEASE.
 */
GPtrArray *initramfs_modules(const char *folder, const char *const *names, GError **error);

/* The module's bytes, decompressed (.xz .zst .gz) and without its signature. */
GBytes *initramfs_module_read(const char *path, GError **error);
