/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The client's end of the keeper: operations in the guest (guest-agent/protocol.h), one after the
 * other on one connection; open several links to do several things at once. Blocking calls; no
 * threads. Nothing here retries: a link whose keeper or guest went away fails with
 * DEVVM_ERROR_LOST, a guest held by gdb with DEVVM_ERROR_STOPPED, at once.
 */
#pragma once

#include <glib.h>

#include "vm.h"

typedef struct _Link Link;

/* Connects to the VM's keeper; starts one where there is none (from RUNDIR/boot.state). */
Link *link_open(const Vm *vm, GError **error);
void link_close(Link *link);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Link, link_close)
/* Of the VM; owned by the link. */
const char *link_vm_name(const Link *link);

/* Until the agent is READY; an error says how far the guest got, with the console's last lines. */
gboolean link_wait_ready(Link *link, guint timeout_ms, GError **error);
/* "key value" lines → GHashTable of strings; see orchestrator/keeper/status.c for the keys. */
GHashTable *link_status(Link *link, GError **error);

typedef struct {
	const char *cwd;	 /* NULL = "/" */
	const char *const *argv; /* NULL-terminated */
	const char *const *env;	 /* "K=V", NULL-terminated, added to the agent's own; or NULL */
	gboolean tty;		 /* our terminal is put in raw mode, size changes are passed on */
	gboolean fresh;		 /* fresh mount of the trees (design.md, Coherence) */
	int in_fd;		 /* -1 = no input */
	int out_fd, err_fd;	 /* -1 = dropped; used when the strings below are NULL */
	GString *out, *err;	 /* collected here instead */
	gboolean pass_signals;	 /* SIGINT, SIGTERM, SIGHUP of ours go to the command */
} LinkExec;

typedef struct {
	gboolean signaled;
	int value; /* exit status, or signal */
} LinkExit;

/* TRUE once the command has ended, however it did; see *how. message of 126/127 goes to err. */
gboolean link_exec(Link *link, const LinkExec *exec, LinkExit *how, GError **error);

/* link_exec for a short command: captured output, a non-zero end is an error with its stderr. */
gboolean link_run(Link *link, const char *const *argv, char **out, GError **error);

gboolean link_put(Link *link, const char *path, guint mode, const void *data, gsize size,
		  GError **error);
char *link_get(Link *link, const char *path, gsize *size, GError **error);
/* BUSY when the module is in use, NOT_FOUND when it is not loaded. */
gboolean link_rmmod(Link *link, const char *name, gboolean force, GError **error);
char *link_users(Link *link, const char *module, const char *fstypes, GError **error);
gboolean link_power(Link *link, gboolean reboot, GError **error);
/* Kernel messages from sequence number `since` on, as text lines; *next for the next call. */
char *link_kernel_log(Link *link, guint64 since, guint64 *next, GError **error);
