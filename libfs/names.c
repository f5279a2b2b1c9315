/* SPDX-License-Identifier: Apache-2.0 */
/* Operations on names: what makes, finds, moves and removes them. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include "ipc/copy.h"
#include "ipc/front-count.h"
#include "libfs/internal.h"
#include "libfs/keep.h"
#include "libfs/lease.h"
#include "libfs/memory.h"
#include "libfs/park.h"

/*
 * What is known of a file to be opened by a path. Nothing, where the open makes something, or is of the file itself.
 */
static enum lease_answer open_find(const struct fs_object *o, uint32_t flags, struct lease_object *ret)
{
	if ((flags & (O_CREAT | O_PATH)) || (flags & O_TMPFILE) == O_TMPFILE || (o->flags & WIRE_EMPTY))
		return LEASE_ASK;
	return lease_find(o, ret);
}

/* A handle that is parked is as good as a new one, if the caller may read the file now. */
static int open_again(const struct fs_object *o, const struct lease_object *at, uint32_t flags, struct fs_opened *ret)
{
	if (!(at->may & LEASE_MAY_R) || ((flags & O_DIRECTORY) && at->type != S_IFDIR) || !ret->path)
		return 0;
	if (park_take(o, at, flags, ret)) {
		front_count(WIRE_COUNT_REOPENED, 1);
		return 1;
	}
	if (ahead_take(o, at, flags, ret)) {
		front_spared(fs_front());
		front_count(WIRE_COUNT_OPENED_AHEAD, 1);
		return 1;
	}
	return 0;
}

/* How many bytes of it shall come along. */
static uint32_t open_wants(const struct fs_object *o, enum lease_answer known, const struct lease_object *at,
			   uint32_t flags)
{
	if ((flags & (O_ACCMODE | O_CREAT | O_TRUNC | O_DIRECTORY | O_PATH)) || (o->flags & WIRE_EMPTY))
		return 0;
	if (known != LEASE_THERE)
		return keep_wanted(UINT64_MAX);
	if (at->type != S_IFREG || (at->change && keep_has(o->mount, at->ino, at->change)))
		return 0;
	return keep_wanted(at->change ? at->size : UINT64_MAX);
}

static int64_t open_ask(const struct fs_object *o, uint32_t flags, uint32_t mode, int learn, uint32_t want,
			const struct front_meanwhile *meanwhile, struct fs_opened *ret)
{
	struct fs_op op;
	int64_t r = fs_op_object(&op, WIRE_OPEN, o, want > WIRE_INLINE ? want : 0);

	if (r < 0)
		return r;
	op.q->arg = flags;
	op.q->mode = mode;
	op.q->flags |= (learn ? WIRE_LEARN : 0) | (want ? WIRE_WANT_DATA : 0) | (ret->path && park_is_on() ? WIRE_AND_NEXT : 0);
	op.q->out_max = want;
	r = fs_op_call_with(&op, meanwhile);
	if (r >= 0) {
		ret->handle = op.a->handle;
		ret->how = (uint32_t)op.a->arg;
		ret->attr = op.a->attr;
		if ((ret->how & WIRE_OPENED_DATA) && op.a->out_len <= want)
			keep_put(o->mount, ret->attr.ino, op.a->change, op.payload, op.a->out_len);
	}
	fs_op_end(&op);
	return r;
}

int64_t fs_open(const struct fs_object *o, uint32_t flags, uint32_t mode, const struct front_meanwhile *meanwhile,
		struct fs_opened *ret)
{
	struct lease_object at = {0};
	enum lease_answer known = open_find(o, flags, &at);

	if (known == LEASE_ABSENT)
		return -ENOENT;
	ret->how = 0;
	ret->path = park_flags(flags) && o->ino && !(o->flags & WIRE_EMPTY) ?
			    lease_path_hash(o->mount, o->ino, o->path, o->len) : 0;
	if (known == LEASE_THERE && open_again(o, &at, flags, ret))
		return 0;
	return open_ask(o, flags, mode, known == LEASE_ASK, open_wants(o, known, &at, flags), meanwhile,
			ret);
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
	op.q->more.base2 = to->base;
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
	struct lease_object at;
	struct fs_op op;
	int64_t r;

	if (lease_find(o, &at) == LEASE_ABSENT)
		return -ENOENT;
	r = fs_op_object(&op, WIRE_UNLINK, o, 0);
	return r < 0 ? r : fs_op_finish(&op);
}

int64_t fs_readlink(const struct fs_object *o, char *buf, uint64_t size)
{
	struct lease_object at;
	struct fs_op op;
	int64_t r;

	if (!(o->flags & WIRE_EMPTY)) {
		enum lease_answer known = lease_find(o, &at);
		if (known == LEASE_ABSENT)
			return -ENOENT;
		if (known == LEASE_THERE && at.type != S_IFLNK)
			return -EINVAL;
	}
	r = fs_op_object(&op, WIRE_READLINK, o, FS_PATH_MAX);
	if (r < 0)
		return r;
	op.q->flags |= WIRE_LEARN;
	op.q->out_max = size < FS_PATH_MAX ? (uint32_t)size : FS_PATH_MAX;
	r = fs_op_call(&op);
	if (r > 0) {
		if ((uint64_t)r > size)
			r = (int64_t)size;
		if (fs_memory_writable((uint64_t)buf, (uint64_t)r))
			copy_smc(buf, op.payload, (uint64_t)r);
		else
			r = -EFAULT;
	}
	fs_op_end(&op);
	return r;
}

/* R_OK, W_OK, X_OK as flags of the lease; there is a table only for those whose real ids are the effective ones. */
static uint32_t access_may(uint32_t mode)
{
	return (mode & 4 ? LEASE_MAY_R : 0) | (mode & 2 ? LEASE_MAY_W : 0) | (mode & 1 ? LEASE_MAY_X : 0);
}

int64_t fs_access(const struct fs_object *o, uint32_t mode)
{
	struct lease_object at;
	enum lease_answer known = lease_find(o, &at);
	struct fs_op op;
	int64_t r;

	if (known == LEASE_ABSENT)
		return -ENOENT;
	if (known == LEASE_THERE && !(access_may(mode) & ~at.may) && at.type != S_IFLNK)
		return 0;
	r = fs_op_object(&op, WIRE_ACCESS, o, 0);
	if (r < 0)
		return r;
	op.q->flags |= WIRE_LEARN;
	op.q->mode = mode;
	return fs_op_finish(&op);
}
