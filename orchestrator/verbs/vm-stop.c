// SPDX-License-Identifier: GPL-2.0-or-later
#include "vm-stop.h"

#include "../backends/link.h"
#include "../run-dir.h"

#define POWER_OFF_MS 3000 /* for the agent to answer, and for the guest to be off */

typedef struct {
	const Vm *vm;
	GAsyncQueue *answers; /* one: TRUE or FALSE, + 1 */
} PowerOff;

/* In a thread, since a guest that hangs answers never. */
static gpointer ask_agent(gpointer data)
{
	PowerOff *p = data;
	g_autoptr(Link) link = link_open(p->vm, NULL);
	gboolean ok = link && link_power(link, FALSE, NULL);

	g_async_queue_push(p->answers, GINT_TO_POINTER(ok + 1));
	return NULL;
}

/* TRUE when the guest went off by itself. */
static gboolean power_off(VmRecord *record)
{
	PowerOff p = {.vm = record->spec->vm, .answers = g_async_queue_new()};
	gint64 end = g_get_monotonic_time() + POWER_OFF_MS * 1000;
	GThread *thread = g_thread_new("power", ask_agent, &p);
	gpointer answer = g_async_queue_timeout_pop(p.answers, POWER_OFF_MS * 1000);
	gint64 left = (end - g_get_monotonic_time()) / 1000;
	/* Lost is no refusal: the guest may be off before its answer is out. */
	gboolean off = answer && virt_wait_off(record->domain, (guint) MAX(left, 1), NULL);

	if (!off)
		virt_destroy(record->domain, NULL); /* ends whatever the thread waits for */
	g_thread_join(thread);
	g_async_queue_unref(p.answers);
	return off;
}

gboolean vm_stop(VmRecord *record, gboolean force, Progress *progress, GError **error)
{
	Vm *vm = record->spec->vm;
	gboolean off = vm->state == VM_OFF;

	if (vm->state == VM_RUNNING && !force) {
		progress_step(progress, "ask the guest to power off");
		off = power_off(record);
	}
	if (!off) {
		progress_step(progress, "end QEMU");
		if (!virt_destroy(record->domain, error))
			return FALSE;
	}
	progress_step(progress, "end the keeper");
	if (!run_dir_clean(vm->run_dir, error))
		return FALSE;
	vm->state = VM_OFF;
	progress_step(progress, NULL);
	return TRUE;
}
