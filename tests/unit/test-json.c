// SPDX-License-Identifier: GPL-2.0-or-later
#include <json-glib/json-glib.h>

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

	/* What was written is what a reader of JSON gets. */
	g_autoptr(JsonParser) parser = json_parser_new();
	JsonObject *top, *first;
	JsonArray *read;

	g_assert_true(json_parser_load_from_data(parser, json_text(json), -1, NULL));
	top = json_node_get_object(json_parser_get_root(parser));
	g_assert_cmpstr(json_object_get_string_member(top, "name"), ==, "x");
	g_assert_cmpint(json_array_get_length(json_object_get_array_member(top, "none")), ==, 0);
	read = json_object_get_array_member(top, "words");
	g_assert_cmpint(json_array_get_length(read), ==, 4);
	for (guint i = 0; i < 3; i++)
		g_assert_cmpstr(json_array_get_string_element(read, i), ==, words[i]);
	g_assert_cmpstr(json_array_get_string_element(read, 3), ==, "\uFFFD");
	first = json_array_get_object_element(json_object_get_array_member(top, "list"), 0);
	g_assert_cmpint(json_object_get_int_member(first, "n"), ==, G_MININT64);
	g_assert_true(json_object_get_boolean_member(first, "yes"));
	g_assert_true(json_object_get_null_member(top, "nothing"));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/json/text", test_text);
	return g_test_run();
}
