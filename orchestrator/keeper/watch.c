// SPDX-License-Identifier: GPL-2.0-or-later
#include "watch.h"

struct Watch {
	GSource source; /* first: a Watch is a GSource */
	gpointer tag;
	GIOCondition cond;
	WatchFunc f;
	gpointer data;
};

static gboolean ready(GSource *source)
{
	Watch *w = (Watch *) source;

	return g_source_query_unix_fd(source, w->tag) != 0;
}

static gboolean dispatch(GSource *source, GSourceFunc unused, gpointer unused_data)
{
	Watch *w = (Watch *) source;
	GIOCondition got = g_source_query_unix_fd(source, w->tag);

	if (got)
		w->f(w->data, got);
	return G_SOURCE_CONTINUE;
}

static GSourceFuncs functions = {.check = ready, .dispatch = dispatch};

Watch *watch_new(int fd, GIOCondition cond, WatchFunc f, gpointer data)
{
	Watch *w = (Watch *) g_source_new(&functions, sizeof(*w));

	w->cond = cond;
	w->f = f;
	w->data = data;
	w->tag = g_source_add_unix_fd(&w->source, fd, cond);
	g_source_attach(&w->source, NULL);
	return w;
}

void watch_set(Watch *w, GIOCondition cond)
{
	if (w->cond == cond)
		return;
	w->cond = cond;
	g_source_modify_unix_fd(&w->source, w->tag, cond);
}

void watch_free(Watch *w)
{
	if (!w)
		return;
	g_source_destroy(&w->source);
	g_source_unref(&w->source);
}
