// SPDX-License-Identifier: GPL-2.0-or-later
#include "module-options.h"

#include <string.h>

#include "../util/error.h"

gboolean module_options_where(gboolean in_guest, gboolean on_host, BuildWhere *where,
			      GError **error)
{
	if (in_guest && on_host)
		return devvm_fail(error, DEVVM_ERROR_USAGE,
				  "--in-guest and --on-host exclude each other: give one of them");
	*where = in_guest ? BUILD_GUEST : on_host ? BUILD_HOST : BUILD_AUTO;
	return TRUE;
}

gboolean module_options_holders(const char *text, gboolean by_default, gboolean *holders,
				GError **error)
{
	*holders = text ? !strcmp(text, "yes") : by_default;
	if (text && strcmp(text, "yes") && strcmp(text, "no"))
		return devvm_fail(error, DEVVM_ERROR_USAGE, "--holders=%s: it is yes or no", text);
	return TRUE;
}
