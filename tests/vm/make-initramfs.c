// SPDX-License-Identifier: GPL-2.0-or-later
/* make-initramfs AGENT [KERNEL]: prints the initramfs's path, the kernel's image and its release.
 */
#include <stdio.h>

#include "backends/initramfs.h"

int main(int argc, char **argv)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(Kernel) kernel = kernel_find(argc > 2 ? argv[2] : NULL, &error);
	g_autofree char *path = kernel && argc > 1 ? initramfs_make(kernel, argv[1], &error) : NULL;

	if (!path) {
		fprintf(stderr, "%s\n", error ? error->message : "usage: make-initramfs AGENT");
		return 1;
	}
	printf("%s\n%s\n%s\n", path, kernel->image, kernel->release);
	return 0;
}
