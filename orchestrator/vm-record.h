/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A VM with all that stands in its domain, for the verbs that make and remove VMs. */
#pragma once

#include "backends/virt.h"
#include "domain-xml.h"

typedef struct {
	virDomainPtr domain;
	DomainSpec *spec; /* spec->vm has its live state */
	gboolean died;	  /* off because QEMU died */
} VmRecord;

void vm_record_free(VmRecord *record);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmRecord, vm_record_free)

/*
 * The VM of that name. NULL without an error: libvirt has no such domain. A domain that is not
 * devvm's, or another user's: DEVVM_ERROR_BUSY; it is never touched.
 */
VmRecord *vm_record_find(const char *name, GError **error);
/* The same, but NOT_FOUND, with the list of those that exist, when there is none. */
VmRecord *vm_record_get(const char *name, GError **error);
/* All of devvm's and this user's, by name. Those whose metadata cannot be read are left out. */
GPtrArray *vm_record_list(GError **error);
