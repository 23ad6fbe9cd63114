/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a Kbuild file or a module's Makefile says, as far as it can be read without make: which
 * modules it makes, which folders it descends into, and whether it calls the kernel's build itself.
 * Documentation/kbuild/makefiles.rst and modules.rst of the kernel.
 */
#pragma once

#include <glib.h>

typedef struct {
	char *object; /* of a module: "foo" or "sub/foo" (no ".o"); of a folder: "sub" or "a/b" */
	char *config; /* "CONFIG_X" of obj-$(CONFIG_X); NULL for obj-m and obj-y */
	gboolean explicit_m; /* obj-m */
} KbuildGoal;

typedef struct {
	GPtrArray *modules; /* of KbuildGoal* */
	GPtrArray *folders; /* of KbuildGoal* */
	/* A line with `-C KERNEL … M=…` (or SUBDIRS=): `make` in its folder builds modules. */
	gboolean calls_kbuild;
	char *kernel_variable; /* "KDIR" of -C $(KDIR), or NULL */
	GPtrArray *extmods;    /* the values of its M=, not expanded; char* */
} KbuildFile;

/* Conditionals are not evaluated: both branches count. Never fails. */
KbuildFile *kbuildfile_parse(const char *text);
void kbuildfile_free(KbuildFile *file);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(KbuildFile, kbuildfile_free)

/* The goal that makes the module of that plain name ('_' for '-'), or NULL. */
const KbuildGoal *kbuildfile_module(const KbuildFile *file, const char *plain_name);
/* The goal that descends into the folder, or NULL. */
const KbuildGoal *kbuildfile_folder(const KbuildFile *file, const char *folder);
