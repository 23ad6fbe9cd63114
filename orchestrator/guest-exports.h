/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What of the host a guest gets to see, and where: lines for the NFS server and for the agent. */
#pragma once

#include <glib.h>

#include "domain-xml.h"

/*
 * Lines "NAME PATH OPTIONS" as in devvm-nfsd's configuration: "root" is an allow-list of the host's
 * root, read-only; t0, t1… the trees; the kernel's build tree and its modules where they are not
 * below the root's allow-list.
 */
char **guest_export_lines(const DomainSpec *spec);

/*
 * Lines for PROTO_OP_SETUP, but `clock` and `nfs`, which the keeper adds. module_entries: what lies
 * in spec->modules, NULL-terminated; needed for a kernel that is a build tree.
 */
char **guest_setup_lines(const DomainSpec *spec, guint gid, const char *user, const char *home,
			 const char *const *module_entries);
