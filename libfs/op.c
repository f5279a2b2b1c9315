/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The frame of every request: a slot is claimed, filled, sent, read and released by the same function.
 * Strings and data go into the slot's first page if they fit, else into the bulk area behind it.
 */
#include <errno.h>
#include <fcntl.h>
#include "ipc/sys.h"
#include "libfs/internal.h"

int64_t fs_op_begin(struct fs_op *op, enum wire_op code, uint64_t session, uint64_t room)
{
	struct front *f = fs_front();
	int where = room <= WIRE_INLINE ? WIRE_IN_INLINE : WIRE_IN_BULK;

	do {
		if (__builtin_expect(fs_ready() < 0, 0))
			return session ? -EIO : FS_KERNEL;
		op->slot = front_claim(f);
	} while (__builtin_expect(!op->slot, 0));
	if (__builtin_expect(session && session != fs_session(), 0)) {
		front_release(f, op->slot);
		return -EIO;
	}
	op->q = &op->slot->request;
	op->a = &op->slot->reply;
	op->payload = front_payload(op->slot, where);
	op->filled = 0;
	*op->q = (struct wire_request){.op = (uint8_t)code, .where = (uint8_t)where};
	return 0;
}

static uint32_t op_put(struct fs_op *op, const char *text, uint32_t len)
{
	char *to = op->payload + op->filled;
	uint32_t i;

	for (i = 0; i < len; i++)
		to[i] = text[i];
	to[len] = 0;
	op->filled += len + 1;
	return len;
}

int64_t fs_op_object(struct fs_op *op, enum wire_op code, const struct fs_object *o, uint64_t extra)
{
	int64_t r = fs_op_begin(op, code, o->session, o->len + 1 + extra);

	if (r < 0)
		return r;
	op->q->base = o->base;
	op->q->handle = o->handle;
	op->q->flags = o->flags;
	op->q->path_len = (uint16_t)op_put(op, o->path, o->len);
	return 0;
}

void fs_op_string(struct fs_op *op, const char *text, uint32_t len)
{
	op->q->more.path2_len = op_put(op, text, len);
}

/*
 * Whether a request may be sent again to the service that comes after one that died with it: it names no handle,
 * is not done twice if the first service had done it, and its payload was only read.
 */
static int op_repeatable(const struct wire_request *q)
{
	if (!(q->base & WIRE_MOUNT(0)) || q->handle)
		return 0;
	return q->op == WIRE_GETATTR || q->op == WIRE_ACCESS || (q->op == WIRE_OPEN && !(q->arg & O_EXCL));
}

/* -EIO if there is no service to send it to. */
static int op_repeat(struct fs_op *op, const struct wire_request *q)
{
	struct front *f = fs_front();
	struct wire_slot *slot = fs_ready() < 0 ? NULL : front_claim(f);
	char *payload;

	if (!slot)
		return -EIO;
	payload = front_payload(slot, q->where);
	slot->request = *q;
	mem_copy(payload, op->payload, op->filled);
	front_release(f, op->slot);
	*op = (struct fs_op){slot, &slot->request, &slot->reply, payload, op->filled};
	return front_call(f, slot, 0);
}

int64_t fs_op_call(struct fs_op *op)
{
	return fs_op_call_with(op, NULL);
}

int64_t fs_op_call_with(struct fs_op *op, const struct front_meanwhile *meanwhile)
{
	const struct wire_request q = *op->q; /* the reply takes its place, or begins to */
	int r = front_call_with(fs_front(), op->slot, 0, meanwhile);

	if (__builtin_expect(r == -EIO, 0) && op_repeatable(&q))
		r = op_repeat(op, &q);
	return r < 0 ? r : op->a->result;
}

void fs_op_end(struct fs_op *op)
{
	front_release(fs_front(), op->slot);
}

int64_t fs_op_finish(struct fs_op *op)
{
	int64_t r = fs_op_call(op);

	fs_op_end(op);
	return r;
}
