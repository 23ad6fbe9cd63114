// SPDX-License-Identifier: GPL-2.0-or-later
#include "error.h"

#include <gio/gio.h>

G_DEFINE_QUARK(devvm - error - quark, devvm_error)

int devvm_exit_status(const GError *error)
{
	if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
		return 130;
	return error->domain == DEVVM_ERROR ? error->code : DEVVM_ERROR_FAILED;
}

static gboolean fail_valist(GError **error, DevvmError code, const char *suffix, const char *format,
			    va_list args)
{
	if (error) {
		g_autofree char *text = g_strdup_vprintf(format, args);

		g_return_val_if_fail(*error == NULL, FALSE);
		*error = g_error_new(DEVVM_ERROR, code, "%s%s%s", text, suffix ? ": " : "",
				     suffix ? suffix : "");
	}
	return FALSE;
}

gboolean devvm_fail(GError **error, DevvmError code, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fail_valist(error, code, NULL, format, args);
	va_end(args);
	return FALSE;
}

gboolean devvm_fail_errno(GError **error, DevvmError code, int saved_errno, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fail_valist(error, code, g_strerror(saved_errno), format, args);
	va_end(args);
	return FALSE;
}
