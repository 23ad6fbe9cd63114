/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The rows of all verbs, each defined at the end of its own file; table.c lists them. */
#pragma once

#include "../verb.h"

/* keep in the order of the table */
extern const Verb verb_init;
extern const Verb verb_doctor;
extern const Verb verb_config;
extern const Verb verb_up;
extern const Verb verb_down;
extern const Verb verb_rm;
extern const Verb verb_ls;
extern const Verb verb_reboot;
extern const Verb verb_status;
extern const Verb verb_console;
extern const Verb verb_log;
extern const Verb verb_build;
extern const Verb verb_reload_module;
extern const Verb verb_unload_module;
extern const Verb verb_gdb;
extern const Verb verb_exec;
extern const Verb verb_shell;
extern const Verb verb_complete;
