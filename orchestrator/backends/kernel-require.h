/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a kernel must have to run as a guest of devvm's, and the check of it. */
#pragma once

#include "kernel.h"

typedef enum { REQUIRE_ALWAYS, REQUIRE_DISKS } RequireFor;

/*
 * TRUE when `kernel` has all of it, by its config, else by the lists of its modules. Otherwise
 * DEVVM_ERROR_NOT_FOUND with each CONFIG option that is missing, and why it is needed.
 */
gboolean kernel_require(const Kernel *kernel, RequireFor what, GError **error);

/* Options that do not keep the guest from booting, but devvm from its work: lines for the user. */
void kernel_require_warnings(const Kernel *kernel, GStrvBuilder *lines);
