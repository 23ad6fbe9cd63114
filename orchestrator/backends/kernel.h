/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A kernel to boot: a release installed on the host, or a build tree. */
#pragma once

#include <glib.h>

typedef struct {
	char *release; /* as `uname -r` will say */
	char *image;   /* readable bzImage or vmlinuz */
	char *vmlinux; /* with debug info, or NULL */
	char *build;   /* for /lib/modules/RELEASE/build, or NULL when headers are not installed */
	char *config;  /* .config or /boot/config-RELEASE, or NULL */
	char *modules; /* /lib/modules/RELEASE; for a build tree a folder of the same form that
			  devvm keeps in its cache, with links into the tree and depmod's files */
	char *source; /* a build tree's sources when they stand elsewhere (make O=…), or NULL; the
			 guest and gdb need both folders */
	gboolean build_tree;
	char **warnings; /* whole lines for the user; NULL-terminated, often empty */
} Kernel;

/*
 * `spec`: a release, a path of a build tree, or NULL for the newest installed release that has
 * modules. NOT_FOUND lists what there is; an image that cannot be read says how to mend it; a
 * kernel that lacks what a guest needs (NFS v3 client, overlay, virtio pci/net/console, devtmpfs,
 * initramfs…) is refused naming the CONFIG options.
 */
Kernel *kernel_find(const char *spec, GError **error);
void kernel_free(Kernel *kernel);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Kernel, kernel_free)

/* kernel_find does not ask for what disks need, as a VM may have none; this does. */
gboolean kernel_check_disks(const Kernel *kernel, GError **error);

/* kernel_find with another root than "/" for what is installed: for tests. */
Kernel *kernel_find_in(const char *root, const char *spec, GError **error);
char **kernel_installed_in(const char *root);

/* <0, 0, >0 as release a is older, the same, newer than b: 6.1.0-9 < 6.1.0-10, 6.2-rc1 < 6.2. */
int kernel_release_compare(const char *a, const char *b);

/* All installed releases, newest first. */
char **kernel_installed(void);
