/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Makes a guest that has booted ready: SETUP when its agent says EARLY, then the files that `up`
 * wants there. Also after the guest has rebooted, and what a killed keeper left half done: that
 * the files are there is noted in RUNDIR/setup.done.
 */
#pragma once

#include "keeper.h"

Setup *setup_new(Keeper *k);
void setup_free(Setup *s);

/* What happens to the guest; called by channel.c and qmp.c. */
void setup_agent_here(Setup *s, guint32 state); /* enum proto_agent_state */
void setup_agent_gone(Setup *s);
void setup_wrong_version(Setup *s, guint32 version, const char *build);
void setup_guest_reset(Setup *s);
void setup_guest_going(Setup *s); /* it was told to reboot or to power off, and does */
void setup_resumed(Setup *s, gint64 stopped_ms);

gboolean setup_ready(const Setup *s);
/* Waiting is of no use: see the text. */
gboolean setup_failed(const Setup *s);
/* How far the guest is, for the user: new string. */
char *setup_text(const Setup *s);
/* One word, for the status: connecting, setup, ready, failed, going */
const char *setup_state(const Setup *s);
/* Wall clock of the stages, 0 while not reached. */
gint64 setup_begun_us(const Setup *s);
gint64 setup_ready_us(const Setup *s);
