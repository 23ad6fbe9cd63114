// SPDX-License-Identifier: GPL-2.0-or-later
#include "progress.h"

#include <stdio.h>
#include <unistd.h>

#define PATIENCE_US G_USEC_PER_SEC

struct _Progress {
	gboolean verbose, quiet, terminal;
	char *step;	/* what is being done, or NULL */
	gint64 since;	/* monotonic, µs */
	gboolean shown; /* it stands on the status line, or was said */
	/* A thread says what takes long, since the one that does it is busy. */
	GThread *thread;
	GMutex lock;
	GCond changed;
	gboolean ending;
};

static void clear_line(Progress *p)
{
	if (p->terminal && p->shown && p->step)
		fputs("\r\033[K", stderr);
}

static void show(Progress *p)
{
	if (p->terminal)
		fprintf(stderr, "\r\033[K%s…", p->step);
	else
		fprintf(stderr, "%s…\n", p->step);
	p->shown = TRUE;
}

static gpointer watch(gpointer data)
{
	Progress *p = data;

	g_mutex_lock(&p->lock);
	while (!p->ending) {
		if (!p->step || p->shown)
			g_cond_wait(&p->changed, &p->lock);
		else if (g_get_monotonic_time() >= p->since + PATIENCE_US)
			show(p);
		else
			g_cond_wait_until(&p->changed, &p->lock, p->since + PATIENCE_US);
	}
	g_mutex_unlock(&p->lock);
	return NULL;
}

Progress *progress_new(gboolean verbose, gboolean quiet)
{
	Progress *p = g_new0(Progress, 1);

	p->verbose = verbose;
	p->quiet = quiet;
	p->terminal = isatty(STDERR_FILENO);
	g_mutex_init(&p->lock);
	g_cond_init(&p->changed);
	if (!quiet)
		p->thread = g_thread_new("progress", watch, p);
	return p;
}

static void end_step(Progress *p)
{
	if (!p->step)
		return;
	clear_line(p);
	if (p->verbose)
		fprintf(stderr, "%8.3f s  %s\n",
			(double) (g_get_monotonic_time() - p->since) / G_USEC_PER_SEC, p->step);
	g_clear_pointer(&p->step, g_free);
}

void progress_step(Progress *p, const char *what)
{
	g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&p->lock);

	if (p->quiet)
		return;
	end_step(p);
	p->step = g_strdup(what);
	p->since = g_get_monotonic_time();
	p->shown = FALSE;
	if (what && p->terminal)
		show(p);
	g_cond_signal(&p->changed);
}

void progress_say(Progress *p, const char *format, ...)
{
	g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&p->lock);
	va_list args;

	if (p->quiet)
		return;
	clear_line(p);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	if (p->step && p->terminal)
		show(p);
}

void progress_free(Progress *p)
{
	if (!p)
		return;
	g_mutex_lock(&p->lock);
	end_step(p);
	p->ending = TRUE;
	g_cond_signal(&p->changed);
	g_mutex_unlock(&p->lock);
	if (p->thread)
		g_thread_join(p->thread);
	g_mutex_clear(&p->lock);
	g_cond_clear(&p->changed);
	g_free(p);
}
