// SPDX-License-Identifier: GPL-2.0-or-later
/* The virtio-serial port: finding it, frames in, frames out, sessions. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "agent.h"

#define PORTS "/sys/class/virtio-ports"

/* The device of the port that is named PROTO_PORT_NAME; no udev is needed. */
static bool find_port(char *path, size_t size)
{
	DIR *dir = opendir(PORTS);
	struct dirent *entry;
	bool found = false;

	while (dir && !found && (entry = readdir(dir))) {
		char name[300], text[64];
		ssize_t n;
		int fd;

		if (entry->d_name[0] == '.')
			continue;
		snprintf(name, sizeof(name), PORTS "/%s/name", entry->d_name);
		fd = open(name, O_RDONLY | O_CLOEXEC);
		n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;
		close_fd(&fd);
		text[n > 0 ? n : 0] = '\0';
		text[strcspn(text, "\n")] = '\0';
		found = strcmp(text, PROTO_PORT_NAME) == 0;
		if (found)
			snprintf(path, size, "/dev/%s", entry->d_name);
	}
	if (dir)
		closedir(dir);
	return found;
}

bool channel_open(struct agent *a)
{
	char path[300];

	if (a->port >= 0)
		return true;
	if (!find_port(path, sizeof(path)))
		return false;
	a->port = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (a->port < 0) {
		say_errno("cannot open the channel %s", path);
		return false;
	}
	a->port_readable = a->port_writable = true;
	return agent_watch(a, a->port, EPOLLIN | EPOLLOUT, WATCH_PORT, 0);
}

uint8_t *channel_room(struct agent *a, size_t want, size_t reserve)
{
	if (a->tx_start == a->tx_end) {
		a->tx_start = a->tx_end = 0;
	} else if (a->tx_start && TX_SIZE - a->tx_end < PROTO_HEADER_SIZE + want + reserve) {
		memmove(a->tx, a->tx + a->tx_start, a->tx_end - a->tx_start);
		a->tx_end -= a->tx_start;
		a->tx_start = 0;
	}
	if (TX_SIZE - a->tx_end < PROTO_HEADER_SIZE + want + reserve)
		return NULL;
	return a->tx + a->tx_end + PROTO_HEADER_SIZE;
}

void channel_commit(struct agent *a, uint32_t stream, uint32_t type, size_t n)
{
	struct proto_header h = {.magic = PROTO_MAGIC,
				 .session = a->session,
				 .stream = stream,
				 .type = type,
				 .length = (uint32_t) n};

	proto_put_header(a->tx + a->tx_end, &h);
	a->tx_end += PROTO_HEADER_SIZE + n;
}

bool channel_send(struct agent *a, uint32_t stream, uint32_t type, const void *payload, size_t n,
		  size_t reserve)
{
	uint8_t *room = channel_room(a, n, reserve);

	if (!room)
		return false;
	if (n)
		memcpy(room, payload, n);
	channel_commit(a, stream, type, n);
	return true;
}

static void send_ack(struct agent *a)
{
	uint8_t payload[128];
	struct wire w = wire_over(payload, sizeof(payload));

	wire_put_u32(&w, PROTO_VERSION);
	wire_put_bytes(&w, a->nonce, sizeof(a->nonce));
	wire_put_str(&w, DEVVM_VERSION);
	wire_put_u32(&w, a->state);
	a->ack_pending = !channel_send(a, 0, PROTO_HELLO_ACK, payload, w.pos, 0);
}

/*
 * A host, perhaps a new one. Frames of the session before stay in tx: the first may be half
 * written, and the host drops them by their session number.
 */
static void hello(struct agent *a, const struct proto_header *h, uint8_t *payload)
{
	struct wire w = wire_over(payload, h->length);
	uint32_t version = wire_get_u32(&w);
	size_t n;
	const uint8_t *nonce = wire_get_bytes(&w, &n);
	const char *build = wire_get_str(&w);

	if (w.bad || n != PROTO_NONCE_SIZE || h->session == 0)
		return;
	if (version != PROTO_VERSION)
		say("the host speaks version %u of the protocol (%s), this agent version %u (%s)",
		    version, build, PROTO_VERSION, DEVVM_VERSION);
	streams_drop_session(a);
	a->session = h->session;
	memcpy(a->nonce, nonce, n);
	send_ack(a);
}

static void dispatch(struct agent *a, const struct proto_header *h, uint8_t *payload)
{
	if (h->type == PROTO_HELLO && h->stream == 0)
		hello(a, h, payload);
	else if (h->session == a->session && a->session && h->stream)
		stream_frame(a, h, payload);
}

void channel_read(struct agent *a)
{
	while (a->port_readable) {
		struct proto_header h;
		uint8_t *payload;
		size_t room;
		uint8_t *to = frames_room(&a->rx, &room);
		ssize_t n = read(a->port, to, room);

		if (n <= 0) { /* 0: no host is there; its coming is an event */
			if (n == 0 || errno != EINTR)
				a->port_readable = false;
			break;
		}
		frames_filled(&a->rx, (size_t) n);
		while (frames_next(&a->rx, &h, &payload))
			dispatch(a, &h, payload);
	}
}

void channel_flush(struct agent *a)
{
	if (a->ack_pending)
		send_ack(a);
	while (a->port_writable && a->tx_start < a->tx_end) {
		ssize_t n = write(a->port, a->tx + a->tx_start, a->tx_end - a->tx_start);

		if (n > 0) {
			a->tx_start += (size_t) n;
		} else if (n == 0 || errno != EINTR) {
			a->port_writable = false;
			if (n < 0 && errno != EAGAIN)
				say_errno("cannot write to the channel");
		}
	}
}
