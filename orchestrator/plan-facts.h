/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What plan_make has to know of the host, gathered: reads only. */
#pragma once

#include "plan.h"

/* Owns what its facts point to, but config, kernel and existing. */
typedef struct {
	PlanFacts facts;
	char *uuid, *run_dir, *data_dir;
	char **missing_trees, **module_entries;
	guint64 *disk_sizes;
} FactsBox;

FactsBox *plan_facts_gather(const char *name, const char *project, const VmConfig *config,
			    const Kernel *kernel, gboolean kvm, const DomainSpec *existing);
void facts_box_free(FactsBox *box);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FactsBox, facts_box_free)
