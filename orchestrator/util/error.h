/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The one error domain of the orchestrator. The code decides devvm's exit status (see
 * devvm_exit_status), the message is what the user reads: the thing, the cause, the next command.
 */
#pragma once

#include <glib.h>

/* The numbers are the exit statuses. */
typedef enum {
	DEVVM_ERROR_FAILED = 1,	     /* it was tried, and did not work */
	DEVVM_ERROR_USAGE = 2,	     /* the command line is wrong */
	DEVVM_ERROR_CONFIG = 3,	     /* a configuration file is wrong */
	DEVVM_ERROR_NOT_FOUND = 4,   /* no such VM, module, kernel, tree */
	DEVVM_ERROR_NOT_RUNNING = 5, /* the VM is not up */
	DEVVM_ERROR_BUSY = 6,	     /* in use: module with holders, port, lock */
	DEVVM_ERROR_STOPPED = 7,     /* gdb holds the VM, so the guest cannot answer */
	DEVVM_ERROR_BUILD = 8,	     /* the build failed; the old module is still in */
	DEVVM_ERROR_MISMATCH = 9,    /* module or symbols of another kernel or build */
	DEVVM_ERROR_HOST = 10,	     /* the host lacks something: `devvm doctor` says what */
	DEVVM_ERROR_LOST = 255,	     /* as ssh: the link to keeper or guest was lost midway */
} DevvmError;

#define DEVVM_ERROR (devvm_error_quark())
GQuark devvm_error_quark(void);

/* Exit status for @error: the code; 1 for errors of any other domain; 130 when cancelled. */
int devvm_exit_status(const GError *error);

/* Sets *error with `code`, printf style; always returns FALSE, so that one can return it. */
gboolean devvm_fail(GError **error, DevvmError code, const char *format, ...) G_GNUC_PRINTF(3, 4);

/* As devvm_fail, with ": " and the text of errno at the end. */
gboolean devvm_fail_errno(GError **error, DevvmError code, int saved_errno, const char *format, ...)
	G_GNUC_PRINTF(4, 5);
