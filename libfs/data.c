/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Data between a program's memory and the service, at offsets.
 *
 * A transfer is cut into pieces of at most WIRE_BULK, each one request, copied through the slot (ipc/copy.h
 * chooses how) or, when it is long and lies in one range, moved by the service itself (cross-memory attach). The
 * program's ranges are walked by a cursor, so that many small ranges make one request.
 *
 * What the process shares of the file's cached data (direct.h) is copied first, without a request.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include "ipc/copy.h"
#include "ipc/front-count.h"
#include "libfs/cursor.h"
#include "libfs/direct.h"
#include "libfs/internal.h"
#include "libfs/keep.h"
#include "libfs/lease.h"
#include "libfs/memory.h"

enum { PIECE_LARGE = 64 << 10, FILE_LARGE = 1 << 20 };

/*
 * Begins the next piece, of at most `most` bytes: claims a slot and says where the data is. Returns the piece's size, or an
 * error; *ret_direct, if it is not 0, says whether the service moves the data.
 */
static int64_t data_begin(struct fs_op *op, enum wire_op code, struct fs_file *f, struct cursor *c, uint64_t most,
			  int *ret_direct)
{
	uint64_t n = most < WIRE_BULK ? most : WIRE_BULK;
	int64_t r = fs_op_begin(op, code, f->session, n);
	char *p = 0;

	if (r < 0)
		return r;
	/* (A stack does not grow for the service: the program's own touch must come first.) */
	*ret_direct = *ret_direct && n >= fs_front()->cma_min && cursor_range(c, &p) >= n && fs_memory_readable((uint64_t)p, 1);
	if (*ret_direct) {
		op->q->where = WIRE_IN_CLIENT;
		op->q->more.address = (uint64_t)p;
	}
	op->q->handle = f->handle;
	op->q->length = n;
	op->q->out_max = (uint32_t)n;
	return (int64_t)n;
}

static void data_at(struct fs_op *op, uint64_t offset)
{
	op->q->offset = offset;
	if (offset == FS_KEPT)
		op->q->flags = WIRE_OWN_OFFSET;
}

static uint64_t data_forward(uint64_t offset, int64_t done)
{
	return offset == FS_KEPT ? FS_KEPT : offset + (uint64_t)done;
}

static int64_t data_moved(uint64_t n)
{
	return n ? (int64_t)n : -EFAULT;
}

static int64_t data_read_piece(struct fs_file *f, struct cursor *c, uint64_t offset, int64_t *ret_wanted)
{
	uint64_t size = 0, change = keep_reading(f, offset, &size);
	struct fs_op op;
	int direct = !change;
	int64_t r = data_begin(&op, WIRE_READ, f, c, change && size > c->left ? size : c->left, &direct);

	if (r < 0)
		return r;
	*ret_wanted = r;
	data_at(&op, offset);
	op.q->flags |= offset ? 0 : WIRE_LEARN;
	r = fs_op_call(&op);
	if (r > *ret_wanted)
		r = -EIO;
	if (r > 0 && change)
		keep_was_read(f, change, op.payload, (uint64_t)r);
	if (r > (int64_t)c->left)
		r = *ret_wanted = (int64_t)c->left;
	if (r > 0) {
		if (direct)
			cursor_forward(c, (uint64_t)r);
		else
			r = data_moved(cursor_copy(c, op.payload, (uint64_t)r, 1, fs_front()->smo_min));
	}
	fs_op_end(&op);
	return r;
}

/* Whoever reads a file to its end asks once more: there is nothing, as long as the file is no longer than it was. */
static int data_at_end(const struct fs_file *f, uint64_t offset)
{
	uint64_t size;

	return offset && offset < FS_HANDED && f->type == S_IFREG && !(f->flags & O_DIRECT) &&
	       lease_change(f->mount, f->ino, &size) && offset >= size;
}

/* Who begins to read a large file by large pieces will read all of it, and is to have it like one that has (direct.c). */
static void data_foresee(struct fs_file *f, const struct cursor *c, uint64_t offset)
{
	uint64_t size;

	if (!f->heat && c->left >= PIECE_LARGE && offset < FS_HANDED && f->type == S_IFREG && lease_change(f->mount, f->ino, &size) &&
	    offset < size && size - offset >= FILE_LARGE)
		direct_warm(f, FILE_LARGE, 0);
}

int64_t fs_readv(struct fs_file *f, const struct iovec *iov, int count, uint64_t offset)
{
	int64_t r, wanted = 0, done = 0, copied = 0;
	struct cursor c;
	int end = 0;

	cursor_init(&c, iov, count);
	if (!f->share && offset < FS_HANDED && keep_read(f, &c, offset, &done)) {
		front_count(WIRE_COUNT_KEPT, 1);
		return done;
	}
	if (!f->share && data_at_end(f, offset))
		return 0;
	if (!f->share)
		data_foresee(f, &c, offset);
	if (f->share && offset < FS_HANDED)
		done = copied = direct_read(f, &c, offset, &end);
	if (end || !c.left)
		return done;
	do {
		r = data_read_piece(f, &c, data_forward(offset, done), &wanted);
		if (r < 0)
			return done ? done : r;
		done += r;
	} while (r == wanted && c.left);
	if (offset < FS_HANDED)
		direct_warm(f, (uint64_t)(done - copied), 0);
	return done;
}

static int64_t data_write_piece(struct fs_file *f, struct cursor *c, uint64_t offset, uint32_t flags,
				int64_t *ret_wanted, uint64_t *ret_end)
{
	struct cursor start = *c;
	struct fs_op op;
	int direct = 1;
	int64_t r = data_begin(&op, WIRE_WRITE, f, c, c->left, &direct);

	if (r < 0)
		return r;
	*ret_wanted = r;
	if (!direct)
		r = data_moved(cursor_copy(c, op.payload, (uint64_t)r, 0, fs_front()->smo_min));
	data_at(&op, offset);
	op.q->flags |= fs_file_alone(f);
	op.q->arg = flags;
	op.q->length = (uint64_t)r;
	if (r >= 0)
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
	int64_t r = 0, wanted = 0, done = 0, copied = 0;
	uint64_t end = offset;
	struct cursor c;

	cursor_init(&c, iov, count);
	if (f->share && offset < FS_HANDED && !flags)
		done = copied = direct_write(f, &c, offset, &end);
	while (r == wanted && c.left) {
		r = data_write_piece(f, &c, data_forward(offset, done), flags, &wanted, &end);
		if (r < 0 && !done)
			return r;
		done += r > 0 ? r : 0;
	}
	if (done > copied && offset < FS_HANDED && !flags)
		direct_warm(f, (uint64_t)(done - copied), 1);
	if (ret_end)
		*ret_end = end;
	return done;
}

int64_t fs_getdents(struct fs_file *f, void *buf, uint64_t size, uint64_t cookie, uint64_t *ret_next)
{
	uint64_t room = size < WIRE_BULK ? size : WIRE_BULK;
	struct fs_op op;
	int64_t r;

	if (cookie < FS_HANDED && keep_list(f, buf, size, cookie, ret_next, &r)) {
		front_count(WIRE_COUNT_KEPT, 1);
		return r;
	}
	r = fs_op_begin(&op, WIRE_GETDENTS, f->session, room);
	if (r < 0)
		return r;
	op.q->handle = f->handle;
	data_at(&op, cookie);
	op.q->out_max = (uint32_t)room;
	op.q->flags |= cookie ? 0 : WIRE_WANT_DATA;
	r = fs_op_call(&op);
	if (r > (int64_t)room)
		r = -EIO;
	if (r > 0 && !fs_memory_writable((uint64_t)buf, (uint64_t)r))
		r = -EFAULT;
	if (r >= 0) {
		copy_any(buf, op.payload, (uint64_t)r, fs_front()->smo_min);
		*ret_next = op.a->offset;
		if (op.a->arg & WIRE_LISTED_ALL)
			keep_put(f->mount, f->ino, op.a->change, op.payload, (uint64_t)r);
	}
	fs_op_end(&op);
	return r;
}

int64_t fs_copy(struct fs_file *in, uint64_t in_off, struct fs_file *out, uint64_t out_off, uint64_t length)
{
	struct fs_op op;
	uint64_t size;
	int64_t r;

	if (in->session != out->session)
		return -EIO;
	/* Whoever copies a file asks once more when it has all of it. */
	if (in->type == S_IFREG && lease_change(in->mount, in->ino, &size) && in_off >= size)
		return 0;
	r = fs_op_begin(&op, WIRE_COPY, in->session, 0);
	if (r < 0)
		return r;
	op.q->flags = fs_file_alone(out);
	op.q->handle = in->handle;
	op.q->base = out->handle;
	op.q->offset = in_off;
	op.q->arg = out_off;
	op.q->length = length;
	return fs_op_finish(&op);
}
