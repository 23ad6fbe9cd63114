// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Values go into nodes of the parsed template, never into text that is parsed afterwards: a path
 * or a name can hold whatever it likes and still is only a value.
 */
#include "domain-xml.h"

#include <string.h>

#include "domain-xml-private.h"
#include "util/error.h"

#define QEMU_NS "http://libvirt.org/schemas/domain/qemu/1.0"
#define FIRST_DISK_SLOT 5 /* on the root bus, after the template's devices */
#define LAST_DISK_SLOT 0x1e

/* --- values → template ------------------------------------------------------------------------ */

/* XML has no way to write a control character, nor bytes that are no UTF-8. */
static gboolean can_be_xml(const char *what, const char *value, GError **error)
{
	for (const char *p = value; *p; p++)
		if (g_ascii_iscntrl(*p))
			return devvm_fail(error, DEVVM_ERROR_CONFIG,
					  "the %s has a control character in it, which libvirt "
					  "cannot take: rename or reword it",
					  what);
	if (!g_utf8_validate(value, -1, NULL))
		return devvm_fail(error, DEVVM_ERROR_CONFIG,
				  "the %s is no valid UTF-8, which libvirt cannot take: rename it",
				  what);
	return TRUE;
}

/* `text` with each @WORD@ replaced from `values`, in one pass; NULL for a word nobody knows. */
static char *replace_words(const char *text, GHashTable *values)
{
	GString *out = g_string_new(NULL);
	const char *p = text;

	while (*p) {
		gsize plain = strcspn(p, "@");
		gsize word;

		g_string_append_len(out, p, (gssize) plain);
		p += plain;
		if (!*p)
			break;
		word = strspn(p + 1, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_");
		if (word && p[1 + word] == '@') {
			g_autofree char *key = g_strndup(p + 1, word);
			const char *value = g_hash_table_lookup(values, key);

			if (!value) {
				g_string_free(out, TRUE);
				return NULL;
			}
			g_string_append(out, value);
			p += word + 2;
		} else {
			g_string_append_c(out, *p++);
		}
	}
	return g_string_free(out, FALSE);
}

static gboolean fill_attributes(xmlNode *node, GHashTable *values, GError **error)
{
	for (xmlAttr *a = node->properties; a; a = a->next) {
		xmlChar *old = xmlNodeListGetString(node->doc, a->children, 1);
		g_autofree char *new = replace_words((const char *) (old ? old : X("")), values);

		xmlFree(old);
		if (!new)
			return devvm_fail(error, DEVVM_ERROR_FAILED,
					  "the template has an unknown @WORD@ in <%s %s='…'>",
					  (const char *) node->name, (const char *) a->name);
		xmlSetNsProp(node, a->ns, a->name, X(new));
	}
	return TRUE;
}

static gboolean fill_text(xmlNode *text, GHashTable *values, GError **error)
{
	g_autofree char *new = replace_words((const char *) text->content, values);

	if (!new)
		return devvm_fail(error, DEVVM_ERROR_FAILED,
				  "the template has an unknown @WORD@ in '%s'",
				  (const char *) text->content);
	xmlNodeSetContent(text, NULL);
	xmlNodeAddContent(text, X(new));
	return TRUE;
}

/* Fills the elements below `node` too, and drops comments. */
static gboolean fill(xmlNode *node, GHashTable *values, GError **error)
{
	xmlNode *next;

	if (!fill_attributes(node, values, error))
		return FALSE;
	for (xmlNode *n = node->children; n; n = next) {
		next = n->next;
		if (n->type == XML_COMMENT_NODE) {
			xmlUnlinkNode(n);
			xmlFreeNode(n);
		} else if (n->type == XML_TEXT_NODE) {
			if (!fill_text(n, values, error))
				return FALSE;
		} else if (n->type == XML_ELEMENT_NODE && !fill(n, values, error)) {
			return FALSE;
		}
	}
	return TRUE;
}

/* The same for one uuid, so that the guest's interface keeps its name over a redefine. */
static char *mac_of(const char *uuid)
{
	g_autofree char *sum = g_compute_checksum_for_string(G_CHECKSUM_SHA256, uuid, -1);

	return g_strdup_printf("52:54:00:%.2s:%.2s:%.2s", sum, sum + 2, sum + 4);
}

static GHashTable *template_values(const DomainSpec *spec)
{
	const Vm *vm = spec->vm;
	GHashTable *v = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, g_free);

	g_hash_table_insert(v, (char *) "TYPE", g_strdup(vm->kvm ? "kvm" : "qemu"));
	g_hash_table_insert(v, (char *) "CPU", g_strdup(vm->kvm ? "host-passthrough" : "maximum"));
	g_hash_table_insert(v, (char *) "NAME", g_strdup(vm->name));
	g_hash_table_insert(v, (char *) "UUID", g_strdup(vm->uuid));
	g_hash_table_insert(v, (char *) "TITLE",
			    g_strdup_printf("devvm %s: %s", vm->name, vm->project));
	g_hash_table_insert(v, (char *) "MEMORY",
			    g_strdup_printf("%" G_GUINT64_FORMAT, vm->memory));
	g_hash_table_insert(v, (char *) "CPUS", g_strdup_printf("%u", vm->cpus));
	g_hash_table_insert(v, (char *) "KERNEL", g_strdup(vm->image));
	g_hash_table_insert(v, (char *) "INITRD", g_strdup(spec->initrd ? spec->initrd : ""));
	g_hash_table_insert(v, (char *) "CMDLINE", g_strdup(spec->cmdline));
	g_hash_table_insert(v, (char *) "CONSOLE", g_strdup(spec->console));
	g_hash_table_insert(v, (char *) "AGENT_SOCKET",
			    g_build_filename(vm->run_dir, "agent.sock", NULL));
	g_hash_table_insert(v, (char *) "MAC", mac_of(vm->uuid));
	return v;
}

static gboolean check_values(const DomainSpec *spec, GError **error)
{
	const Vm *vm = spec->vm;
	const char *pairs[][2] = {
		{"folder of the project", vm->project},
		{"kernel's path", vm->image},
		{"kernel's release", vm->release},
		{"path of vmlinux", vm->vmlinux},
		{"path of the kernel's build folder", vm->build},
		{"path of the kernel's modules", spec->modules},
		{"path of the kernel's sources", spec->source},
		{"kernel command line (append)", spec->cmdline},
		{"path of the initramfs", spec->initrd},
		{"data folder's path", vm->data_dir},
		{"runtime folder's path", vm->run_dir},
		{"group's name", vm->group},
	};

	for (gsize i = 0; i < G_N_ELEMENTS(pairs); i++)
		if (pairs[i][1] && !can_be_xml(pairs[i][0], pairs[i][1], error))
			return FALSE;
	for (gsize i = 0; vm->trees && vm->trees[i]; i++)
		if (!can_be_xml("path of a tree", vm->trees[i], error))
			return FALSE;
	return TRUE;
}

/* --- what code adds to the template ------------------------------------------------------------
 */

static xmlNode *add(xmlNode *parent, xmlNs *ns, const char *name, const char *text)
{
	return xmlNewTextChild(parent, ns, X(name), text ? X(text) : NULL);
}

static void set(xmlNode *node, const char *name, const char *value)
{
	if (value)
		xmlSetProp(node, X(name), X(value));
}

/*
 * Scratch disks do not outlive a crash of the host in a sane state, and need not: no flush ever
 * waits for the host's disk. Freed blocks go back to the host.
 */
static gboolean add_disks(xmlNode *devices, const DomainSpec *spec, GError **error)
{
	for (guint i = 0; i < spec->disks->len; i++) {
		const DomainDisk *d = g_ptr_array_index(spec->disks, i);
		g_autofree char *target = g_strdup_printf("vd%c", 'a' + i);
		g_autofree char *serial = g_strdup_printf("scratch%u", i);
		g_autofree char *slot = g_strdup_printf("0x%02x", FIRST_DISK_SLOT + i);
		xmlNode *disk, *n;

		if (FIRST_DISK_SLOT + i > LAST_DISK_SLOT)
			return devvm_fail(error, DEVVM_ERROR_CONFIG,
					  "%u disks are too many: at most %d fit", spec->disks->len,
					  LAST_DISK_SLOT - FIRST_DISK_SLOT + 1);
		disk = add(devices, NULL, "disk", NULL);
		set(disk, "type", "file");
		set(disk, "device", "disk");
		n = add(disk, NULL, "driver", NULL);
		set(n, "name", "qemu");
		set(n, "type", "raw");
		set(n, "cache", "unsafe");
		set(n, "discard", "unmap");
		set(add(disk, NULL, "source", NULL), "file", d->path);
		n = add(disk, NULL, "target", NULL);
		set(n, "dev", target);
		set(n, "bus", "virtio");
		add(disk, NULL, "serial", serial);
		n = add(disk, NULL, "address", NULL);
		set(n, "type", "pci");
		set(n, "domain", "0x0000");
		set(n, "bus", "0x00");
		set(n, "slot", slot);
		set(n, "function", "0x0");
	}
	return TRUE;
}

static xmlNode *add_metadata(xmlNode *metadata, const DomainSpec *spec)
{
	const Vm *vm = spec->vm;
	g_autofree char *uid = g_strdup_printf("%u", spec->uid);
	g_autofree char *port = g_strdup_printf("%u", vm->gdb_port);
	xmlNode *top = xmlNewChild(metadata, NULL, X("vm"), NULL), *n;
	xmlNs *ns = xmlNewNs(top, X(DOMAIN_XML_NS), X("devvm"));

	xmlSetNs(top, ns);
	set(add(top, ns, "owner", NULL), "uid", uid);
	add(top, ns, "project", vm->project);
	for (gsize i = 0; vm->trees && vm->trees[i]; i++)
		add(top, ns, "tree", vm->trees[i]);
	n = add(top, ns, "kernel", NULL);
	set(n, "type", vm->build_tree ? "tree" : "package");
	set(n, "release", vm->release);
	set(n, "image", vm->image);
	set(n, "vmlinux", vm->vmlinux);
	set(n, "build", vm->build);
	set(n, "modules", spec->modules);
	set(n, "source", spec->source);
	n = add(top, ns, "gdb", NULL);
	set(n, "mode", domain_xml_gdb_modes[vm->gdb_mode]);
	if (vm->gdb_mode != GDB_UNIX)
		set(n, "port", port);
	if (vm->group)
		add(top, ns, "group", vm->group);
	n = add(top, ns, "folders", NULL);
	set(n, "run", vm->run_dir);
	set(n, "data", vm->data_dir);
	return top;
}

char *qemu_escape(const char *path)
{
	g_auto(GStrv) parts = g_strsplit(path, ",", -1);

	return g_strjoinv(",,", parts);
}

static char *socket_option(const char *id, const char *folder, const char *name)
{
	g_autofree char *path = g_build_filename(folder, name, NULL);
	g_autofree char *escaped = qemu_escape(path);

	return g_strdup_printf("socket,id=%s,path=%s,server=on,wait=off", id, escaped);
}

/* A second QMP monitor and gdb's stub: libvirt has words for neither. */
static void add_qemu_arguments(xmlNode *domain, const DomainSpec *spec)
{
	const Vm *vm = spec->vm;
	xmlNs *ns = xmlSearchNsByHref(domain->doc, domain, X(QEMU_NS));
	xmlNode *line;
	g_autofree char *qmp = socket_option("devvm-qmp", vm->run_dir, "qmp.sock");
	g_autofree char *gdb_socket = socket_option("devvm-gdb", vm->run_dir, "gdb.sock");
	g_autofree char *gdb_tcp = g_strdup_printf("tcp:127.0.0.1:%u", vm->gdb_port);
	const char *tcp[] = {"-gdb", gdb_tcp, NULL};
	const char *unix_socket[] = {"-chardev", gdb_socket, "-gdb", "chardev:devvm-gdb", NULL};
	const char *common[] = {"-chardev", qmp, "-mon", "chardev=devvm-qmp,mode=control", NULL};
	const char **gdb = vm->gdb_mode == GDB_TCP ? tcp : unix_socket;

	if (!ns)
		ns = xmlNewNs(domain, X(QEMU_NS), X("qemu"));
	line = add(domain, ns, "commandline", NULL);
	for (gsize i = 0; common[i]; i++)
		set(add(line, ns, "arg", NULL), "value", common[i]);
	for (gsize i = 0; gdb[i]; i++)
		set(add(line, ns, "arg", NULL), "value", gdb[i]);
}

/* --- all of it ---------------------------------------------------------------------------------
 */

static char *serialise(xmlDoc *doc)
{
	xmlChar *text = NULL;
	int size = 0;
	char *copy;

	xmlDocDumpFormatMemoryEnc(doc, &text, &size, "UTF-8", 1);
	copy = g_strndup((char *) text, (gsize) size);
	xmlFree(text);
	return copy;
}

/* Comments before the root element are the template's own. */
static void drop_prolog(xmlDoc *doc)
{
	xmlNode *next;

	for (xmlNode *n = doc->children; n; n = next) {
		next = n->next;
		if (n->type == XML_COMMENT_NODE) {
			xmlUnlinkNode(n);
			xmlFreeNode(n);
		}
	}
}

char *domain_xml_make(const char *template, const DomainSpec *spec, const char *extra,
		      const char *extra_name, char **digest, GError **error)
{
	g_autoptr(xmlDoc) doc = NULL;
	g_autoptr(GHashTable) values = NULL;
	g_autofree char *without = NULL, *sum = NULL;
	xmlNode *domain, *devices, *metadata, *ours;

	if (!check_values(spec, error))
		return NULL;
	doc = domain_xml_parse(template, "domain.xml", error);
	if (!doc)
		return NULL;
	drop_prolog(doc);
	values = template_values(spec);
	domain = xmlDocGetRootElement(doc);
	if (!fill(domain, values, error))
		return NULL;
	devices = domain_xml_child(domain, "devices", NULL);
	metadata = domain_xml_child(domain, "metadata", NULL);
	if (!devices || !metadata) {
		devvm_fail(
			error, DEVVM_ERROR_FAILED,
			"the template domain.xml lacks <devices> or <metadata>: reinstall devvm");
		return NULL;
	}
	if (!add_disks(devices, spec, error))
		return NULL;
	ours = add_metadata(metadata, spec);
	add_qemu_arguments(domain, spec);
	if (extra && !domain_xml_merge(domain, extra, extra_name, error))
		return NULL;
	without = serialise(doc);
	sum = g_compute_checksum_for_string(G_CHECKSUM_SHA256, without, -1);
	set(ours, "digest", sum);
	if (digest)
		*digest = g_steal_pointer(&sum);
	return serialise(doc);
}
