// SPDX-License-Identifier: GPL-2.0-or-later
#include "size.h"

#include <string.h>

#include "error.h"

static const char UNITS[] = "KMGT";

/* Digits at *p → *value; moves *p behind them. FALSE: none there, or too many. */
static gboolean take_number(const char **p, guint64 *value)
{
	guint64 n = 0;
	const char *s = *p;

	while (g_ascii_isdigit(*s)) {
		if (n > (G_MAXINT64 - 9) / 10)
			return FALSE;
		n = n * 10 + (guint64) (*s++ - '0');
	}
	if (s == *p)
		return FALSE;
	*p = s;
	*value = n;
	return TRUE;
}

/* A unit with an optional "B" or "iB" → its power of 1024, 0 when there is none. */
static int take_unit(const char **p)
{
	const char *unit = **p ? strchr(UNITS, g_ascii_toupper(**p)) : NULL;

	if (!unit)
		return 0;
	(*p)++;
	if (**p == 'i' && (*p)[1] == 'B')
		*p += 2;
	else if (**p == 'B')
		*p += 1;
	return (int) (unit - UNITS) + 1;
}

gboolean size_parse(const char *text, guint64 *bytes, GError **error)
{
	const char *p = text;
	guint64 n;
	int power;

	if (!take_number(&p, &n) || !(power = take_unit(&p)) || *p)
		return devvm_fail(error, DEVVM_ERROR_CONFIG,
				  "'%s' is no size: write a whole number and K, M, G or T, as in "
				  "768M or 2G",
				  text);
	if (n == 0)
		return devvm_fail(error, DEVVM_ERROR_CONFIG, "'%s': a size cannot be 0", text);
	if (n > (guint64) G_MAXINT64 >> (10 * power))
		return devvm_fail(error, DEVVM_ERROR_CONFIG, "'%s' is too large", text);
	*bytes = n << (10 * power);
	return TRUE;
}

/* "2x1G" or "1G", appended to sizes. */
static gboolean parse_item(const char *item, GArray *sizes, GError **error)
{
	const char *p = item;
	guint64 count = 1, bytes;

	if (take_number(&p, &count) && (*p == 'x' || *p == '*')) {
		item = p + 1;
	} else {
		count = 1;
	}
	if (!size_parse(item, &bytes, error))
		return FALSE;
	if (count == 0 || count > SIZE_LIST_MAX - sizes->len)
		return devvm_fail(error, DEVVM_ERROR_CONFIG,
				  "1 to %d disks can be given, or the word none", SIZE_LIST_MAX);
	while (count-- > 0)
		g_array_append_val(sizes, bytes);
	return TRUE;
}

GArray *size_list_parse(const char *text, GError **error)
{
	g_autoptr(GArray) sizes = g_array_new(FALSE, FALSE, sizeof(guint64));
	g_auto(GStrv) items = NULL;

	if (*text == '\0' || g_str_equal(text, "none"))
		return g_steal_pointer(&sizes);
	items = g_strsplit_set(text, ",;", -1);
	for (char **item = items; *item; item++)
		if (!parse_item(g_strstrip(*item), sizes, error))
			return NULL;
	return g_steal_pointer(&sizes);
}

char *size_format(guint64 bytes)
{
	int power = 0;

	while (power < 4 && bytes && bytes % 1024 == 0) {
		bytes /= 1024;
		power++;
	}
	if (power == 0)
		return g_strdup_printf("%" G_GUINT64_FORMAT, bytes);
	return g_strdup_printf("%" G_GUINT64_FORMAT "%c", bytes, UNITS[power - 1]);
}
