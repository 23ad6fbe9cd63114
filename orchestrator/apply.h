/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Carries out a plan. Each step finds what an earlier run of it left, and finishes that. */
#pragma once

#include "plan.h"
#include "progress.h"

/* How long the parts of an `up` took, ms. */
typedef struct {
	guint start; /* libvirt's start of the domain */
	guint ready; /* from there until the guest was ready */
	guint total; /* of all steps */
} ApplyTimes;

/*
 * The caller holds the VM's lock. On failure the steps done are undone in reverse where the plan
 * says so. spec of the plan gets what is found out on the way: gdb_port, initrd.
 * notes (of char*) gets what the user should know, such as another gdb port.
 */
gboolean apply_plan(Plan *plan, const Kernel *kernel, guint boot_timeout_ms, Progress *progress,
		    GPtrArray *notes, ApplyTimes *times, GError **error);
