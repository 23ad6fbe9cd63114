/* SPDX-License-Identifier: GPL-2.0-or-later */
/* "Did you mean": the known word that a mistyped one is nearest to. */
#pragma once

#include <glib.h>

/* One of `words` (NULL-terminated), or NULL when none is near enough to be worth naming. */
const char *nearest_word(const char *word, const char *const *words);
