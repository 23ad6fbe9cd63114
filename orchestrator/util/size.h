/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sizes as people write them: a whole number and K, M, G or T (powers of 1024). */
#pragma once

#include <glib.h>

/* "768M", "2G", "2GiB" → bytes. No sign, no fraction, no bare number; DEVVM_ERROR_CONFIG. */
gboolean size_parse(const char *text, guint64 *bytes, GError **error);

/*
 * "2x1G", "1G,512M" → array of guint64, one element a disk; "none" and "" give an empty array.
 * At most SIZE_LIST_MAX elements.
 */
#define SIZE_LIST_MAX 16
GArray *size_list_parse(const char *text, GError **error);

/* The shortest exact form: 1073741824 → "1G"; new string. */
char *size_format(guint64 bytes);
