// SPDX-License-Identifier: GPL-2.0-or-later
/* PUT, GET, SYMLINK: single files of the guest. */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent.h"

#define PIECE (64u * 1024)

bool make_parents(const char *path)
{
	char copy[PATH_MAX];

	if (snprintf(copy, sizeof(copy), "%s", path) >= (int) sizeof(copy)) {
		errno = ENAMETOOLONG;
		return false;
	}
	for (char *p = strchr(copy + 1, '/'); p; p = strchr(p + 1, '/')) {
		*p = '\0';
		if (mkdir(copy, 0755) < 0 && errno != EEXIST) {
			int error = errno;
			struct stat st;

			/* On a read-only file system mkdir says EROFS for what exists, too. */
			if (stat(copy, &st) < 0) {
				errno = error;
				return false;
			}
		}
		*p = '/';
	}
	return true;
}

/* A name beside `path` that nobody else uses. */
static void temporary_name(const char *path, char *out, size_t size)
{
	snprintf(out, size, "%s.devvm-%d", path, (int) getpid());
}

bool replace_symlink(const char *path, const char *target)
{
	char temporary[PATH_MAX];

	temporary_name(path, temporary, sizeof(temporary));
	unlink(temporary);
	if (symlink(target, temporary) < 0)
		return false;
	if (rename(temporary, path) < 0) {
		int error = errno;

		unlink(temporary);
		errno = error;
		return false;
	}
	return true;
}

void op_symlink_run(struct agent *a, struct wire *args)
{
	const char *path = wire_get_str(args);
	const char *target = wire_get_str(args);

	if (args->bad || path[0] != '/' || !*target)
		report(PROTO_FAILED, EPROTO, "symlink: malformed request");
	if (!make_parents(path) || !replace_symlink(path, target))
		report_errno("cannot make the link %s in the guest", path);
}

static bool write_all(int fd, const uint8_t *data, size_t n)
{
	while (n) {
		ssize_t done = write(fd, data, n);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return false;
		data += done;
		n -= (size_t) done;
	}
	return true;
}

/* Input to fd; false with errno. EPIPE: it ended before `size` bytes; E2BIG: there were more. */
static bool copy_input(int fd, uint64_t size)
{
	static uint8_t piece[PIECE];

	for (;;) {
		ssize_t n = read(0, piece, sizeof(piece));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return false;
		if (n == 0)
			break;
		if ((uint64_t) n > size) {
			errno = E2BIG;
			return false;
		}
		if (!write_all(fd, piece, (size_t) n))
			return false;
		size -= (uint64_t) n;
	}
	errno = EPIPE;
	return size == 0;
}

void op_put_run(struct agent *a, struct wire *args)
{
	const char *path = wire_get_str(args);
	uint32_t mode = wire_get_u32(args);
	uint64_t size = wire_get_u64(args);
	char temporary[PATH_MAX];
	int fd;

	if (args->bad || path[0] != '/' || strlen(path) > PATH_MAX - 32)
		report(PROTO_FAILED, EPROTO, "put: malformed request");
	temporary_name(path, temporary, sizeof(temporary));
	if (!make_parents(path))
		report_errno("cannot make the folders above %s in the guest", path);
	fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		report_errno("cannot write %s in the guest", temporary);
	if (!copy_input(fd, size) || fchmod(fd, mode & 07777) < 0 || close(fd) < 0 ||
	    rename(temporary, path) < 0) {
		int error = errno;

		unlink(temporary);
		errno = error;
		report_errno("cannot write %s in the guest", path);
	}
}

void op_get_run(struct agent *a, struct wire *args)
{
	static uint8_t piece[PIECE];
	const char *path = wire_get_str(args);
	int fd = args->bad ? -1 : open(path, O_RDONLY | O_CLOEXEC);

	if (args->bad)
		report(PROTO_FAILED, EPROTO, "get: malformed request");
	if (fd < 0)
		report_errno("cannot open %s in the guest", path);
	for (;;) {
		ssize_t n = read(fd, piece, sizeof(piece));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			report_errno("cannot read %s in the guest", path);
		if (n == 0)
			break;
		if (!write_all(1, piece, (size_t) n))
			report_errno("cannot pass on %s", path);
	}
}
