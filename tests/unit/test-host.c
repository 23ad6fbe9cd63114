// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "doctor-checks.h"
#include "host.h"
#include "util/error.h"
#include "temp-tree.h"

static char *top;

static char *put(const char *name, const char *text)
{
	char *path = g_build_filename(top, name, NULL);
	g_autofree char *parent = g_path_get_dirname(path);

	g_assert_cmpint(g_mkdir_with_parents(parent, 0700), ==, 0);
	g_assert_true(g_file_set_contents(path, text, -1, NULL));
	return path;
}

static void test_kvm_fault(void)
{
	static const struct {
		HostKvm kvm;
		const char *fault, *mend; /* parts of them; NULL: none */
	} cases[] = {
		{{.cpu = TRUE}, NULL, NULL},
		/* The device opens, and a guest would hang before its first line all the same. */
		{{.cpu = FALSE}, "neither vmx nor svm", "firmware"},
		{{.cpu = FALSE, .is_guest = TRUE}, "this host is a VM", "nested"},
		{{.cpu = TRUE, .intel = TRUE, .device_errno = ENOENT}, "no /dev/kvm", "kvm_intel"},
		{{.cpu = TRUE, .device_errno = ENODEV}, "no /dev/kvm", "modprobe kvm_amd"},
		{{.cpu = TRUE, .device_errno = EACCES, .group = (char *) "kvm"},
		 "not in the group kvm",
		 "sudo usermod -aG kvm "},
		{{.cpu = TRUE, .device_errno = EACCES, .group = (char *) "kvm", .member = TRUE},
		 "older than your membership",
		 "log out"},
		{{.cpu = TRUE, .device_errno = EACCES}, "Permission denied", NULL},
		{{.cpu = TRUE, .device_errno = EBUSY}, "busy", NULL},
	};

	for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autofree char *mend = NULL;
		g_autofree char *fault = host_kvm_fault(&cases[i].kvm, &mend);

		if (!cases[i].fault != !fault || (fault && !strstr(fault, cases[i].fault)))
			g_error("case %zu: fault '%s'", i, fault);
		if (!cases[i].mend != !mend || (mend && !strstr(mend, cases[i].mend)))
			g_error("case %zu: mend '%s'", i, mend);
	}
}

static void test_accel(void)
{
	g_autoptr(GError) error = NULL;
	g_auto(HostKvm) facts = {0};
	g_autofree char *fault = NULL, *mend = NULL, *why = NULL;
	gboolean kvm = TRUE;

	g_assert_true(host_accel("tcg", &kvm, &why, &error));
	g_assert_false(kvm);
	g_assert_null(why);
	host_kvm(&facts);
	fault = host_kvm_fault(&facts, &mend);
	g_assert_true(host_accel("auto", &kvm, &why, &error));
	g_assert_cmpint(kvm, ==, fault == NULL);
	g_assert_cmpstr(why, ==, fault);
	g_assert_cmpint(host_accel("kvm", &kvm, NULL, &error), ==, fault == NULL);
	if (fault)
		g_assert_error(error, DEVVM_ERROR, DEVVM_ERROR_HOST);
}

static void test_lingering(void)
{
	g_autofree char *systemd = g_build_filename(top, "run/systemd/system", NULL);
	g_autofree char *without = host_lingering_in(top, "ann"), *off = NULL, *on = NULL;
	g_autofree char *file = NULL;

	g_assert_null(without);
	g_assert_cmpint(g_mkdir_with_parents(systemd, 0700), ==, 0);
	off = host_lingering_in(top, "ann");
	g_assert_nonnull(strstr(off, "loginctl enable-linger"));
	file = put("var/lib/systemd/linger/ann", "");
	on = host_lingering_in(top, "ann");
	g_assert_null(on);
}

static void assert_runtime_dir(const char *path, const char *says)
{
	g_autofree char *fault = host_runtime_dir_fault(path);

	if (!says != !fault || (fault && !strstr(fault, says)))
		g_error("%s: '%s'", path, fault);
}

static void test_runtime_dir(void)
{
	g_autofree char *file = put("file", "");

	assert_runtime_dir(NULL, "not set");
	assert_runtime_dir("", "not set");
	assert_runtime_dir("run", "no absolute path");
	assert_runtime_dir("/no/such/folder", "there is no folder");
	assert_runtime_dir(file, "there is no folder");
	g_chmod(top, 0700);
	assert_runtime_dir(top, NULL);
	g_chmod(top, 0750);
	assert_runtime_dir(top, "others can enter");
	g_chmod(top, 0700);
	if (geteuid() == 0)
		g_test_skip("root owns the folders that could belong to another user");
	else
		assert_runtime_dir("/", "belongs to another user");
}

static void test_install(void)
{
	static const struct {
		const char *release, *command;
	} cases[] = {
		{"ID=debian\n", "sudo apt-get install a b"},
		{"NAME=x\nID=ubuntu\nID_LIKE=debian\n", "sudo apt-get install a b"},
		{"ID=\"linuxmint\"\nID_LIKE=\"ubuntu debian\"\n", "sudo apt-get install a b"},
		{"ID=fedora\n", "sudo dnf install f"},
		{"ID='rocky'\nID_LIKE=\"rhel centos fedora\"\n", "sudo dnf install f"},
		{"ID=arch\n", "install a b (its name on Debian)"},
		{"ID=\"broken\nID_LIKE\n=\n", "install a b (its name on Debian)"},
		{"", "install a b (its name on Debian)"},
	};

	for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_auto(HostOs) os = {0};
		g_autofree char *file = put("etc/os-release", cases[i].release);
		g_autofree char *command = NULL;

		host_os(top, &os);
		command = host_install(&os, "a b", "f");
		g_assert_cmpstr(command, ==, cases[i].command);
	}
}

static void test_compiler(void)
{
	static const struct {
		const char *text, *program, *version;
	} cases[] = {
		{"gcc-12 (Debian 12.2.0-14+deb12u1) 12.2.0", "gcc-12", "12.2.0"},
		{"gcc (GCC) 13.2.1 20230801 (Red Hat 13.2.1-1)", "gcc", "13.2.1"},
		{"Debian clang version 14.0.6", "clang", "14.0.6"},
		{"clang version 16.0.6 (Fedora 16.0.6-3)", "clang", "16.0.6"},
		{"", NULL, NULL},
		{"gcc", NULL, NULL},
	};

	for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autofree char *line =
			g_strdup_printf("# c\nCONFIG_CC_VERSION_TEXT=\"%s\"\nX=y\n", cases[i].text);
		g_autofree char *file = put("config", line);
		g_auto(HostCompiler) compiler = {0};
		gboolean ok = host_kernel_compiler(file, &compiler);

		g_assert_cmpint(ok, ==, cases[i].program != NULL);
		if (ok) {
			g_assert_cmpstr(compiler.program, ==, cases[i].program);
			g_assert_cmpstr(compiler.version, ==, cases[i].version);
		}
	}
	g_auto(HostCompiler) none = {0};

	g_assert_false(host_kernel_compiler("/no/such/file", &none));
	g_assert_false(host_kernel_compiler(NULL, &none));
}

static void test_libvirt(void)
{
	g_auto(HostLibvirt) good = {0}, bad = {0};

	g_setenv("DEVVM_URI", "test:///default", TRUE); /* a driver inside of libvirt's library */
	host_libvirt(&good);
	g_assert_null(good.error);
	g_assert_true(g_ascii_isdigit(*good.libvirt));
	g_setenv("DEVVM_URI", "qemu+unix:///session?socket=/no/such/socket", TRUE);
	host_libvirt(&bad);
	g_assert_nonnull(bad.error);
	g_assert_null(bad.libvirt);
}

static void test_programs(void)
{
	const char *echo[] = {"echo", " one\ntwo", NULL}, *fails[] = {"false", NULL};
	const char *none[] = {"/no/such/program", NULL};
	g_autofree char *sh = host_program("sh"), *missing = host_program("no-such-program");
	g_autofree char *line = host_first_line(echo);
	guint64 bytes = 0;

	g_assert_true(g_file_test(sh, G_FILE_TEST_IS_EXECUTABLE));
	g_assert_null(missing);
	g_assert_cmpstr(line, ==, "one");
	g_assert_null(host_first_line(fails));
	g_assert_null(host_first_line(none));
	g_assert_true(host_disk_free("/tmp/no/such/folder", &bytes));
	g_assert_cmpuint(bytes, >, 0);
	g_assert_cmpint(host_peer_lookup(), ==, 0);
	g_assert_cmpuint(host_memory_available(), >, 1 << 20);
}

/* Whatever the host is like: every finding says something, and failures what to do or why. */
static void test_doctor(void)
{
	g_autoptr(GPtrArray) findings = NULL;
	gboolean kvm = FALSE, gdb = FALSE;

	g_setenv("DEVVM_URI", "test:///default", TRUE);
	findings = doctor_check(NULL);
	g_assert_cmpuint(findings->len, >, 12);
	for (guint i = 0; i < findings->len; i++) {
		const Finding *f = g_ptr_array_index(findings, i);

		g_assert_true(f->name && *f->name && f->text && *f->text);
		kvm |= g_str_equal(f->name, "KVM");
		gdb |= g_str_equal(f->name, "gdb");
		if (f->level == FINDING_OK)
			g_assert_null(f->mend);
	}
	g_assert_true(kvm && gdb);
}

int main(int argc, char **argv)
{
	g_autofree char *cache = NULL;
	int status;

	top = g_dir_make_tmp("devvm-host-XXXXXX", NULL);
	cache = g_build_filename(top, "cache", NULL);
	g_setenv("XDG_CACHE_HOME", cache, TRUE);
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/host/kvm-fault", test_kvm_fault);
	g_test_add_func("/host/accel", test_accel);
	g_test_add_func("/host/lingering", test_lingering);
	g_test_add_func("/host/runtime-dir", test_runtime_dir);
	g_test_add_func("/host/install", test_install);
	g_test_add_func("/host/compiler", test_compiler);
	g_test_add_func("/host/libvirt", test_libvirt);
	g_test_add_func("/host/programs", test_programs);
	g_test_add_func("/host/doctor", test_doctor);
	status = g_test_run();
	temp_remove(top);
	g_free(top);
	return status;
}
