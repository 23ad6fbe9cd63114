// SPDX-License-Identifier: GPL-2.0-or-later
#include "util/json.h"

static void test_text(void)
{
	const char *const words[] = {"a\"b\\c", "line\nend\x7f\x1b", "é", "\xff", NULL};
	g_autoptr(Json) json = json_new();

	json_begin_object(json, NULL);
	json_string(json, "name", "x");
	json_begin_array(json, "none");
	json_end(json);
	json_strings(json, "words", words);
	json_begin_array(json, "list");
	json_begin_object(json, NULL);
	json_int(json, "n", G_MININT64);
	json_bool(json, "yes", TRUE);
	json_end(json);
	json_begin_object(json, NULL);
	json_end(json);
	json_end(json);
	json_null(json, "nothing");
	json_end(json);
	g_assert_cmpstr(json_text(json), ==,
			"{\n  \"name\": \"x\",\n  \"none\": [],\n  \"words\": [\n    "
			"\"a\\\"b\\\\c\",\n    \"line\\u000aend\\u007f\\u001b\",\n    \"é\",\n    "
			"\"\uFFFD\"\n  ],\n  \"list\": [\n    {\n      \"n\": "
			"-9223372036854775808,\n      \"yes\": true\n    },\n    {}\n  ],\n  "
			"\"nothing\": null\n}");
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/json/text", test_text);
	return g_test_run();
}
