// SPDX-License-Identifier: GPL-2.0-or-later
/* The server's bytes: record marks, malformed and hostile peers, calls that come twice. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "nfs-fixture.h"
#include "nfs3-proto.h"
#include "xdr.h"

enum { REPLY_MAX = 2 << 20, DEADLINE_MS = 10000 };
#define LAST 0x80000000u
#define MNT "/" FIXTURE_TOKEN "/tree"

struct msg {
	uint8_t buf[8192];
	struct xdr_out out;
};

static void begin(struct msg *m, uint32_t xid, uint32_t prog, uint32_t proc)
{
	const uint32_t head[] = {xid, RPC_CALL, RPC_VERSION, prog, 3, proc, 0, 0, 0, 0};

	m->out = (struct xdr_out){.p = m->buf + 4, .end = m->buf + sizeof(m->buf)};
	for (unsigned int i = 0; i < G_N_ELEMENTS(head); i++)
		xdr_put_u32(&m->out, head[i]);
}

static gsize finish(struct msg *m)
{
	gsize len = (gsize) (m->out.p - m->buf);

	xdr_store_u32(m->buf, LAST | (uint32_t) (len - 4));
	return len;
}

static int dial(struct nfsd *d)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
				.sin_port = htons((uint16_t) d->port),
				.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	g_assert_cmpint(connect(fd, (struct sockaddr *) &a, sizeof(a)), ==, 0);
	return fd;
}

static void send_all(int fd, const void *data, gsize len)
{
	g_assert_cmpint(send(fd, data, len, MSG_NOSIGNAL), ==, (gssize) len);
}

/* False: the connection was closed instead. */
static gboolean recv_all(int fd, uint8_t *buf, gsize len)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	gsize at = 0;
	gssize n;

	while (at < len) {
		g_assert_cmpint(poll(&p, 1, DEADLINE_MS), ==, 1);
		n = recv(fd, buf + at, len - at, 0);
		if (n <= 0)
			return FALSE;
		at += (gsize) n;
	}
	return TRUE;
}

/* The results behind the reply's header, or NULL when the connection was closed. */
static uint8_t *recv_reply(int fd, uint32_t xid, struct xdr_in *in)
{
	uint8_t mark[4], *buf;
	uint32_t len;

	if (!recv_all(fd, mark, 4))
		return NULL;
	len = xdr_load_u32(mark) & ~LAST;
	g_assert_cmpuint(len, <, REPLY_MAX);
	buf = g_malloc(len);
	if (!recv_all(fd, buf, len)) {
		g_free(buf);
		return NULL;
	}
	xdr_in_init(in, buf, len);
	g_assert_cmpuint(xdr_get_u32(in), ==, xid);
	g_assert_cmpuint(xdr_get_u32(in), ==, RPC_REPLY);
	return buf;
}

/* The accept status, then what @in has. */
static uint32_t accepted(struct xdr_in *in)
{
	g_assert_cmpuint(xdr_get_u32(in), ==, RPC_MSG_ACCEPTED);
	xdr_get_u64(in);
	return xdr_get_u32(in);
}

static uint32_t nfs_result(int fd, struct msg *m, uint32_t xid)
{
	struct xdr_in in;
	g_autofree uint8_t *buf = NULL;

	send_all(fd, m->buf, finish(m));
	buf = recv_reply(fd, xid, &in);
	g_assert_nonnull(buf);
	g_assert_cmpuint(accepted(&in), ==, RPC_SUCCESS);
	return xdr_get_u32(&in);
}

static void mount_root(int fd, uint8_t handle[NFS3_FHSIZE], uint32_t *len)
{
	g_autofree uint8_t *buf = NULL;
	const uint8_t *p;
	struct xdr_in in;
	struct msg m;

	begin(&m, 1, MOUNT_PROGRAM, MOUNT3_MNT);
	xdr_put_opaque(&m.out, MNT, strlen(MNT));
	send_all(fd, m.buf, finish(&m));
	buf = recv_reply(fd, 1, &in);
	g_assert_nonnull(buf);
	g_assert_cmpuint(accepted(&in), ==, RPC_SUCCESS);
	g_assert_cmpuint(xdr_get_u32(&in), ==, 0);
	p = xdr_get_opaque(&in, NFS3_FHSIZE, len);
	g_assert_nonnull(p);
	memcpy(handle, p, *len);
}

static void assert_alive(struct nfsd *d)
{
	struct xdr_in in;
	int fd = dial(d);
	g_autofree uint8_t *buf = NULL;
	struct msg m;

	begin(&m, 5, NFS_PROGRAM, NFS3_NULL);
	send_all(fd, m.buf, finish(&m));
	buf = recv_reply(fd, 5, &in);
	g_assert_nonnull(buf);
	g_assert_cmpuint(accepted(&in), ==, RPC_SUCCESS);
	close(fd);
}

static void test_malformed(void)
{
	static const uint8_t bad[][12] = {
		{0xff, 0xff, 0xff, 0xff},		 /* a record of 2 GiB */
		{0x80, 0, 0, 0},			 /* an empty one */
		{0, 0, 0, 0, 0, 0, 0, 0},		 /* empty fragments for ever */
		{0x80, 0, 0, 4, 'h', 'e', 'l', 'o'},	 /* no call */
		{0x80, 0, 0, 8, 0, 0, 0, 1, 0, 0, 0, 1}, /* a reply */
	};
	struct nfsd d = {0};
	uint8_t c;

	nfsd_start(&d);
	for (unsigned int i = 0; i < G_N_ELEMENTS(bad); i++) {
		int fd = dial(&d);

		send_all(fd, bad[i], sizeof(bad[i]));
		g_assert_false(recv_all(fd, &c, 1));
		close(fd);
		assert_alive(&d);
	}
	nfsd_end(&d);
}

static void test_refusals(void)
{
	struct nfsd d = {0};
	struct xdr_in in;
	struct msg m;
	uint8_t *buf;
	int fd;

	nfsd_start(&d);
	fd = dial(&d);
	begin(&m, 7, 100227, 0); /* NFS_ACL */
	send_all(fd, m.buf, finish(&m));
	buf = recv_reply(fd, 7, &in);
	g_assert_cmpuint(accepted(&in), ==, RPC_PROG_UNAVAIL);
	g_free(buf);
	begin(&m, 8, NFS_PROGRAM, 22);
	send_all(fd, m.buf, finish(&m));
	buf = recv_reply(fd, 8, &in);
	g_assert_cmpuint(accepted(&in), ==, RPC_PROC_UNAVAIL);
	g_free(buf);
	begin(&m, 9, NFS_PROGRAM, NFS3_GETATTR);
	xdr_put_u32(&m.out, 64); /* a handle that is not there */
	send_all(fd, m.buf, finish(&m));
	buf = recv_reply(fd, 9, &in);
	g_assert_cmpuint(accepted(&in), ==, RPC_GARBAGE_ARGS);
	g_free(buf);
	begin(&m, 10, NFS_PROGRAM, NFS3_GETATTR);
	xdr_put_opaque(&m.out, "forged forged forged forged forged forge", 40);
	g_assert_cmpuint(nfs_result(fd, &m, 10), ==, NFS3ERR_BADHANDLE);
	xdr_store_u32(m.buf + 12, 3); /* RPC version 3 */
	send_all(fd, m.buf, finish(&m));
	buf = recv_reply(fd, 10, &in);
	g_assert_cmpuint(xdr_get_u32(&in), ==, RPC_MSG_DENIED);
	g_free(buf);
	close(fd);
	nfsd_end(&d);
}

/* One call in fragments of three bytes. */
static void test_fragments(void)
{
	struct nfsd d = {0};
	struct xdr_in in;
	struct msg m;
	uint8_t *buf;
	gsize len;
	int fd;

	nfsd_start(&d);
	fd = dial(&d);
	begin(&m, 11, NFS_PROGRAM, NFS3_NULL);
	len = finish(&m);
	for (gsize at = 4; at < len; at += 3) {
		uint32_t n = (uint32_t) MIN(3, len - at);
		uint8_t mark[4];

		xdr_store_u32(mark, n | (at + n == len ? LAST : 0));
		send_all(fd, mark, 4);
		send_all(fd, m.buf + at, n);
	}
	buf = recv_reply(fd, 11, &in);
	g_assert_nonnull(buf);
	g_assert_cmpuint(accepted(&in), ==, RPC_SUCCESS);
	g_free(buf);
	close(fd);
	nfsd_end(&d);
}

/* The same bytes again, on another connection: done once, answered twice. */
static void test_twice(void)
{
	static const uint32_t procs[] = {NFS3_MKDIR, NFS3_RMDIR};
	struct nfsd d = {0};
	uint8_t fh[NFS3_FHSIZE];
	uint32_t fh_len;
	struct msg m;
	int fd;

	nfsd_start(&d);
	fd = dial(&d);
	mount_root(fd, fh, &fh_len);
	for (uint32_t i = 0; i < G_N_ELEMENTS(procs); i++) {
		for (int again = 0; again < 2; again++) {
			begin(&m, 100 + i, NFS_PROGRAM, procs[i]);
			xdr_put_opaque(&m.out, fh, fh_len);
			xdr_put_opaque(&m.out, "folder", 6);
			for (int j = 0; procs[i] == NFS3_MKDIR && j < 6; j++)
				xdr_put_u32(&m.out, 0);
			g_assert_cmpuint(nfs_result(fd, &m, 100 + i), ==, NFS3_OK);
			close(fd);
			fd = dial(&d);
		}
	}
	/* Another call is another matter. */
	xdr_store_u32(m.buf + 4, 200);
	g_assert_cmpuint(nfs_result(fd, &m, 200), ==, NFS3ERR_NOENT);
	close(fd);
	nfsd_end(&d);
}

static gsize rss_kb(pid_t pid)
{
	g_autofree char *path = g_strdup_printf("/proc/%d/statm", (int) pid);
	g_autofree char *text = NULL;

	g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
	return (gsize) g_ascii_strtoull(strchr(text, ' '), NULL, 10) * 4;
}

/* A peer that asks for 2 GB and reads nothing: others are served, memory stays small. */
static void test_slow_reader(void)
{
	struct nfsd d = {0};
	g_autofree char *data = g_strnfill(1 << 20, 'x');
	struct nfs_context *n;
	struct nfsfh *fh;
	struct msg m;
	uint8_t root[NFS3_FHSIZE], file[NFS3_FHSIZE];
	uint32_t root_len, file_len;
	struct xdr_in in;
	uint8_t *buf;
	gsize before;
	int fd;

	nfsd_start(&d);
	host_put(&d, "big", data);
	fd = dial(&d);
	mount_root(fd, root, &root_len);
	begin(&m, 2, NFS_PROGRAM, NFS3_LOOKUP);
	xdr_put_opaque(&m.out, root, root_len);
	xdr_put_opaque(&m.out, "big", 3);
	send_all(fd, m.buf, finish(&m));
	buf = recv_reply(fd, 2, &in);
	g_assert_cmpuint(accepted(&in), ==, RPC_SUCCESS);
	g_assert_cmpuint(xdr_get_u32(&in), ==, NFS3_OK);
	memcpy(file, xdr_get_opaque(&in, NFS3_FHSIZE, &file_len), 40);
	g_free(buf);
	before = rss_kb(d.pid);
	for (uint32_t xid = 1000; xid < 3000; xid++) {
		begin(&m, xid, NFS_PROGRAM, NFS3_READ);
		xdr_put_opaque(&m.out, file, file_len);
		xdr_put_u64(&m.out, 0);
		xdr_put_u32(&m.out, 1 << 20);
		if (send(fd, m.buf, finish(&m), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
			break; /* it has stopped reading, as it should */
	}
	n = nfsd_mount(&d, MNT);
	g_assert_cmpint(nfs_open(n, "/big", 0, &fh), ==, 0);
	g_assert_cmpint(nfs_pread(n, fh, 0, 1, data), ==, 1);
	nfs_close(n, fh);
	nfs_destroy_context(n);
	/* Sanitizers keep what is freed for a while. */
	if (!g_getenv("DEVVM_SANITIZED"))
		g_assert_cmpuint(rss_kb(d.pid), <, before + 6000);
	close(fd);
	nfsd_end(&d);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/nfs/wire/malformed", test_malformed);
	g_test_add_func("/nfs/wire/refusals", test_refusals);
	g_test_add_func("/nfs/wire/fragments", test_fragments);
	g_test_add_func("/nfs/wire/twice", test_twice);
	g_test_add_func("/nfs/wire/slow-reader", test_slow_reader);
	return g_test_run();
}
