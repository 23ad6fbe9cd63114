/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * RUNDIR/boot.state: what `up` tells the keeper of the VM (a GKeyFile):
 *   [vm] name= uuid= uri=
 *   [agent] socket= setup=LINE;LINE;… files=GUESTPATH=HOSTPATH;…
 *   [gdb] mode=keeper|tcp|unix port= socket=
 *   [qmp] socket=
 *   [nfs] exports=NAME PATH OPTIONS;…
 */
#pragma once

#include <glib.h>

typedef struct {
	char *guest, *host;
} BootFile;

typedef struct {
	char *name, *uuid;
	char *agent_socket, *qmp_socket;
	char **setup;	  /* lines for PROTO_OP_SETUP */
	GPtrArray *files; /* of BootFile: put into the guest before it counts as ready */
	char *gdb_mode, *gdb_socket;
	guint gdb_port; /* 0: none */
	char **exports; /* may be empty: no NFS server is needed then */
} BootState;

BootState *boot_state_load(const char *path, GError **error);
void boot_state_free(BootState *b);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BootState, boot_state_free)
