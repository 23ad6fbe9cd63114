// SPDX-License-Identifier: GPL-2.0-or-later
#include "lines.h"

#include <string.h>

void lines_init(Lines *l)
{
	l->line = g_byte_array_new();
	l->skip = FALSE;
}

void lines_clear(Lines *l)
{
	g_clear_pointer(&l->line, g_byte_array_unref);
}

static void end_line(Lines *l, LinesFunc f, gpointer data)
{
	gsize n = l->line->len;

	if (n > 0 && l->line->data[n - 1] == '\r')
		n--;
	if (!l->skip && n > 0)
		f(data, (const char *) l->line->data, n);
	g_byte_array_set_size(l->line, 0);
	l->skip = FALSE;
}

void lines_add(Lines *l, const guint8 *bytes, gsize n, LinesFunc f, gpointer data)
{
	while (n > 0) {
		const guint8 *end = memchr(bytes, '\n', n);
		gsize part = end ? (gsize) (end - bytes) : n;

		if (l->line->len + part > LINES_MAX_BYTES)
			l->skip = TRUE;
		if (l->skip)
			g_byte_array_set_size(l->line, 0);
		else
			g_byte_array_append(l->line, bytes, (guint) part);
		if (!end)
			return;
		end_line(l, f, data);
		bytes = end + 1;
		n -= part + 1;
	}
}
