// SPDX-License-Identifier: GPL-2.0-or-later
#include "json.h"

#include <stdio.h>

struct _Json {
	GString *text;
	GString *open; /* '}' or ']' for each level, outermost first */
	gboolean first;
};

Json *json_new(void)
{
	Json *json = g_new0(Json, 1);

	json->text = g_string_new(NULL);
	json->open = g_string_new(NULL);
	json->first = TRUE;
	return json;
}

void json_free(Json *json)
{
	if (!json)
		return;
	g_string_free(json->text, TRUE);
	g_string_free(json->open, TRUE);
	g_free(json);
}

static void new_line(Json *json)
{
	g_string_append_printf(json->text, "\n%*s", (int) json->open->len * 2, "");
}

static void quote(GString *text, const char *value)
{
	g_autofree char *valid = g_utf8_make_valid(value, -1);

	g_string_append_c(text, '"');
	for (const char *p = valid; *p; p++) {
		if (*p == '"' || *p == '\\')
			g_string_append_c(text, '\\');
		if ((guchar) *p < 0x20 || *p == 0x7f)
			g_string_append_printf(text, "\\u%04x", (guint) *p);
		else
			g_string_append_c(text, *p);
	}
	g_string_append_c(text, '"');
}

/* What stands before a value: comma, line, key. */
static void lead_in(Json *json, const char *key)
{
	if (!json->first)
		g_string_append_c(json->text, ',');
	if (json->open->len)
		new_line(json);
	if (key) {
		quote(json->text, key);
		g_string_append(json->text, ": ");
	}
	json->first = FALSE;
}

static void begin(Json *json, const char *key, char opening, char closing)
{
	lead_in(json, key);
	g_string_append_c(json->text, opening);
	g_string_append_c(json->open, closing);
	json->first = TRUE;
}

void json_begin_object(Json *json, const char *key)
{
	begin(json, key, '{', '}');
}

void json_begin_array(Json *json, const char *key)
{
	begin(json, key, '[', ']');
}

void json_end(Json *json)
{
	char closing;

	g_return_if_fail(json->open->len > 0);
	closing = json->open->str[json->open->len - 1];
	g_string_truncate(json->open, json->open->len - 1);
	if (!json->first)
		new_line(json);
	g_string_append_c(json->text, closing);
	json->first = FALSE;
}

void json_string(Json *json, const char *key, const char *value)
{
	lead_in(json, key);
	if (value)
		quote(json->text, value);
	else
		g_string_append(json->text, "null");
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
	lead_in(json, key);
	g_string_append_printf(json->text, "%" G_GINT64_FORMAT, value);
}

void json_bool(Json *json, const char *key, gboolean value)
{
	lead_in(json, key);
	g_string_append(json->text, value ? "true" : "false");
}

void json_null(Json *json, const char *key)
{
	json_string(json, key, NULL);
}

const char *json_text(const Json *json)
{
	return json->text->str;
}

void json_print(const Json *json)
{
	puts(json->text->str);
}
