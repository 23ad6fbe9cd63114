// SPDX-License-Identifier: GPL-2.0-or-later
#include "unix-connect.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int unix_connect(const char *path, int flags)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	g_autofree char *folder = g_path_get_dirname(path), *base = g_path_get_basename(path);
	int dir = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC), fd, saved;

	if (dir < 0)
		return -errno;
	/* By way of the folder's fd, because sun_path is short. */
	if (g_snprintf(a.sun_path, sizeof(a.sun_path), "/proc/self/fd/%d/%s", dir, base) >=
	    (int) sizeof(a.sun_path)) {
		close(dir);
		return -ENAMETOOLONG;
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *) &a, sizeof(a)) == 0) {
		close(dir);
		return fd;
	}
	saved = errno;
	if (fd >= 0)
		close(fd);
	close(dir);
	return -saved;
}
