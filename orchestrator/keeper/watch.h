/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A file descriptor in the main loop, whose conditions can be changed cheaply. */
#pragma once

#include <glib.h>

typedef struct Watch Watch;
typedef void (*WatchFunc)(gpointer data, GIOCondition ready);

/* The fd stays the caller's. HUP and ERR are reported even when cond is 0. */
Watch *watch_new(int fd, GIOCondition cond, WatchFunc f, gpointer data);
void watch_set(Watch *watch, GIOCondition cond);
/* May be called from the watch's own function. */
void watch_free(Watch *watch);
