/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What `exec` and `shell` have in common: a command of the user's, on the user's terminal. */
#pragma once

#include "../verb.h"

typedef struct {
	const char *const *argv;
	const char *const *env; /* "K=V", or NULL */
	const char *cwd;	/* NULL: as ours, where that is in one of the VM's trees */
	gboolean tty, fresh;
} Command;

/* Our standard input and output are a terminal. */
gboolean command_on_terminal(void);
/* Runs it; its end becomes ctx->status: the exit status, or 128 + the signal that killed it. */
gboolean command_run(VerbContext *ctx, const Command *command, GError **error);
