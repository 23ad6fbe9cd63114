// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * UPDATE_GOLDEN=1 in the environment writes the golden file anew: look at the difference before it
 * is committed.
 */
#include <libxml/parser.h>
#include <libxml/relaxng.h>
#include <string.h>

#include "domain-xml.h"
#include "util/error.h"

#define SCHEMA "/usr/share/libvirt/schemas/domain.rng"

static char *load(const char *folder, const char *name)
{
	g_autofree char *path = g_build_filename(folder, name, NULL);
	g_autoptr(GError) error = NULL;
	char *text = NULL;

	g_file_get_contents(path, &text, NULL, &error);
	g_assert_no_error(error);
	return text;
}

static DomainSpec *make_spec(void)
{
	DomainSpec *spec = domain_spec_new();
	Vm *vm = spec->vm;
	const char *trees[] = {"/home/u/fs-tree", "/home/u/other", NULL};

	vm->name = g_strdup("lustre1");
	vm->uuid = g_strdup("7bc316ad-08bb-4e12-8a6a-7b7675861ff1");
	vm->project = g_strdup("/home/u/fs-tree");
	vm->trees = g_strdupv((char **) trees);
	vm->release = g_strdup("6.1.0-56-cloud-amd64");
	vm->image = g_strdup("/boot/vmlinuz-6.1.0-56-cloud-amd64");
	vm->vmlinux = g_strdup("/usr/lib/debug/boot/vmlinux-6.1.0-56-cloud-amd64");
	vm->build = g_strdup("/usr/src/linux-headers-6.1.0-56-cloud-amd64");
	vm->gdb_mode = GDB_KEEPER;
	vm->gdb_port = 1234;
	vm->cpus = 2;
	vm->memory = 1024ull << 20;
	vm->run_dir = g_strdup("/run/user/1000/devvm/lustre1");
	vm->data_dir = g_strdup("/home/u/.local/share/devvm/lustre1");
	spec->uid = 1000;
	spec->initrd = g_strdup("/home/u/.cache/devvm/initramfs.cpio");
	spec->cmdline = g_strdup("console=ttyS0 quiet nokaslr");
	spec->console = g_strdup("/home/u/.local/share/devvm/lustre1/console.log");
	spec->modules = g_strdup("/lib/modules/6.1.0-56-cloud-amd64");
	domain_spec_add_disk(spec, "/home/u/.local/share/devvm/lustre1/scratch0.img", 1 << 30);
	domain_spec_add_disk(spec, "/home/u/.local/share/devvm/lustre1/scratch1.img", 1 << 30);
	return spec;
}

static char *make(const DomainSpec *spec, const char *extra, GError **error)
{
	g_autofree char *template = load(TEST_TEMPLATES, "domain.xml");

	return domain_xml_make(template, spec, extra, "extra.xml", NULL, error);
}

static char *make_ok(const DomainSpec *spec, const char *extra)
{
	g_autoptr(GError) error = NULL;
	char *xml = make(spec, extra, &error);

	g_assert_no_error(error);
	return xml;
}

static void assert_has(const char *xml, const char *part)
{
	if (!strstr(xml, part))
		g_error("'%s' is missing in:\n%s", part, xml);
}

static void test_golden(void)
{
	g_autoptr(DomainSpec) spec = make_spec();
	g_autofree char *xml = make_ok(spec, NULL);
	g_autofree char *path = g_build_filename(TEST_GOLDEN, "domain.xml", NULL);
	g_autofree char *golden = NULL;

	if (g_getenv("UPDATE_GOLDEN"))
		g_assert_true(g_file_set_contents(path, xml, -1, NULL));
	golden = load(TEST_GOLDEN, "domain.xml");
	g_assert_cmpstr(xml, ==, golden);
}

static void test_schema(void)
{
	g_autoptr(DomainSpec) spec = make_spec();
	g_autofree char *xml = make_ok(spec, NULL);
	xmlRelaxNGParserCtxt *parser;
	xmlRelaxNG *schema;
	xmlRelaxNGValidCtxt *valid;
	xmlDoc *doc;

	if (!g_file_test(SCHEMA, G_FILE_TEST_EXISTS)) {
		g_test_skip("libvirt's schemas are not installed");
		return;
	}
	parser = xmlRelaxNGNewParserCtxt(SCHEMA);
	schema = xmlRelaxNGParse(parser);
	valid = xmlRelaxNGNewValidCtxt(schema);
	doc = xmlReadMemory(xml, (int) strlen(xml), "made", NULL, XML_PARSE_NONET);
	g_assert_cmpint(xmlRelaxNGValidateDoc(valid, doc), ==, 0);
	xmlFreeDoc(doc);
	xmlRelaxNGFreeValidCtxt(valid);
	xmlRelaxNGFree(schema);
	xmlRelaxNGFreeParserCtxt(parser);
}

/* What is written is read back the same, whatever characters it has. */
static void test_round_trip(void)
{
	g_autoptr(DomainSpec) spec = make_spec(), back = NULL;
	g_autofree char *xml = NULL;
	g_autoptr(GError) error = NULL;
	const char *nasty = "/home/u/a \"b\"<c>&amp;'d',e @NAME@ ]]> é";

	g_free(spec->vm->project);
	spec->vm->project = g_strdup(nasty);
	g_free(spec->vm->trees[1]);
	spec->vm->trees[1] = g_strdup(nasty);
	g_free(spec->vm->vmlinux);
	spec->vm->vmlinux = g_strdup(nasty);
	g_free(spec->vm->run_dir);
	spec->vm->run_dir = g_strdup(nasty);
	g_free(spec->cmdline);
	spec->cmdline = g_strdup("a=\"1 & 2\" <x>");
	spec->vm->group = g_strdup("nine");
	spec->vm->build_tree = TRUE;
	spec->vm->kvm = TRUE;
	spec->vm->gdb_mode = GDB_TCP;
	xml = make_ok(spec, NULL);
	back = domain_xml_read(xml, &error);
	g_assert_no_error(error);
	g_assert_nonnull(back);
	g_assert_cmpstr(back->vm->name, ==, spec->vm->name);
	g_assert_cmpstr(back->vm->uuid, ==, spec->vm->uuid);
	g_assert_cmpstr(back->vm->project, ==, nasty);
	g_assert_cmpstrv(back->vm->trees, spec->vm->trees);
	g_assert_cmpstr(back->vm->vmlinux, ==, nasty);
	g_assert_cmpstr(back->vm->build, ==, spec->vm->build);
	g_assert_cmpstr(back->vm->run_dir, ==, nasty);
	g_assert_cmpstr(back->vm->data_dir, ==, spec->vm->data_dir);
	g_assert_cmpstr(back->vm->group, ==, "nine");
	g_assert_cmpstr(back->cmdline, ==, spec->cmdline);
	g_assert_cmpstr(back->console, ==, spec->console);
	g_assert_cmpstr(back->modules, ==, spec->modules);
	g_assert_cmpuint(back->uid, ==, 1000);
	g_assert_cmpuint(back->vm->gdb_port, ==, 1234);
	g_assert_cmpint(back->vm->gdb_mode, ==, GDB_TCP);
	g_assert_true(back->vm->kvm);
	g_assert_true(back->vm->build_tree);
	g_assert_cmpuint(back->vm->cpus, ==, 2);
	g_assert_cmpuint(back->disks->len, ==, 2);
	assert_has(xml, "value=\"tcp:127.0.0.1:1234\"");
	/* QEMU reads a comma in a path as the end of it, but for two of them. */
	assert_has(xml, "'d',,e");
	g_auto(GStrv) differences = domain_spec_differences(spec, back);
	g_assert_cmpuint(g_strv_length(differences), ==, 0);
}

static void test_refused_values(void)
{
	g_autoptr(DomainSpec) spec = make_spec();
	g_autoptr(GError) error = NULL;
	g_autofree char *cmdline = g_steal_pointer(&spec->cmdline);

	spec->cmdline = g_strdup("a\nb");
	g_assert_null(make(spec, NULL, &error));
	g_assert_error(error, DEVVM_ERROR, DEVVM_ERROR_CONFIG);
	g_clear_error(&error);
	g_free(spec->cmdline);
	spec->cmdline = g_steal_pointer(&cmdline);
	g_free(spec->vm->project);
	spec->vm->project = g_strdup("/home/u/\xff");
	g_assert_null(make(spec, NULL, &error));
	g_assert_error(error, DEVVM_ERROR, DEVVM_ERROR_CONFIG);
}

static void test_merge(void)
{
	g_autoptr(DomainSpec) spec = make_spec();
	g_autofree char *xml =
		make_ok(spec, "<domain xmlns:q='http://libvirt.org/schemas/domain/qemu/1.0'>"
			      "<vcpu>7</vcpu><cputune><shares>5</shares></cputune>"
			      "<devices><watchdog model='i6300esb'/></devices>"
			      "<features><hap/></features>"
			      "<q:commandline><q:arg value='-icount'/></q:commandline></domain>");
	g_autoptr(DomainSpec) back = domain_xml_read(xml, NULL);

	assert_has(xml, "<watchdog model=\"i6300esb\"/>");
	assert_has(xml, "<shares>5</shares>");
	assert_has(xml, "<hap/>");
	assert_has(xml, "<acpi/>");
	assert_has(xml, "value=\"-icount\"");
	assert_has(xml, "chardev:devvm-gdb");
	g_assert_cmpuint(back->vm->cpus, ==, 7);

	g_autofree char *devices = make_ok(spec, "<devices><watchdog model='ib700'/></devices>");
	assert_has(devices, "<watchdog model=\"ib700\"/>");
}

static void test_merge_refused(void)
{
	g_autoptr(DomainSpec) spec = make_spec();
	const char *bad[] = {"<domain><name>x</name></domain>",
			     "<domain><uuid>x</uuid></domain>",
			     "<disk/>",
			     "<domain>",
			     "no XML",
			     ""};

	for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_autoptr(GError) error = NULL;

		g_assert_null(make(spec, bad[i], &error));
		g_assert_error(error, DEVVM_ERROR, DEVVM_ERROR_CONFIG);
		g_assert_true(g_str_has_prefix(error->message, "extra.xml:"));
	}
	/* Nothing outside the file is read: the entity is not there. */
	g_autofree char *xml = make(
		spec, "<!DOCTYPE d [<!ENTITY e SYSTEM '/etc/passwd'>]><domain><x>&e;</x></domain>",
		NULL);
	g_assert_true(!xml || !strstr(xml, "root:"));
}

static void test_foreign(void)
{
	g_autoptr(GError) error = NULL;

	g_assert_null(domain_xml_read("<domain><name>x</name></domain>", &error));
	g_assert_no_error(error);
	g_assert_null(
		domain_xml_read("<domain><name>x</name><metadata><d:vm xmlns:d='" DOMAIN_XML_NS
				"'/></metadata></domain>",
				&error));
	g_assert_error(error, DEVVM_ERROR, DEVVM_ERROR_MISMATCH);
}

static void test_digest(void)
{
	g_autoptr(DomainSpec) spec = make_spec(), back = NULL;
	g_autofree char *template = load(TEST_TEMPLATES, "domain.xml");
	g_autofree char *one = NULL, *two = NULL, *three = NULL, *xml = NULL;

	xml = domain_xml_make(template, spec, NULL, NULL, &one, NULL);
	back = domain_xml_read(xml, NULL);
	g_assert_cmpstr(back->digest, ==, one);
	g_free(domain_xml_make(template, spec, NULL, NULL, &two, NULL));
	g_assert_cmpstr(one, ==, two);
	spec->vm->memory *= 2;
	g_free(domain_xml_make(template, spec, NULL, NULL, &three, NULL));
	g_assert_cmpstr(one, !=, three);
	g_auto(GStrv) differences = domain_spec_differences(back, spec);
	g_assert_cmpstr(differences[0], ==, "memory 1G → 2G");
	g_assert_null(differences[1]);
}

static void test_too_many_disks(void)
{
	g_autoptr(DomainSpec) spec = make_spec();
	g_autoptr(GError) error = NULL;

	while (spec->disks->len < 40)
		domain_spec_add_disk(spec, "/x", 1);
	g_assert_null(make(spec, NULL, &error));
	g_assert_error(error, DEVVM_ERROR, DEVVM_ERROR_CONFIG);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/domain-xml/golden", test_golden);
	g_test_add_func("/domain-xml/schema", test_schema);
	g_test_add_func("/domain-xml/round-trip", test_round_trip);
	g_test_add_func("/domain-xml/refused-values", test_refused_values);
	g_test_add_func("/domain-xml/merge", test_merge);
	g_test_add_func("/domain-xml/merge-refused", test_merge_refused);
	g_test_add_func("/domain-xml/foreign", test_foreign);
	g_test_add_func("/domain-xml/digest", test_digest);
	g_test_add_func("/domain-xml/too-many-disks", test_too_many_disks);
	return g_test_run();
}
