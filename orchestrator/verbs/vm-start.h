/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What `up` and `reboot` share. */
#pragma once

#include "../verb.h"

/* Plans and applies; prints the summary line. The caller holds the VM's lock. */
gboolean vm_start(const VerbContext *ctx, const char *name, GError **error);
