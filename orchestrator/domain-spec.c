// SPDX-License-Identifier: GPL-2.0-or-later
/* DomainSpec as data: make, free, compare. */
#include "domain-xml.h"

#include <string.h>

#include "util/size.h"

static void domain_disk_free(gpointer data)
{
	DomainDisk *d = data;

	g_free(d->path);
	g_free(d);
}

DomainSpec *domain_spec_new(void)
{
	DomainSpec *spec = g_new0(DomainSpec, 1);

	spec->vm = g_new0(Vm, 1);
	spec->disks = g_ptr_array_new_with_free_func(domain_disk_free);
	return spec;
}

void domain_spec_free(DomainSpec *spec)
{
	if (!spec)
		return;
	vm_free(spec->vm);
	g_free(spec->initrd);
	g_free(spec->cmdline);
	g_free(spec->console);
	g_free(spec->modules);
	g_free(spec->source);
	g_free(spec->digest);
	g_ptr_array_unref(spec->disks);
	g_free(spec);
}

void domain_spec_add_disk(DomainSpec *spec, const char *path, guint64 bytes)
{
	DomainDisk *d = g_new0(DomainDisk, 1);

	d->path = g_strdup(path);
	d->bytes = bytes;
	g_ptr_array_add(spec->disks, d);
}

static void differ(GStrvBuilder *out, const char *what, const char *old, const char *new)
{
	if (g_strcmp0(old, new)) {
		g_autofree char *line = g_strdup_printf(
			"%s %s → %s", what, old && *old ? old : "none", new &&*new ? new : "none");

		g_strv_builder_add(out, line);
	}
}

static void differ_take(GStrvBuilder *out, const char *what, char *old, char *new)
{
	differ(out, what, old, new);
	g_free(old);
	g_free(new);
}

/* "-old +new": the words of a command line that one of the two has and the other has not. */
static char *words_differing(const char *old, const char *new)
{
	g_auto(GStrv) a = g_strsplit(old ? old : "", " ", -1);
	g_auto(GStrv) b = g_strsplit(new ? new : "", " ", -1);
	GString *text = g_string_new(NULL);

	for (gsize i = 0; a[i]; i++)
		if (*a[i] && !g_strv_contains((const char *const *) b, a[i]))
			g_string_append_printf(text, " -%s", a[i]);
	for (gsize i = 0; b[i]; i++)
		if (*b[i] && !g_strv_contains((const char *const *) a, b[i]))
			g_string_append_printf(text, " +%s", b[i]);
	return g_string_free(text, FALSE);
}

static void differ_cmdline(GStrvBuilder *out, const char *old, const char *new)
{
	g_autofree char *words = words_differing(old, new);
	g_autofree char *line = g_strdup_printf("kernel command line%s",
						*words ? words : ": another order of words");

	if (g_strcmp0(old, new))
		g_strv_builder_add(out, line);
}

char **domain_spec_differences(const DomainSpec *old, const DomainSpec *new)
{
	static const char *const modes[] = {"keeper", "tcp", "unix"};
	g_autoptr(GStrvBuilder) out = g_strv_builder_new();
	const Vm *a = old->vm, *b = new->vm;

	/* libvirt keeps memory in KiB. */
	if (a->memory / 1024 != b->memory / 1024)
		differ_take(out, "memory", size_format(a->memory), size_format(b->memory));
	differ_take(out, "cpus", g_strdup_printf("%u", a->cpus), g_strdup_printf("%u", b->cpus));
	differ(out, "accel", a->kvm ? "kvm" : "tcg", b->kvm ? "kvm" : "tcg");
	differ(out, "kernel", a->release, b->release);
	if (!g_strcmp0(a->release, b->release))
		differ(out, "kernel image", a->image, b->image);
	differ_cmdline(out, old->cmdline, new->cmdline);
	differ_take(out, "disks", g_strdup_printf("%u", old->disks->len),
		    g_strdup_printf("%u", new->disks->len));
	differ_take(out, "trees", g_strjoinv(" ", a->trees), g_strjoinv(" ", b->trees));
	differ(out, "project", a->project, b->project);
	differ(out, "gdb", modes[a->gdb_mode], modes[b->gdb_mode]);
	differ(out, "group", a->group, b->group);
	return g_strv_builder_end(out);
}

static Vm *vm_copy(const Vm *vm)
{
	Vm *copy = g_memdup2(vm, sizeof(*vm));

	copy->name = g_strdup(vm->name);
	copy->uuid = g_strdup(vm->uuid);
	copy->project = g_strdup(vm->project);
	copy->trees = g_strdupv(vm->trees);
	copy->release = g_strdup(vm->release);
	copy->image = g_strdup(vm->image);
	copy->vmlinux = g_strdup(vm->vmlinux);
	copy->build = g_strdup(vm->build);
	copy->group = g_strdup(vm->group);
	copy->run_dir = g_strdup(vm->run_dir);
	copy->data_dir = g_strdup(vm->data_dir);
	return copy;
}

DomainSpec *domain_spec_copy(const DomainSpec *spec)
{
	DomainSpec *copy = domain_spec_new();

	g_free(copy->vm);
	copy->vm = vm_copy(spec->vm);
	copy->uid = spec->uid;
	copy->initrd = g_strdup(spec->initrd);
	copy->cmdline = g_strdup(spec->cmdline);
	copy->console = g_strdup(spec->console);
	copy->modules = g_strdup(spec->modules);
	copy->source = g_strdup(spec->source);
	copy->digest = g_strdup(spec->digest);
	for (guint i = 0; i < spec->disks->len; i++) {
		const DomainDisk *d = g_ptr_array_index(spec->disks, i);

		domain_spec_add_disk(copy, d->path, d->bytes);
	}
	return copy;
}
