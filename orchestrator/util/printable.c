// SPDX-License-Identifier: GPL-2.0-or-later
#include "printable.h"

char *printable(const char *text)
{
	g_autofree char *valid = text ? g_utf8_make_valid(text, -1) : NULL;
	GString *clean;

	if (!valid)
		return NULL;
	clean = g_string_new(NULL);
	for (const char *p = valid; *p; p = g_utf8_next_char(p)) {
		gunichar c = g_utf8_get_char(p);

		if (c != '\n' && c != '\t' && g_unichar_iscntrl(c))
			g_string_append_printf(clean, "\\x%02x", c);
		else
			g_string_append_unichar(clean, c);
	}
	return g_string_free(clean, FALSE);
}
