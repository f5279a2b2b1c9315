/* SPDX-License-Identifier: Apache-2.0 */
/* Operations on names: what makes, finds, moves and removes them. */
#include <errno.h>
#include "ipc/copy.h"
#include "libfs/internal.h"

int64_t fs_open(const struct fs_object *o, uint32_t flags, uint32_t mode, struct fs_opened *ret)
{
	struct fs_op op;
	int64_t r = fs_op_object(&op, WIRE_OPEN, o, 0);

	if (r < 0)
		return r;
	op.q->arg = flags;
	op.q->mode = mode;
	r = fs_op_call(&op);
	if (r >= 0) {
		ret->handle = op.a->handle;
		ret->created = (uint32_t)op.a->arg;
		ret->attr = op.a->attr;
	}
	fs_op_end(&op);
	return r;
}

int64_t fs_mkdir(const struct fs_object *o, uint32_t mode)
{
	struct fs_op op;
	int64_t r = fs_op_object(&op, WIRE_MKDIR, o, 0);

	if (r < 0)
		return r;
	op.q->mode = mode;
	return fs_op_finish(&op);
}

int64_t fs_mknod(const struct fs_object *o, uint32_t mode, uint32_t major, uint32_t minor)
{
	struct fs_op op;
	int64_t r = fs_op_object(&op, WIRE_MKNOD, o, 0);

	if (r < 0)
		return r;
	op.q->mode = mode;
	op.q->arg = (uint64_t)major << 32 | minor;
	return fs_op_finish(&op);
}

int64_t fs_symlink(const struct fs_object *o, const char *target, uint32_t len)
{
	struct fs_op op;
	int64_t r = fs_op_object(&op, WIRE_SYMLINK, o, len + 1);

	if (r < 0)
		return r;
	fs_op_string(&op, target, len);
	return fs_op_finish(&op);
}

/* Two handles in one request must be of one session. */
static int names_mixed(const struct fs_object *o, const struct fs_object *to)
{
	return o->session && to->session && o->session != to->session;
}

static int64_t names_two(enum wire_op code, const struct fs_object *o, const struct fs_object *to, uint64_t arg)
{
	struct fs_object from = *o;
	struct fs_op op;
	int64_t r;

	if (names_mixed(o, to))
		return -EIO;
	if (!from.session)
		from.session = to->session;
	r = fs_op_object(&op, code, &from, to->len + 1);
	if (r < 0)
		return r;
	op.q->base2 = to->base;
	op.q->arg = arg;
	fs_op_string(&op, to->path, to->len);
	return fs_op_finish(&op);
}

int64_t fs_link(const struct fs_object *o, const struct fs_object *to)
{
	return names_two(WIRE_LINK, o, to, 0);
}

int64_t fs_rename(const struct fs_object *o, const struct fs_object *to, uint32_t flags)
{
	return names_two(WIRE_RENAME, o, to, flags);
}

int64_t fs_unlink(const struct fs_object *o)
{
	struct fs_op op;
	int64_t r = fs_op_object(&op, WIRE_UNLINK, o, 0);

	return r < 0 ? r : fs_op_finish(&op);
}

int64_t fs_readlink(const struct fs_object *o, char *buf, uint64_t size)
{
	struct fs_op op;
	int64_t r = fs_op_object(&op, WIRE_READLINK, o, FS_PATH_MAX);

	if (r < 0)
		return r;
	op.q->out_max = size < FS_PATH_MAX ? (uint32_t)size : FS_PATH_MAX;
	r = fs_op_call(&op);
	if (r > 0) {
		if ((uint64_t)r > size)
			r = (int64_t)size;
		copy_smc(buf, op.payload, (uint64_t)r);
	}
	fs_op_end(&op);
	return r;
}

int64_t fs_access(const struct fs_object *o, uint32_t mode)
{
	struct fs_op op;
	int64_t r = fs_op_object(&op, WIRE_ACCESS, o, 0);

	if (r < 0)
		return r;
	op.q->mode = mode;
	return fs_op_finish(&op);
}
