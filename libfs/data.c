/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Data between a program's memory and the service, at offsets.
 *
 * A transfer is cut into pieces of at most WIRE_BULK, each one request, copied through the slot (ipc/copy.h
 * chooses how) or, when it is long and lies in one range, moved by the service itself (cross-memory attach). The
 * program's ranges are walked by a cursor, so that many small ranges make one request.
 */
#include <errno.h>
#include <sys/uio.h>
#include "ipc/copy.h"
#include "libfs/internal.h"

struct cursor {
	const struct iovec *iov, *end;
	uint64_t within; /* of *iov, done */
	uint64_t left;   /* of all ranges */
};

static void cursor_init(struct cursor *c, const struct iovec *iov, int count)
{
	*c = (struct cursor){.iov = iov, .end = iov + count};
	for (; iov < c->end; iov++)
		c->left += iov->iov_len;
}

/* The range to go on with; 0 at the end. */
static uint64_t cursor_range(struct cursor *c, char **ret)
{
	while (c->iov < c->end && c->within == c->iov->iov_len) {
		c->iov++;
		c->within = 0;
	}
	if (c->iov == c->end)
		return 0;
	*ret = (char *)c->iov->iov_base + c->within;
	return c->iov->iov_len - c->within;
}

static void cursor_forward(struct cursor *c, uint64_t n)
{
	char *p;

	while (n) {
		uint64_t range = cursor_range(c, &p), step = range < n ? range : n;

		if (!step)
			return;
		c->within += step;
		c->left -= step;
		n -= step;
	}
}

static void cursor_copy(struct cursor *c, char *payload, uint64_t n, int in)
{
	uint32_t smo_min = fs_front()->smo_min;
	char *p = 0;

	while (n) {
		uint64_t range = cursor_range(c, &p), step = range < n ? range : n;

		if (!step)
			return; /* the program changed its ranges meanwhile */
		if (in)
			copy_any(p, payload, step, smo_min);
		else
			copy_any(payload, p, step, smo_min);
		c->within += step;
		c->left -= step;
		payload += step;
		n -= step;
	}
}

/*
 * Begins the next piece: claims a slot and says where the data is. Returns the piece's size, or an error;
 * *ret_direct says that the service moves the data.
 */
static int64_t data_begin(struct fs_op *op, enum wire_op code, struct fs_file *f, struct cursor *c, int *ret_direct)
{
	uint64_t n = c->left < WIRE_BULK ? c->left : WIRE_BULK;
	int64_t r = fs_op_begin(op, code, f->session, n);
	char *p = 0;

	if (r < 0)
		return r;
	*ret_direct = n >= fs_front()->cma_min && cursor_range(c, &p) >= n;
	if (*ret_direct) {
		op->q->where = WIRE_IN_CLIENT;
		op->q->address = (uint64_t)p;
	}
	op->q->handle = f->handle;
	op->q->length = n;
	op->q->out_max = (uint32_t)n;
	return (int64_t)n;
}

static int64_t data_read_piece(struct fs_file *f, struct cursor *c, uint64_t offset, int64_t *ret_wanted)
{
	struct fs_op op;
	int direct;
	int64_t r = data_begin(&op, WIRE_READ, f, c, &direct);

	if (r < 0)
		return r;
	*ret_wanted = r;
	op.q->offset = offset;
	r = fs_op_call(&op);
	if (r > *ret_wanted)
		r = -EIO;
	if (r > 0) {
		if (direct)
			cursor_forward(c, (uint64_t)r);
		else
			cursor_copy(c, op.payload, (uint64_t)r, 1);
	}
	fs_op_end(&op);
	return r;
}

int64_t fs_readv(struct fs_file *f, const struct iovec *iov, int count, uint64_t offset)
{
	int64_t r, wanted = 0, done = 0;
	struct cursor c;

	cursor_init(&c, iov, count);
	do {
		r = data_read_piece(f, &c, offset + (uint64_t)done, &wanted);
		if (r < 0)
			return done ? done : r;
		done += r;
	} while (r == wanted && c.left);
	return done;
}

static int64_t data_write_piece(struct fs_file *f, struct cursor *c, uint64_t offset, uint32_t flags,
				int64_t *ret_wanted, uint64_t *ret_end)
{
	struct cursor start = *c;
	struct fs_op op;
	int direct;
	int64_t r = data_begin(&op, WIRE_WRITE, f, c, &direct);

	if (r < 0)
		return r;
	*ret_wanted = r;
	if (!direct)
		cursor_copy(c, op.payload, (uint64_t)r, 0);
	op.q->offset = offset;
	op.q->arg = flags;
	r = fs_op_call(&op);
	if (r > *ret_wanted)
		r = -EIO;
	if (r >= 0) {
		*ret_end = op.a->offset;
		*c = start;
		cursor_forward(c, (uint64_t)r);
	}
	fs_op_end(&op);
	return r;
}

int64_t fs_writev(struct fs_file *f, const struct iovec *iov, int count, uint64_t offset, uint32_t flags,
		  uint64_t *ret_end)
{
	int64_t r, wanted = 0, done = 0;
	uint64_t end = offset;
	struct cursor c;

	cursor_init(&c, iov, count);
	do {
		r = data_write_piece(f, &c, offset + (uint64_t)done, flags, &wanted, &end);
		if (r < 0 && !done)
			return r;
		done += r > 0 ? r : 0;
	} while (r == wanted && c.left);
	if (ret_end)
		*ret_end = end;
	return done;
}

int64_t fs_getdents(struct fs_file *f, void *buf, uint64_t size, uint64_t cookie, uint64_t *ret_next)
{
	uint64_t room = size < WIRE_BULK ? size : WIRE_BULK;
	struct fs_op op;
	int64_t r = fs_op_begin(&op, WIRE_GETDENTS, f->session, room);

	if (r < 0)
		return r;
	op.q->handle = f->handle;
	op.q->offset = cookie;
	op.q->out_max = (uint32_t)room;
	r = fs_op_call(&op);
	if (r > (int64_t)room)
		r = -EIO;
	if (r >= 0) {
		copy_any(buf, op.payload, (uint64_t)r, fs_front()->smo_min);
		*ret_next = op.a->offset;
	}
	fs_op_end(&op);
	return r;
}

int64_t fs_copy(struct fs_file *in, uint64_t in_off, struct fs_file *out, uint64_t out_off, uint64_t length)
{
	struct fs_op op;
	int64_t r;

	if (in->session != out->session)
		return -EIO;
	r = fs_op_begin(&op, WIRE_COPY, in->session, 0);
	if (r < 0)
		return r;
	op.q->handle = in->handle;
	op.q->base = out->handle;
	op.q->offset = in_off;
	op.q->arg = out_off;
	op.q->length = length;
	return fs_op_finish(&op);
}
