/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is being done, on stderr: one status line on a terminal; elsewhere a line for what takes
 * longer than a second. Verbose: a line with the time of each step. Quiet: nothing.
 */
#pragma once

#include <glib.h>

typedef struct _Progress Progress;

Progress *progress_new(gboolean verbose, gboolean quiet);
void progress_free(Progress *progress);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Progress, progress_free)

/* From now on `what` is being done; ends what was before. NULL: nothing. */
void progress_step(Progress *progress, const char *what);
/* A line for the user, clear of the status line. */
void progress_say(Progress *progress, const char *format, ...) G_GNUC_PRINTF(2, 3);
