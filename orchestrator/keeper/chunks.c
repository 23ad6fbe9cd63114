// SPDX-License-Identifier: GPL-2.0-or-later
#include "chunks.h"

#include <string.h>

typedef struct {
	guint32 kind;
	gsize taken;
	GByteArray *bytes;
} Piece;

static void piece_free(gpointer data)
{
	Piece *p = data;

	g_byte_array_unref(p->bytes);
	g_free(p);
}

void chunks_init(Chunks *c)
{
	g_queue_init(&c->pieces);
	c->bytes = 0;
}

void chunks_clear(Chunks *c)
{
	g_queue_clear_full(&c->pieces, piece_free);
	c->bytes = 0;
}

/* The piece that more bytes of this kind may be added to, or NULL. */
static Piece *piece_to_grow(Chunks *c, guint32 kind)
{
	Piece *last = g_queue_peek_tail(&c->pieces);

	if (last && last->kind == kind)
		return last;
	if (g_queue_get_length(&c->pieces) < CHUNKS_MAX)
		return NULL;
	for (GList *l = c->pieces.tail; l; l = l->prev)
		if (((Piece *) l->data)->kind == kind)
			return l->data;
	return NULL;
}

void chunks_add(Chunks *c, guint32 kind, const guint8 *bytes, gsize n)
{
	Piece *p;

	if (n == 0)
		return;
	p = piece_to_grow(c, kind);
	if (!p) {
		p = g_new0(Piece, 1);
		p->kind = kind;
		p->bytes = g_byte_array_sized_new((guint) n);
		g_queue_push_tail(&c->pieces, p);
	}
	g_byte_array_append(p->bytes, bytes, (guint) n);
	c->bytes += n;
}

gsize chunks_take(Chunks *c, guint32 *kind, guint8 *out, gsize max)
{
	Piece *p = g_queue_peek_head(&c->pieces);
	gsize n;

	if (!p)
		return 0;
	n = MIN(max, p->bytes->len - p->taken);
	memcpy(out, p->bytes->data + p->taken, n);
	*kind = p->kind;
	p->taken += n;
	c->bytes -= n;
	if (p->taken == p->bytes->len)
		piece_free(g_queue_pop_head(&c->pieces));
	return n;
}
