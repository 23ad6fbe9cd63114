/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The agent protocol: what the keeper and the agent in the guest say to each other over one
 * virtio-serial channel, and what a client (devvm) says to the keeper over its unix socket. It is
 * the only header that both sides of the project compile. libc only, no allocation.
 *
 * Theory of operation
 * -------------------
 * Everything is a frame: a 20-byte header, then at most PROTO_MAX_PAYLOAD bytes. All integers are
 * little endian. A frame belongs to a stream; a stream is one operation: the host sends OPEN with
 * the operation and its arguments, both ends send data while it runs, and the agent ends it with
 * exactly one EXIT. Streams are independent, and any number (up to PROTO_MAX_STREAMS) run at once.
 *
 * Flow control. Each direction of each stream has a window of PROTO_WINDOW bytes of DATA payload.
 * The sender counts down; the receiver gives bytes back with CREDIT once it has passed them on.
 * So no end ever has to buffer more than a window for a stream, a client that stops reading stops
 * only its own stream, and the channel itself never blocks. Each end serves its streams in turn,
 * one frame of at most PROTO_MAX_PAYLOAD each, so a chatty build cannot starve a shell.
 *
 * Sessions. A virtio-serial port does not reliably tell the guest that its host end was replaced,
 * and bytes of the old client may reach the new one in the middle of a frame. So the host opens
 * with PROTO_RESYNC_PAD zero bytes (longer than any frame: they complete or fill whatever was cut)
 * and a HELLO with a random nonce. The agent then ends every operation of the session before,
 * adopts the HELLO's session number and answers HELLO_ACK with the nonce. Each side drops frames of
 * another session and looks for the next PROTO_MAGIC when a header makes no sense. The host
 * believes nothing before the HELLO_ACK that carries its nonce.
 *
 * Trust. The host checks every length and every string that comes from the guest; the agent
 * trusts its host, which owns it, but checks all lengths just the same.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define PROTO_VERSION 1u
#define PROTO_MAGIC 0x314d5644u		    /* "DVM1" */
#define PROTO_PORT_NAME "org.devvm.agent.0" /* the virtio-serial port's name */
#define PROTO_MAX_PAYLOAD (32u * 1024)
#define PROTO_HEADER_SIZE 20u
#define PROTO_MAX_FRAME (PROTO_HEADER_SIZE + PROTO_MAX_PAYLOAD)
#define PROTO_RESYNC_PAD PROTO_MAX_FRAME
#define PROTO_WINDOW (128u * 1024)
#define PROTO_MAX_STREAMS 64u
#define PROTO_NONCE_SIZE 16u

/* Frame types. Payloads are written with the wire_* functions below. */
enum proto_type {
	PROTO_HELLO = 1, /* host→agent, stream 0: u32 version, bytes nonce, str build version */
	PROTO_HELLO_ACK = 2, /* agent→host, stream 0: u32 version, bytes nonce, str build version,
				u32 state (enum proto_agent_state) */
	PROTO_OPEN = 3,	     /* host→agent: u32 op (enum proto_op), then the op's arguments */
	PROTO_STDIN = 4,     /* host→agent: raw bytes; an empty one is end of file */
	PROTO_STDOUT = 5,    /* agent→host: raw bytes */
	PROTO_STDERR = 6,    /* agent→host: raw bytes */
	PROTO_CREDIT = 7,    /* both ways: u32 bytes of the peer's DATA that have been consumed.
				STDOUT and STDERR share one window */
	PROTO_SIGNAL = 8,    /* host→agent: u32 signal, sent to the command's process group */
	PROTO_WINSIZE = 9,   /* host→agent: u32 rows, u32 columns */
	PROTO_EXIT = 10,     /* agent→host: u32 enum proto_exit, i32 value, str message */
	PROTO_CANCEL = 11, /* host→agent: the client is gone: SIGHUP, then SIGKILL after a moment;
			      the EXIT still comes */
};

enum proto_agent_state {
	PROTO_AGENT_EARLY = 0, /* in the initramfs: wants OP_SETUP */
	PROTO_AGENT_READY = 1, /* root, trees and network are there */
};

/* How an operation ended. */
enum proto_exit {
	PROTO_EXITED = 0,   /* value: exit status of the command, or 0 for an operation done */
	PROTO_SIGNALED = 1, /* value: the signal that killed the command */
	PROTO_FAILED = 2,   /* value: errno; message: what failed */
	PROTO_LOST = 3, /* made up by the keeper or client: the agent, keeper or guest went away;
			   nobody knows how the command ended */
};

enum proto_op {
	/*
	 * SETUP: once a boot. Arguments: bytes of "key value" lines, values percent-encoded, see
	 * guest-agent/setup.c for the keys. Goes on to root, trees and network; STDERR carries
	 * what the user should see. After EXITED 0 the agent is READY.
	 */
	PROTO_OP_SETUP = 1,
	/*
	 * EXEC: u32 flags (PROTO_EXEC_*), str cwd, u32 argc, str argv…, u32 envc, str "K=V"…,
	 * u32 rows, u32 columns. An argv[0] without '/' is looked up in the environment's PATH.
	 * Not found: EXITED 127 with a message; not executable: EXITED 126.
	 */
	PROTO_OP_EXEC = 2,
	/*
	 * PUT: str path, u32 mode, u64 size; then size bytes of STDIN and an end of file. Missing
	 * parent folders are made. The file appears whole under its name (rename), or not at all.
	 */
	PROTO_OP_PUT = 3,
	/* GET: str path: the file's bytes on STDOUT. Made for /proc and /sys: read until 0. */
	PROTO_OP_GET = 4,
	/* RMMOD: str name, u32 flags (O_TRUNC to force): delete_module(2), O_NONBLOCK is implied.
	 */
	PROTO_OP_RMMOD = 5,
	/*
	 * USERS: str name, str fstype list (comma): who uses the module: lines on STDOUT, fields
	 * tab-separated: "module NAME", "mount SOURCE DIR FSTYPE", "process PID COMM WHAT PATH",
	 * "refcount N".
	 */
	PROTO_OP_USERS = 6,
	/* CLOCK: u64 nanoseconds since the epoch: sets the guest's clock. */
	PROTO_OP_CLOCK = 7,
	/* POWER: u32 0 = power off, 1 = reboot: syncs, unmounts what it can, and does it. */
	PROTO_OP_POWER = 8,
	/* SYMLINK: str path, str target: replaces what is there; parents are made. */
	PROTO_OP_SYMLINK = 9,
	/* KLOG: u64 sequence number: kernel messages since then on STDOUT, raw /dev/kmsg records
	 * ("prio,seq,usec,flags;text"); does not wait for more. */
	PROTO_OP_KLOG = 10,
	/* PING: nothing to do: the answer is the EXIT. A round trip, and sign of life. */
	PROTO_OP_PING = 11,

	/* Operations of the keeper itself: never reach the agent. */
	PROTO_OP_KEEPER_STATUS = 0x1000, /* "key value" lines on STDOUT: see keeper/status.c */
	PROTO_OP_KEEPER_READY = 0x1001,	 /* u32 timeout in ms: EXITED 0 once the agent is READY */
	PROTO_OP_KEEPER_QUIT = 0x1002,	 /* ends keeper and NFS server (the VM is gone) */
};

#define PROTO_EXEC_TTY 1u   /* a terminal: stdin, stdout and stderr are one pty */
#define PROTO_EXEC_FRESH 2u /* a fresh mount of the trees, private to the command (design.md) */
#define PROTO_EXEC_STDIN 4u /* the host will send stdin; without it stdin is /dev/null */

struct proto_header {
	uint32_t magic;
	uint32_t session; /* chosen by the host in HELLO; on a client's socket: 0 */
	uint32_t stream;  /* chosen by the host; 0 is the link itself */
	uint32_t type;	  /* enum proto_type */
	uint32_t length;  /* of the payload, at most PROTO_MAX_PAYLOAD */
};

/* --- Checked reader and writer of payloads. Once bad, always bad: check ->bad at the end. ------
 */

struct wire {
	uint8_t *data;
	size_t size; /* reader: bytes there are; writer: room there is */
	size_t pos;
	bool bad; /* read or written beyond the end, or a string with a NUL in it */
};

static inline struct wire wire_over(void *data, size_t size)
{
	return (struct wire){.data = data, .size = size};
}

/* The next n bytes, or NULL when there are not so many. */
static inline uint8_t *wire_take(struct wire *w, size_t n)
{
	if (w->bad || n > w->size - w->pos) {
		w->bad = true;
		return NULL;
	}
	w->pos += n;
	return w->data + w->pos - n;
}

static inline void wire_put_u32(struct wire *w, uint32_t v)
{
	uint8_t *p = wire_take(w, 4);

	for (int i = 0; p && i < 4; i++)
		p[i] = (uint8_t) (v >> (8 * i));
}

static inline uint32_t wire_get_u32(struct wire *w)
{
	const uint8_t *p = wire_take(w, 4);

	return p ? p[0] | p[1] << 8 | p[2] << 16 | (uint32_t) p[3] << 24 : 0;
}

static inline void wire_put_u64(struct wire *w, uint64_t v)
{
	wire_put_u32(w, (uint32_t) v);
	wire_put_u32(w, (uint32_t) (v >> 32));
}

static inline uint64_t wire_get_u64(struct wire *w)
{
	uint64_t low = wire_get_u32(w);

	return low | (uint64_t) wire_get_u32(w) << 32;
}

/* Bytes with their length before them. */
static inline void wire_put_bytes(struct wire *w, const void *bytes, size_t n)
{
	uint8_t *p;

	wire_put_u32(w, (uint32_t) n);
	p = wire_take(w, n);
	if (p && n)
		memcpy(p, bytes, n);
}

/* Points into the frame; NULL and *n = 0 when bad. */
static inline const uint8_t *wire_get_bytes(struct wire *w, size_t *n)
{
	size_t len = wire_get_u32(w);
	const uint8_t *p = wire_take(w, len);

	*n = p ? len : 0;
	return p;
}

/* A string goes over the wire with its NUL, so that the reader can use it where it lies. */
static inline void wire_put_str(struct wire *w, const char *s)
{
	wire_put_bytes(w, s, strlen(s) + 1);
}

/* Points into the frame; "" when bad. */
static inline const char *wire_get_str(struct wire *w)
{
	size_t n;
	const uint8_t *p = wire_get_bytes(w, &n);

	if (!p || n == 0 || memchr(p, 0, n) != p + n - 1) {
		w->bad = true;
		return "";
	}
	return (const char *) p;
}

static inline void proto_put_header(uint8_t out[PROTO_HEADER_SIZE], const struct proto_header *h)
{
	struct wire w = wire_over(out, PROTO_HEADER_SIZE);

	wire_put_u32(&w, h->magic);
	wire_put_u32(&w, h->session);
	wire_put_u32(&w, h->stream);
	wire_put_u32(&w, h->type);
	wire_put_u32(&w, h->length);
}

/* False when it is no header: wrong magic, or longer than a frame may be. */
static inline bool proto_get_header(const uint8_t in[PROTO_HEADER_SIZE], struct proto_header *h)
{
	struct wire w = wire_over((uint8_t *) (uintptr_t) in, PROTO_HEADER_SIZE);

	h->magic = wire_get_u32(&w);
	h->session = wire_get_u32(&w);
	h->stream = wire_get_u32(&w);
	h->type = wire_get_u32(&w);
	h->length = wire_get_u32(&w);
	return h->magic == PROTO_MAGIC && h->length <= PROTO_MAX_PAYLOAD;
}
