/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Options that the verbs about modules share. */
#pragma once

#include "../config.h"

/* --in-guest and --on-host; both: USAGE. */
gboolean module_options_where(gboolean in_guest, gboolean on_host, BuildWhere *where,
			      GError **error);
/* --holders=yes|no; NULL: the default. */
gboolean module_options_holders(const char *text, gboolean by_default, gboolean *holders,
				GError **error);
