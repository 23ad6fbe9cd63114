/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a kernel's files say of themselves. */
#pragma once

#include <glib.h>

/*
 * "RELEASE (WHO@WHERE) #1 SMP … DATE" from a bzImage's header (kernel_version at 0x20e, see the
 * kernel's Documentation/x86/boot.rst). DEVVM_ERROR_HOST when the file cannot be read: says how to
 * mend it; DEVVM_ERROR_FAILED when it is no bzImage.
 */
char *kernel_image_version(const char *path, GError **error);

/*
 * NULL when `vmlinux` has debug information and comes from the same build as an image of version
 * `version` (as above); else why not, in a few words; new string. The builds are told apart by the
 * banner in .rodata, which has the build's number and date; one without banner is not refused.
 */
char *kernel_vmlinux_fault(const char *vmlinux, const char *version);
