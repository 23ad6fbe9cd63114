// SPDX-License-Identifier: GPL-2.0-or-later
#include "verbs.h"

/* One a line, so that additions do not collide. */
/* clang-format off */
const Verb *const devvm_verbs[] = {
	&verb_init,
	&verb_doctor,
	&verb_config,
	&verb_up,
	&verb_down,
	&verb_reboot,
	&verb_rm,
	&verb_ls,
	&verb_status,
	&verb_console,
	&verb_log,
	&verb_build,
	&verb_reload_module,
	&verb_unload_module,
	&verb_gdb,
	&verb_exec,
	&verb_shell,
	&verb_complete,
	NULL,
};
