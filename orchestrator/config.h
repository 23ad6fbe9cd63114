/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * devvm.conf: files → Config. Pure but for reading files. Nearest wins: the project's
 * (found upwards from the current folder), the user's ($XDG_CONFIG_HOME/devvm/devvm.conf), then
 * /etc/devvm.conf. Within a file [vm NAME] wins over [vm]. Every value knows where it came from.
 */
#pragma once

#include <glib.h>

typedef struct _Config Config;

typedef struct {
	char *file; /* NULL: a built-in default */
	int line;
} ConfigOrigin;

typedef enum { BUILD_AUTO, BUILD_GUEST, BUILD_HOST } BuildWhere;

/* [vm] and [vm NAME], resolved for one VM. */
typedef struct {
	guint64 memory; /* bytes */
	guint cpus;
	char *kernel;	  /* release, or a build tree's path; NULL = newest installed */
	char *append;	  /* more kernel command line, or NULL */
	GArray *disks;	  /* of guint64: sizes in bytes, one a disk */
	char *root;	  /* "host" */
	char *group;	  /* or NULL */
	char *domain_xml; /* path of a file with XML to merge into the domain, or NULL */
	char *gdb;	  /* "keeper", "tcp", "unix" */
	char *accel;	  /* "auto", "kvm", "tcg" */
	char **trees;	  /* absolute, canonical; at least one */
} VmConfig;

/* [module NAME]; fields that the file does not give are NULL. */
typedef struct {
	char *name;	     /* with '_' for '-' */
	char *dir;	     /* absolute */
	char *build_command; /* run with sh -c in dir */
	char **ko;	     /* .ko files, absolute or below dir */
	char *parameters;
	char **before_unload; /* commands for the guest's shell */
	char **after_load;
	BuildWhere build;
} ModuleConfig;

/*
 * Reads all files for the project around `folder` (NULL = current folder). Unknown sections and
 * keys, bad sizes and names: DEVVM_ERROR_CONFIG with file and line.
 */
Config *config_load(const char *folder, GError **error);
void config_free(Config *config);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Config, config_free)

/* The folder of the project: that of devvm.conf, else the top of the enclosing git tree, else the
 * current folder. Owned by config. */
const char *config_project(const Config *config);

VmConfig *config_vm(const Config *config, const char *vm, GError **error);
void vm_config_free(VmConfig *vm);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmConfig, vm_config_free)

/* Never NULL: with no [module NAME] all but the name is empty. */
ModuleConfig *config_module(const Config *config, const char *name, GError **error);
void module_config_free(ModuleConfig *module);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ModuleConfig, module_config_free)

/* Puts "FILE:LINE: " of a value of [vm] before an error that it is to blame for; nothing when the
 * value is a default. */
void config_blame(const Config *config, const char *vm, const char *key, GError **error);

/* Each value in force, for `devvm config`: calls f(section, key, value, origin). */
typedef void (*ConfigEach)(const char *section, const char *key, const char *value,
			   const ConfigOrigin *origin, gpointer data);
void config_each(const Config *config, const char *vm, ConfigEach f, gpointer data);
