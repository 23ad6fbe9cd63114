// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <unistd.h>

#include "agent.h"

static int log_fd = 2;
static const char *log_prefix = "";

void log_open(bool kmsg)
{
	int fd = kmsg ? open("/dev/kmsg", O_WRONLY | O_CLOEXEC) : -1;

	if (fd < 0)
		return;
	log_fd = fd;
	log_prefix = "<3>"; /* KERN_ERR: shown on the console of a quiet kernel too */
}

static void say_text(const char *text)
{
	char line[600];
	int n = snprintf(line, sizeof(line), "%sdevvm-agent: %s\n", log_prefix, text);

	if (n >= (int) sizeof(line))
		n = sizeof(line) - 1;
	if (write(log_fd, line, (size_t) n) < 0 && log_fd != 2) {
		log_fd = 2;
		log_prefix = "";
	}
}

void say(const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	say_text(text);
}

void say_errno(const char *format, ...)
{
	int error = errno;
	char text[512], whole[560];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	snprintf(whole, sizeof(whole), "%s: %s", text, strerror(error));
	say_text(whole);
	errno = error;
}

void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

bool write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t) strlen(text);

	close_fd(&fd);
	return ok;
}
