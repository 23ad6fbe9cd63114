/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Files that grow, shown on standard output. */
#pragma once

#include <glib.h>

/* The last `lines` lines of the file; -1: all of it. *end: where it ended (for tail_follow). */
gboolean tail_print(const char *path, int lines, goffset *end, GError **error);
/*
 * What is added to the file from offset `from` on, until `alive` says no (asked each second) or the
 * reader of our standard output leaves. A file that was replaced or cut is begun anew.
 */
gboolean tail_follow(const char *path, goffset from, gboolean (*alive)(gpointer data),
		     gpointer data, GError **error);
/* The last `lines` lines of a text: points into it. */
const char *tail_of_text(const char *text, int lines);
/* Writes all of it to standard output. FALSE: the reader has left. */
gboolean tail_write(const char *bytes, gsize size);
