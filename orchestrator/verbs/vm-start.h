/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What `up` and `reboot` share. */
#pragma once

#include "../verb.h"

typedef enum {
	START_AS_IT_IS,	    /* finish what is missing */
	START_CHECK_AS_OFF, /* plan as if the VM were off, and do nothing */
} StartMode;

/* Plans and applies; prints the summary line. The caller holds the VM's lock. */
gboolean vm_start(const VerbContext *ctx, const char *name, StartMode mode, GError **error);
