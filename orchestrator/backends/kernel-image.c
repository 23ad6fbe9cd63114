// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel-image.h"

#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <libelf.h>
#include <string.h>
#include <unistd.h>

#include "util/error.h"

#define SETUP_MAGIC 0x202   /* "HdrS" */
#define SETUP_VERSION 0x20e /* le16: the version string's offset, less 0x200 */
#define VERSION_SIZE 512
#define BANNER "Linux version "

static int open_image(const char *path, GError **error)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	if (fd >= 0)
		return fd;
	if (errno == EACCES)
		devvm_fail(
			error, DEVVM_ERROR_HOST,
			"only root can read %s, and QEMU runs as you: sudo chmod +r %s\n"
			"(to keep it so over updates, on Debian and Ubuntu: sudo dpkg-statoverride "
			"--update --add root root 0644 %s)",
			path, path, path);
	else
		devvm_fail_errno(error, DEVVM_ERROR_HOST, errno, "cannot read %s", path);
	return -1;
}

static char *read_version(int fd)
{
	guint8 head[SETUP_VERSION + 2];
	char text[VERSION_SIZE + 1];
	off_t where;
	ssize_t n;

	if (pread(fd, head, sizeof(head), 0) != (ssize_t) sizeof(head) ||
	    memcmp(head + SETUP_MAGIC, "HdrS", 4) != 0)
		return NULL;
	where = head[SETUP_VERSION] | head[SETUP_VERSION + 1] << 8;
	n = where ? pread(fd, text, VERSION_SIZE, where + 0x200) : 0;
	if (n <= 0)
		return NULL;
	text[n] = '\0';
	return *text && g_utf8_validate(text, -1, NULL) ? g_strchomp(g_strdup(text)) : NULL;
}

char *kernel_image_version(const char *path, GError **error)
{
	int fd = open_image(path, error);
	char *version;

	if (fd < 0)
		return NULL;
	version = read_version(fd);
	close(fd);
	if (!version)
		devvm_fail(error, DEVVM_ERROR_FAILED, "%s is no x86 bzImage", path);
	return version;
}

/* Whether one of the banners in `data` is that of `version`; *any: whether there is one at all. */
static gboolean has_banner(const Elf_Data *data, const char *version, gboolean *any)
{
	const char *p = data->d_buf, *end = p + data->d_size, *build = strchr(version, '#');
	gsize release = strcspn(version, " ");

	while (p && (p = memmem(p, (gsize) (end - p), BANNER, strlen(BANNER)))) {
		const char *zero;

		p += strlen(BANNER);
		zero = memchr(p, '\0', (gsize) (end - p));
		if (!zero || *p == '%') /* the form of /proc/version, not filled */
			continue;
		*any = TRUE;
		if ((gsize) (zero - p) < release || strncmp(p, version, release) != 0)
			continue;
		g_autofree char *banner = g_strchomp(g_strndup(p, (gsize) (zero - p)));

		if (!build || g_str_has_suffix(banner, build))
			return TRUE;
	}
	return FALSE;
}

static char *sections_fault(Elf *elf, const char *version)
{
	gboolean debug = FALSE, any = FALSE, same = FALSE;
	Elf_Scn *section = NULL;
	gsize names;

	if (elf_kind(elf) != ELF_K_ELF || elf_getshdrstrndx(elf, &names) != 0)
		return g_strdup("is no ELF file");
	while ((section = elf_nextscn(elf, section))) {
		GElf_Shdr header;
		const char *name;

		if (!gelf_getshdr(section, &header) ||
		    !(name = elf_strptr(elf, names, header.sh_name)))
			return g_strdup("is a broken ELF file");
		if (g_str_equal(name, ".debug_info") && header.sh_size)
			debug = TRUE;
		if (g_str_equal(name, ".rodata") && header.sh_type == SHT_PROGBITS) {
			Elf_Data *data = elf_rawdata(section, NULL);

			same = data && data->d_buf && has_banner(data, version, &any);
		}
	}
	if (!debug)
		return g_strdup("has no debug information");
	if (any && !same)
		return g_strdup("is of another build than the image");
	return NULL;
}

char *kernel_vmlinux_fault(const char *vmlinux, const char *version)
{
	int fd = open(vmlinux, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	char *fault;
	Elf *elf;

	if (fd < 0)
		return g_strdup_printf("cannot be read: %s", g_strerror(errno));
	elf_version(EV_CURRENT);
	elf = elf_begin(fd, ELF_C_READ_MMAP, NULL);
	fault = elf ? sections_fault(elf, version) : g_strdup("is no ELF file");
	elf_end(elf);
	close(fd);
	return fault;
}
