/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * 127.0.0.1:PORT → QEMU's gdb stub, for processes of our own user that are no virtual machine.
 *
 * A stub is a shell on the host (gdb's `monitor` reaches QEMU's), and loopback is open to every
 * local user and, through user-mode networking, to every guest. So before a byte is passed, or the
 * stub is even touched (a connection stops the VM), the peer's socket is looked up: each process
 * that holds it must be of our uid and have a readable exe that is no QEMU and no network helper.
 */
#pragma once

#include "keeper.h"

GdbForward *gdb_forward_new(Keeper *k);
/* Binds the port, where there is one; a failure is kept for the status. */
void gdb_forward_start(GdbForward *g);
/* QEMU is there: mends what a killed keeper left. */
void gdb_forward_qemu_here(GdbForward *g);
void gdb_forward_free(GdbForward *g);

/* New strings; NULL when there is none. */
char *gdb_forward_address(const GdbForward *g);
char *gdb_forward_holder(const GdbForward *g); /* "PID COMM" of the gdb that is connected */
const char *gdb_forward_error(const GdbForward *g);
