// SPDX-License-Identifier: GPL-2.0-or-later
/* XML of others: parsed, and the user's own merged into the domain. */
#include "domain-xml-private.h"

#include <string.h>

#include "util/error.h"

gboolean domain_xml_is(const xmlNode *node, const char *name)
{
	return node->type == XML_ELEMENT_NODE && !strcmp((const char *) node->name, name);
}

static gboolean in_namespace(const xmlNode *node, const char *uri)
{
	return node->ns && !strcmp((const char *) node->ns->href, uri);
}

xmlNode *domain_xml_child(const xmlNode *parent, const char *name, const char *ns)
{
	for (xmlNode *n = parent ? parent->children : NULL; n; n = n->next)
		if (domain_xml_is(n, name) && (ns ? in_namespace(n, ns) : !n->ns))
			return n;
	return NULL;
}

xmlDoc *domain_xml_parse(const char *text, const char *name, GError **error)
{
	xmlDoc *doc = xmlReadMemory(text, (int) strlen(text), name, NULL,
				    XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING |
					    XML_PARSE_NOBLANKS);
	const xmlError *e = xmlGetLastError();

	if (doc && xmlDocGetRootElement(doc))
		return doc;
	g_clear_pointer(&doc, xmlFreeDoc);
	devvm_fail(error, DEVVM_ERROR_CONFIG, "%s:%d: this is no XML: %.*s", name, e ? e->line : 1,
		   e && e->message ? (int) strcspn(e->message, "\n") : 1,
		   e && e->message ? e->message : "?");
	return NULL;
}

/* Into our document: nodes keep strings in their document's dictionary, so they cannot move. */
static xmlNode *copy_into(xmlNode *theirs, xmlNode *parent)
{
	xmlNode *copy = xmlDocCopyNode(theirs, parent->doc, 1);

	xmlAddChild(parent, copy);
	xmlReconciliateNs(parent->doc, copy);
	return copy;
}

static void copy_children(const xmlNode *from, xmlNode *to)
{
	for (xmlNode *n = from->children; n; n = n->next)
		if (n->type == XML_ELEMENT_NODE)
			copy_into(n, to);
}

static gboolean merge_element(xmlNode *domain, xmlNode *theirs, const char *name, GError **error)
{
	const char *ns = theirs->ns ? (const char *) theirs->ns->href : NULL;
	xmlNode *ours = domain_xml_child(domain, (const char *) theirs->name, ns);
	static const char *const lists[] = {"devices", "features", "metadata", "commandline", NULL};

	if (domain_xml_is(theirs, "name") || domain_xml_is(theirs, "uuid"))
		return devvm_fail(error, DEVVM_ERROR_CONFIG,
				  "%s:%ld: <%s> is devvm's to give: remove it", name,
				  xmlGetLineNo(theirs), (const char *) theirs->name);
	if (ours && g_strv_contains(lists, (const char *) theirs->name)) {
		copy_children(theirs, ours);
		return TRUE;
	}
	if (ours) {
		xmlUnlinkNode(ours);
		xmlFreeNode(ours);
	}
	copy_into(theirs, domain);
	return TRUE;
}

gboolean domain_xml_merge(xmlNode *domain, const char *extra, const char *name, GError **error)
{
	g_autoptr(xmlDoc) doc = domain_xml_parse(extra, name, error);
	xmlNode *root;

	if (!doc)
		return FALSE;
	root = xmlDocGetRootElement(doc);
	if (domain_xml_is(root, "devices") && !root->ns) {
		copy_children(root, domain_xml_child(domain, "devices", NULL));
		return TRUE;
	}
	if (!domain_xml_is(root, "domain") || root->ns)
		return devvm_fail(
			error, DEVVM_ERROR_CONFIG,
			"%s:%ld: the outermost element is <%s>, but has to be <domain> or "
			"<devices>",
			name, xmlGetLineNo(root), (const char *) root->name);
	for (xmlNode *n = root->children; n; n = n->next)
		if (n->type == XML_ELEMENT_NODE && !merge_element(domain, n, name, error))
			return FALSE;
	return TRUE;
}
