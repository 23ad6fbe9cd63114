// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The whole server in one process on a folder of its own, fed with a guest's bytes.
 *
 * An input is a first byte and the rest. 'S': the rest is what a socket says, record marks and
 * all. Otherwise: calls one after the other, each a byte (0..31 an NFSv3 procedure, 32..63 a MOUNT
 * one), two bytes of length and the arguments. There, 40 bytes that begin with "HNDL" and a
 * digit stand for a good handle: nobody guesses a MAC.
 *
 * Checked after each input, besides what the sanitizers see: a file outside of the export and the
 * protected one are as they were, and nothing is left pinned.
 *
 * With -DFUZZ_REPLAY it is a program that runs the files (or folders of files) it is given.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config.h"
#include "conn.h"
#include "handle.h"
#include "resolve.h"
#include "rpc.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { N_HANDLES = 8, RECORD_ROOM = 70000, FRESH_EVERY = 500 };

static struct {
	struct server s;
	struct conns cs;
	char top[128];
	uint8_t handle[N_HANDLES][HANDLE_SIZE];
	uint8_t *reply;
	unsigned int runs;
} fuzz;

#define must(x) ((x) ? (void) 0 : give_up(#x, __LINE__))

static void give_up(const char *what, int line)
{
	fprintf(stderr, "fuzz-nfs.c:%d: not true: %s (%s)\n", line, what, strerror(errno));
	abort();
}

static const char *at(const char *rel)
{
	static char path[192];

	snprintf(path, sizeof(path), "%s/%s", fuzz.top, rel);
	return path;
}

static void put(const char *rel, const char *text)
{
	int fd = open(at(rel), O_WRONLY | O_CREAT | O_TRUNC, 0644);

	must(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t) strlen(text));
	close(fd);
}

static void check(const char *rel, const char *text)
{
	char buf[64] = "";
	int fd = open(at(rel), O_RDONLY);

	must(fd >= 0 && read(fd, buf, sizeof(buf) - 1) == (ssize_t) strlen(text));
	must(strcmp(buf, text) == 0);
	close(fd);
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	if (S_ISDIR(st->st_mode))
		chmod(path, 0700);
	return 0;
}

static int remove_two(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	return remove(path);
}

static void remove_tree(const char *path)
{
	nftw(path, remove_one, 16, FTW_PHYS);
	nftw(path, remove_two, 16, FTW_PHYS | FTW_DEPTH);
}

static void learn(unsigned int i, const char *export, const char *rel)
{
	struct export *e = export_by_name(&fuzz.s, export, strlen(export));
	struct node *n = &fuzz.s.nodes.v[e->root];
	struct handle h = {.tag = e->tag};
	struct file_id id;
	struct stat st;
	int fd;

	if (*rel) {
		fd = resolve_child(&fuzz.s, e->root_fd, rel, &st, &id);
		must(fd >= 0);
		n = node_see(&fuzz.s.nodes, e->tag, &id, st.st_ino, n, rel, strlen(rel));
		must(n && fds_adopt(&fuzz.s, n, fd) >= 0);
	}
	h.id = n->id;
	h.ino = n->ino;
	handle_pack(fuzz.s.key, &h, fuzz.handle[i]);
}

static void make_tree(void)
{
	const char *tmp = getenv("TMPDIR");

	snprintf(fuzz.top, sizeof(fuzz.top), "%s/fuzz-nfs-XXXXXX", tmp ? tmp : "/tmp");
	must(mkdtemp(fuzz.top));
	must(mkdir(at("rw"), 0755) == 0 && mkdir(at("rw/dir"), 0755) == 0 &&
	     mkdir(at("ro"), 0755) == 0);
	put("outside", "outside");
	put("rw/file", "some text");
	put("rw/dir/inner", "inner");
	put("rw/devvm.conf", "protected");
	put("ro/file", "read-only");
	must(symlink("../outside", at("rw/link")) == 0);
}

static void start(void)
{
	char text[2048], *p = text;
	FILE *f;

	make_tree();
	memset(&fuzz.s, 0, sizeof(fuzz.s));
	fuzz.s.listen_fd = fuzz.s.listen_port = -1;
	p += sprintf(p, "listen-port 0\npeer-any\ntoken 00112233445566778899aabbccddeeff\n");
	p += sprintf(p, "key 0123456789abcdef0123456789abcdef\n");
	p += sprintf(p, "export rw %s/rw rw,map=root,protect=devvm.conf,protect=.git/config\n",
		     fuzz.top);
	p += sprintf(p, "export ro %s/ro ro,hide=x,hide-private\n", fuzz.top);
	f = fmemopen(text, (size_t) (p - text), "r");
	must(f && config_read(&fuzz.s, f) == 0);
	fclose(f);
	must(server_start(&fuzz.s) == 0);
	must(conns_init(&fuzz.cs, &fuzz.s, epoll_create1(EPOLL_CLOEXEC)) == 0);
	learn(0, "rw", "");
	learn(1, "rw", "file");
	learn(2, "rw", "dir");
	learn(3, "rw", "link");
	learn(4, "rw", "devvm.conf");
	learn(5, "ro", "");
	learn(6, "ro", "file");
	memset(fuzz.handle[7], 7, HANDLE_SIZE);
}

static void stop(void)
{
	int epoll = fuzz.cs.epoll;

	conns_close(&fuzz.cs);
	close(epoll);
	server_stop(&fuzz.s);
	remove_tree(fuzz.top);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	/* A file may be as long as the guest says: sparse, but not for checkers that read it. */
	setrlimit(RLIMIT_FSIZE, &(struct rlimit){16 << 20, 16 << 20});
	signal(SIGXFSZ, SIG_IGN);
	umask(0);
	fuzz.reply = malloc(RPC_REPLY_ROOM);
	must(fuzz.reply);
	start();
	return 0;
}

static void place_handles(uint8_t *p, size_t len)
{
	for (size_t i = 0; i + HANDLE_SIZE <= len; i += 4) {
		if (memcmp(p + i, "HNDL", 4) != 0)
			continue;
		memcpy(p + i, fuzz.handle[p[i + 4] % N_HANDLES], HANDLE_SIZE);
		i += HANDLE_SIZE - 4;
	}
}

static void one_call(uint8_t op, const uint8_t *args, size_t len, uint32_t xid)
{
	bool mount = (op & 0x20) != 0;
	const uint32_t head[] = {xid, 0, 2, mount ? 100005 : 100003, 3, op & 0x1f, 0, 0, 0, 0};
	struct xdr_out out, rec;
	uint8_t *buf = malloc(sizeof(head) + xdr_padded(len));

	must(buf);
	rec = (struct xdr_out){.p = buf, .end = buf + sizeof(head) + xdr_padded(len)};
	for (size_t i = 0; i < sizeof(head) / sizeof(head[0]); i++)
		xdr_put_u32(&rec, head[i]);
	xdr_put_fixed(&rec, args, len);
	place_handles(buf + sizeof(head), len);
	out = (struct xdr_out){.p = fuzz.reply, .end = fuzz.reply + RPC_REPLY_ROOM};
	must(rpc_handle(&fuzz.s, buf, sizeof(head) + len, &out));
	must(fuzz.s.fds.n_pinned == 0);
	free(buf);
}

static void calls(const uint8_t *data, size_t size)
{
	uint32_t xid = 1;

	while (size >= 3) {
		size_t len = (size_t) data[1] << 8 | data[2];

		if (len > size - 3)
			len = size - 3;
		one_call(data[0], data + 3, len, xid++);
		data += 3 + len;
		size -= 3 + len;
	}
}

static void socket_says(const uint8_t *data, size_t size)
{
	char sink[65536];
	struct conn *c;
	int sv[2];

	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sv) == 0);
	c = conns_add(&fuzz.cs, sv[0]);
	must(c);
	must(size == 0 || send(sv[1], data, size, MSG_NOSIGNAL) >= 0);
	shutdown(sv[1], SHUT_WR);
	/* To its end, which always comes: each turn reads something or closes. */
	while (fuzz.cs.n) {
		while (recv(sv[1], sink, sizeof(sink), MSG_DONTWAIT) > 0)
			;
		conn_event(&fuzz.cs, c, EPOLLIN);
	}
	close(sv[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0 || size > RECORD_ROOM)
		return 0;
	if (data[0] == 'S')
		socket_says(data + 1, size - 1);
	else
		calls(data, size);
	/* The export's root is the guest's to change. */
	chmod(at("rw"), 0755);
	check("outside", "outside");
	check("rw/devvm.conf", "protected");
	if (++fuzz.runs % FRESH_EVERY == 0) {
		stop();
		start();
	}
	return 0;
}

#ifdef FUZZ_REPLAY
static void replay(const char *path)
{
	static uint8_t buf[RECORD_ROOM];
	FILE *f = fopen(path, "rb");
	size_t n;

	must(f);
	n = fread(buf, 1, sizeof(buf), f);
	fclose(f);
	LLVMFuzzerTestOneInput(buf, n);
}

int main(int argc, char **argv)
{
	unsigned int n = 0;
	struct dirent *e;
	char path[4096];
	DIR *d;

	LLVMFuzzerInitialize(&argc, &argv);
	for (int i = 1; i < argc; i++) {
		d = opendir(argv[i]);
		must(d);
		while ((e = readdir(d))) {
			if (e->d_name[0] == '.')
				continue;
			snprintf(path, sizeof(path), "%s/%s", argv[i], e->d_name);
			replay(path);
			n++;
		}
		closedir(d);
	}
	stop();
	free(fuzz.reply);
	printf("%u inputs\n", n);
	return n == 0;
}
#endif
