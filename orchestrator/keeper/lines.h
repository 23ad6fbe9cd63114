/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A byte stream cut into lines of bounded length. Pure. */
#pragma once

#include <glib.h>

#define LINES_MAX_BYTES ((gsize) 64 * 1024)

typedef struct {
	GByteArray *line; /* what there is of the present one */
	gboolean skip;	  /* it is too long: dropped whole */
} Lines;

void lines_init(Lines *l);
void lines_clear(Lines *l);
/* Calls f with each whole line, without its end; empty ones and those too long are left out. */
typedef void (*LinesFunc)(gpointer data, const char *line, gsize n);
void lines_add(Lines *l, const guint8 *bytes, gsize n, LinesFunc f, gpointer data);
