/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Builds a module from its place in a tree, for the kernel of one VM, on the host or in the guest.
 * After it the .ko contains every edit that was made before it began (buildinputs.h).
 */
#pragma once

#include <glib.h>

#include "../config.h"
#include "../vm.h"
#include "buildinputs.h"
#include "link.h"
#include "modfind.h"

/* Data: what would be done. */
typedef struct {
	char *name;    /* plain */
	char *root;    /* the command's current folder; its lock and record are this folder's */
	char *search;  /* folder below which the .ko's are */
	char *ko;      /* where the .ko will be, or NULL: found below `search` after the build */
	char *objtree; /* the kernel's build folder */
	char *release;
	char *command; /* for sh -c */
	gboolean in_guest;
	char *why; /* why there: "the guest runs without KVM …" */
} BuildPlan;

/* Where: BUILD_GUEST and BUILD_HOST decide, BUILD_AUTO chooses. */
BuildPlan *modbuild_plan(const Vm *vm, const ModPlace *place, BuildWhere where, GError **error);
void buildplan_free(BuildPlan *plan);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BuildPlan, buildplan_free)

typedef struct {
	char *ko;	    /* of the module itself, absolute */
	GPtrArray *modules; /* char*: all .ko files of the same build, `ko` among them */
	GPtrArray *fresh;   /* char*, owned by modules: those that this build wrote */
	guint rounds;	    /* more than 1: sources changed while they were compiled */
	gint64 us;	    /* how long it took */
	BuildInputs *lock;  /* no other build in the folder while the result lives */
} BuildResult;

/*
 * Does it. `link` may be NULL for a build on the host. The command's output goes to out_fd; with
 * out_fd -1 it is kept, and shown with the error only. DEVVM_ERROR_BUILD when the command fails or
 * does not make the module.
 */
BuildResult *modbuild_run(const BuildPlan *plan, Link *link, int out_fd, GError **error);
void buildresult_free(BuildResult *result);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BuildResult, buildresult_free)
