// SPDX-License-Identifier: GPL-2.0-or-later
#include "cmdfile.h"

#include <string.h>

/* One word of a list; $(wildcard include/config/X) names an option, not a file. */
static void take_words(char *line, void (*f)(const char *path, gpointer data), gpointer data)
{
	char *save = NULL;

	for (char *word = strtok_r(line, " \t", &save); word; word = strtok_r(NULL, " \t", &save)) {
		if (!strcmp(word, "\\"))
			continue;
		if (g_str_has_prefix(word, "$(")) {
			while (word && !g_str_has_suffix(word, ")"))
				word = strtok_r(NULL, " \t", &save);
			if (!word)
				break;
			continue;
		}
		f(word, data);
	}
}

void cmdfile_each_input(const char *cmd_path, void (*f)(const char *path, gpointer data),
			gpointer data)
{
	g_autofree char *text = NULL;
	gboolean in_list = FALSE;

	if (!g_file_get_contents(cmd_path, &text, NULL, NULL))
		return;
	for (char *line = text, *next; line; line = next) {
		char *value = line;
		gboolean more;

		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		more = g_str_has_suffix(line, "\\"); /* the last name of a list has it too */
		if (!in_list) {
			if (!g_str_has_prefix(line, "source_") && !g_str_has_prefix(line, "deps_"))
				continue;
			value = strstr(line, ":=");
			if (!value)
				continue;
			value += strlen(":=");
		}
		in_list = more;
		take_words(value, f, data);
	}
}
