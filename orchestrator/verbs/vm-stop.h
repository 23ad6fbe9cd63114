/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What `down`, `reboot` and `rm` share. */
#pragma once

#include "../progress.h"
#include "../vm-record.h"

/*
 * Switches the VM off: asks the agent, waits a short while, then ends QEMU; with `force` at once.
 * Then ends the keeper and removes the sockets. Nothing to do is fine. The caller holds the VM's
 * lock.
 */
gboolean vm_stop(VmRecord *record, gboolean force, Progress *progress, GError **error);
