/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * devvm-agent: what its files share.
 *
 * Theory of operation
 * -------------------
 * One process, one thread, one epoll loop (main.c) that never blocks on anything but epoll: not on
 * the channel, not on a command's pipe, and never on NFS, whose server may be away for as long as
 * it likes. So whatever touches a file system or the kernel's module loader is done by a child;
 * an operation (ops.c) is a function that runs in a forked child with the request's arguments,
 * with pipes at 0, 1 and 2, and a report pipe at REPORT_FD for its outcome. EXEC is the same with
 * an execve at its end. stream.c moves bytes between those pipes and frames, within the
 * protocol's windows, and sends the EXIT.
 *
 * All descriptors are watched edge-triggered: an event sets a "ready" flag, EAGAIN clears it, and
 * the loop works while some flag allows work. So a descriptor is registered once, a stream without
 * window costs nothing, and the channel's permanent HUP while no host is there wakes nobody.
 *
 * Two things need PID 1's own mounts: SETUP, whose child shares the agent's root and working folder
 * (CLONE_FS), and the fresh mounts (fresh.c), which live in mount namespaces of their own.
 */
#pragma once

#include <stdio.h>
#include <sys/types.h>

#include "frames.h"
#include "setup.h"

#define REPORT_FD 3	      /* in a child: where its outcome goes */
#define REPORT_SIZE 512	      /* bytes of one report, less than PIPE_BUF: written whole */
#define TX_SIZE (192u * 1024) /* frames on their way to the host */
#define TX_RESERVE                                                                          \
	(48u * 1024)	   /* of it, kept free of STDOUT for EXIT and CREDIT of all streams \
			    */
#define DYING_MAX 64	   /* children of ended sessions, to be killed in a moment */
#define EXIT_GRACE_MS 200  /* see stream.c */
#define KILL_AFTER_MS 2000 /* from SIGHUP to SIGKILL */
#define FRESH_READY_MAX 2

struct op;

struct stream {
	uint32_t id; /* 0: the slot is free */
	const struct op *op;
	pid_t pid;	  /* 0: reaped */
	int in, out, err; /* our ends, -1: closed; on a terminal in == out */
	int report;	  /* a socket: the child's outcome; before it, its namespace to the child */
	int ns;		  /* mount namespace of its fresh mounts, or -1 */
	bool wants_ns;	  /* the child waits for one */
	bool in_ready, out_ready, err_ready;
	bool in_eof;	/* the host sent end of file: close `in` once the ring is empty */
	bool err_first; /* whose turn it is of stdout and stderr */
	bool reaped, syncing, ended;
	uint32_t window;  /* bytes of output we may still send */
	uint32_t owed;	  /* bytes of input consumed but not yet given back */
	int64_t grace;	  /* ms: when to stop waiting for the pipes; 0: not set */
	int64_t kill_at;  /* ms: SIGKILL after a CANCEL; 0: not set */
	bool final_drain; /* only what is in the pipes now is still sent */
	int out_left, err_left;
	uint32_t how; /* the EXIT */
	int32_t value;
	char message[256];
	uint32_t ring_head, ring_used; /* input not yet written to the child */
	uint8_t ring[PROTO_WINDOW];
};

/* A prepared mount namespace. */
struct fresh_ns {
	int fd;
	int64_t made_ms;
};

struct agent {
	bool service;	/* not PID 1: a service of a distribution */
	uint32_t state; /* enum proto_agent_state */
	int epoll, signals, null;

	int port; /* the channel, or -1 */
	bool port_readable, port_writable;
	uint32_t session; /* 0: none */
	bool ack_pending;
	uint8_t nonce[PROTO_NONCE_SIZE];
	struct frame_reader rx;
	size_t tx_start, tx_end;
	uint8_t tx[TX_SIZE];

	struct stream streams[PROTO_MAX_STREAMS];
	unsigned turn; /* the stream to serve first */
	int power;     /* reboot(2)'s command, once the EXIT is out; 0: none */
	uint32_t power_stream;
	int64_t power_at; /* ms: at the latest */
	bool host_seen, host_missed;
	struct {
		pid_t pid;
		int64_t kill_at;
	} dying[DYING_MAX];

	struct setup setup;
	bool setup_running;
	uint32_t setup_stream; /* who is told of its end; 0: nobody any more */
	pid_t setup_pid;
	int setup_report;
	int loader_done; /* end of file once all modules are inserted; -1: none */

	int maker, syncer, dropper; /* sockets of fresh.c's workers, or -1 */
	pid_t worker_pids[3];
	unsigned making; /* namespaces asked of the maker and not yet there */
	struct fresh_ns fresh[FRESH_READY_MAX];
	unsigned n_fresh;
	int exec_ns;   /* for the child being started: its namespace, or -1: it waits for one */
	int mountinfo; /* -1 until the first fresh command */
	bool carry;    /* users have mounted something below a tree */
	int uevents;
};

/* Mounts below trees: carry.c. */
#define CARRY_MAX 32
struct carry_list {
	unsigned n;
	char paths[CARRY_MAX][1024];
	int fds[CARRY_MAX]; /* detached copies */
};

/* What an epoll event is about: the low byte says which descriptor, the rest which stream. */
enum watch {
	WATCH_PORT,
	WATCH_SIGNALS,
	WATCH_MAKER,
	WATCH_SYNCER,
	WATCH_UEVENTS,
	WATCH_IN,
	WATCH_OUT,
	WATCH_ERR,
};

/* --- main.c --- */
bool agent_watch(struct agent *a, int fd, uint32_t events, enum watch what, unsigned slot);
int64_t now_ms(void); /* CLOCK_MONOTONIC */

/* --- log.c: to the kernel's log (PID 1) or standard error --- */
void log_open(bool kmsg);
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* As say, with the text of errno. */
void say_errno(const char *format, ...) __attribute__((format(printf, 1, 2)));
void close_fd(int *fd);				     /* and sets it to -1 */
bool write_file(const char *path, const char *text); /* an existing file, as in /proc */

/* --- early.c --- */
void early_boot(struct agent *a);
/* Inserts the modules listed in /devvm/modules, in a child. */
void early_load_modules(struct agent *a);

/* --- channel.c --- */
bool channel_open(struct agent *a);
void channel_read(struct agent *a);
void channel_flush(struct agent *a);
/* Puts a frame into tx; false when there is no room now (`reserve` bytes are to stay free). */
bool channel_send(struct agent *a, uint32_t stream, uint32_t type, const void *payload, size_t n,
		  size_t reserve);
/* Room for a payload that is then read straight into tx; committed by channel_commit. */
uint8_t *channel_room(struct agent *a, size_t want, size_t reserve);
void channel_commit(struct agent *a, uint32_t stream, uint32_t type, size_t n);

/* --- stream.c --- */
void streams_init(struct agent *a);
struct stream *stream_find(struct agent *a, uint32_t id);
void stream_frame(struct agent *a, const struct proto_header *h, uint8_t *payload);
void stream_exit_now(struct agent *a, uint32_t id, uint32_t how, int32_t value,
		     const char *message);
/* The stream has ended: EXIT follows as soon as there is room. */
void stream_end(struct agent *a, struct stream *s, uint32_t how, int32_t value,
		const char *message);
bool streams_pump(struct agent *a); /* true: something was done */
void streams_drop_session(struct agent *a);
void streams_reaped(struct agent *a, pid_t pid, int status);
/* The child has been reaped: how it ended, by its report or its status. */
void stream_child_gone(struct stream *s, int report, int status);
void streams_synced(struct agent *a, uint32_t id);
int64_t streams_deadline(struct agent *a); /* ms, or -1 */
void streams_deadlines(struct agent *a, int64_t now);

/* --- child.c --- */
#define CHILD_STDIN 1u
#define CHILD_TTY 2u
#define CHILD_SHARE_FS 4u /* root and working folder are the agent's own */

/*
 * Forks for the stream. Returns false after ending it with an error; in the parent true; in the
 * child it runs op->run and does not return.
 */
bool child_start(struct agent *a, struct stream *s, unsigned flags, struct wire *args);
void child_set_size(int master, uint32_t rows, uint32_t columns);
/* Back to default signals, as a command expects them. */
void child_signals(void);
/* In a child: ends it with this outcome. */
void report(uint32_t how, int32_t value, const char *format, ...)
	__attribute__((noreturn, format(printf, 3, 4)));
/* report(PROTO_FAILED, errno, "…: text of errno") */
void report_errno(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));
bool report_read(int fd, uint32_t *how, int32_t *value, char *message, size_t size);

/* --- ops.c --- */
struct op {
	uint32_t op;
	const char *name;
	/* In the agent: done at once, or starts a child itself. Ends the stream, or leaves it. */
	void (*start)(struct agent *a, struct stream *s, struct wire *args);
	/* In a child: the work; may report(); returning is EXITED 0. */
	void (*run)(struct agent *a, struct wire *args);
	unsigned child_flags;
};

const struct op *op_find(uint32_t op);

/* handlers: one subject a file */
void op_setup_start(struct agent *a, struct stream *s, struct wire *args);
void op_exec_start(struct agent *a, struct stream *s, struct wire *args);
void op_clock_start(struct agent *a, struct stream *s, struct wire *args);
void op_exec_run(struct agent *a, struct wire *args);
void op_put_run(struct agent *a, struct wire *args);
void op_get_run(struct agent *a, struct wire *args);
void op_symlink_run(struct agent *a, struct wire *args);
void op_rmmod_run(struct agent *a, struct wire *args);
void op_users_run(struct agent *a, struct wire *args);
void op_klog_run(struct agent *a, struct wire *args);
void op_power_start(struct agent *a, struct stream *s, struct wire *args);
void op_power_run(struct agent *a, struct wire *args);
void op_run_start(struct agent *a, struct stream *s, struct wire *args);  /* just the child */
void op_done_start(struct agent *a, struct stream *s, struct wire *args); /* nothing to do */
void op_setup_run(struct agent *a, struct wire *args);

/* --- files.c --- */
/* Makes the folders above `path` (0755). */
bool make_parents(const char *path);
bool replace_symlink(const char *path, const char *target);

/* --- setup.c --- */
void setup_reaped(struct agent *a, int status);

/* --- root.c, mounts.c, net.c: steps of SETUP, in its child; false: said why in `error` --- */
struct step_error {
	char text[256];
	int error; /* errno */
};
bool step_fail(struct step_error *e, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool root_switch(const struct setup *s, struct step_error *e);
bool net_up(const struct setup *s, struct step_error *e);
void net_loopback(void);
void mounts_kernel(void);
bool mounts_tree(const struct setup *s, const struct setup_tree *tree, bool fresh,
		 struct step_error *e);
bool mount_nfs(const struct setup *s, const char *export_name, const char *where,
	       const char *options, unsigned long flags, struct step_error *e);

/* --- devices.c --- */
void devices_coldplug(void); /* names and links that udev would make */
/* Nodes that load their module when opened, from a modules.devname. */
void devices_static_nodes(const char *list);
void devices_listen(struct agent *a);
void devices_event(struct agent *a);

/* --- fresh.c --- */
void fresh_start(struct agent *a);
int fresh_take(struct agent *a);    /* a prepared namespace, or -1 */
void fresh_order(struct agent *a);  /* has new ones made, as many as are wanted */
void fresh_made(struct agent *a);   /* the maker has answered */
void fresh_synced(struct agent *a); /* the syncer has answered */
bool fresh_sync(struct agent *a, int ns, uint32_t stream);
void fresh_drop(struct agent *a, int ns); /* takes the descriptor */
/* In the command's child: into the namespace `ns`; -1: into the one that the agent sends. */
bool fresh_enter(struct agent *a, int ns, struct step_error *e);

/* --- carry.c --- */
void carry_look(struct agent *a); /* renews a->carry */
/* In a command's child: copies of what is mounted below trees here; then into the namespace. */
void carry_take(const struct setup *s, struct carry_list *list);
void carry_in(struct carry_list *list, int ns);
/* In the namespace `ns` of a command that has ended; then back in the agent's. */
void carry_changes(const struct setup *s, int ns, struct carry_list *come, struct carry_list *gone);
void carry_back(struct carry_list *come, const struct carry_list *gone);
void mountinfo_unescape(char *s);
