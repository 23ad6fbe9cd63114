/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a .ko file says of itself: its .modinfo section and its build id. libelf and libkmod. */
#pragma once

#include <glib.h>

typedef struct {
	char *path;
	char *name;	    /* with '_' for '-' */
	char *vermagic;	    /* "" where the kernel was built without */
	char **depends;	    /* names with '_'; may be empty, never NULL */
	char **aliases;	    /* as depmod sees them; never NULL */
	char **softdeps;    /* "pre: a b", "post: c"; never NULL */
	char *srcversion;   /* or NULL */
	char *build_id;	    /* hex, or NULL */
	gboolean has_debug; /* DWARF is in it */
} ModInfo;

/* Reads an uncompressed .ko. NOT_FOUND when there is none, FAILED when it is no kernel module. */
ModInfo *modinfo_read(const char *path, GError **error);
void modinfo_free(ModInfo *info);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ModInfo, modinfo_free)

/* The file systems that a module makes (aliases "fs-X"), comma-separated; "" for none. */
char *modinfo_fstypes(const ModInfo *info);

/* What tells this build from others: build id, else srcversion, else a hash of the file. */
char *modinfo_identity(const ModInfo *info, GError **error);

/* A module's name as the kernel writes it: '_' for '-', without folder and ".ko". */
char *modinfo_plain_name(const char *name_or_path);

/*
 * The vermagic of the modules of a kernel: `modules` is its folder of the form /lib/modules/REL
 * (compressed modules are read too). NULL without an error when it has no modules at all.
 */
char *modinfo_kernel_vermagic(const char *modules, GError **error);

/* TRUE when modules.builtin of the kernel's folder lists `name`. */
gboolean modinfo_is_builtin(const char *modules, const char *name);

/*
 * The command that modprobe's configuration on this host runs instead of loading `name`, when that
 * command does not load it itself ("install NAME /bin/false"); else NULL.
 */
char *modinfo_install_override(const char *name);

/* The bytes of a .ko without its debug sections, as the guest gets it: everything that the kernel
 * loads, and the symbols, are as they were. */
GBytes *modinfo_strip(const char *path, GError **error);
