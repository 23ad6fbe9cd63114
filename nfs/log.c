// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include "log.h"

enum { LINES = 20, WINDOW_S = 10 };

void nfs_log(const char *fmt, ...)
{
	static time_t window;
	static int lines;
	struct timespec now;
	va_list ap;

	clock_gettime(CLOCK_MONOTONIC, &now);
	if (now.tv_sec - window >= WINDOW_S) {
		window = now.tv_sec;
		lines = 0;
	}
	if (lines > LINES)
		return;
	if (lines++ == LINES) {
		fputs("devvm-nfsd: more lines were left out\n", stderr);
		return;
	}
	fputs("devvm-nfsd: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}
