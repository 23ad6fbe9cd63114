/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * devvm-keeper: one per running VM. What it is made of, and how the parts call each other:
 *
 *   client.c      devvm's connections          gdb-forward.c  127.0.0.1:PORT → QEMU's stub
 *   streams.c     operations and their bytes   nfs-server.c   minds devvm-nfsd
 *   channel.c     frames to and from the agent qmp.c          is the VM running, stopped, gone?
 *   setup.c       makes a booted guest ready   status.c       tells all that
 *
 * One thread, one GLib main loop, no call blocks. Nothing in memory is precious: killed at any
 * time, the next keeper finds all it needs in RUNDIR (boot.state, nfs.state).
 */
#pragma once

#include <glib.h>

#include "boot-state.h"
#include "log.h"

typedef struct Channel Channel;
typedef struct Streams Streams;
typedef struct Clients Clients;
typedef struct Setup Setup;
typedef struct Qmp Qmp;
typedef struct GdbForward GdbForward;
typedef struct NfsServer NfsServer;

typedef struct {
	GMainLoop *loop;
	BootState *boot;
	Qmp *qmp;
	Streams *streams;
	Channel *channel;
	Setup *setup;
	Clients *clients;
	GdbForward *gdb;
	NfsServer *nfs;
	gint64 started_us; /* wall clock, as all *_us of the status */
	gboolean ending;
} Keeper;

/*
 * The end: every operation ends as lost with `why`, clients get what is queued (for half a second
 * at most), then the keeper removes its socket and ends, and its NFS server with it.
 */
void keeper_end(Keeper *k, const char *why);

/* QEMU is connected: its pid is known (once in the life of a keeper). */
void keeper_qemu_here(Keeper *k);
