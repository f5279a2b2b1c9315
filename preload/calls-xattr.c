/* SPDX-License-Identifier: Apache-2.0 */
/* Extended attributes: four operations, each by path, by path without following, and by descriptor. */
#include <fcntl.h>
#include "preload/calls.h"

enum how { BY_PATH, BY_LINK, BY_DESCRIPTOR };

static int xattr_resolve(struct preload_regs *r, enum how how, struct target *t)
{
	if (how == BY_DESCRIPTOR)
		return path_descriptor(r->a[0], t);
	if (!path_resolve((uint64_t)AT_FDCWD, r->a[0], t))
		return 0;
	if (how == BY_LINK)
		t->o.flags |= WIRE_NOFOLLOW;
	return 1;
}

static int name_good(uint64_t name)
{
	return fs_memory_text(name) >= 0;
}

/* Longer ones are refused for their length. */
static int value_good(uint64_t value, uint64_t size)
{
	return size > 65536 || fs_memory_readable(value, size);
}

static int get(struct preload_regs *r, enum how how)
{
	struct target t;

	if (!name_good(r->a[1]) || !xattr_resolve(r, how, &t))
		return 0;
	return path_done(r, &t, fs_getxattr(&t.o, (const char *)r->a[1], (void *)r->a[2], r->a[3]));
}

static int set(struct preload_regs *r, enum how how)
{
	struct target t;

	if (!name_good(r->a[1]) || !value_good(r->a[2], r->a[3]) || (r->a[4] & ~3ull) ||
	    !xattr_resolve(r, how, &t))
		return 0;
	return path_done(r, &t,
			 fs_setxattr(&t.o, (const char *)r->a[1], (const void *)r->a[2], r->a[3], (int)r->a[4]));
}

static int list(struct preload_regs *r, enum how how)
{
	struct target t;

	if (!xattr_resolve(r, how, &t))
		return 0;
	return path_done(r, &t, fs_listxattr(&t.o, (void *)r->a[1], r->a[2]));
}

static int removal(struct preload_regs *r, enum how how)
{
	struct target t;

	if (!name_good(r->a[1]) || !xattr_resolve(r, how, &t))
		return 0;
	return path_done(r, &t, fs_removexattr(&t.o, (const char *)r->a[1]));
}

#define XATTR(name, operation, how)            \
	int call_##name(struct preload_regs *r) \
	{                                       \
		return operation(r, how);       \
	}
XATTR(getxattr, get, BY_PATH)
XATTR(lgetxattr, get, BY_LINK)
XATTR(fgetxattr, get, BY_DESCRIPTOR)
XATTR(setxattr, set, BY_PATH)
XATTR(lsetxattr, set, BY_LINK)
XATTR(fsetxattr, set, BY_DESCRIPTOR)
XATTR(listxattr, list, BY_PATH)
XATTR(llistxattr, list, BY_LINK)
XATTR(flistxattr, list, BY_DESCRIPTOR)
XATTR(removexattr, removal, BY_PATH)
XATTR(lremovexattr, removal, BY_LINK)
XATTR(fremovexattr, removal, BY_DESCRIPTOR)
#undef XATTR
