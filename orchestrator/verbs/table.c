// SPDX-License-Identifier: GPL-2.0-or-later
#include "verbs.h"

const Verb *const devvm_verbs[] = {
	&verb_up, &verb_down, &verb_rm, &verb_ls, NULL,
};
