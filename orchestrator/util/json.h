/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A JSON text, written front to back with json-glib: what --json prints. */
#pragma once

#include <glib.h>

typedef struct _Json Json;

Json *json_new(void);
void json_free(Json *json);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Json, json_free)

/* `key`: the member's name in an object, NULL in an array and for the outermost value. */
void json_begin_object(Json *json, const char *key);
void json_begin_array(Json *json, const char *key);
void json_end(Json *json); /* of the innermost object or array */
/* A `value` of NULL becomes null; bytes that are no UTF-8 become U+FFFD. */
void json_string(Json *json, const char *key, const char *value);
void json_strings(Json *json, const char *key, const char *const *values);
void json_int(Json *json, const char *key, gint64 value);
void json_bool(Json *json, const char *key, gboolean value);
void json_null(Json *json, const char *key);

/* The whole text once all is ended; owned by json, valid until the next call. */
const char *json_text(Json *json);
/* To standard output, with a newline. */
void json_print(Json *json);
