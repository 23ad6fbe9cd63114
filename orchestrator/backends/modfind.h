/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which folder of the trees makes NAME.ko, and from which folder one builds it. Reads Kbuild files
 * and Makefiles; decides by them alone. Left-overs of builds never decide.
 */
#pragma once

#include <glib.h>

#include "../config.h"

typedef struct {
	char *name; /* plain: '_' for '-' */
	char *tree; /* the tree that it was found in; NULL when the configuration said the folder */
	char *dir;  /* folder of the Kbuild or Makefile that makes it */
	char *ko;   /* where its build puts the .ko; NULL: somewhere below dir (only the build
		       command knows) */
	char *root; /* folder to build from: dir, or one above that descends into it */
	char **configs;	       /* CONFIG_X that its goal, and the folders on the way, hang on */
	gboolean own_make;     /* `make` in root builds modules (its Makefile calls the kernel's) */
	char *kernel_variable; /* the variable in which that Makefile has the kernel's folder */
	char *kernel_source;   /* top of the whole kernel source that dir is part of, or NULL */
	char *build_command;   /* from the configuration, or NULL */
} ModPlace;

/*
 * [module NAME] wins; else the trees are searched. NOT_FOUND says what was searched; several
 * candidates: FAILED, listing them and how to say which one is meant.
 */
ModPlace *modfind(const char *name, char **trees, const ModuleConfig *config, GError **error);
void modplace_free(ModPlace *place);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ModPlace, modplace_free)

/* All files NAME.ko below `folder` ('-' and '_' alike); name NULL: all .ko files. */
GPtrArray *modfind_built(const char *folder, const char *name);

/* The top of a whole kernel source around `dir`, or NULL. */
char *modfind_kernel_source(const char *dir);
