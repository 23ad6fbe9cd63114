// SPDX-License-Identifier: GPL-2.0-or-later
#include "tail.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../util/error.h"

#define CHUNK (64 * 1024)
#define ALIVE_CHECK_MS 1000

gboolean tail_write(const char *bytes, gsize size)
{
	while (size) {
		gssize n = write(STDOUT_FILENO, bytes, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return FALSE;
		bytes += n;
		size -= (gsize) n;
	}
	return TRUE;
}

const char *tail_of_text(const char *text, int lines)
{
	const char *p = text + strlen(text);

	if (lines < 0)
		return text;
	if (p > text && p[-1] == '\n')
		p--;
	for (; p > text; p--)
		if (p[-1] == '\n' && --lines <= 0)
			break;
	return p;
}

static int open_file(const char *path, GError **error)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0 && errno == ENOENT)
		devvm_fail(error, DEVVM_ERROR_NOT_FOUND,
			   "there is no console at %s: the VM has not been started yet", path);
	else if (fd < 0)
		devvm_fail_errno(error, DEVVM_ERROR_FAILED, errno, "cannot read %s", path);
	return fd;
}

/* From offset `from` to the present end. FALSE: the reader has left. */
static gboolean copy_rest(int fd, goffset from, goffset *end)
{
	static char buffer[CHUNK];
	gssize n;

	*end = from;
	while ((n = pread(fd, buffer, sizeof(buffer), *end)) > 0) {
		if (!tail_write(buffer, (gsize) n))
			return FALSE;
		*end += n;
	}
	return TRUE;
}

/* Where the last `lines` lines begin: the file is read backwards, for it may be large. */
static goffset start_of_lines(int fd, int lines)
{
	static char buffer[CHUNK];
	struct stat st;
	goffset pos = fstat(fd, &st) == 0 ? st.st_size : 0;
	const goffset size = pos;

	while (pos > 0) {
		goffset from = MAX(0, pos - CHUNK);
		gssize n = pread(fd, buffer, (gsize) (pos - from), from);

		for (gssize i = n; i > 0; i--)
			/* The newline at the very end ends the last line, it begins none. */
			if (buffer[i - 1] == '\n' && from + i != size && --lines <= 0)
				return from + i;
		pos = n > 0 ? from : 0;
	}
	return 0;
}

gboolean tail_print(const char *path, int lines, goffset *end, GError **error)
{
	int fd = open_file(path, error);

	if (fd < 0)
		return FALSE;
	copy_rest(fd, lines < 0 ? 0 : start_of_lines(fd, lines), end);
	close(fd);
	return TRUE;
}

/* Until the file changed, or a second has passed; FALSE: the reader of our output has left. */
static gboolean wait_for_change(int watch)
{
	struct pollfd p[2] = {{.fd = watch, .events = POLLIN}, {.fd = STDOUT_FILENO}};
	char events[4096];

	poll(p, 2, ALIVE_CHECK_MS);
	if (p[0].revents & POLLIN)
		(void) !read(watch, events, sizeof(events));
	return !(p[1].revents & (POLLERR | POLLHUP));
}

gboolean tail_follow(const char *path, goffset from, gboolean (*alive)(gpointer data),
		     gpointer data, GError **error)
{
	int watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	gboolean more = TRUE;
	goffset end = from;
	struct stat st;

	if (watch < 0 ||
	    inotify_add_watch(watch, path, IN_MODIFY | IN_MOVE_SELF | IN_DELETE_SELF) < 0) {
		devvm_fail_errno(error, DEVVM_ERROR_FAILED, errno, "cannot watch %s", path);
		if (watch >= 0)
			close(watch);
		return FALSE;
	}
	while (more) {
		gboolean living = alive(data); /* asked first: what came before its end is shown */
		int fd = open_file(path, NULL);

		more = fd >= 0;
		if (fd >= 0 && fstat(fd, &st) == 0 && st.st_size < end)
			end = 0;
		if (fd >= 0) {
			more = copy_rest(fd, end, &end);
			close(fd);
		}
		more = more && living && wait_for_change(watch);
	}
	close(watch);
	return TRUE;
}
