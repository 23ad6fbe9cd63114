// SPDX-License-Identifier: GPL-2.0-or-later
/* The configuration as the keeper sends it, and what must not pass. */
#include <glib.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"

/* What was read is left to the process's end: no leak worth a report. */
const char *__lsan_default_options(void);
const char *__lsan_default_options(void)
{
	return "detect_leaks=0";
}

#define GOOD                                                                 \
	"listen-fd 3\npeer-pid 12\ntoken 00112233445566778899aabbccddeeff\n" \
	"key 000102030405060708090a0b0c0d0e0f\n"

static int read_text(struct server *s, const char *text)
{
	FILE *f = fmemopen((char *) text, strlen(text), "r");
	int r;

	memset(s, 0, sizeof(*s));
	s->listen_fd = s->listen_port = -1;
	r = config_read(s, f);
	fclose(f);
	return r;
}

static void test_good(void)
{
	static struct server s;
	const struct export *e = &s.exports[1];

	g_assert_cmpint(read_text(&s, GOOD "state-dir /run/a%20b\n"
					   "export root / ro,only=usr,hide-private=/etc/\n"
					   "\n"
					   "export tree /home/me/%25%C3%A4%20x rw,map=root,"
					   "protect=.git/hooks/**,hide=a%2Cb,sync"),
			==, 0);
	g_assert_cmpint(s.listen_fd, ==, 3);
	g_assert_cmpint(s.peer_pid, ==, 12);
	g_assert_cmpuint(s.key[0], ==, 0x0001020304050607);
	g_assert_cmpuint(s.key[1], ==, 0x08090a0b0c0d0e0f);
	g_assert_cmpstr(s.state_dir, ==, "/run/a b");
	g_assert_cmpuint(s.n_exports, ==, 2);
	g_assert_cmpstr(s.exports[0].hide_private.v[0], ==, "etc");
	g_assert_false(s.exports[0].rw);
	g_assert_cmpstr(e->path, ==, "/home/me/%\303\244 x");
	g_assert_true(e->rw && e->map_root && e->sync);
	g_assert_cmpstr(e->hide.v[0], ==, "a,b");
	g_assert_cmpuint(e->n_protect, ==, 1);
	g_assert_cmpuint(e->protect[0].n, ==, 2);
}

static void test_bad(void)
{
	static const char *const bad[] = {
		"",
		"listen-fd 3\ntoken 00112233445566778899aabbccddeeff\n"
		"key 000102030405060708090a0b0c0d0e0f\n", /* nobody may connect, or everybody? */
		GOOD "colour blue\n",
		GOOD "listen-fd three\n",
		GOOD "listen-port 70000\n",
		GOOD "token short\n",
		GOOD "token 0011223344556677889/aabbccddeeff\n",
		GOOD "key 00\n",
		GOOD "peer-pid 1 2\n",
		GOOD "export a /x\n",
		GOOD "export a x rw\n",
		GOOD "export a/b /x rw\n",
		GOOD "export a /x rw\nexport a /y rw\n",
		GOOD "export a /x rw,blue\n",
		GOOD "export a /x rw,map=blue\n",
		GOOD "export a /x rw,only=a%2Fb\n",
		GOOD "export a /x%0 rw\n",
		GOOD "export a /x%00 rw\n",
		GOOD "export a /x rw,protect=\n",
		GOOD "export a /x rw b\n",
	};
	static struct server s;

	for (unsigned int i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_test_message("%s", bad[i]);
		g_assert_cmpint(read_text(&s, bad[i]), <, 0);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/nfs/config/good", test_good);
	g_test_add_func("/nfs/config/bad", test_bad);
	return g_test_run();
}
