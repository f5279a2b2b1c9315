/* SPDX-License-Identifier: Apache-2.0 */
/* Attributes of files, plain and extended, and of the file system. */
#include <errno.h>
#include <sys/stat.h>
#include "ipc/copy.h"
#include "ipc/sys.h"
#include "libfs/internal.h"
#include "libfs/lease.h"
#include "libfs/memory.h"

enum {
	ATTR_NAME_MAX = 255,
	ATTR_VALUE_MAX = 65536,
};

int64_t fs_getattr(const struct fs_object *o, struct wire_attr *ret)
{
	enum lease_answer known = lease_getattr(o, ret);
	struct fs_op op;
	int64_t r;

	if (known != LEASE_ASK)
		return known == LEASE_THERE ? 0 : -ENOENT;
	r = fs_op_object(&op, WIRE_GETATTR, o, 0);
	if (r < 0)
		return r;
	op.q->flags |= WIRE_LEARN;
	r = fs_op_call(&op);
	if (r >= 0)
		*ret = op.a->attr;
	fs_op_end(&op);
	return r;
}

int64_t fs_setattr(const struct fs_object *o, const struct fs_setattr *in)
{
	struct fs_op op;
	int64_t r = fs_op_object(&op, WIRE_SETATTR, o, sizeof(in->times));

	if (r < 0)
		return r;
	op.q->arg = in->set;
	op.q->mode = in->mode;
	op.q->offset = in->size;
	op.q->more.arg2 = in->owner;
	op.q->length = sizeof(in->times);
	mem_copy(op.payload + op.filled, &in->times, sizeof(in->times));
	return fs_op_finish(&op);
}

int64_t fs_statfs(const struct fs_object *o, struct wire_statfs *ret)
{
	struct fs_op op;
	int64_t r = fs_op_object(&op, WIRE_STATFS, o, sizeof(*ret));

	if (r < 0)
		return r;
	op.q->out_max = sizeof(*ret);
	r = fs_op_call(&op);
	if (r >= 0)
		mem_copy(ret, op.payload, sizeof(*ret));
	fs_op_end(&op);
	return r;
}

/* The length of an attribute's name; -ERANGE as the kernel says it of names too long or empty. */
static int64_t attr_name(const char *name)
{
	uint32_t n = 0;

	while (n <= ATTR_NAME_MAX && name[n])
		n++;
	return n && n <= ATTR_NAME_MAX ? (int64_t)n : -ERANGE;
}

/* Sends it and copies what comes back, if the caller has room: `size` 0 asks for the length only. */
static int64_t attr_fetch(struct fs_op *op, void *buf, uint64_t size)
{
	int64_t r;

	op->q->out_max = size < ATTR_VALUE_MAX ? (uint32_t)size : ATTR_VALUE_MAX;
	r = fs_op_call(op);
	if (r > 0 && size) {
		uint64_t n = (uint64_t)r < size ? (uint64_t)r : size;
		if (fs_memory_writable((uint64_t)buf, n))
			copy_smc(buf, op->payload, n);
		else
			r = -EFAULT;
	}
	fs_op_end(op);
	return r;
}

/* Attributes that all may ask for, whatever the mode, and that are not there. */
static int attr_absent(const struct fs_object *o, const char *name)
{
	int access = str_equal(name, "system.posix_acl_access"), initial = str_equal(name, "system.posix_acl_default");
	struct wire_attr attr;
	uint32_t type;

	if (!access && !initial && !(str_begins(name, "security.") && name[9]))
		return 0;
	if (!lease_is_bare(o, &attr))
		return 0;
	type = attr.mode & S_IFMT;
	return access ? type != S_IFLNK : !initial || type == S_IFDIR;
}

int64_t fs_getxattr(const struct fs_object *o, const char *name, void *buf, uint64_t size)
{
	int64_t r, len = attr_name(name);
	struct fs_op op;

	if (len < 0)
		return len;
	if (attr_absent(o, name))
		return -ENODATA;
	r = fs_op_object(&op, WIRE_GETXATTR, o, ATTR_NAME_MAX + 1 + (size < ATTR_VALUE_MAX ? size : ATTR_VALUE_MAX));
	if (r < 0)
		return r;
	op.q->flags |= WIRE_LEARN;
	fs_op_string(&op, name, (uint32_t)len);
	return attr_fetch(&op, buf, size);
}

int64_t fs_setxattr(const struct fs_object *o, const char *name, const void *value, uint64_t size, int flags)
{
	int64_t r, len = attr_name(name);
	struct fs_op op;

	if (len < 0)
		return len;
	if (size > ATTR_VALUE_MAX)
		return -E2BIG;
	r = fs_op_object(&op, WIRE_SETXATTR, o, ATTR_NAME_MAX + 1 + size);
	if (r < 0)
		return r;
	fs_op_string(&op, name, (uint32_t)len);
	op.q->arg = (uint64_t)(uint32_t)flags;
	op.q->length = size;
	copy_smc(op.payload + op.filled, value, size);
	return fs_op_finish(&op);
}

int64_t fs_listxattr(const struct fs_object *o, void *buf, uint64_t size)
{
	struct wire_attr attr;
	struct fs_op op;
	int64_t r;

	if (lease_is_bare(o, &attr))
		return 0;
	r = fs_op_object(&op, WIRE_LISTXATTR, o, size < ATTR_VALUE_MAX ? size : ATTR_VALUE_MAX);
	if (r < 0)
		return r;
	op.q->flags |= WIRE_LEARN;
	return attr_fetch(&op, buf, size);
}

int64_t fs_removexattr(const struct fs_object *o, const char *name)
{
	int64_t r, len = attr_name(name);
	struct fs_op op;

	if (len < 0)
		return len;
	r = fs_op_object(&op, WIRE_REMOVEXATTR, o, ATTR_NAME_MAX + 1);
	if (r < 0)
		return r;
	fs_op_string(&op, name, (uint32_t)len);
	return fs_op_finish(&op);
}

int64_t fs_watch(const struct fs_object *o)
{
	struct fs_op op;
	int64_t r = fs_op_object(&op, WIRE_WATCH, o, 0);

	return r < 0 ? r : fs_op_finish(&op);
}
