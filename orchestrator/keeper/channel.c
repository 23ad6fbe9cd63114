// SPDX-License-Identifier: GPL-2.0-or-later
#include "channel.h"

#include <errno.h>
#include <sys/ioctl.h>
#include <linux/sockios.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "qmp.h"
#include "setup.h"
#include "streams.h"
#include "util/frames.h"
#include "util/unix-connect.h"
#include "watch.h"

#define RETRY_MIN_MS 50
#define RETRY_MAX_MS 2000
#define HELLO_AGAIN_MS 2000
#define TURN_FRAMES 16		 /* frames a turn of the main loop, each way */
#define SEND_BUFFER (128 * 1024) /* in the kernel: small, so that a shell's key does not queue */

struct Channel {
	Keeper *k;
	int fd;
	Watch *watch;
	guint retry_timer, hello_timer;
	guint retry_ms;

	guint32 session;
	guint8 nonce[PROTO_NONCE_SIZE];
	gboolean up;
	gint64 up_us;
	char *agent_version;

	FrameReader in;
	guint8 *out; /* what is being sent: pad and HELLO, then a frame at a time */
	gsize out_start, out_end, out_size;
};

static void retry_later(Channel *c);

/* --- Sending ---------------------------------------------------------------------------------- */

/* FALSE: the socket is full or gone. */
static gboolean flush(Channel *c)
{
	while (c->out_start < c->out_end) {
		gssize n =
			send(c->fd, c->out + c->out_start, c->out_end - c->out_start, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return FALSE; /* a broken socket shows as HUP too */
		c->out_start += (gsize) n;
	}
	c->out_start = c->out_end = 0;
	return TRUE;
}

static void send_some(Channel *c)
{
	for (guint i = 0; i < TURN_FRAMES; i++) {
		if (!flush(c))
			break;
		if (!c->up)
			break;
		c->out_end = streams_next_frame(c->k->streams, c->session, c->out);
		if (c->out_end == 0) {
			watch_set(c->watch, G_IO_IN);
			return;
		}
	}
	watch_set(c->watch, c->up || c->out_start < c->out_end ? G_IO_IN | G_IO_OUT : G_IO_IN);
}

void channel_send(Channel *c)
{
	if (c && c->watch && c->up)
		watch_set(c->watch, G_IO_IN | G_IO_OUT);
}

/* --- Sessions --------------------------------------------------------------------------------- */

static void queue_hello(Channel *c)
{
	guint8 payload[256];
	struct wire w = wire_over(payload, sizeof(payload));

	/* The session number only has to differ from the ones before. */
	if (getrandom(c->nonce, sizeof(c->nonce), 0) != sizeof(c->nonce) ||
	    getrandom(&c->session, sizeof(c->session), 0) != sizeof(c->session))
		g_error("no random numbers: %s", g_strerror(errno));
	if (c->session == 0)
		c->session = 1;
	frames_restart(&c->in, c->session);
	wire_put_u32(&w, PROTO_VERSION);
	wire_put_bytes(&w, c->nonce, sizeof(c->nonce));
	wire_put_str(&w, DEVVM_VERSION);
	memset(c->out, 0, PROTO_RESYNC_PAD);
	c->out_start = 0;
	c->out_end = PROTO_RESYNC_PAD + frames_put(c->out + PROTO_RESYNC_PAD, c->session, 0,
						   PROTO_HELLO, payload, w.pos);
	watch_set(c->watch, G_IO_IN | G_IO_OUT);
}

/* A HELLO is on its way that QEMU has not (wholly) taken: the guest's port is not open yet. */
static gboolean hello_unread(const Channel *c)
{
	int unread = 0;

	return c->out_start < c->out_end || ioctl(c->fd, SIOCOUTQ, &unread) < 0 || unread > 0;
}

/* No answer yet: says HELLO again, but only when the guest has taken the one before. */
static gboolean hello_again(gpointer data)
{
	Channel *c = data;

	if (hello_unread(c) || qmp_stopped(c->k->qmp))
		return G_SOURCE_CONTINUE;
	klog("the agent took a HELLO and did not answer: once more");
	queue_hello(c);
	return G_SOURCE_CONTINUE;
}

static void session_down(Channel *c, const char *why)
{
	c->up = FALSE;
	setup_agent_gone(c->k->setup);
	streams_session_lost(c->k->streams, why);
}

void channel_new_session(Channel *c, const char *why)
{
	gboolean first = !c->hello_timer;

	session_down(c, why);
	if (!c->watch)
		return; /* connecting already */
	/* A reboot resets the machine several times: one HELLO is enough for whoever comes up. */
	if (first || !hello_unread(c))
		queue_hello(c);
	if (!c->hello_timer)
		c->hello_timer = g_timeout_add(HELLO_AGAIN_MS, hello_again, c);
}

static void take_hello_ack(Channel *c, guint8 *payload, gsize size)
{
	struct wire w = wire_over(payload, size);
	guint32 version = wire_get_u32(&w);
	gsize nonce_size;
	const guint8 *nonce = wire_get_bytes(&w, &nonce_size);
	const char *build = wire_get_str(&w);
	guint32 state = wire_get_u32(&w);

	if (w.bad || c->up || nonce_size != sizeof(c->nonce) ||
	    memcmp(nonce, c->nonce, sizeof(c->nonce)) != 0)
		return;
	g_free(c->agent_version);
	c->agent_version = g_utf8_make_valid(build, -1);
	g_clear_handle_id(&c->hello_timer, g_source_remove);
	if (version != PROTO_VERSION) {
		klog("the agent (%s) speaks protocol %u, we %u", c->agent_version, version,
		     PROTO_VERSION);
		setup_wrong_version(c->k->setup, version, c->agent_version);
		return;
	}
	c->up = TRUE;
	c->retry_ms = RETRY_MIN_MS;
	c->up_us = g_get_real_time();
	klog("agent %s answers, state %u", c->agent_version, state);
	setup_agent_here(c->k->setup, state);
	channel_send(c);
}

/* --- Receiving -------------------------------------------------------------------------------- */

static void take_frames(Channel *c)
{
	struct proto_header h;
	guint8 *payload;

	while (frames_next(&c->in, &h, &payload) == FRAMES_FRAME) {
		if (h.type == PROTO_HELLO_ACK && h.stream == 0)
			take_hello_ack(c, payload, h.length);
		else if (c->up && h.stream != 0)
			streams_deliver(c->k->streams, h.stream, h.type, payload, h.length);
	}
}

static void disconnect(Channel *c, const char *why)
{
	klog("channel: %s", why);
	g_clear_pointer(&c->watch, watch_free);
	g_clear_handle_id(&c->hello_timer, g_source_remove);
	close(c->fd);
	c->fd = -1;
	c->up = FALSE;
	retry_later(c); /* not lost yet: when QEMU is gone, QMP is about to say so, and better */
}

/* FALSE: the channel is gone. */
static gboolean receive(Channel *c)
{
	for (guint i = 0; i < TURN_FRAMES; i++) {
		gsize room;
		guint8 *at = frames_room(&c->in, &room);
		gssize n = recv(c->fd, at, room, 0);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return TRUE;
		if (n <= 0) {
			disconnect(c, n < 0 ? g_strerror(errno) : "closed by QEMU");
			return FALSE;
		}
		frames_filled(&c->in, (gsize) n);
		take_frames(c);
		if ((gsize) n < room)
			return TRUE;
	}
	return TRUE;
}

static void on_ready(gpointer data, GIOCondition ready)
{
	Channel *c = data;

	if ((ready & (G_IO_IN | G_IO_HUP | G_IO_ERR)) && !receive(c))
		return;
	if (ready & G_IO_OUT)
		send_some(c);
}

/* --- Connecting ------------------------------------------------------------------------------- */

static void try_connect(Channel *c);

static gboolean retry(gpointer data)
{
	Channel *c = data;

	c->retry_timer = 0;
	try_connect(c);
	return G_SOURCE_REMOVE;
}

static void retry_later(Channel *c)
{
	if (c->k->ending || c->retry_timer)
		return;
	c->retry_timer = g_timeout_add(c->retry_ms, retry, c);
	c->retry_ms = MIN(c->retry_ms * 2, RETRY_MAX_MS);
}

static void try_connect(Channel *c)
{
	int size = SEND_BUFFER;
	int fd = unix_connect(c->k->boot->agent_socket, SOCK_NONBLOCK);

	session_down(c, "the channel to the guest's agent was cut: nobody knows how the command "
			"ended");
	if (fd < 0) {
		retry_later(c);
		return;
	}
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	c->fd = fd;
	c->watch = watch_new(fd, G_IO_IN, on_ready, c);
	channel_new_session(c, "the guest's agent was connected anew");
}

Channel *channel_new(Keeper *k)
{
	Channel *c = g_new0(Channel, 1);

	c->k = k;
	c->fd = -1;
	c->retry_ms = RETRY_MIN_MS;
	frames_init(&c->in, 0, TRUE);
	c->out_size = PROTO_RESYNC_PAD + PROTO_MAX_FRAME;
	c->out = g_malloc(c->out_size);
	return c;
}

void channel_start(Channel *c)
{
	try_connect(c);
}

void channel_free(Channel *c)
{
	if (!c)
		return;
	g_clear_pointer(&c->watch, watch_free);
	g_clear_handle_id(&c->hello_timer, g_source_remove);
	g_clear_handle_id(&c->retry_timer, g_source_remove);
	if (c->fd >= 0)
		close(c->fd);
	frames_clear(&c->in);
	g_free(c->out);
	g_free(c->agent_version);
	g_free(c);
}

const char *channel_agent_version(const Channel *c)
{
	return c->agent_version ? c->agent_version : "";
}

gint64 channel_up_us(const Channel *c)
{
	return c->up_us;
}
