/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files domain-xml*.c share. */
#pragma once

#include <libxml/parser.h>
#include <libxml/tree.h>

#include "domain-xml.h"

#define X(s) ((const xmlChar *) (s))

G_DEFINE_AUTOPTR_CLEANUP_FUNC(xmlDoc, xmlFreeDoc)

extern const char *const domain_xml_gdb_modes[3]; /* by GdbMode */

/* `name` names the text in errors. Nothing outside the text is read. */
xmlDoc *domain_xml_parse(const char *text, const char *name, GError **error);
gboolean domain_xml_is(const xmlNode *node, const char *name);
/* First child element of that name and namespace (NULL: none). */
xmlNode *domain_xml_child(const xmlNode *parent, const char *name, const char *ns);
/* Puts the user's XML into ours: see domain_xml_make. */
gboolean domain_xml_merge(xmlNode *domain, const char *extra, const char *name, GError **error);
