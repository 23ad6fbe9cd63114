/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reloading a module: a plan (data, no I/O in the guest), which --dry-run prints, and its
 * execution: build → check → unload → install → load → verify. Until everything has been checked
 * that can be, the old module stays in.
 */
#pragma once

#include <glib.h>

#include "backends/link.h"
#include "backends/modbuild.h"
#include "config.h"
#include "vm.h"

typedef struct {
	BuildWhere where;
	gboolean holders; /* unload what holds it, and load it again afterwards */
	gboolean force;	  /* unload even if in use (the kernel must be configured for it) */
	int out_fd;	  /* where the build's output goes; -1: shown only when it fails */
} ReloadOptions;

typedef struct {
	const Vm *vm;
	const Config *config;
	ReloadOptions options;
	ModuleConfig *module;
	char *name; /* plain */
	BuildPlan *build;
	char *kernel_modules; /* host folder of the form /lib/modules/RELEASE */
} ReloadPlan;

ReloadPlan *reload_plan(const Vm *vm, const Config *config, const char *name,
			const ReloadOptions *options, GError **error);
void reload_plan_free(ReloadPlan *plan);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ReloadPlan, reload_plan_free)

/* On standard output. With a link it also says what is loaded now. */
gboolean reload_plan_print(const ReloadPlan *plan, Link *link, GError **error);

/* How it went; times in µs, 0 for what was not done. */
typedef struct {
	gint64 built, unloaded, installed, loaded, total;
	guint rounds;
	char *ko, *identity; /* of the module itself: the tree's .ko, and its build id */
	GPtrArray *unloaded_modules, *loaded_modules; /* char*, in order */
} ReloadReport;

void reload_report_clear(ReloadReport *report);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(ReloadReport, reload_report_clear)

gboolean reload_execute(const ReloadPlan *plan, Link *link, ReloadReport *report, GError **error);

/* Taken for the VM from before the build to the end: one reload at a time. An fd; -1 on error. */
int reload_lock(const Vm *vm, GError **error);
