// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Streams: bytes between a child's pipes and the channel's frames, within the windows, and the end.
 *
 * Theory of operation
 * -------------------
 * A stream ends when its child has been reaped and its output is at end of file. A process that
 * the command left in the background may hold the pipes for ever, and the command's end must not
 * wait for it: EXIT_GRACE_MS after the child's death what is in the pipes at that moment is still
 * sent, then the pipes are closed (the straggler's next write fails with EPIPE, as when a terminal
 * goes away; `nohup cmd >/dev/null 2>&1 &` runs on). Nothing that the command itself wrote is lost:
 * it is in the pipe before the child can be reaped.
 *
 * CANCEL, and the end of a session, close the pipes at once, send SIGHUP to the command's process
 * group, and SIGKILL KILL_AFTER_MS later if it has not gone by then.
 */
#include <errno.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent.h"

#define CREDIT_STEP (PROTO_WINDOW / 4)

void streams_init(struct agent *a)
{
	for (unsigned i = 0; i < PROTO_MAX_STREAMS; i++)
		a->streams[i].id = 0;
}

struct stream *stream_find(struct agent *a, uint32_t id)
{
	for (unsigned i = 0; i < PROTO_MAX_STREAMS; i++)
		if (a->streams[i].id == id)
			return &a->streams[i];
	return NULL;
}

static struct stream *stream_new(struct agent *a, uint32_t id)
{
	struct stream *s = stream_find(a, 0);

	if (!s)
		return NULL;
	memset(s, 0, offsetof(struct stream, ring));
	s->id = id;
	s->in = s->out = s->err = s->report = s->ns = -1;
	s->window = PROTO_WINDOW;
	return s;
}

static void close_ends(struct stream *s)
{
	if (s->in == s->out)
		s->in = -1;
	close_fd(&s->in);
	close_fd(&s->out);
	close_fd(&s->err);
}

static void stream_free(struct agent *a, struct stream *s)
{
	close_ends(s);
	close_fd(&s->report);
	if (s->ns >= 0)
		fresh_drop(a, s->ns);
	s->ns = -1;
	s->id = 0;
}

static void signal_group(pid_t pid, int number)
{
	/* Between its fork and its setsid the child is no group yet. */
	if (pid > 0 && kill(-pid, number) < 0 && errno == ESRCH)
		kill(pid, number);
}

/* --- the end ---------------------------------------------------------------------------------- */

static bool send_exit(struct agent *a, uint32_t id, uint32_t how, int32_t value,
		      const char *message)
{
	uint8_t payload[REPORT_SIZE];
	struct wire w = wire_over(payload, sizeof(payload));

	wire_put_u32(&w, how);
	wire_put_u32(&w, (uint32_t) value);
	wire_put_str(&w, message);
	return channel_send(a, id, PROTO_EXIT, payload, w.pos, 0);
}

void stream_exit_now(struct agent *a, uint32_t id, uint32_t how, int32_t value, const char *message)
{
	if (!send_exit(a, id, how, value, message))
		say("no room to tell the host of the end of stream %u", id);
}

void stream_end(struct agent *a, struct stream *s, uint32_t how, int32_t value, const char *message)
{
	s->how = how;
	s->value = value;
	snprintf(s->message, sizeof(s->message), "%s", message);
	s->ended = true;
}

void stream_child_gone(struct stream *s, int report, int status)
{
	s->pid = 0;
	s->reaped = true;
	s->out_ready = s->err_ready = true; /* a terminal's end is no event */
	s->kill_at = 0;
	s->grace = now_ms() + EXIT_GRACE_MS;
	if (report_read(report, &s->how, &s->value, s->message, sizeof(s->message)))
		return;
	s->how = WIFSIGNALED(status) ? PROTO_SIGNALED : PROTO_EXITED;
	s->value = WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
	s->message[0] = '\0';
}

void streams_reaped(struct agent *a, pid_t pid, int status)
{
	struct stream *s = NULL;

	for (unsigned i = 0; i < DYING_MAX; i++)
		if (a->dying[i].pid == pid)
			a->dying[i].pid = 0;
	for (unsigned i = 0; i < PROTO_MAX_STREAMS && !s; i++)
		if (a->streams[i].id && a->streams[i].pid == pid)
			s = &a->streams[i];
	if (!s)
		return;
	stream_child_gone(s, s->report, status);
	s->syncing = s->ns >= 0 && fresh_sync(a, s->ns, s->id);
}

void streams_synced(struct agent *a, uint32_t id)
{
	struct stream *s = stream_find(a, id);

	if (s)
		s->syncing = false;
}

static void finish_if_done(struct agent *a, struct stream *s)
{
	if (!s->ended && s->reaped && !s->syncing && s->out < 0 && s->err < 0)
		s->ended = true;
	if (s->ended && send_exit(a, s->id, s->how, s->value, s->message))
		stream_free(a, s);
}

static void start_final_drain(struct stream *s)
{
	s->grace = 0;
	s->final_drain = true;
	if (s->out >= 0 && (ioctl(s->out, FIONREAD, &s->out_left) < 0 || !s->out_left))
		s->out_left = 0;
	if (s->err >= 0 && (ioctl(s->err, FIONREAD, &s->err_left) < 0 || !s->err_left))
		s->err_left = 0;
	s->out_ready = s->err_ready = true;
}

/* --- input ------------------------------------------------------------------------------------ */

static void give_credit(struct agent *a, struct stream *s)
{
	uint8_t payload[4];
	struct wire w = wire_over(payload, sizeof(payload));

	if (s->owed < CREDIT_STEP)
		return;
	wire_put_u32(&w, s->owed);
	if (channel_send(a, s->id, PROTO_CREDIT, payload, w.pos, 0))
		s->owed = 0;
}

static void close_input(struct stream *s)
{
	s->owed += s->ring_used;
	s->ring_used = 0;
	if (s->in != s->out)
		close_fd(&s->in);
	s->in = -1;
}

static bool pump_input(struct stream *s)
{
	bool done = false;

	while (s->in >= 0 && s->in_ready && s->ring_used) {
		size_t piece = PROTO_WINDOW - s->ring_head;
		ssize_t n;

		if (piece > s->ring_used)
			piece = s->ring_used;
		n = write(s->in, s->ring + s->ring_head, piece);
		if (n > 0) {
			s->ring_head = (s->ring_head + (uint32_t) n) % PROTO_WINDOW;
			s->ring_used -= (uint32_t) n;
			s->owed += (uint32_t) n;
			done = true;
		} else if (errno == EAGAIN) {
			s->in_ready = false;
		} else if (errno != EINTR) {
			close_input(s); /* EPIPE: the command does not read any more */
		}
	}
	if (s->in >= 0 && s->in_eof && !s->ring_used) {
		if (s->in == s->out && write(s->in, "\004", 1) < 0 && errno == EAGAIN)
			return done;
		if (s->in == s->out)
			s->in_eof = false;
		else
			close_input(s);
	}
	return done;
}

static void take_input(struct agent *a, struct stream *s, const uint8_t *payload, size_t n)
{
	uint32_t tail = (s->ring_head + s->ring_used) % PROTO_WINDOW;
	size_t piece = PROTO_WINDOW - tail;

	if (n == 0) {
		s->in_eof = true;
		return;
	}
	if (s->in < 0 || s->in_eof) { /* closed: swallowed, so that the host is not stuck */
		s->owed += (uint32_t) n;
		return;
	}
	if (n > PROTO_WINDOW - s->ring_used) {
		signal_group(s->pid, SIGKILL);
		stream_end(a, s, PROTO_FAILED, EPROTO, "the host sent more input than it may");
		return;
	}
	if (piece > n)
		piece = n;
	memcpy(s->ring + tail, payload, piece);
	memcpy(s->ring, payload + piece, n - piece);
	s->ring_used += (uint32_t) n;
}

/* --- output ----------------------------------------------------------------------------------- */

/* One frame from *fd; true when something was done. */
static bool pump_output(struct agent *a, struct stream *s, int *fd, bool *ready, int *left,
			uint32_t type)
{
	size_t want = s->window < PROTO_MAX_PAYLOAD ? s->window : PROTO_MAX_PAYLOAD;
	uint8_t *room;
	ssize_t n;

	if (s->final_drain && *fd >= 0 && *left <= 0) {
		close_fd(fd);
		return true;
	}
	if (*fd < 0 || !*ready || !want)
		return false;
	if (s->final_drain && want > (size_t) *left)
		want = (size_t) *left;
	room = channel_room(a, want, TX_RESERVE);
	if (!room)
		return false;
	n = read(*fd, room, want);
	if (n > 0) {
		channel_commit(a, s->id, type, (size_t) n);
		s->window -= (uint32_t) n;
		*left -= (int) n;
	} else if (n < 0 && errno == EAGAIN) {
		*ready = false;
		*left = 0;
		return s->final_drain;
	} else if (n < 0 && errno == EIO && !s->reaped) {
		/*
		 * A terminal that nobody has open just now. Closing our end would hang it up, under
		 * a command that closes its files before it exits, or opens /dev/tty again.
		 */
		*ready = false;
		return false;
	} else if (n == 0 || errno != EINTR) { /* end of file */
		if (s->in == *fd)
			s->in = -1;
		close_fd(fd);
	}
	return true;
}

static bool pump_outputs(struct agent *a, struct stream *s)
{
	bool done = false;

	s->err_first = !s->err_first;
	for (int i = 0; i < 2; i++) {
		if (s->err_first == (i == 0))
			done |= pump_output(a, s, &s->err, &s->err_ready, &s->err_left,
					    PROTO_STDERR);
		else
			done |= pump_output(a, s, &s->out, &s->out_ready, &s->out_left,
					    PROTO_STDOUT);
	}
	return done;
}

bool streams_pump(struct agent *a)
{
	bool done = false;

	a->turn++;
	for (unsigned i = 0; i < PROTO_MAX_STREAMS; i++) {
		struct stream *s = &a->streams[(a->turn + i) % PROTO_MAX_STREAMS];

		if (!s->id)
			continue;
		done |= pump_input(s);
		give_credit(a, s);
		done |= pump_outputs(a, s);
		finish_if_done(a, s);
	}
	return done;
}

/* --- frames from the host --------------------------------------------------------------------- */

static void open_stream(struct agent *a, uint32_t id, uint8_t *payload, size_t size)
{
	struct wire w = wire_over(payload, size);
	uint32_t number = wire_get_u32(&w);
	const struct op *op = op_find(number);
	struct stream *s;
	char message[80];

	if (stream_find(a, id)) {
		say("the host opened stream %u twice", id);
		return;
	}
	if (w.bad || !op) {
		snprintf(message, sizeof(message), "this agent (%s) knows no operation %u",
			 DEVVM_VERSION, number);
		stream_exit_now(a, id, PROTO_FAILED, ENOSYS, message);
		return;
	}
	s = stream_new(a, id);
	if (!s) {
		snprintf(message, sizeof(message), "%u operations run in the guest already",
			 PROTO_MAX_STREAMS);
		stream_exit_now(a, id, PROTO_FAILED, EAGAIN, message);
		return;
	}
	s->op = op;
	op->start(a, s, &w);
}

static void cancel(struct stream *s)
{
	close_ends(s);
	if (s->pid && !s->kill_at && !s->ended) {
		signal_group(s->pid, SIGHUP);
		signal_group(s->pid, SIGCONT);
		s->kill_at = now_ms() + KILL_AFTER_MS;
	}
}

void stream_frame(struct agent *a, const struct proto_header *h, uint8_t *payload)
{
	struct wire w = wire_over(payload, h->length);
	struct stream *s = stream_find(a, h->stream);
	uint32_t first = h->type == PROTO_STDIN ? 0 : wire_get_u32(&w);

	if (h->type == PROTO_OPEN) {
		open_stream(a, h->stream, payload, h->length);
		return;
	}
	if (!s || s->ended) /* it has just ended */
		return;
	if (h->type == PROTO_STDIN)
		take_input(a, s, payload, h->length);
	else if (h->type == PROTO_CREDIT && !w.bad)
		s->window += first <= PROTO_WINDOW - s->window ? first : PROTO_WINDOW - s->window;
	else if (h->type == PROTO_SIGNAL && !w.bad && first >= 1 && first <= 64)
		signal_group(s->pid, (int) first);
	else if (h->type == PROTO_WINSIZE && s->in >= 0 && s->in == s->out)
		child_set_size(s->in, first, wire_get_u32(&w));
	else if (h->type == PROTO_CANCEL)
		cancel(s);
}

/* --- sessions and deadlines ------------------------------------------------------------------- */

static void add_dying(struct agent *a, pid_t pid)
{
	for (unsigned i = 0; i < DYING_MAX; i++) {
		if (!a->dying[i].pid) {
			a->dying[i].pid = pid;
			a->dying[i].kill_at = now_ms() + KILL_AFTER_MS;
			signal_group(pid, SIGHUP);
			signal_group(pid, SIGCONT);
			return;
		}
	}
	signal_group(pid, SIGKILL);
}

void streams_drop_session(struct agent *a)
{
	for (unsigned i = 0; i < PROTO_MAX_STREAMS; i++) {
		struct stream *s = &a->streams[i];

		if (!s->id)
			continue;
		if (s->pid)
			add_dying(a, s->pid);
		stream_free(a, s);
	}
	a->setup_stream = 0;
}

int64_t streams_deadline(struct agent *a)
{
	int64_t first = -1;

	for (unsigned i = 0; i < PROTO_MAX_STREAMS; i++) {
		const struct stream *s = &a->streams[i];
		int64_t times[] = {s->id ? s->kill_at : 0, s->id ? s->grace : 0,
				   a->dying[i].pid ? a->dying[i].kill_at : 0};

		for (int j = 0; j < 3; j++)
			if (times[j] && (first < 0 || times[j] < first))
				first = times[j];
	}
	return first;
}

void streams_deadlines(struct agent *a, int64_t now)
{
	for (unsigned i = 0; i < PROTO_MAX_STREAMS; i++) {
		struct stream *s = &a->streams[i];

		if (s->id && s->kill_at && s->kill_at <= now) {
			signal_group(s->pid, SIGKILL);
			s->kill_at = 0;
		}
		if (s->id && s->grace && s->grace <= now)
			start_final_drain(s);
		if (a->dying[i].pid && a->dying[i].kill_at && a->dying[i].kill_at <= now) {
			signal_group(a->dying[i].pid, SIGKILL);
			a->dying[i].kill_at = 0;
		}
	}
}
_Static_assert(DYING_MAX == PROTO_MAX_STREAMS, "the loops above serve both tables");
