/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A verb of the command line. Each file under verbs/ ends with its own row, table.c lists the rows;
 * help, completion and the checks before a verb runs all come from the row.
 */
#pragma once

#include <glib.h>

#include "config.h"
#include "util/error.h"
#include "vm.h"

typedef enum {
	VERB_PLAIN = 0,
	VERB_CONFIG = 1 << 0,  /* reads the configuration: ctx->config is there */
	VERB_VM = 1 << 1,      /* works on one VM that is defined: ctx->vm is there. Its name: --vm,
				  else the first argument when VERB_VM_ARG is set, else the only
				  VM that is up */
	VERB_RUNNING = 1 << 2, /* … and running */
	VERB_VM_ARG = 1 << 3,  /* the first argument is the VM's name (removed from args) */
	VERB_JSON = 1 << 4,    /* takes --json */
	VERB_DRY_RUN = 1 << 5, /* takes --dry-run */
	VERB_REST = 1 << 6,    /* options end at the first plain argument that is not the VM (or at
				  "--"): the rest is a command, left as it is */
	VERB_HIDDEN = 1 << 7,  /* not in the list of `devvm --help` */
} VerbFlags;

typedef struct {
	Config *config;	       /* VERB_CONFIG */
	Vm *vm;		       /* VERB_VM */
	const char *vm_option; /* --vm NAME or NULL */
	gboolean json, dry_run, verbose, quiet;
	int status; /* the exit status when the verb returns TRUE; 0 unless it says otherwise
		       (exec: the command's) */
} VerbContext;

typedef struct Verb Verb;
struct Verb {
	const char *name;
	const char *synopsis; /* "[OPTION…] NAME", after "devvm NAME " */
	const char *help;     /* one line, lower case */
	const char *examples; /* lines "  $ devvm …" for --help */
	VerbFlags flags;
	int min_args, max_args;	     /* plain arguments left after the VM; max -1: any number */
	const GOptionEntry *options; /* the verb's own; NULL-terminated; may be NULL */
	/* args: NULL-terminated plain arguments. */
	gboolean (*run)(const Verb *verb, VerbContext *ctx, char **args, GError **error);
};

extern const Verb *const devvm_verbs[]; /* NULL-terminated, in the order of the help */
