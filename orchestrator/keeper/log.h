/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The keeper's log, RUNDIR/keeper.log: bounded, the part before it is kept as keeper.log.old. */
#pragma once

#include <glib.h>

/* Opens keeper.log in the current folder; until then klog() writes to stderr. */
gboolean klog_open(GError **error);
/* A line with the time before it. */
void klog(const char *format, ...) G_GNUC_PRINTF(1, 2);
