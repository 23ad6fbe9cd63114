// SPDX-License-Identifier: GPL-2.0-or-later
#include "nearest.h"

#include <string.h>

#define WORD_MAX 64

/* Edits (insert, delete, replace, swap of neighbours) that turn a into b. */
static guint distance(const char *a, const char *b)
{
	gsize la = strlen(a), lb = strlen(b);
	guint rows[3][WORD_MAX + 1];
	guint *before = rows[0], *last = rows[1], *now = rows[2];

	if (la > WORD_MAX || lb > WORD_MAX)
		return G_MAXUINT;
	for (gsize j = 0; j <= lb; j++)
		last[j] = (guint) j;
	for (gsize i = 1; i <= la; i++) {
		now[0] = (guint) i;
		for (gsize j = 1; j <= lb; j++) {
			guint best = last[j - 1] + (a[i - 1] != b[j - 1]);

			best = MIN(best, MIN(last[j], now[j - 1]) + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				best = MIN(best, before[j - 2] + 1);
			now[j] = best;
		}
		guint *spare = before;

		before = last;
		last = now;
		now = spare;
	}
	return last[lb];
}

const char *nearest_word(const char *word, const char *const *words)
{
	const char *best = NULL;
	guint least = MAX(1, MIN(3, (guint) strlen(word) / 3)) + 1;
	g_autofree char *lower = g_ascii_strdown(word, -1);

	for (; *words; words++) {
		guint d = distance(lower, *words);

		if (d < least) {
			least = d;
			best = *words;
		}
	}
	return best;
}
