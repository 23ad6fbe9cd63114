// SPDX-License-Identifier: GPL-2.0-or-later
/* The first moments of PID 1 in the initramfs: the kernel's file systems, modules. */
#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent.h"

#define MODULE_LIST "/devvm/modules"
#define NODE_LIST "/devvm/modules.devname"

static void mount_kernel_fs(const char *type, const char *where, unsigned long flags)
{
	mkdir(where, 0755);
	if (mount(type, where, type, flags, NULL) < 0 && errno != EBUSY)
		say_errno("cannot mount %s on %s", type, where);
}

void early_boot(struct agent *a)
{
	mount_kernel_fs("devtmpfs", "/dev", MS_NOSUID);
	log_open(true);
	mount_kernel_fs("proc", "/proc", MS_NOSUID | MS_NODEV | MS_NOEXEC);
	mount_kernel_fs("sysfs", "/sys", MS_NOSUID | MS_NODEV | MS_NOEXEC);
}

static void insert_module(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		say_errno("cannot open the module %s", path);
	else if (syscall(SYS_finit_module, fd, "", 0) < 0 && errno != EEXIST)
		say_errno("cannot insert the module %s", path);
	close_fd(&fd);
}

static void load_listed(void)
{
	static char list[16 * 1024];
	int fd = open(MODULE_LIST, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, list, sizeof(list) - 1) : 0;
	char *rest = list;

	close_fd(&fd);
	if (n < 0)
		say_errno("cannot read " MODULE_LIST);
	while (rest && *rest) {
		char *path = strsep(&rest, "\n");

		if (*path)
			insert_module(path);
	}
}

void early_load_modules(struct agent *a)
{
	int fds[2] = {-1, -1};
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		say_errno("cannot make a pipe");
	pid = fork();
	if (pid == 0) {
		close_fd(&fds[0]);
		load_listed();
		net_loopback();
		devices_static_nodes(NODE_LIST);
		_exit(0);
	}
	close_fd(&fds[1]);
	a->loader_done = fds[0];
	if (pid < 0) {
		say_errno("cannot fork to insert modules");
		load_listed();
	}
}
