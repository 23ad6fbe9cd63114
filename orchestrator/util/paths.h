/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where devvm's files stand. All returned strings are new and absolute. */
#pragma once

#include <glib.h>

/* $XDG_RUNTIME_DIR/devvm/NAME, or $XDG_CACHE_HOME/devvm/run/NAME where there is none. */
char *devvm_run_dir(const char *vm);
/* $XDG_DATA_HOME/devvm/NAME: disks and the console's log. */
char *devvm_data_dir(const char *vm);
/* $XDG_CACHE_HOME/devvm */
char *devvm_cache_dir(void);

/* Makes `path` and its parents with mode 0700 and checks that it is ours and nobody else's. */
gboolean devvm_make_private_dir(const char *path, GError **error);

/*
 * A file of templates/, or a program of ours (devvm-keeper, devvm-nfsd, devvm-agent): beside the
 * running program in the build folder, else where `meson install` put it.
 */
char *devvm_data_file(const char *name);
char *devvm_program(const char *name);

/* TRUE when `name` may be a VM's name: 1 to 40 of [A-Za-z0-9._-], the first a letter or digit. */
gboolean devvm_vm_name_ok(const char *name, GError **error);
