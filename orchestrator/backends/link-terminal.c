// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * One command at a time has our terminal, so what there is to restore is kept in statics, where
 * the handlers of signals and atexit find it. The handlers of signals that are not fatal only
 * write their number to a pipe; they are installed without SA_RESTART, so that a write to a
 * terminal that does not move comes back.
 */
#include "link-private.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

static const int passed[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH, SIGTSTP};
static const int fatal[] = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL};

static struct sigaction old_passed[G_N_ELEMENTS(passed)], old_fatal[G_N_ELEMENTS(fatal)];
static int signal_pipe[2] = {-1, -1};
static struct termios found, raw;
static volatile sig_atomic_t is_raw;
static gboolean want_raw;

static void restore(void)
{
	if (is_raw)
		tcsetattr(STDIN_FILENO, TCSADRAIN, &found);
	is_raw = 0;
}

static void make_raw(void)
{
	if (want_raw && tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) == 0)
		is_raw = 1;
}

static void on_signal(int number)
{
	int saved = errno;
	unsigned char byte = (unsigned char) number;

	if (write(signal_pipe[1], &byte, 1) < 0) {
		/* The pipe is full of signals: one more would say nothing new. */
	}
	errno = saved;
}

static void on_fatal(int number)
{
	restore();
	signal(number, SIG_DFL);
	raise(number);
}

static void prepare_raw(void)
{
	static gboolean at_exit;

	want_raw = tcgetattr(STDIN_FILENO, &found) == 0;
	raw = found;
	cfmakeraw(&raw);
	if (!at_exit)
		atexit(restore);
	at_exit = TRUE;
}

int link_terminal_enter(gboolean tty)
{
	struct sigaction pass = {.sa_handler = on_signal}, die = {.sa_handler = on_fatal};

	if (pipe2(signal_pipe, O_CLOEXEC | O_NONBLOCK) < 0)
		return -1;
	for (gsize i = 0; i < G_N_ELEMENTS(passed); i++) {
		sigaction(passed[i], NULL, &old_passed[i]);
		/* What nohup and the like ignore stays ignored. */
		if (old_passed[i].sa_handler != SIG_IGN && (tty || passed[i] != SIGTSTP))
			sigaction(passed[i], &pass, NULL);
	}
	want_raw = FALSE;
	if (tty) {
		for (gsize i = 0; i < G_N_ELEMENTS(fatal); i++)
			sigaction(fatal[i], &die, &old_fatal[i]);
		prepare_raw();
		make_raw();
	}
	return signal_pipe[0];
}

void link_terminal_leave(void)
{
	restore();
	for (gsize i = 0; i < G_N_ELEMENTS(passed); i++)
		sigaction(passed[i], &old_passed[i], NULL);
	for (gsize i = 0; want_raw && i < G_N_ELEMENTS(fatal); i++)
		sigaction(fatal[i], &old_fatal[i], NULL);
	want_raw = FALSE;
	for (int i = 0; i < 2; i++) {
		close(signal_pipe[i]);
		signal_pipe[i] = -1;
	}
}

int link_terminal_signal(void)
{
	unsigned char byte;

	return read(signal_pipe[0], &byte, 1) == 1 ? byte : 0;
}

void link_terminal_suspend(void)
{
	restore();
	raise(SIGSTOP);
	make_raw();
}

gboolean link_terminal_size(guint32 *rows, guint32 *columns)
{
	struct winsize size;

	*rows = 24;
	*columns = 80;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_row == 0)
		return FALSE;
	*rows = size.ws_row;
	*columns = size.ws_col;
	return TRUE;
}
