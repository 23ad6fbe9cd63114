/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What `up` will do, as data: Config + kernel + what the host and libvirt say → Plan. Pure: no file
 * is read, nothing is done. apply.c carries a Plan out, `--dry-run` prints it.
 */
#pragma once

#include <glib.h>

#include "backends/kernel.h"
#include "config.h"
#include "domain-xml.h"

/* What is known before anything is done. Nothing is owned. */
typedef struct {
	const char *name, *uuid; /* uuid: of the VM that exists, else a new one */
	const char *project;
	const VmConfig *config;
	const Kernel *kernel;
	gboolean kvm;
	const DomainSpec *existing; /* NULL: no such VM yet; else existing->vm->state counts */
	const char *run_dir, *data_dir;
	guint uid, gid;
	const char *user, *home;
	guint64 memory_total, memory_free; /* of the host, bytes */
	guint64 disk_free;		   /* where data_dir is, bytes */
	const char *const *missing_trees;  /* of config->trees, those that are no folders */
	const char *const *module_entries; /* what lies in kernel->modules */
	const guint64 *disk_sizes;	   /* of the scratch disks that are there; 0 = none */
	guint n_disk_sizes;
} PlanFacts;

/* In the order in which they are done. */
typedef enum {
	STEP_FOLDERS,	/* runtime and data folder */
	STEP_CLEAN,	/* what is left of the last run: keeper, sockets */
	STEP_PORT,	/* the gdb port's reservation */
	STEP_INITRAMFS, /* made, or found in the cache */
	STEP_DISKS,	/* scratch disks: made, grown */
	STEP_DEFINE,	/* the libvirt domain */
	STEP_CONSOLE,	/* the last boot's console put aside */
	STEP_STATE,	/* boot.state, for the keeper */
	STEP_START,	/* QEMU; the keeper at the same time */
	STEP_READY,	/* until the agent answers */
} StepKind;

typedef struct {
	StepKind kind;
	char *what; /* for --dry-run and -v */
	char *undo; /* what is done about it when a later step fails; NULL: nothing */
} PlanStep;

typedef struct {
	DomainSpec *spec;    /* as the VM shall be. gdb_port is what it has, 0 = to be found;
				initrd is NULL until apply has it */
	gboolean defined;    /* it exists already */
	gboolean running;    /* … and QEMU runs: only what is missing is done */
	char **differences;  /* running with another configuration: what differs */
	GPtrArray *steps;    /* of PlanStep* */
	GPtrArray *warnings; /* of char*: said once, before anything is done */
	char *extra_path;    /* the user's XML to merge, or NULL */
	char *old_digest;    /* of the domain as it is defined, or NULL */
	char **setup;	     /* lines for the agent (PROTO_OP_SETUP) */
	char **exports;	     /* lines for the NFS server */
} Plan;

void plan_free(Plan *plan);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Plan, plan_free)

/* Fails when the VM cannot be had like this: no memory, no tree, a path too long for a socket. */
Plan *plan_make(const PlanFacts *facts, GError **error);
/* The plan for people: a line a step. */
char *plan_text(const Plan *plan);
/* The text of RUNDIR/boot.state. */
char *plan_boot_state(const Plan *plan, const char *uri);
