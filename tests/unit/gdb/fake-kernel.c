// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A process that looks to gdb's script like a kernel that inserts and removes a module, with the
 * structures of the kernel version that LAYOUT names: 507 (5.7), 601 (6.1), 604 (6.4), 614 (6.14).
 *
 * fake-kernel MODULE: maps MODULE's sections, runs its init, drops its init sections, calls it, and
 * frees it; twice, at other addresses.
 */
#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum module_state {
	MODULE_STATE_LIVE,
	MODULE_STATE_COMING,
	MODULE_STATE_GOING,
	MODULE_STATE_UNFORMED,
};

struct list_head {
	struct list_head *next, *prev;
};

struct attribute {
	const char *name;
	unsigned short mode;
};

struct bin_attribute {
	struct attribute attr;
	size_t size;
	void *private;
	void *read, *write;
};

struct attribute_group {
	const char *name;
	void *is_visible;
	struct attribute **attrs;
	struct bin_attribute **bin_attrs;
};

#if LAYOUT >= 614
struct module_sect_attrs {
	struct attribute_group grp;
	struct bin_attribute attrs[];
};
typedef struct bin_attribute sect_attr;
#elif LAYOUT >= 508
struct module_sect_attr {
	struct bin_attribute battr;
	unsigned long address;
};
typedef struct module_sect_attr sect_attr;
#else
struct module_sect_attr {
	struct {
		struct attribute attr;
		void *show, *store;
	} mattr;
	char *name;
	unsigned long address;
};
typedef struct module_sect_attr sect_attr;
#endif
#if LAYOUT < 614
struct module_sect_attrs {
	struct attribute_group grp;
	unsigned int nsections;
	struct module_sect_attr attrs[];
};
#endif

struct module {
	enum module_state state;
	struct list_head list;
	char name[56];
	const char *version, *srcversion;
#if LAYOUT >= 604
	struct {
		void *base;
		unsigned int size;
	} mem[7];
#else
	struct {
		void *base;
		unsigned int size;
	} core_layout, init_layout;
#endif
	struct module_sect_attrs *sect_attrs;
	void *percpu;
};

enum { MAX_SECTIONS = 64, PAGE = 4096 };

struct list_head modules = {&modules, &modules};
static struct module a_module;
static int (*run_init)(void);
static int (*run_call)(int);

__attribute__((noinline)) int do_init_module(struct module *mod)
{
	mod->list = (struct list_head){&modules, &modules};
	modules.next = modules.prev = &mod->list;
	return run_init();
}

__attribute__((noinline)) void trim_init_extable(struct module *m)
{
	printf("%s is up\n", m->name);
}

__attribute__((noinline)) void free_module(struct module *mod)
{
	modules = (struct list_head){&modules, &modules};
	printf("%s is gone\n", mod->name);
}

static void fill_entry(sect_attr *entry, const char *name, void *address)
{
#if LAYOUT >= 614
	entry->attr.name = name;
	entry->private = address;
#elif LAYOUT >= 508
	entry->battr.attr.name = name;
	entry->address = (unsigned long) address;
#else
	entry->name = (char *) name;
	entry->address = (unsigned long) address;
#endif
}

/* Maps each section with contents on pages of its own, and fills mod->sect_attrs. */
static void map_sections(struct module *mod, const unsigned char *file)
{
	const Elf64_Ehdr *header = (const void *) file;
	const Elf64_Shdr *sections = (const void *) (file + header->e_shoff);
	const char *names = (const char *) file + sections[header->e_shstrndx].sh_offset;
	struct module_sect_attrs *attrs =
		calloc(1, sizeof(*attrs) + MAX_SECTIONS * sizeof(sect_attr));
	unsigned int n = 0;

	for (int i = 1; i < header->e_shnum && n < MAX_SECTIONS; i++) {
		const Elf64_Shdr *s = &sections[i];
		const char *name = names + s->sh_name;
		void *p;

		if (!(s->sh_flags & SHF_ALLOC) || !s->sh_size || !strcmp(name, ".modinfo"))
			continue;
		p = mmap(NULL, (s->sh_size + PAGE - 1) / PAGE * PAGE,
			 PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (p == MAP_FAILED)
			abort();
		if (s->sh_type != SHT_NOBITS)
			memcpy(p, file + s->sh_offset, s->sh_size);
		if (!strcmp(name, ".init.text"))
			run_init = p;
		if (!strcmp(name, ".text"))
			run_call = p;
		fill_entry(&attrs->attrs[n++], name, p);
	}
#if LAYOUT >= 614
	attrs->grp.bin_attrs = calloc(n + 1, sizeof(void *));
	for (unsigned int i = 0; i < n; i++)
		attrs->grp.bin_attrs[i] = &attrs->attrs[i];
#else
	attrs->nsections = n;
#endif
	mod->sect_attrs = attrs;
}

static void live_and_die(const unsigned char *file)
{
	int started;

	a_module = (struct module){.state = MODULE_STATE_COMING, .srcversion = "ABCD"};
	strcpy(a_module.name, "fake_module");
	map_sections(&a_module, file);
	started = do_init_module(&a_module);
	a_module.state = MODULE_STATE_LIVE;
	trim_init_extable(&a_module);
	printf("init said %d, call said %d\n", started, run_call(21));
	a_module.state = MODULE_STATE_GOING;
	free_module(&a_module);
}

int main(int argc, char **argv)
{
	struct stat st;
	unsigned char *file;
	int fd = argc > 1 ? open(argv[1], O_RDONLY) : -1;

	if (fd < 0 || fstat(fd, &st) < 0)
		return 1;
	file = mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (file == MAP_FAILED)
		return 1;
	live_and_die(file);
	live_and_die(file);
	return 0;
}
