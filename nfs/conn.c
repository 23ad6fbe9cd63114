// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "conn.h"
#include "log.h"
#include "peer.h"
#include "rpc.h"
#include "xdr.h"

enum {
	MARK = 4,
	IN_MIN = 16384,
	READ_MIN = 4096,      /* room to have before a read */
	FLUSH_AT = 128 << 10, /* small replies are sent together */
	REPLY_SIZE = FLUSH_AT + MARK + RPC_REPLY_ROOM,
	IDLE_MS = 2000,
};
#define LAST_FRAGMENT 0x80000000u

int conns_init(struct conns *cs, struct server *s, int epoll)
{
	void *p =
		mmap(NULL, REPLY_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return -errno;
	*cs = (struct conns){.s = s, .epoll = epoll, .reply = p, .reply_size = REPLY_SIZE};
	return 0;
}

static void conn_free(struct conns *cs, struct conn *c)
{
	for (unsigned int i = 0; i < cs->n; i++)
		if (cs->v[i] == c)
			cs->v[i] = cs->v[--cs->n];
	close(c->fd);
	free(c->in);
	free(c->out);
	free(c);
}

void conns_close(struct conns *cs)
{
	while (cs->n)
		conn_free(cs, cs->v[0]);
	munmap(cs->reply, cs->reply_size);
}

static bool peer_allowed(const struct server *s, int fd)
{
	struct peer peer;
	int r;

	if (s->peer_any)
		return true;
	r = peer_lookup(fd, &peer);
	if (r == 0 && peer.uid == s->uid && peer_pid_owns(s->peer_pid, peer.inode))
		return true;
	if (r == 0)
		nfs_log("a connection that is not of process %d was refused", (int) s->peer_pid);
	return false;
}

struct conn *conns_add(struct conns *cs, int fd)
{
	struct conn *c = cs->n < CONNS_MAX ? calloc(1, sizeof(*c)) : NULL;
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = c};

	if (!c || epoll_ctl(cs->epoll, EPOLL_CTL_ADD, fd, &ev) < 0) {
		close(fd);
		free(c);
		return NULL;
	}
	c->fd = fd;
	cs->v[cs->n++] = c;
	return c;
}

void conns_accept(struct conns *cs, int listen_fd)
{
	int fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), one = 1;

	if (fd < 0)
		return;
	if (!peer_allowed(cs->s, fd)) {
		close(fd);
		return;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	conns_add(cs, fd);
}

static void want(struct conns *cs, struct conn *c, bool out)
{
	struct epoll_event ev = {.events = out ? EPOLLOUT : EPOLLIN, .data.ptr = c};

	if (c->wants_out != out)
		epoll_ctl(cs->epoll, EPOLL_CTL_MOD, c->fd, &ev);
	c->wants_out = out;
}

/* What the socket takes of @data. -1: broken. */
static ssize_t send_some(int fd, const uint8_t *data, size_t len)
{
	size_t sent = 0;
	ssize_t n;

	while (sent < len) {
		n = send(fd, data + sent, len - sent, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? (ssize_t) sent : -1;
		sent += (size_t) n;
	}
	return (ssize_t) sent;
}

/* Sends replies; what does not go out now is kept. False: broken. */
static bool send_replies(struct conn *c, const uint8_t *data, size_t len)
{
	ssize_t n = send_some(c->fd, data, len);

	if (n < 0)
		return false;
	if ((size_t) n == len)
		return true;
	c->out_len = len - (size_t) n;
	c->out_sent = 0;
	c->out = malloc(c->out_len);
	if (!c->out)
		return false;
	memcpy(c->out, data + n, c->out_len);
	return true;
}

static bool drain(struct conn *c)
{
	ssize_t n = send_some(c->fd, c->out + c->out_sent, c->out_len - c->out_sent);

	if (n < 0)
		return false;
	c->out_sent += (size_t) n;
	if (c->out_sent == c->out_len) {
		free(c->out);
		c->out = NULL;
		c->out_len = c->out_sent = 0;
	}
	return true;
}

/*
 * The next whole record in the buffer: 1 and where it is, 0: not yet, -1: malformed. A record of
 * one fragment, as all clients send, is not moved.
 */
static int next_record(struct conn *c, const uint8_t **rec, size_t *len)
{
	uint32_t mark, frag;

	while (c->len - c->raw >= MARK) {
		mark = xdr_load_u32(c->in + c->raw);
		frag = mark & ~LAST_FRAGMENT;
		if (c->rec + frag > RECORD_MAX || (frag == 0 && !(mark & LAST_FRAGMENT)))
			return -1;
		if (c->len - c->raw - MARK < frag)
			return 0;
		if (c->rec == 0 && (mark & LAST_FRAGMENT)) {
			*rec = c->in + c->raw + MARK;
			*len = frag;
			c->raw += MARK + frag;
			return 1;
		}
		memmove(c->in + c->rec, c->in + c->raw + MARK, frag);
		c->rec += frag;
		c->raw += MARK + frag;
		if (mark & LAST_FRAGMENT) {
			*rec = c->in;
			*len = c->rec;
			c->rec = 0;
			return 1;
		}
	}
	return 0;
}

/* Handles all whole records, unless replies get stuck. False: close. */
static bool handle_records(struct conns *cs, struct conn *c)
{
	struct xdr_out out = {.p = cs->reply, .end = cs->reply + cs->reply_size};
	const uint8_t *rec;
	uint8_t *mark;
	size_t len;
	int r = 0;

	while (!c->out && (r = next_record(c, &rec, &len)) > 0) {
		mark = xdr_reserve(&out, MARK);
		if (!mark || !rpc_handle(cs->s, rec, len, &out))
			return false;
		xdr_store_u32(mark, LAST_FRAGMENT | (uint32_t) (out.p - mark - MARK));
		if (out.p - cs->reply < FLUSH_AT)
			continue;
		if (!send_replies(c, cs->reply, (size_t) (out.p - cs->reply)))
			return false;
		out.p = cs->reply;
		cs->reply_dirty = true;
	}
	return r >= 0 && send_replies(c, cs->reply, (size_t) (out.p - cs->reply));
}

/* Moves what is unhandled to the front and sees to room for the rest of its record. */
static bool make_room(struct conn *c)
{
	size_t want_cap = IN_MIN, rest = c->len - c->raw;
	uint8_t *bigger;

	if (c->raw > c->rec) {
		memmove(c->in + c->rec, c->in + c->raw, rest);
		c->raw = c->rec;
		c->len = c->rec + rest;
	}
	if (rest >= MARK)
		want_cap = c->rec + MARK + (xdr_load_u32(c->in + c->raw) & ~LAST_FRAGMENT);
	if (want_cap < c->len + READ_MIN)
		want_cap = c->len + READ_MIN;
	if (want_cap <= c->in_cap)
		return true;
	bigger = realloc(c->in, want_cap);
	if (!bigger)
		return false;
	c->in = bigger;
	c->in_cap = want_cap;
	return true;
}

static bool read_more(struct conn *c)
{
	ssize_t n;

	if (!make_room(c))
		return false;
	n = recv(c->fd, c->in + c->len, c->in_cap - c->len, 0);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	c->len += (size_t) n;
	return n > 0;
}

void conn_event(struct conns *cs, struct conn *c, uint32_t events)
{
	bool good = !(events & EPOLLERR);

	c->used_ms = now_ms();
	if (good && c->out)
		good = drain(c);
	else if (good)
		good = read_more(c);
	if (good && !c->out)
		good = handle_records(cs, c);
	if (good)
		want(cs, c, c->out != NULL);
	else
		conn_free(cs, c);
}

int conns_sweep(struct conns *cs)
{
	uint64_t now = now_ms();
	bool busy = false, again = false;

	for (unsigned int i = 0; i < cs->n; i++) {
		struct conn *c = cs->v[i];

		if (now - c->used_ms < IDLE_MS) {
			busy = again = true;
		} else if (c->in && c->raw == c->len && c->rec == 0) {
			free(c->in);
			c->in = NULL;
			c->in_cap = c->raw = c->len = 0;
		}
	}
	if (!busy && cs->reply_dirty) {
		madvise(cs->reply, cs->reply_size, MADV_DONTNEED);
		cs->reply_dirty = false;
	}
	return again ? IDLE_MS : -1;
}
