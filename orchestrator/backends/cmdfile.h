/* SPDX-License-Identifier: GPL-2.0-or-later */
/* kbuild's .NAME.cmd files: which inputs a product was made of (scripts/basic/fixdep.c). */
#pragma once

#include <glib.h>

/* Calls f for each file named in source_… and deps_…; relative names as they stand. */
void cmdfile_each_input(const char *cmd_path, void (*f)(const char *path, gpointer data),
			gpointer data);
