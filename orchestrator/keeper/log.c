// SPDX-License-Identifier: GPL-2.0-or-later
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "util/error.h"

#define LOG_NAME "keeper.log"
#define LOG_MAX (256 * 1024)

static int log_fd = -1;
static gsize log_size;

gboolean klog_open(GError **error)
{
	int fd = open(LOG_NAME, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	off_t end;

	if (fd < 0)
		return devvm_fail_errno(error, DEVVM_ERROR_FAILED, errno, "cannot open %s",
					LOG_NAME);
	if (log_fd >= 0)
		close(log_fd);
	log_fd = fd;
	end = lseek(fd, 0, SEEK_END);
	log_size = end > 0 ? (gsize) end : 0;
	return TRUE;
}

static void write_line(const char *line, gsize n)
{
	int fd = log_fd >= 0 ? log_fd : STDERR_FILENO;

	if (log_fd >= 0 && log_size + n > LOG_MAX && rename(LOG_NAME, LOG_NAME ".old") == 0) {
		klog_open(NULL);
		fd = log_fd;
	}
	if (write(fd, line, n) == (gssize) n)
		log_size += n;
}

void klog(const char *format, ...)
{
	g_autoptr(GDateTime) now = g_date_time_new_now_local();
	g_autofree char *when = now ? g_date_time_format(now, "%F %T") : g_strdup("-");
	g_autofree char *text = NULL, *line = NULL;
	va_list args;

	va_start(args, format);
	text = g_strdup_vprintf(format, args);
	va_end(args);
	g_strdelimit(text, "\r\n", ' ');
	if (log_fd >= 0)
		line = g_strdup_printf("%s.%03d %.2000s\n", when,
				       now ? g_date_time_get_microsecond(now) / 1000 : 0, text);
	else
		line = g_strdup_printf("devvm-keeper: %.2000s\n", text);
	write_line(line, strlen(line));
}
