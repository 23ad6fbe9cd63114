// SPDX-License-Identifier: GPL-2.0-or-later
#include "json.h"

#include <json-glib/json-glib.h>
#include <stdio.h>

struct _Json {
	JsonBuilder *builder;
	GString *open; /* 'o' or 'a' for each level, outermost first */
	char *text;
};

Json *json_new(void)
{
	Json *json = g_new0(Json, 1);

	json->builder = json_builder_new();
	json->open = g_string_new(NULL);
	return json;
}

void json_free(Json *json)
{
	if (!json)
		return;
	g_object_unref(json->builder);
	g_string_free(json->open, TRUE);
	g_free(json->text);
	g_free(json);
}

/* The builder that takes the value of `key`. */
static JsonBuilder *at(Json *json, const char *key)
{
	if (key)
		json_builder_set_member_name(json->builder, key);
	return json->builder;
}

void json_begin_object(Json *json, const char *key)
{
	json_builder_begin_object(at(json, key));
	g_string_append_c(json->open, 'o');
}

void json_begin_array(Json *json, const char *key)
{
	json_builder_begin_array(at(json, key));
	g_string_append_c(json->open, 'a');
}

void json_end(Json *json)
{
	char level;

	g_return_if_fail(json->open->len > 0);
	level = json->open->str[json->open->len - 1];
	g_string_truncate(json->open, json->open->len - 1);
	if (level == 'o')
		json_builder_end_object(json->builder);
	else
		json_builder_end_array(json->builder);
}

void json_string(Json *json, const char *key, const char *value)
{
	g_autofree char *valid = value ? g_utf8_make_valid(value, -1) : NULL;

	if (valid)
		json_builder_add_string_value(at(json, key), valid);
	else
		json_null(json, key);
}

void json_strings(Json *json, const char *key, const char *const *values)
{
	json_begin_array(json, key);
	for (; values && *values; values++)
		json_string(json, NULL, *values);
	json_end(json);
}

void json_int(Json *json, const char *key, gint64 value)
{
	json_builder_add_int_value(at(json, key), value);
}

void json_bool(Json *json, const char *key, gboolean value)
{
	json_builder_add_boolean_value(at(json, key), value);
}

void json_null(Json *json, const char *key)
{
	json_builder_add_null_value(at(json, key));
}

const char *json_text(Json *json)
{
	g_autoptr(JsonNode) root = json_builder_get_root(json->builder);

	g_free(json->text);
	json->text = json_to_string(root, TRUE);
	return json->text;
}

void json_print(Json *json)
{
	puts(json_text(json));
}
