/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One devvm.conf, read and checked: a list of settings that know their lines. */
#pragma once

#include "config-schema.h"

typedef struct {
	const ConfigKey *key;
	char *name;    /* the NAME of [vm NAME] and [module NAME]; NULL for [vm] and [project] */
	char **values; /* as config_key_check gives them */
	int line;
} ConfigSetting;

typedef struct {
	char *path;
	GPtrArray *settings; /* of ConfigSetting* in the file's order */
} ConfigFile;

/*
 * Reads `path`. `project` FALSE: a user's or the host's file, where [project] has no place.
 * DEVVM_ERROR_CONFIG with "PATH:LINE: " for whatever is wrong in it, DEVVM_ERROR_NOT_FOUND when
 * there is no such file. devvm runs commands that stand in it, so a file that others than the
 * caller and root can have written is refused.
 */
ConfigFile *config_file_read(const char *path, gboolean project, GError **error);
void config_file_free(ConfigFile *file);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ConfigFile, config_file_free)

/* NULL when the file does not say. `name` NULL: the section without a name. */
const ConfigSetting *config_file_get(const ConfigFile *file, const ConfigKey *key,
				     const char *name);

/* "foo-bar" → "foo_bar", as the kernel names modules; new string. */
char *config_module_name(const char *name);
