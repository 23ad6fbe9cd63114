// SPDX-License-Identifier: GPL-2.0-or-later
#include "virt.h"

#include <libvirt/virterror.h>
#include <stdlib.h>

#include "../util/error.h"

#define DEFAULT_URI "qemu:///session"
#define SCHEMA "/usr/share/libvirt/schemas/domain.rng"

static void print_nothing(void *data, virErrorPtr e)
{
}

const char *virt_uri(void)
{
	const char *uri = g_getenv("DEVVM_URI");

	return uri && *uri ? uri : DEFAULT_URI;
}

static gboolean virt_fail(GError **error, DevvmError code, const char *format, ...)
	G_GNUC_PRINTF(3, 4);

/* As devvm_fail, with libvirt's last words at the end. */
static gboolean virt_fail(GError **error, DevvmError code, const char *format, ...)
{
	const char *cause = virGetLastErrorMessage();
	g_autofree char *what = NULL;
	va_list args;

	va_start(args, format);
	what = g_strdup_vprintf(format, args);
	va_end(args);
	return devvm_fail(error, code, "%s: %s", what, cause ? cause : "no reason given");
}

static gboolean is_error(int code)
{
	const virError *e = virGetLastError();

	return e && e->code == code;
}

virConnectPtr virt_connect(GError **error)
{
	static GMutex lock;
	static virConnectPtr connection;
	g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&lock);

	if (connection)
		return connection;
	virSetErrorFunc(NULL, print_nothing);
	if (virInitialize() == 0) {
		virEventRegisterDefaultImpl(); /* before the connection: virt_wait_off needs it */
		connection = virConnectOpen(virt_uri());
	}
	if (connection)
		virConnSetErrorFunc(connection, NULL, print_nothing);
	else
		virt_fail(error, DEVVM_ERROR_HOST,
			  "cannot reach libvirt at %s (`devvm doctor` says what is missing)",
			  virt_uri());
	return connection;
}

static virDomainPtr found(virDomainPtr domain, const char *what, GError **error)
{
	if (!domain && !is_error(VIR_ERR_NO_DOMAIN))
		virt_fail(error, DEVVM_ERROR_FAILED, "cannot look up the VM %s", what);
	return domain;
}

virDomainPtr virt_find(const char *name, GError **error)
{
	virConnectPtr c = virt_connect(error);

	return c ? found(virDomainLookupByName(c, name), name, error) : NULL;
}

virDomainPtr virt_find_uuid(const char *uuid, GError **error)
{
	virConnectPtr c = virt_connect(error);

	return c ? found(virDomainLookupByUUIDString(c, uuid), uuid, error) : NULL;
}

virDomainPtr virt_define(const char *xml, GError **error)
{
	virConnectPtr c = virt_connect(error);
	guint flags = g_file_test(SCHEMA, G_FILE_TEST_EXISTS) ? VIR_DOMAIN_DEFINE_VALIDATE : 0;
	virDomainPtr domain;

	if (!c)
		return NULL;
	domain = virDomainDefineXMLFlags(c, xml, flags);
	if (!domain)
		virt_fail(error, DEVVM_ERROR_FAILED, "libvirt does not take the VM's definition");
	return domain;
}

gboolean virt_start(virDomainPtr domain, GError **error)
{
	if (virDomainCreate(domain) == 0 || is_error(VIR_ERR_OPERATION_INVALID))
		return TRUE; /* invalid: it runs already */
	return virt_fail(error, DEVVM_ERROR_FAILED, "libvirt could not start %s",
			 virDomainGetName(domain));
}

gboolean virt_destroy(virDomainPtr domain, GError **error)
{
	if (virDomainDestroy(domain) == 0 || is_error(VIR_ERR_OPERATION_INVALID) ||
	    is_error(VIR_ERR_NO_DOMAIN))
		return TRUE;
	return virt_fail(error, DEVVM_ERROR_FAILED, "libvirt could not stop %s",
			 virDomainGetName(domain));
}

gboolean virt_undefine(virDomainPtr domain, GError **error)
{
	/* What the owner added with virsh goes too. */
	const guint all = VIR_DOMAIN_UNDEFINE_MANAGED_SAVE |
			  VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA |
			  VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA | VIR_DOMAIN_UNDEFINE_NVRAM;

	if (virDomainUndefineFlags(domain, all) == 0 || is_error(VIR_ERR_NO_DOMAIN))
		return TRUE;
	return virt_fail(error, DEVVM_ERROR_FAILED, "libvirt could not undefine %s",
			 virDomainGetName(domain));
}

/* libvirt knows who paused a VM only when it was libvirt: all else is gdb (or a QMP `stop`). */
static VmState paused_state(int reason)
{
	switch (reason) {
	case VIR_DOMAIN_PAUSED_UNKNOWN:
		return VM_STOPPED_IN_GDB;
	case VIR_DOMAIN_PAUSED_CRASHED:
		return VM_CRASHED;
	default:
		return VM_PAUSED;
	}
}

gboolean virt_state(virDomainPtr domain, VmState *state, gboolean *died, GError **error)
{
	int s, reason;

	if (virDomainGetState(domain, &s, &reason, 0) < 0) {
		if (!is_error(VIR_ERR_NO_DOMAIN))
			return virt_fail(error, DEVVM_ERROR_FAILED,
					 "cannot ask for the state of %s",
					 virDomainGetName(domain));
		s = VIR_DOMAIN_SHUTOFF;
		reason = VIR_DOMAIN_SHUTOFF_UNKNOWN;
	}
	if (died)
		*died = s == VIR_DOMAIN_SHUTOFF && (reason == VIR_DOMAIN_SHUTOFF_CRASHED ||
						    reason == VIR_DOMAIN_SHUTOFF_FAILED);
	switch (s) {
	case VIR_DOMAIN_SHUTOFF:
		*state = VM_OFF;
		break;
	case VIR_DOMAIN_CRASHED:
		*state = VM_CRASHED;
		break;
	case VIR_DOMAIN_PAUSED:
		*state = paused_state(reason);
		break;
	case VIR_DOMAIN_PMSUSPENDED:
		*state = VM_PAUSED;
		break;
	default:
		*state = VM_RUNNING;
	}
	return TRUE;
}

static int on_lifecycle(virConnectPtr c, virDomainPtr domain, int event, int detail, void *data)
{
	if (event == VIR_DOMAIN_EVENT_STOPPED)
		*(gboolean *) data = TRUE;
	return 0;
}

static void on_deadline(int timer, void *data)
{
	*(gboolean *) data = TRUE;
}

gboolean virt_wait_off(virDomainPtr domain, guint timeout_ms, GError **error)
{
	virConnectPtr c = virDomainGetConnect(domain);
	gboolean stopped = FALSE, late = FALSE;
	VmState state;
	int timer, id;

	id = virConnectDomainEventRegisterAny(c, domain, VIR_DOMAIN_EVENT_ID_LIFECYCLE,
					      VIR_DOMAIN_EVENT_CALLBACK(on_lifecycle), &stopped,
					      NULL);
	if (id < 0)
		return virt_fail(error, DEVVM_ERROR_FAILED, "cannot wait for libvirt's events");
	timer = virEventAddTimeout((int) timeout_ms, on_deadline, &late, NULL);
	/* After the registration, so that nothing falls between the two. */
	if (virt_state(domain, &state, NULL, NULL) && state == VM_OFF)
		stopped = TRUE;
	while (timer >= 0 && !stopped && !late && virEventRunDefaultImpl() == 0)
		;
	if (timer >= 0)
		virEventRemoveTimeout(timer);
	virConnectDomainEventDeregisterAny(c, id);
	return stopped;
}

char *virt_xml(virDomainPtr domain, GError **error)
{
	char *xml = virDomainGetXMLDesc(domain, 0), *copy;

	if (!xml) {
		virt_fail(error, DEVVM_ERROR_FAILED, "cannot read the definition of %s",
			  virDomainGetName(domain));
		return NULL;
	}
	copy = g_strdup(xml);
	free(xml);
	return copy;
}

virDomainPtr *virt_domains(GError **error)
{
	virConnectPtr c = virt_connect(error);
	virDomainPtr *domains = NULL;

	if (c && virConnectListAllDomains(c, &domains, 0) < 0) {
		virt_fail(error, DEVVM_ERROR_FAILED, "cannot list libvirt's domains");
		return NULL;
	}
	return domains;
}

void virt_domains_free(virDomainPtr *domains)
{
	for (gsize i = 0; domains && domains[i]; i++)
		virDomainFree(domains[i]);
	free(domains);
}
