/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What may stand in devvm.conf: one table of sections and keys, from which come the checks, the
 * defaults, the commented file of `devvm init` and the list of `devvm config`.
 */
#pragma once

#include <glib.h>

typedef enum { SECTION_PROJECT, SECTION_VM, SECTION_MODULE, SECTION_COUNT } ConfigSection;

typedef enum {
	TYPE_TEXT,   /* one line */
	TYPE_NAME,   /* a safe name */
	TYPE_SIZE,   /* util/size.h */
	TYPE_SIZES,  /* util/size.h, a list */
	TYPE_COUNT,  /* 1 to 255 */
	TYPE_CHOICE, /* one of `choices` */
	TYPE_KERNEL, /* a release, or a path of a build tree */
	TYPE_PATH,   /* made absolute: relative to the file, "~/" is the home folder */
	TYPE_PATHS,  /* a list of them */
	TYPE_KO,     /* a list of .ko files, absolute or below the module's dir */
	TYPE_LIST,   /* a list of commands */
} ConfigType;

typedef struct {
	ConfigSection section;
	const char *key;
	ConfigType type;
	const char *choices;  /* TYPE_CHOICE: "a b c" */
	const char *fallback; /* the default as one would write it; NULL = not set */
	const char *example;  /* for the commented file */
	const char *help;     /* lines */
} ConfigKey;

/* All keys, by section; the last one's key is NULL. */
extern const ConfigKey config_keys[];

/* "project", "vm", "module" */
const char *config_section_name(ConfigSection section);
/* NULL when there is none of that name. */
const ConfigKey *config_key_find(ConfigSection section, const char *key);
/* Names for nearest_word(); free with g_free (the words are static). */
const char **config_key_names(ConfigSection section);

/*
 * Checks what the file says and brings it into its one form: paths absolute (relative ones start
 * at `base`), sizes short. `items` has one element for types that are no lists. DEVVM_ERROR_CONFIG
 * without file and line, which the caller knows.
 */
char **config_key_check(const ConfigKey *key, const char *base, char **items, GError **error);
gboolean config_type_is_list(ConfigType type);

/* The built-in value, in the form of config_key_check; NULL when there is none. */
char **config_key_default(const ConfigKey *key);

/* The text of a devvm.conf in which every key is explained and none is set. */
char *config_template(void);
