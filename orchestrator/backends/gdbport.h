/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * gdb ports: one VM each, unique on the host over all users and libvirt connections.
 *
 * A port is held by a file devvm-gdb-PORT in a folder that root owns, with the sticky bit, where
 * everybody may write (/run/lock, else /var/lock, else /tmp). It appears whole, by link(2); its
 * owner is who made it, whatever its text says. While a VM is coming up its maker holds a flock on
 * the file, so that nobody takes it for a leftover before the VM is defined.
 */
#pragma once

#include <glib.h>

#define GDBPORT_FIRST 1234
#define GDBPORT_COUNT 1000

typedef struct {
	const char *folder; /* NULL: the host's common one */
	guint first;	    /* of GDBPORT_COUNT ports; 0: GDBPORT_FIRST */
	const char *scope;  /* names the libvirt connection: URI and runtime folder */
	const char *vm, *uuid;
	/* Is there a VM of that uuid in our scope? Files of VMs that are gone are taken over. */
	gboolean (*exists)(const char *uuid, gpointer data);
	gpointer data;
} GdbPortOwner;

/*
 * Reserves `wanted` for the VM, or, when that is 0 or cannot be had, the first free port from
 * GDBPORT_FIRST on that is not among `avoid` (of guint; may be NULL). `probe`: also see that nobody
 * listens on it (not for a VM that runs: its own keeper does).
 * *note: why it is not `wanted`, for the user; NULL when it is.
 * *hold: a file descriptor to be closed once the VM is defined with that port.
 * 0 on failure.
 */
guint gdbport_reserve(const GdbPortOwner *owner, guint wanted, const GArray *avoid, gboolean probe,
		      int *hold, char **note, GError **error);

/* Frees all ports whose files say they are the VM's, by its name and scope: so debris of a VM that
 * was never defined goes too. */
gboolean gdbport_release(const GdbPortOwner *owner, GError **error);
/* The first port whose file says so, or 0. */
guint gdbport_find(const GdbPortOwner *owner);

/* Who listens on 127.0.0.1:port, for people: "the user eve", "your process 123 (ncat)"; or NULL. */
char *gdbport_listener(guint port);
