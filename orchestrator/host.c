// SPDX-License-Identifier: GPL-2.0-or-later
#include "host.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include <netinet/in.h>
#include <pwd.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "nfs/peer.h"
#include "util/error.h"

#define KVM_DEVICE "/dev/kvm"

static char *user_name(void)
{
	return g_strdup(g_get_user_name());
}

/* The words of the first line "NAME : …" of /proc/cpuinfo; NULL when there is none. */
static char **cpuinfo_words(const char *name)
{
	g_autofree char *text = NULL;
	g_auto(GStrv) lines = NULL;

	if (!g_file_get_contents("/proc/cpuinfo", &text, NULL, NULL))
		return NULL;
	lines = g_strsplit(text, "\n", -1);
	for (char **line = lines; *line; line++) {
		char *colon = strchr(*line, ':');

		if (colon && g_str_has_prefix(*line, name) &&
		    g_ascii_isspace((*line)[strlen(name)]))
			return g_strsplit(g_strstrip(colon + 1), " ", -1);
	}
	return NULL;
}

static gboolean is_member(const char *user, gid_t gid, gid_t own)
{
	gid_t groups[256];
	int n = G_N_ELEMENTS(groups);

	if (getgrouplist(user, own, groups, &n) < 0)
		n = G_N_ELEMENTS(groups);
	for (int i = 0; i < n; i++)
		if (groups[i] == gid)
			return TRUE;
	return FALSE;
}

static void device_group(HostKvm *kvm)
{
	g_autofree char *user = user_name();
	const struct group *group;
	struct stat st;

	if (stat(KVM_DEVICE, &st) < 0)
		return;
	group = getgrgid(st.st_gid);
	if (group && st.st_gid != 0 && (st.st_mode & 0060) == 0060) {
		kvm->group = g_strdup(group->gr_name);
		kvm->member = is_member(user, st.st_gid, getegid());
	}
}

void host_kvm(HostKvm *kvm)
{
	g_auto(GStrv) flags = cpuinfo_words("flags");
	g_auto(GStrv) vendor = cpuinfo_words("vendor_id");
	int fd = open(KVM_DEVICE, O_RDWR | O_CLOEXEC);

	*kvm = (HostKvm){0};
	kvm->device_errno = fd < 0 ? errno : 0;
	if (fd >= 0)
		close(fd);
	kvm->intel = vendor && g_strcmp0(*vendor, "GenuineIntel") == 0;
	if (flags) {
		const char *const *words = (const char *const *) flags;

		kvm->cpu = g_strv_contains(words, "vmx") || g_strv_contains(words, "svm");
		kvm->is_guest = g_strv_contains(words, "hypervisor");
	}
	device_group(kvm);
}

void host_kvm_clear(HostKvm *kvm)
{
	g_clear_pointer(&kvm->group, g_free);
}

static char *device_fault(const HostKvm *kvm, char **mend)
{
	g_autofree char *user = user_name();

	if (kvm->device_errno == ENOENT || kvm->device_errno == ENXIO ||
	    kvm->device_errno == ENODEV) {
		*mend = g_strdup_printf("sudo modprobe kvm_%s", kvm->intel ? "intel" : "amd");
		return g_strdup("there is no " KVM_DEVICE);
	}
	if (kvm->device_errno == EACCES && kvm->group && kvm->member) {
		*mend = g_strdup("log out and in again, to become a member of the group");
		return g_strdup_printf("this session is older than your membership of group %s",
				       kvm->group);
	}
	if (kvm->device_errno == EACCES && kvm->group) {
		*mend = g_strdup_printf("sudo usermod -aG %s %s, then log out and in again",
					kvm->group, user);
		return g_strdup_printf("you are not in the group %s of " KVM_DEVICE, kvm->group);
	}
	return g_strdup_printf(KVM_DEVICE ": %s", g_strerror(kvm->device_errno));
}

char *host_kvm_fault(const HostKvm *kvm, char **mend)
{
	*mend = NULL;
	if (!kvm->cpu && kvm->is_guest) {
		*mend = g_strdup("give this VM nested virtualisation, on the machine that runs it");
		return g_strdup("this host is a VM whose CPU shows neither vmx nor svm");
	}
	if (!kvm->cpu) {
		*mend = g_strdup("switch on virtualisation (VT-x, SVM) in the firmware's set-up");
		return g_strdup("the CPU shows neither vmx nor svm");
	}
	return kvm->device_errno ? device_fault(kvm, mend) : NULL;
}

gboolean host_accel(const char *wanted, gboolean *kvm, char **why, GError **error)
{
	g_auto(HostKvm) facts = {0};
	g_autofree char *fault = NULL, *mend = NULL;

	if (why)
		*why = NULL;
	*kvm = FALSE;
	if (g_str_equal(wanted, "tcg"))
		return TRUE;
	host_kvm(&facts);
	fault = host_kvm_fault(&facts, &mend);
	*kvm = !fault;
	if (fault && g_str_equal(wanted, "kvm"))
		return devvm_fail(
			error, DEVVM_ERROR_HOST,
			"accel = kvm, but KVM is not usable: %s%s%s; or take accel = auto", fault,
			mend ? ": " : "", mend ? mend : "");
	if (fault && why)
		*why = g_steal_pointer(&fault);
	return TRUE;
}

char *host_lingering_in(const char *root, const char *user)
{
	g_autofree char *systemd = g_build_filename(root, "run/systemd/system", NULL);
	g_autofree char *linger = g_build_filename(root, "var/lib/systemd/linger", user, NULL);

	if (!g_file_test(systemd, G_FILE_TEST_IS_DIR) || g_file_test(linger, G_FILE_TEST_EXISTS))
		return NULL;
	return g_strdup("when you log out, systemd removes your /run/user folder, and with it the "
			"way to the VMs that still run: loginctl enable-linger");
}

char *host_lingering(void)
{
	return host_lingering_in("/", g_get_user_name());
}

char *host_runtime_dir_fault(const char *path)
{
	struct stat st;

	if (!path || !*path)
		return g_strdup("XDG_RUNTIME_DIR is not set (a session of su or sudo has none)");
	if (!g_path_is_absolute(path))
		return g_strdup_printf("XDG_RUNTIME_DIR is no absolute path: %s", path);
	if (stat(path, &st) < 0 || !S_ISDIR(st.st_mode))
		return g_strdup_printf("XDG_RUNTIME_DIR: there is no folder %s", path);
	if (st.st_uid != geteuid())
		return g_strdup_printf("XDG_RUNTIME_DIR: %s belongs to another user", path);
	if (st.st_mode & 0077)
		return g_strdup_printf("XDG_RUNTIME_DIR: others can enter %s", path);
	return NULL;
}

/* The value of KEY=value or KEY="value". */
static char *os_value(char **lines, const char *key)
{
	for (; *lines; lines++)
		if (g_str_has_prefix(*lines, key) && (*lines)[strlen(key)] == '=') {
			char *value = g_shell_unquote(*lines + strlen(key) + 1, NULL);

			return value ? value : g_strdup("");
		}
	return g_strdup("");
}

void host_os(const char *root, HostOs *os)
{
	g_autofree char *path = g_build_filename(root, "etc/os-release", NULL);
	g_autofree char *text = NULL;
	g_auto(GStrv) lines = NULL;

	(void) g_file_get_contents(path, &text, NULL, NULL);
	lines = g_strsplit(text ? text : "", "\n", -1);
	os->id = os_value(lines, "ID");
	os->like = os_value(lines, "ID_LIKE");
	os->name = os_value(lines, "PRETTY_NAME");
}

void host_os_clear(HostOs *os)
{
	g_clear_pointer(&os->id, g_free);
	g_clear_pointer(&os->like, g_free);
	g_clear_pointer(&os->name, g_free);
}

static gboolean os_is(const HostOs *os, const char *family)
{
	g_auto(GStrv) like = g_strsplit(os->like, " ", -1);

	return g_str_equal(os->id, family) || g_strv_contains((const char *const *) like, family);
}

char *host_install(const HostOs *os, const char *debian, const char *fedora)
{
	if (os_is(os, "debian"))
		return g_strdup_printf("sudo apt-get install %s", debian);
	if (os_is(os, "fedora") || os_is(os, "rhel"))
		return g_strdup_printf("sudo dnf install %s", fedora);
	return g_strdup_printf("install %s (its name on Debian)", debian);
}

static char *version_text(unsigned long version)
{
	return g_strdup_printf("%lu.%lu.%lu", version / 1000000, version / 1000 % 1000,
			       version % 1000);
}

static void be_silent(void *data, virErrorPtr error)
{
}

void host_libvirt(HostLibvirt *libvirt)
{
	const char *uri = g_getenv("DEVVM_URI");
	virConnectPtr connection;
	unsigned long version = 0;

	*libvirt = (HostLibvirt){.uri = g_strdup(uri && *uri ? uri : "qemu:///session")};
	virSetErrorFunc(NULL, be_silent);
	connection = virConnectOpen(libvirt->uri);
	if (!connection) {
		libvirt->error = g_strdup(virGetLastErrorMessage());
		return;
	}
	if (virConnectGetLibVersion(connection, &version) == 0)
		libvirt->libvirt = version_text(version);
	if (virConnectGetVersion(connection, &version) == 0 && version)
		libvirt->qemu = version_text(version);
	virConnectClose(connection);
}

void host_libvirt_clear(HostLibvirt *libvirt)
{
	g_clear_pointer(&libvirt->uri, g_free);
	g_clear_pointer(&libvirt->libvirt, g_free);
	g_clear_pointer(&libvirt->qemu, g_free);
	g_clear_pointer(&libvirt->error, g_free);
}

char *host_program(const char *name)
{
	static const char *const folders[] = {"/usr/sbin", "/sbin", "/usr/local/sbin"};
	char *path = g_find_program_in_path(name);

	for (gsize i = 0; !path && i < G_N_ELEMENTS(folders); i++) {
		g_autofree char *file = g_build_filename(folders[i], name, NULL);

		if (g_file_test(file, G_FILE_TEST_IS_EXECUTABLE))
			path = g_steal_pointer(&file);
	}
	return path;
}

char *host_first_line(const char *const *argv)
{
	char *out = NULL;
	int status;

	if (!g_spawn_sync("/", (char **) argv, NULL,
			  G_SPAWN_SEARCH_PATH | G_SPAWN_STDERR_TO_DEV_NULL, NULL, NULL, &out, NULL,
			  &status, NULL) ||
	    !g_spawn_check_wait_status(status, NULL)) {
		g_free(out);
		return NULL;
	}
	out[strcspn(out, "\n")] = '\0';
	return g_strstrip(out);
}

gboolean host_gdb_has_python(const char *gdb)
{
	const char *argv[] = {gdb, "-nx", "-batch", "-ex", "python print('yes')", NULL};
	g_autofree char *line = host_first_line(argv);

	return g_strcmp0(line, "yes") == 0;
}

/* Connects `client` to the listening `server`; the accepted descriptor, or -errno. */
static int connect_to_self(int server, int client)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(address);
	int fd;

	if (bind(server, (struct sockaddr *) &address, sizeof(address)) < 0 ||
	    listen(server, 1) < 0 || getsockname(server, (struct sockaddr *) &address, &size) < 0 ||
	    connect(client, (struct sockaddr *) &address, sizeof(address)) < 0)
		return -errno;
	fd = accept4(server, NULL, NULL, SOCK_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int host_peer_lookup(void)
{
	int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int accepted = server < 0 || client < 0 ? -errno : connect_to_self(server, client);
	int result = accepted;
	struct peer peer;

	if (accepted >= 0) {
		result = peer_lookup(accepted, &peer);
		if (result == 0 && peer.uid != geteuid())
			result = -EPROTO;
		close(accepted);
	}
	if (client >= 0)
		close(client);
	if (server >= 0)
		close(server);
	return result < 0 ? -result : 0;
}

guint64 host_memory_available(void)
{
	g_autofree char *text = NULL;
	const char *line;

	if (!g_file_get_contents("/proc/meminfo", &text, NULL, NULL) ||
	    !(line = strstr(text, "MemAvailable:")))
		return 0;
	return g_ascii_strtoull(line + strlen("MemAvailable:"), NULL, 10) << 10;
}

gboolean host_disk_free(const char *path, guint64 *bytes)
{
	g_autofree char *at = g_strdup(path);
	struct statvfs st;

	while (statvfs(at, &st) < 0) {
		g_autofree char *parent = g_path_get_dirname(at);

		if (errno != ENOENT || g_str_equal(parent, at))
			return FALSE;
		g_free(at);
		at = g_steal_pointer(&parent);
	}
	*bytes = (guint64) st.f_bavail * st.f_frsize;
	return TRUE;
}

/* The first number that stands outside of brackets; NULL when there is none. */
static char *plain_version(const char *line)
{
	int depth = 0;

	for (const char *p = line; *p; p++) {
		depth += (*p == '(') - (*p == ')');
		if (depth == 0 && p > line && p[-1] == ' ' && g_ascii_isdigit(*p))
			return g_strndup(p, strspn(p, "0123456789."));
	}
	return NULL;
}

/* As in "gcc-12 (Debian 12.2.0-14+deb12u1) 12.2.0" and "Debian clang version 14.0.6". */
gboolean host_kernel_compiler(const char *config, HostCompiler *compiler)
{
	static const char key[] = "CONFIG_CC_VERSION_TEXT=\"";
	g_autofree char *text = NULL, *line = NULL;
	const char *start;

	*compiler = (HostCompiler){0};
	if (!config || !g_file_get_contents(config, &text, NULL, NULL) ||
	    !(start = strstr(text, key)))
		return FALSE;
	start += strlen(key);
	line = g_strndup(start, strcspn(start, "\"\n"));
	compiler->program = strstr(line, "clang version") ? g_strdup("clang")
							  : g_strndup(line, strcspn(line, " "));
	compiler->version = plain_version(line);
	return *compiler->program && compiler->version;
}

void host_compiler_clear(HostCompiler *compiler)
{
	g_clear_pointer(&compiler->program, g_free);
	g_clear_pointer(&compiler->version, g_free);
}
