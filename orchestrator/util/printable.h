/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Text from the guest on its way to the user's terminal. */
#pragma once

#include <glib.h>

/*
 * `text` with every control character but newline and tab as \xNN, and bytes that are no UTF-8 as
 * U+FFFD: what a guest says must not drive the terminal. New string; NULL for NULL.
 */
char *printable(const char *text);
