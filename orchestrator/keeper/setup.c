// SPDX-License-Identifier: GPL-2.0-or-later
#include "setup.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client.h"
#include "nfs-server.h"
#include "qmp.h"
#include "streams.h"
#include "guest-agent/protocol.h"

#define DONE_NAME "setup.done"
#define WORDS_MAX 4096 /* kept of what the agent says */
#define LAG_MS 20      /* a guest's clock this far behind is set */
#define SETTLE_MS 50   /* single steps are many short stops: one setting for all */
#define PUT_PART (16 * 1024)

typedef enum { CONNECTING, SETTING_UP, PUTTING, READY, FAILED, GOING } State;

struct Setup {
	Keeper *k;
	State state;
	Stream *stream; /* SETUP or PUT that runs */
	GString *words; /* what the agent said on STDERR */
	char *failure;
	guint file; /* the file being put */
	int fd;
	guint64 left; /* bytes of it to send */
	guint window; /* bytes we may send */
	gint64 begun_us, ready_us;
	gint64 lag_ms; /* how long the VM has been stopped since its clock was set */
	guint clock_timer;
};

static void next_file(Setup *s);

static void set_state(Setup *s, State state)
{
	s->state = state;
	streams_recheck(s->k->streams);
	clients_guest_changed(s->k->clients);
}

static void fail(Setup *s, const char *what)
{
	g_free(s->failure);
	s->failure = g_strdup(what);
	klog("setup: %s", what);
	set_state(s, FAILED);
}

static void drop_file(Setup *s)
{
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
}

/* --- SETUP ------------------------------------------------------------------------------------ */

static void on_words(Stream *stream, gpointer owner, guint32 type, const guint8 *bytes, gsize n)
{
	Setup *s = owner;

	if (s->words->len < WORDS_MAX)
		g_string_append_len(s->words, (const char *) bytes,
				    (gssize) MIN(n, WORDS_MAX - s->words->len));
	stream_credit(stream, (guint32) n);
}

static void no_credit(Stream *stream, gpointer owner, guint32 n)
{
}

static char *why_ended(Setup *s, const char *what, guint32 how, gint32 value, const char *message)
{
	g_autofree char *words = g_utf8_make_valid(s->words->str, (gssize) s->words->len);
	const char *cause = message && *message	  ? message
			    : how == PROTO_FAILED ? g_strerror(value)
						  : "it ended badly";

	g_strchomp(words);
	return g_strdup_printf("%s: %s%s%s", what, cause, *words ? "\n" : "", words);
}

static void setup_ended(Stream *stream, gpointer owner, guint32 how, gint32 value,
			const char *message)
{
	Setup *s = owner;

	s->stream = NULL;
	if (s->words->len)
		klog("the agent says: %s", s->words->str);
	if (how == PROTO_EXITED && value == 0) {
		s->file = 0;
		set_state(s, PUTTING);
		next_file(s);
	} else if (how != PROTO_LOST) {
		g_autofree char *why =
			why_ended(s, "the guest could not be set up", how, value, message);

		fail(s, why);
	}
}

static const StreamOwner setup_ops = {on_words, no_credit, NULL, setup_ended};

static void begin_setup(Setup *s)
{
	g_autoptr(GString) lines = g_string_new(NULL);
	g_autoptr(GByteArray) arguments = g_byte_array_new();
	g_autofree char *nfs = nfs_server_setup_line(s->k->nfs);
	struct wire w;

	for (gsize i = 0; s->k->boot->setup[i]; i++)
		g_string_append_printf(lines, "%s\n", s->k->boot->setup[i]);
	g_string_append_printf(lines, "clock %" G_GINT64_FORMAT "\n", g_get_real_time() * 1000);
	if (nfs)
		g_string_append_printf(lines, "%s\n", nfs);
	g_byte_array_set_size(arguments, (guint) lines->len + 4);
	w = wire_over(arguments->data, arguments->len);
	wire_put_bytes(&w, lines->str, lines->len);

	g_string_truncate(s->words, 0);
	s->begun_us = g_get_real_time();
	set_state(s, SETTING_UP);
	s->stream = streams_open(s->k->streams, STREAM_INTERNAL, PROTO_OP_SETUP, arguments->data,
				 arguments->len, &setup_ops, s);
	if (!s->stream)
		fail(s, "the guest's setup is too long for one message");
}

/* --- Files ------------------------------------------------------------------------------------ */

/* Sends what the window allows. */
static void send_file(Setup *s)
{
	guint8 part[PUT_PART];

	while (s->stream && s->fd >= 0 && s->window > 0 && s->left > 0) {
		gsize want = MIN(MIN(sizeof(part), s->window), s->left);
		gssize n = read(s->fd, part, want);

		if (n <= 0)
			break; /* it became shorter: the agent will miss bytes and say so */
		stream_input(s->stream, part, (gsize) n);
		s->window -= (guint) n;
		s->left -= (guint64) n;
		if (s->left > 0)
			continue;
		drop_file(s);
		stream_input(s->stream, NULL, 0);
		return;
	}
	if (s->stream && s->fd >= 0 && s->window > 0) {
		drop_file(s);
		stream_input(s->stream, NULL, 0);
	}
}

static void put_credit(Stream *stream, gpointer owner, guint32 n)
{
	Setup *s = owner;

	s->window += n;
	send_file(s);
}

static void put_ended(Stream *stream, gpointer owner, guint32 how, gint32 value,
		      const char *message)
{
	Setup *s = owner;
	const BootFile *f = g_ptr_array_index(s->k->boot->files, s->file);

	s->stream = NULL;
	drop_file(s);
	if (how == PROTO_LOST)
		return;
	if (how != PROTO_EXITED || value != 0) {
		g_autofree char *what = g_strdup_printf("cannot put %s into the guest", f->guest);
		g_autofree char *why = why_ended(s, what, how, value, message);

		fail(s, why);
		return;
	}
	s->file++;
	next_file(s);
}

static const StreamOwner put_ops = {on_words, put_credit, NULL, put_ended};

static void all_done(Setup *s)
{
	int fd = open(DONE_NAME, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd >= 0)
		close(fd);
	s->ready_us = g_get_real_time();
	klog("the guest is ready");
	set_state(s, READY);
}

static void next_file(Setup *s)
{
	GPtrArray *files = s->k->boot->files;
	const BootFile *f;
	guint8 arguments[8192];
	struct wire w = wire_over(arguments, sizeof(arguments));
	struct stat st;

	if (s->file >= files->len) {
		all_done(s);
		return;
	}
	f = g_ptr_array_index(files, s->file);
	s->fd = open(f->host, O_RDONLY | O_CLOEXEC);
	if (s->fd < 0 || fstat(s->fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		g_autofree char *why =
			g_strdup_printf("cannot read %s, which the guest needs as %s: %s", f->host,
					f->guest, s->fd < 0 ? g_strerror(errno) : "no file");

		drop_file(s);
		fail(s, why);
		return;
	}
	s->left = (guint64) st.st_size;
	s->window = PROTO_WINDOW;
	g_string_truncate(s->words, 0);
	wire_put_str(&w, f->guest);
	wire_put_u32(&w, st.st_mode & 0777);
	wire_put_u64(&w, s->left);
	s->stream = w.bad ? NULL
			  : streams_open(s->k->streams, STREAM_INTERNAL, PROTO_OP_PUT, arguments,
					 w.pos, &put_ops, s);
	if (!s->stream) {
		drop_file(s);
		fail(s, "cannot put a file into the guest: its path is too long");
		return;
	}
	send_file(s);
}

static void clock_ended(Stream *stream, gpointer owner, guint32 how, gint32 value,
			const char *message)
{
	if (how != PROTO_EXITED || value != 0)
		klog("the guest's clock was not set: %s", message ? message : "");
}

static const StreamOwner clock_ops = {on_words, no_credit, NULL, clock_ended};

static void set_clock(Setup *s)
{
	guint8 arguments[8];
	struct wire w = wire_over(arguments, sizeof(arguments));

	s->lag_ms = 0;
	wire_put_u64(&w, (guint64) g_get_real_time() * 1000);
	streams_open(s->k->streams, STREAM_INTERNAL, PROTO_OP_CLOCK, arguments, sizeof(arguments),
		     &clock_ops, s);
}

/* --- What happens to the guest ---------------------------------------------------------------- */

void setup_agent_here(Setup *s, guint32 state)
{
	if (state == PROTO_AGENT_EARLY) {
		unlink(DONE_NAME);
		begin_setup(s);
		return;
	}
	/* The keeper before us was killed; or the VM was saved, and is restored. */
	set_clock(s);
	if (access(DONE_NAME, F_OK) == 0) {
		s->ready_us = g_get_real_time();
		set_state(s, READY);
		return;
	}
	s->file = 0;
	set_state(s, PUTTING);
	next_file(s);
}

void setup_agent_gone(Setup *s)
{
	drop_file(s);
	if (s->stream) {
		stream_cancel(s->stream);
		s->stream = NULL;
	}
	g_clear_pointer(&s->failure, g_free);
	if (s->state != CONNECTING)
		set_state(s, CONNECTING);
}

void setup_wrong_version(Setup *s, guint32 version, const char *build)
{
	g_autofree char *why = g_strdup_printf(
		"the agent in %s is of another version (%s, protocol %u; devvm is %s, protocol "
		"%u): `devvm down %s`, then `devvm up %s`",
		s->k->boot->name, build, version, DEVVM_VERSION, PROTO_VERSION, s->k->boot->name,
		s->k->boot->name);

	fail(s, why);
}

void setup_guest_reset(Setup *s)
{
	unlink(DONE_NAME);
	s->begun_us = s->ready_us = 0;
}

void setup_guest_going(Setup *s)
{
	unlink(DONE_NAME);
	if (s->state == READY)
		set_state(s, GOING);
}

static gboolean clock_is_due(gpointer data)
{
	Setup *s = data;

	s->clock_timer = 0;
	if (s->state == READY && !qmp_stopped(s->k->qmp))
		set_clock(s);
	return G_SOURCE_REMOVE;
}

void setup_resumed(Setup *s, gint64 stopped_ms)
{
	s->lag_ms += stopped_ms;
	if (s->state == READY && s->lag_ms >= LAG_MS && !s->clock_timer)
		s->clock_timer = g_timeout_add(SETTLE_MS, clock_is_due, s);
}

/* --- Questions -------------------------------------------------------------------------------- */

gboolean setup_ready(const Setup *s)
{
	return s->state == READY;
}

gboolean setup_failed(const Setup *s)
{
	return s->state == FAILED;
}

const char *setup_state(const Setup *s)
{
	static const char *const names[] = {"connecting", "early",  "setup", "setup",
					    "ready",	  "failed", "going"};

	return names[s->state];
}

char *setup_text(const Setup *s)
{
	const char *name = s->k->boot->name;

	switch (s->state) {
	case READY:
		return g_strdup_printf("%s is ready", name);
	case FAILED:
		return g_strdup_printf("%s: %s", name, s->failure);
	case GOING:
		return g_strdup_printf("%s is on its way down", name);
	case SETTING_UP:
	case PUTTING:
		return g_strdup_printf("%s has booted and is being set up (root, trees, network)",
				       name);
	default:
		return g_strdup_printf("the agent in %s does not answer (still booting?): `devvm "
				       "console %s` shows how far it got",
				       name, name);
	}
}

gint64 setup_begun_us(const Setup *s)
{
	return s->begun_us;
}

gint64 setup_ready_us(const Setup *s)
{
	return s->ready_us;
}

Setup *setup_new(Keeper *k)
{
	Setup *s = g_new0(Setup, 1);

	s->k = k;
	s->fd = -1;
	s->words = g_string_new(NULL);
	return s;
}

void setup_free(Setup *s)
{
	if (!s)
		return;
	drop_file(s);
	g_clear_handle_id(&s->clock_timer, g_source_remove);
	g_string_free(s->words, TRUE);
	g_free(s->failure);
	g_free(s);
}
