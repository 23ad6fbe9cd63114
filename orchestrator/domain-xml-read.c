// SPDX-License-Identifier: GPL-2.0-or-later
/* XML of a domain → what devvm wrote in it. */
#include <string.h>

#include "domain-xml-private.h"
#include "util/error.h"

const char *const domain_xml_gdb_modes[3] = {
	[GDB_KEEPER] = "keeper", [GDB_TCP] = "tcp", [GDB_UNIX] = "unix"};

static char *attribute(const xmlNode *node, const char *name)
{
	xmlChar *value = node ? xmlGetNoNsProp(node, X(name)) : NULL;
	char *copy = g_strdup((char *) value);

	xmlFree(value);
	return copy;
}

static char *text_of(const xmlNode *node)
{
	xmlChar *value = node ? xmlNodeGetContent(node) : NULL;
	char *copy = g_strdup((char *) value);

	xmlFree(value);
	return copy;
}

static guint64 number_of(const xmlNode *node, const char *name)
{
	g_autofree char *text = name ? attribute(node, name) : text_of(node);

	return text ? g_ascii_strtoull(text, NULL, 10) : 0;
}

static void read_metadata(DomainSpec *spec, const xmlNode *top)
{
	Vm *vm = spec->vm;
	const xmlNode *kernel = domain_xml_child(top, "kernel", DOMAIN_XML_NS);
	const xmlNode *gdb = domain_xml_child(top, "gdb", DOMAIN_XML_NS);
	const xmlNode *folders = domain_xml_child(top, "folders", DOMAIN_XML_NS);
	g_autofree char *type = attribute(kernel, "type");
	g_autofree char *mode = attribute(gdb, "mode");
	g_autoptr(GStrvBuilder) trees = g_strv_builder_new();

	for (const xmlNode *n = top->children; n; n = n->next)
		if (domain_xml_is(n, "tree") && n->ns &&
		    !strcmp((const char *) n->ns->href, DOMAIN_XML_NS)) {
			g_autofree char *tree = text_of(n);

			g_strv_builder_add(trees, tree);
		}
	vm->trees = g_strv_builder_end(trees);
	spec->digest = attribute(top, "digest");
	spec->uid = (guint) number_of(domain_xml_child(top, "owner", DOMAIN_XML_NS), "uid");
	vm->project = text_of(domain_xml_child(top, "project", DOMAIN_XML_NS));
	vm->release = attribute(kernel, "release");
	vm->image = attribute(kernel, "image");
	vm->vmlinux = attribute(kernel, "vmlinux");
	vm->build = attribute(kernel, "build");
	spec->modules = attribute(kernel, "modules");
	spec->source = attribute(kernel, "source");
	vm->build_tree = !g_strcmp0(type, "tree");
	for (guint i = 0; mode && i < G_N_ELEMENTS(domain_xml_gdb_modes); i++)
		if (!strcmp(mode, domain_xml_gdb_modes[i]))
			vm->gdb_mode = i;
	vm->gdb_port = (guint) number_of(gdb, "port");
	vm->group = text_of(domain_xml_child(top, "group", DOMAIN_XML_NS));
	vm->run_dir = attribute(folders, "run");
	vm->data_dir = attribute(folders, "data");
}

static void read_devices(DomainSpec *spec, const xmlNode *devices)
{
	for (const xmlNode *n = devices ? devices->children : NULL; n; n = n->next) {
		g_autofree char *serial = text_of(domain_xml_child(n, "serial", NULL));

		if (domain_xml_is(n, "disk") && serial && g_str_has_prefix(serial, "scratch")) {
			g_autofree char *file =
				attribute(domain_xml_child(n, "source", NULL), "file");

			domain_spec_add_disk(spec, file ? file : "", 0);
		} else if (domain_xml_is(n, "serial") && !spec->console) {
			spec->console = attribute(domain_xml_child(n, "source", NULL), "path");
		}
	}
}

/* libvirt always answers in KiB, whatever unit it was given. */
static guint64 memory_of(const xmlNode *node)
{
	g_autofree char *unit = attribute(node, "unit");

	return number_of(node, NULL) * (!unit || !strcmp(unit, "KiB") ? 1024
					: !strcmp(unit, "MiB")	      ? 1024 * 1024
								      : 1);
}

DomainSpec *domain_xml_read(const char *xml, GError **error)
{
	g_autoptr(xmlDoc) doc = domain_xml_parse(xml, "libvirt", error);
	g_autoptr(DomainSpec) spec = NULL;
	const xmlNode *domain, *top, *os;
	g_autofree char *type = NULL;

	if (!doc)
		return NULL;
	domain = xmlDocGetRootElement(doc);
	top = domain_xml_child(domain_xml_child(domain, "metadata", NULL), "vm", DOMAIN_XML_NS);
	if (!top)
		return NULL;
	spec = domain_spec_new();
	os = domain_xml_child(domain, "os", NULL);
	type = attribute(domain, "type");
	spec->vm->kvm = !g_strcmp0(type, "kvm");
	spec->vm->name = text_of(domain_xml_child(domain, "name", NULL));
	spec->vm->uuid = text_of(domain_xml_child(domain, "uuid", NULL));
	spec->vm->cpus = (guint) number_of(domain_xml_child(domain, "vcpu", NULL), NULL);
	spec->vm->memory = memory_of(domain_xml_child(domain, "memory", NULL));
	spec->initrd = text_of(domain_xml_child(os, "initrd", NULL));
	spec->cmdline = text_of(domain_xml_child(os, "cmdline", NULL));
	read_metadata(spec, top);
	read_devices(spec, domain_xml_child(domain, "devices", NULL));
	if (spec->vm->name && spec->vm->uuid && spec->vm->run_dir && spec->vm->data_dir)
		return g_steal_pointer(&spec);
	devvm_fail(
		error, DEVVM_ERROR_MISMATCH,
		"devvm's <metadata> in the domain %s is damaged: `devvm rm --force %s` removes the "
		"VM",
		spec->vm->name ? spec->vm->name : "?", spec->vm->name ? spec->vm->name : "?");
	return NULL;
}
