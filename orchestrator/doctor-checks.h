/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The checks of `devvm doctor`: one table of them; what they know of the host is host.h's. */
#pragma once

#include <glib.h>

typedef enum { FINDING_OK, FINDING_WARNING, FINDING_FAILURE } FindingLevel;

typedef struct {
	const char *name; /* static, one word or two */
	FindingLevel level;
	char *text;
	char *mend; /* a command, or what to do; NULL when there is nothing to mend */
} Finding;

/* All findings in order (GPtrArray of Finding*, with its free function). `vm`: NULL, or the VM
 * whose configuration counts. */
GPtrArray *doctor_check(const char *vm);
