/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Minds devvm-nfsd: binds its port (127.0.0.1, chosen once and kept in RUNDIR/nfs.state with token
 * and handle key, so that a successor, of keeper or of server, is the same server to the guest),
 * starts it with the socket as fd 3 and its configuration on stdin, and again when it dies.
 */
#pragma once

#include "keeper.h"

NfsServer *nfs_server_new(Keeper *k);
void nfs_server_free(NfsServer *n);
/* Reads or makes the state and binds the port; before the keeper answers anybody. */
gboolean nfs_server_bind(NfsServer *n, GError **error);
/* QEMU is there: ends the server of a killed keeper, starts our own. */
void nfs_server_qemu_here(NfsServer *n);
/* The VM is gone: ends the server; blocks for a second at most. */
void nfs_server_stop(NfsServer *n);
/* Ends the server that a dead keeper left in the current folder, if any. */
void nfs_server_stop_leftover(void);

/* "nfs SERVER PORT TOKEN" for SETUP, new string; NULL when nothing is exported. */
char *nfs_server_setup_line(const NfsServer *n);
guint nfs_server_port(const NfsServer *n);
pid_t nfs_server_pid(const NfsServer *n);
guint nfs_server_restarts(const NfsServer *n);
const char *nfs_server_error(const NfsServer *n);
