/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The initramfs of a host-root guest: the agent, and just the kernel modules needed. libarchive. */
#pragma once

#include "kernel.h"

/*
 * The path of an initramfs for `kernel`, made if the cache has none for exactly this agent and
 * these modules (named by content). The guest needs: virtio_pci, virtio_net, virtio_console,
 * virtio_blk, nfs v3, overlay, pvpanic: what of them is not built in, with dependencies, in loading
 * order.
 */
char *initramfs_make(const Kernel *kernel, const char *agent_path, GError **error);
