/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "keeper.h"

/* What KEEPER_STATUS answers: "key value" lines, see status.c for the keys; new string. */
char *status_text(Keeper *k);
