// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A root folder and build trees of the test's own, with files that have what counts of the real
 * ones: the image's header, vmlinux's sections, lists of modules. depmod is the real one, and so
 * is the kernel of the last test.
 */
#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <glib/gstdio.h>
#include <libelf.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "backends/kernel-image.h"
#include "backends/kernel.h"
#include "util/error.h"
#include "temp-tree.h"

#define BUILD "(dev@host) #7 SMP Mon Nov 16 2026"

static char *top;

static G_GNUC_PRINTF(2, 3) char *at(const char *root, const char *format, ...)
{
	va_list args;
	g_autofree char *name = NULL;

	va_start(args, format);
	name = g_strdup_vprintf(format, args);
	va_end(args);
	return g_build_filename(root, name, NULL);
}

static void put_data(const char *path, const char *data, gssize size)
{
	g_autofree char *parent = g_path_get_dirname(path);

	g_assert_cmpint(g_mkdir_with_parents(parent, 0755), ==, 0);
	g_assert_true(g_file_set_contents(path, data, size, NULL));
}

static void put(const char *root, const char *name, const char *text)
{
	g_autofree char *path = at(root, "%s", name);

	put_data(path, text, -1);
}

static void put_image(const char *path, const char *version)
{
	char data[0x400] = {0};

	memcpy(data + 0x202, "HdrS", 4);
	data[0x20e] = 0x10;
	data[0x20f] = 0x01; /* at 0x200 + 0x110 */
	g_strlcpy(data + 0x310, version, sizeof(data) - 0x310);
	put_data(path, data, sizeof(data));
}

static Elf_Scn *add_section(Elf *elf, guint name, guint type, const char *bytes, gsize size)
{
	Elf_Scn *section = elf_newscn(elf);
	Elf_Data *data = elf_newdata(section);
	GElf_Shdr header;

	data->d_buf = (void *) bytes;
	data->d_size = size;
	data->d_align = 1;
	g_assert_nonnull(gelf_getshdr(section, &header));
	header.sh_type = type;
	header.sh_name = name;
	g_assert_true(gelf_update_shdr(section, &header));
	return section;
}

/* An ELF file with a banner in .rodata, and debug information or not. */
static void put_vmlinux(const char *path, const char *banner, gboolean debug)
{
	static const char names[] = "\0.rodata\0.debug_info\0.shstrtab";
	g_autofree char *parent = g_path_get_dirname(path);
	GElf_Ehdr header;
	Elf *elf;
	int fd;

	g_mkdir_with_parents(parent, 0755);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0644);
	g_assert_cmpint(fd, >=, 0);
	elf_version(EV_CURRENT);
	elf = elf_begin(fd, ELF_C_WRITE, NULL);
	g_assert_nonnull(gelf_newehdr(elf, ELFCLASS64));
	add_section(elf, 1, SHT_PROGBITS, banner, strlen(banner) + 1);
	if (debug)
		add_section(elf, 9, SHT_PROGBITS, "x", 1);
	Elf_Scn *strings = add_section(elf, 21, SHT_STRTAB, names, sizeof(names));

	g_assert_nonnull(gelf_getehdr(elf, &header));
	header.e_shstrndx = (GElf_Half) elf_ndxscn(strings);
	header.e_type = ET_EXEC;
	header.e_machine = EM_X86_64;
	header.e_version = EV_CURRENT;
	g_assert_true(gelf_update_ehdr(elf, &header));
	g_assert_cmpint(elf_update(elf, ELF_C_WRITE), >, 0);
	elf_end(elf);
	close(fd);
}

static const char GOOD_CONFIG[] =
	"CONFIG_BLK_DEV_INITRD=y\nCONFIG_BINFMT_ELF=y\nCONFIG_BINFMT_SCRIPT=y\nCONFIG_DEVTMPFS=y\n"
	"CONFIG_PROC_FS=y\nCONFIG_SYSFS=y\nCONFIG_TMPFS=y\nCONFIG_UNIX98_PTYS=y\n"
	"CONFIG_MODULES=y\nCONFIG_MODULE_UNLOAD=y\nCONFIG_SERIAL_8250_CONSOLE=y\nCONFIG_PCI=y\n"
	"CONFIG_VIRTIO_PCI=m\nCONFIG_VIRTIO_CONSOLE=m\nCONFIG_VIRTIO_NET=y\nCONFIG_NET=y\n"
	"CONFIG_INET=y\nCONFIG_UNIX=y\nCONFIG_NFS_FS=m\nCONFIG_NFS_V3=m\nCONFIG_OVERLAY_FS=y\n"
	"# CONFIG_VIRTIO_BLK is not set\n";
static const char GOOD_DEP[] = "kernel/fs/nfs/nfs.ko.xz: kernel/net/sunrpc.ko\n"
			       "kernel/fs/nfs/nfsv3.ko.xz:\nkernel/drivers/virtio_pci.ko:\n"
			       "kernel/drivers/char/virtio-console.ko:\n";

/* An installed release; config or dep may be NULL. */
static void install(const char *root, const char *release, const char *config, const char *dep)
{
	g_autofree char *image = at(root, "boot/vmlinuz-%s", release);
	g_autofree char *version = g_strdup_printf("%s " BUILD, release);
	g_autofree char *modules = at(root, "lib/modules/%s/modules.dep", release);
	g_autofree char *conf = at(root, "boot/config-%s", release);

	put_image(image, version);
	if (dep)
		put_data(modules, dep, -1);
	if (config)
		put_data(conf, config, -1);
}

static char *fresh(void)
{
	static int n;
	char *path = at(top, "r%d", n++);

	g_assert_cmpint(g_mkdir(path, 0755), ==, 0);
	return path;
}

static void test_compare(void)
{
	static const char *const rising[] = {
		"5.19.0",     "6.1.0-rc1", "6.1.0-rc10",      "6.1.0",	  "6.1.0-9-cloud-amd64",
		"6.1.0-9-rt", "6.1.0-10",  "6.1.0-56-amd64",  "6.1.10",	  "6.2.0-rc1-dirty",
		"6.2.0",      "6.10.0",	   "6.10.0-1.fc40.x", "10.0-foo",
	};

	for (gsize i = 0; i < G_N_ELEMENTS(rising); i++)
		for (gsize j = 0; j < G_N_ELEMENTS(rising); j++) {
			int order = kernel_release_compare(rising[i], rising[j]);

			if ((order > 0) != (i > j) || (order < 0) != (i < j))
				g_error("%s and %s: %d", rising[i], rising[j], order);
		}
}

static void test_installed(void)
{
	g_autofree char *root = fresh();
	g_auto(GStrv) none = kernel_installed_in(root), all = NULL;
	g_autofree char *list = NULL, *old = NULL, *new = NULL;

	g_assert_cmpuint(g_strv_length(none), ==, 0);
	install(root, "6.1.0-9", NULL, "");
	install(root, "6.1.0-10", NULL, "");
	install(root, "6.2.0-image-only", NULL, NULL);
	put(root, "lib/modules/6.3.0-modules-only/modules.dep", "");
	put(root, "lib/modules/6.0.1/modules.dep", ""); /* as Fedora has it */
	old = at(root, "lib/modules/6.0.1/vmlinuz");
	put_image(old, "6.0.1 x");
	all = kernel_installed_in(root);
	list = g_strjoinv(" ", all);
	g_assert_cmpstr(list, ==, "6.1.0-10 6.1.0-9 6.0.1");
}

static void test_find_installed(void)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *root = fresh(), *vmlinux = NULL, *build = NULL, *link = NULL;
	g_autoptr(Kernel) kernel = NULL;

	install(root, "6.1.0-10", GOOD_CONFIG, GOOD_DEP);
	install(root, "6.1.0-9", GOOD_CONFIG, GOOD_DEP);
	vmlinux = at(root, "usr/lib/debug/boot/vmlinux-6.1.0-10");
	put_vmlinux(vmlinux, "Linux version 6.1.0-10 (dev@host) (gcc) #7 SMP Mon Nov 16 2026\n",
		    TRUE);
	put(root, "usr/src/headers/Makefile", "");
	build = at(root, "usr/src/headers");
	link = at(root, "lib/modules/6.1.0-10/build");
	g_assert_cmpint(symlink("../../../usr/src/headers", link), ==, 0);
	kernel = kernel_find_in(root, NULL, &error);
	g_assert_no_error(error);
	g_assert_cmpstr(kernel->release, ==, "6.1.0-10");
	g_assert_cmpstr(kernel->vmlinux, ==, vmlinux);
	g_assert_cmpstr(kernel->build, ==, build);
	g_assert_true(g_str_has_suffix(kernel->image, "/boot/vmlinuz-6.1.0-10"));
	g_assert_true(g_str_has_suffix(kernel->config, "/boot/config-6.1.0-10"));
	g_assert_true(g_str_has_suffix(kernel->modules, "/lib/modules/6.1.0-10"));
	g_assert_false(kernel->build_tree);
	g_assert_cmpuint(g_strv_length(kernel->warnings), ==, 0);
	g_assert_false(kernel_check_disks(kernel, &error));
	g_assert_error(error, DEVVM_ERROR, DEVVM_ERROR_NOT_FOUND);
	g_assert_nonnull(strstr(error->message, "CONFIG_VIRTIO_BLK"));
	g_clear_error(&error);
	g_clear_pointer(&kernel, kernel_free);
	kernel = kernel_find_in(root, "6.1.0-9", &error);
	g_assert_no_error(error);
	g_assert_null(kernel->vmlinux);
	g_assert_null(kernel->build);
}

static void assert_not_found(const char *root, const char *spec, int code, const char *says)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(Kernel) kernel = kernel_find_in(root, spec, &error);

	g_assert_null(kernel);
	g_assert_error(error, DEVVM_ERROR, code);
	if (!strstr(error->message, says))
		g_error("expected '%s' in: %s", says, error->message);
}

static void test_not_found(void)
{
	g_autofree char *root = fresh(), *tree = fresh();

	assert_not_found(root, NULL, DEVVM_ERROR_NOT_FOUND, "no kernel with modules");
	install(root, "6.1.0-10", GOOD_CONFIG, GOOD_DEP);
	install(root, "6.1.0-half", GOOD_CONFIG, NULL);
	assert_not_found(root, "6.1.0-11", DEVVM_ERROR_NOT_FOUND, "6.1.0-10");
	assert_not_found(root, "6.1.0-half", DEVVM_ERROR_NOT_FOUND, "without its modules");
	assert_not_found(root, "/no/such/tree", DEVVM_ERROR_NOT_FOUND, "No such file");
	assert_not_found(root, tree, DEVVM_ERROR_NOT_FOUND, "no kernel build tree");
	put(tree, "Makefile", "");
	assert_not_found(root, tree, DEVVM_ERROR_NOT_FOUND, "it has no .config");
	put(tree, ".config", "");
	assert_not_found(root, tree, DEVVM_ERROR_NOT_FOUND, "make -j bzImage modules");
}

static void test_bad_image(void)
{
	g_autofree char *root = fresh(), *image = NULL;

	install(root, "6.1.0-10", GOOD_CONFIG, GOOD_DEP);
	image = at(root, "boot/vmlinuz-6.1.0-10");
	put_image(image, "6.1.0-9 " BUILD);
	assert_not_found(root, NULL, DEVVM_ERROR_MISMATCH, "is kernel 6.1.0-9");
	put_data(image, "", 0);
	assert_not_found(root, NULL, DEVVM_ERROR_FAILED, "no x86 bzImage");
	put_data(image, "MZ and no more than that, which is no header at all", -1);
	assert_not_found(root, NULL, DEVVM_ERROR_FAILED, "no x86 bzImage");
	put_image(image, "\xff\xfe");
	assert_not_found(root, NULL, DEVVM_ERROR_FAILED, "no x86 bzImage");
	if (geteuid() == 0) {
		g_test_skip("root can read everything");
		return;
	}
	g_chmod(image, 0);
	assert_not_found(root, NULL, DEVVM_ERROR_HOST, "sudo chmod +r");
}

static void test_requirements(void)
{
	static const struct {
		const char *drop, *says;
	} cases[] = {
		{"CONFIG_NFS_V3=m\n", "CONFIG_NFS_V3"},
		{"CONFIG_OVERLAY_FS=y\n", "CONFIG_OVERLAY_FS"},
		{"CONFIG_VIRTIO_PCI=m\n", "CONFIG_VIRTIO_PCI"},
		{"CONFIG_DEVTMPFS=y\n", "CONFIG_DEVTMPFS"},
		{"CONFIG_MODULE_UNLOAD=y\n", "CONFIG_MODULE_UNLOAD"},
	};
	g_autofree char *root = fresh(), *broken = NULL;
	g_autoptr(GError) error = NULL;
	g_autoptr(Kernel) kernel = NULL;

	for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_auto(GStrv) parts = g_strsplit(GOOD_CONFIG, cases[i].drop, 2);
		g_autofree char *config = g_strconcat(parts[0], parts[1], NULL);

		install(root, "6.1", config, GOOD_DEP);
		assert_not_found(root, NULL, DEVVM_ERROR_NOT_FOUND, cases[i].says);
	}
	install(root, "6.1", GOOD_CONFIG, "kernel/fs/nfs/nfs.ko:\n");
	assert_not_found(root, NULL, DEVVM_ERROR_NOT_FOUND, "CONFIG_VIRTIO_CONSOLE=m promises");
	install(root, "6.1", "", GOOD_DEP);
	assert_not_found(root, NULL, DEVVM_ERROR_NOT_FOUND, "CONFIG_BLK_DEV_INITRD");
	/* Without a config: from the lists of modules. */
	g_autofree char *config = at(root, "boot/config-6.1");

	g_unlink(config);
	assert_not_found(root, NULL, DEVVM_ERROR_NOT_FOUND, "CONFIG_OVERLAY_FS");
	put(root, "lib/modules/6.1/modules.builtin",
	    "kernel/fs/overlayfs/overlay.ko\nkernel/drivers/net/virtio_net.ko\n");
	kernel = kernel_find_in(root, NULL, &error);
	g_assert_no_error(error);
	g_assert_nonnull(kernel);
}

static void test_vmlinux(void)
{
	static const struct {
		const char *banner;
		gboolean debug;
		const char *fault; /* NULL: good */
	} cases[] = {
		{"Linux version 6.1 (dev@host) (gcc) #7 SMP Mon Nov 16 2026\n", TRUE, NULL},
		{"no banner at all", TRUE, NULL},
		{"Linux version %s (dev@host) (gcc) %s\n", TRUE, NULL},
		{"Linux version 6.1 (dev@host) (gcc) #7 SMP Mon Nov 16 2026\n", FALSE, "no debug"},
		{"Linux version 6.1 (dev@host) (gcc) #8 SMP Mon Nov 16 2026\n", TRUE, "another"},
		{"Linux version 6.10 (dev@host) (gcc) #7 SMP Mon Nov 15 2026\n", TRUE, "another"},
		{"Linux version 6", TRUE, "another"},
	};
	g_autofree char *root = fresh(), *path = at(root, "vmlinux");

	for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autofree char *fault = NULL;

		put_vmlinux(path, cases[i].banner, cases[i].debug);
		fault = kernel_vmlinux_fault(path, "6.1 " BUILD);
		if (cases[i].fault ? !fault || !strstr(fault, cases[i].fault) : fault != NULL)
			g_error("case %zu: %s", i, fault ? fault : "taken for good");
	}
	/* Any piece of an ELF file is an answer, not a crash. */
	put_vmlinux(path, cases[0].banner, TRUE);
	g_autofree char *whole = NULL;
	gsize size;

	g_assert_true(g_file_get_contents(path, &whole, &size, NULL));
	for (gsize n = 0; n < size; n += 3) {
		g_autofree char *fault = NULL;

		put_data(path, whole, (gssize) n);
		fault = kernel_vmlinux_fault(path, "6.1 " BUILD);
		g_assert_nonnull(fault);
	}
	for (gsize n = 0; n < MIN(size, 0x40); n++) {
		g_autofree char *bent = g_memdup2(whole, size), *fault = NULL;

		bent[n] = (char) ~bent[n];
		put_data(path, bent, (gssize) size);
		fault = kernel_vmlinux_fault(path, "6.1 " BUILD);
	}
}

/* A real module of the host's, for depmod; NULL when there is none. */
static char *host_module(void)
{
	g_auto(GStrv) all = kernel_installed();
	g_autofree char *path =
		*all ? g_strdup_printf("/lib/modules/%s/kernel/fs/overlayfs/overlay.ko", *all)
		     : NULL;
	char *data = NULL;

	return path && g_file_get_contents(path, &data, NULL, NULL)
		       ? (g_free(data), g_steal_pointer(&path))
		       : NULL;
}

static void make_tree(const char *tree, const char *module)
{
	g_autofree char *image = at(tree, "arch/x86/boot/bzImage");
	g_autofree char *vmlinux = at(tree, "vmlinux");
	g_autofree char *data = NULL, *ko = at(tree, "fs/overlayfs/overlay.ko");
	gsize size;

	g_assert_true(g_file_get_contents(module, &data, &size, NULL));
	put(tree, "Makefile", "");
	put(tree, ".config", GOOD_CONFIG);
	put(tree, "include/config/kernel.release", "6.1.0-mine+\n");
	put_vmlinux(vmlinux, "Linux version 6.1.0-mine+ (x) (gcc) #7 SMP Mon Nov 16 2026\n", TRUE);
	put_data(ko, data, (gssize) size);
	put(tree, "modules.order",
	    "fs/overlayfs/overlay.o\nkernel/fs/nfs/nfs.ko\nfs/gone.o\n../../etc/x.ko\n");
	put(tree, "modules.builtin",
	    "kernel/fs/nfs/nfs.ko\nkernel/fs/nfs/nfsv3.ko\nkernel/d/virtio_pci.ko\n"
	    "kernel/d/virtio_console.ko\n");
	put(tree, "modules.builtin.modinfo", "");
	put_image(image, "6.1.0-mine+ " BUILD);
}

static void test_build_tree(void)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *tree = fresh(), *module = host_module(), *config = at(tree, ".config");
	g_autofree char *dep = NULL, *text = NULL, *link = NULL, *target = NULL;
	g_autoptr(Kernel) kernel = NULL;
	struct stat before, after;

	if (!module) {
		g_test_skip("no kernel with an overlay.ko is installed, to give to depmod");
		return;
	}
	make_tree(tree, module);
	assert_not_found("/", tree, DEVVM_ERROR_NOT_FOUND, "CONFIG_NFS_FS=m promises");
	put(tree, ".config",
	    "CONFIG_MODULE_SIG_FORCE=y\nCONFIG_BLK_DEV_INITRD=y\nCONFIG_BINFMT_ELF=y\n"
	    "CONFIG_BINFMT_SCRIPT=y\nCONFIG_DEVTMPFS=y\nCONFIG_PROC_FS=y\nCONFIG_SYSFS=y\n"
	    "CONFIG_TMPFS=y\nCONFIG_UNIX98_PTYS=y\nCONFIG_MODULES=y\nCONFIG_MODULE_UNLOAD=y\n"
	    "CONFIG_SERIAL_8250_CONSOLE=y\nCONFIG_PCI=y\nCONFIG_VIRTIO_PCI=y\n"
	    "CONFIG_VIRTIO_CONSOLE=y\nCONFIG_VIRTIO_NET=y\nCONFIG_NET=y\nCONFIG_INET=y\n"
	    "CONFIG_UNIX=y\nCONFIG_NFS_FS=y\nCONFIG_NFS_V3=y\nCONFIG_OVERLAY_FS=m\n"
	    "CONFIG_VIRTIO_BLK=y\n");
	kernel = kernel_find(tree, &error);
	g_assert_no_error(error);
	g_assert_true(kernel->build_tree);
	g_assert_cmpstr(kernel->release, ==, "6.1.0-mine+");
	g_assert_cmpstr(kernel->build, ==, tree);
	g_assert_null(kernel->source);
	g_assert_nonnull(kernel->vmlinux);
	g_assert_true(kernel_check_disks(kernel, NULL));
	/* nfs.ko and gone.ko are not built; .config is younger than the image; signatures. */
	g_assert_cmpuint(g_strv_length(kernel->warnings), ==, 3);
	g_assert_nonnull(strstr(kernel->warnings[0], "2 modules"));
	g_assert_nonnull(strstr(kernel->warnings[1], ".config: run make"));
	g_assert_nonnull(strstr(kernel->warnings[2], "MODULE_SIG_FORCE"));
	dep = at(kernel->modules, "modules.dep");
	g_assert_true(g_file_get_contents(dep, &text, NULL, NULL));
	g_assert_cmpstr(text, ==, "kernel/fs/overlayfs/overlay.ko:\n");
	link = at(kernel->modules, "kernel/fs/overlayfs/overlay.ko");
	target = g_file_read_link(link, NULL);
	g_assert_true(g_str_has_prefix(target, tree));

	/* Nothing changed: nothing is done. A module was built: depmod runs again. */
	g_assert_cmpint(stat(dep, &before), ==, 0);
	g_clear_pointer(&kernel, kernel_free);
	kernel = kernel_find(tree, &error);
	g_assert_no_error(error);
	g_assert_cmpint(stat(dep, &after), ==, 0);
	g_assert_cmpint(before.st_ino, ==, after.st_ino);
	g_assert_cmpint(before.st_mtim.tv_nsec, ==, after.st_mtim.tv_nsec);
	g_assert_cmpint(utimes(link, (struct timeval[2]){{1, 0}, {1, 0}}), ==, 0);
	g_clear_pointer(&kernel, kernel_free);
	kernel = kernel_find(tree, &error);
	g_assert_no_error(error);
	g_assert_cmpint(stat(dep, &after), ==, 0);
	g_assert_true(before.st_mtim.tv_sec != after.st_mtim.tv_sec ||
		      before.st_mtim.tv_nsec != after.st_mtim.tv_nsec);

	/* A module that left the list leaves the folder. */
	put(tree, "modules.order", "");
	assert_not_found("/", tree, DEVVM_ERROR_NOT_FOUND, "CONFIG_OVERLAY_FS=m promises");
	g_assert_false(g_file_test(link, G_FILE_TEST_IS_SYMLINK));

	/* Half a build: the image is of another kernel than the modules. */
	put(tree, "include/config/kernel.release", "6.2.0\n");
	assert_not_found("/", tree, DEVVM_ERROR_MISMATCH, "6.1.0-mine+");
}

static void test_this_host(void)
{
	g_autoptr(GError) error = NULL;
	g_auto(GStrv) all = kernel_installed();
	g_autoptr(Kernel) kernel = NULL;
	g_autofree char *version = NULL;

	if (!*all) {
		g_test_skip("no kernel is installed here");
		return;
	}
	kernel = kernel_find(NULL, &error);
	if (g_error_matches(error, DEVVM_ERROR, DEVVM_ERROR_HOST)) {
		g_test_skip(error->message);
		return;
	}
	g_assert_no_error(error);
	g_assert_cmpstr(kernel->release, ==, *all);
	version = kernel_image_version(kernel->image, &error);
	g_assert_no_error(error);
	g_assert_true(g_str_has_prefix(version, *all));
}

int main(int argc, char **argv)
{
	g_autofree char *cache = NULL;
	int status;

	top = g_dir_make_tmp("devvm-kernel-XXXXXX", NULL);
	cache = at(top, "cache");
	g_setenv("XDG_CACHE_HOME", cache, TRUE);
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/kernel/compare", test_compare);
	g_test_add_func("/kernel/installed", test_installed);
	g_test_add_func("/kernel/find-installed", test_find_installed);
	g_test_add_func("/kernel/not-found", test_not_found);
	g_test_add_func("/kernel/bad-image", test_bad_image);
	g_test_add_func("/kernel/requirements", test_requirements);
	g_test_add_func("/kernel/vmlinux", test_vmlinux);
	g_test_add_func("/kernel/build-tree", test_build_tree);
	g_test_add_func("/kernel/this-host", test_this_host);
	status = g_test_run();
	temp_remove(top);
	g_free(top);
	return status;
}
