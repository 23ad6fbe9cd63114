/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * libvirt: one connection a process, to $DEVVM_URI or qemu:///session. Errors of libvirt become
 * DEVVM_ERROR with what was being done in front; libvirt itself prints nothing.
 */
#pragma once

#include <glib.h>
#include <libvirt/libvirt.h>

#include "../vm.h"

G_DEFINE_AUTOPTR_CLEANUP_FUNC(virDomain, virDomainFree)

const char *virt_uri(void);
/* Opened at the first call, kept to the end of the process. Safe from several threads. */
virConnectPtr virt_connect(GError **error);

/* The domain, or NULL: without an error when there is none of that name (or uuid). */
virDomainPtr virt_find(const char *name, GError **error);
virDomainPtr virt_find_uuid(const char *uuid, GError **error);

/* Defines, or redefines when name and uuid are those of a domain that exists; checked against
 * libvirt's schema where the schema is installed. */
virDomainPtr virt_define(const char *xml, GError **error);
gboolean virt_start(virDomainPtr domain, GError **error);
/* Ends QEMU at once. TRUE also when it was off already. */
gboolean virt_destroy(virDomainPtr domain, GError **error);
gboolean virt_undefine(virDomainPtr domain, GError **error);

/* *died (may be NULL): the VM is off because QEMU died, not because somebody switched it off. */
gboolean virt_state(virDomainPtr domain, VmState *state, gboolean *died, GError **error);
/* TRUE once the domain is off; FALSE without an error when the deadline passed before. */
gboolean virt_wait_off(virDomainPtr domain, guint timeout_ms, GError **error);
/* Of a domain, as it runs; new string. */
char *virt_xml(virDomainPtr domain, GError **error);
/* All domains of the connection; NULL-terminated array of virDomainPtr, see virt_domains_free. */
virDomainPtr *virt_domains(GError **error);
void virt_domains_free(virDomainPtr *domains);
