/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shared by the link*.c files, and by nobody else. */
#pragma once

#include "link.h"
#include "orchestrator/keeper/client-proto.h"
#include "util/error.h"
#include "util/frames.h"

struct _Link {
	char *name, *run_dir, *data_dir;
	int fd;
	FrameReader in;
	GByteArray *out;
	guint32 next_stream;
};

/* Where an operation's input comes from and its output goes. */
typedef struct {
	const guint8 *input; /* input_size bytes, then end of file */
	gsize input_size;
	int in_fd;	    /* instead, when not -1 */
	gboolean has_input; /* one of the two above is in use */
	int out_fd, err_fd; /* -1: dropped, unless there is a string */
	GString *out, *err;
	gboolean pass_signals;
	gboolean tty; /* in_fd and out_fd are our terminal, in raw mode */
} LinkIo;

typedef struct {
	guint32 how; /* enum proto_exit; never PROTO_LOST */
	gint32 value;
	char *message;
} LinkEnd;

/* Runs one operation to its end. FALSE: it was lost, or could not begin, or we were told to stop.
 */
gboolean link_operation(Link *link, guint32 op, const guint8 *arguments, gsize n, const LinkIo *io,
			LinkEnd *end, GError **error);

/* --- link-terminal.c: our terminal and our signals while a command runs ----------------------- */

/* Raw mode when tty; signals go to a pipe whose end to read is returned, or -1. */
int link_terminal_enter(gboolean tty);
void link_terminal_leave(void);
/* The next signal that came, or 0. */
int link_terminal_signal(void);
/* Stops ourselves as SIGTSTP would, the terminal as it was found; returns when continued. */
void link_terminal_suspend(void);
/* FALSE, and 24 by 80, when stdout is no terminal. */
gboolean link_terminal_size(guint32 *rows, guint32 *columns);
