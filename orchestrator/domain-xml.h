/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Domain XML, both ways: DomainSpec + template → XML for libvirt, and the XML of a domain → what
 * devvm wrote in it. Pure: strings in, strings out.
 *
 * devvm's element in <metadata>, namespace DOMAIN_XML_NS:
 *   <devvm:vm digest='…'>
 *     <devvm:owner uid='1001'/>
 *     <devvm:project>/home/u/tree</devvm:project>
 *     <devvm:tree>/home/u/tree</devvm:tree>            one or more
 *     <devvm:kernel type='package|tree' release='' image='' vmlinux='' build='' modules=''
 *         source=''/>
 *     <devvm:gdb mode='keeper|tcp|unix' port='1234'/>
 *     <devvm:group>NAME</devvm:group>                  where there is one
 *     <devvm:folders run='' data=''/>
 *   </devvm:vm>
 * `digest` is that of the whole XML as devvm made it. It says whether the configuration has changed
 * since, without a word about what the owner changed with `virsh edit`: that stays.
 */
#pragma once

#include <glib.h>

#include "vm.h"

#define DOMAIN_XML_NS "urn:devvm:vm:1"

typedef struct {
	char *path;
	guint64 bytes;
} DomainDisk;

/* All that stands in the XML of one VM. Owns what it points to. */
typedef struct {
	Vm *vm;		  /* but state and started_us */
	guint uid;	  /* owner */
	char *initrd;	  /* path; NULL while not known */
	char *cmdline;	  /* of the kernel */
	char *console;	  /* path of the serial console's file */
	char *modules;	  /* host folder with the guest's /lib/modules/RELEASE */
	char *source;	  /* sources of a build tree that was made with O=; NULL: they are in it */
	GPtrArray *disks; /* of DomainDisk*: vda, vdb… with serials scratch0, scratch1… */
	char *digest;	  /* set by domain_xml_read only */
} DomainSpec;

DomainSpec *domain_spec_new(void);
void domain_spec_free(DomainSpec *spec);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DomainSpec, domain_spec_free)
DomainSpec *domain_spec_copy(const DomainSpec *spec);
void domain_spec_add_disk(DomainSpec *spec, const char *path, guint64 bytes);

/*
 * `template`: the text of templates/domain.xml. `extra`: the text of the user's own XML file, or
 * NULL; `extra_name` names it in errors. Its root is <domain> or <devices>; elements below
 * <devices>, <features>, <metadata> and <qemu:commandline> are added, other children of <domain>
 * take the place of ours; <name> and <uuid> are refused.
 * *digest (may be NULL) gets the digest that also stands in the XML.
 */
char *domain_xml_make(const char *template, const DomainSpec *spec, const char *extra,
		      const char *extra_name, char **digest, GError **error);

/*
 * Reads a domain's XML back. NULL without an error when the domain is not devvm's;
 * DEVVM_ERROR_MISMATCH when it is, and what devvm wrote is damaged. Disk sizes are not in there:
 * `bytes` is 0.
 */
DomainSpec *domain_xml_read(const char *xml, GError **error);

/* What differs between two specs of one VM, for people: "memory 512 MiB → 1 GiB". Empty: nothing
 * that can be named. */
char **domain_spec_differences(const DomainSpec *old, const DomainSpec *new);

/* `path` as a value within a QEMU option: commas doubled. */
char *qemu_escape(const char *path);
