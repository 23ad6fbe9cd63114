/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * devvm's own QMP monitor of the VM (QEMU's docs/interop/qmp-spec.txt): whether the VM runs, is
 * stopped, has panicked, was reset, or is gone. libvirt would say the same, but linking it would
 * cost more memory than all the rest of the keeper.
 */
#pragma once

#include "keeper.h"

Qmp *qmp_new(Keeper *k);
/* Connects; QEMU may still be on its way up. Without it for QMP_WAIT_MS the keeper ends. */
void qmp_start(Qmp *q);
void qmp_free(Qmp *q);

/* QEMU's pid, or 0 while not connected. */
pid_t qmp_pid(const Qmp *q);
/* The VM does not run now. FALSE while nothing is known. */
gboolean qmp_stopped(const Qmp *q);
/* For how long, in ms; 0 when it runs. */
gint64 qmp_stopped_ms(const Qmp *q);
gboolean qmp_panicked(const Qmp *q);
/* QEMU's RunState: "running", "paused", "debug", …; "unknown" */
const char *qmp_state(const Qmp *q);
gint64 qmp_up_us(const Qmp *q);
/* "lustre1 is stopped in gdb (pid 1, gdb): …", for the user; new string. */
char *qmp_stopped_text(const Qmp *q);

/*
 * Runs a command without arguments. reply: the text of "return"'s "status" where there is one,
 * else ""; NULL when the command failed or QEMU went away. f may be NULL.
 */
typedef void (*QmpReply)(gpointer data, const char *reply);
void qmp_command(Qmp *q, const char *command, QmpReply f, gpointer data);
