/* SPDX-License-Identifier: Apache-2.0 */
/* Extended attributes, and what a symbolic link points to. A short list per inode, under attr_lock. */
#include <errno.h>
#include <linux/limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#include "libservices/mem/mem.h"

static const char *xattr_value(const struct mem_xattr *x)
{
	return x->name + x->name_len + 1;
}

static uint64_t xattr_cost(size_t name_len, size_t size)
{
	return sizeof(struct mem_xattr) + name_len + 1 + size;
}

/* Where the attribute's pointer is, or the end of the list. */
static struct mem_xattr **xattr_find(struct mem_inode *inode, const char *name)
{
	struct mem_xattr **p = &inode->xattrs;

	while (*p && strcmp((*p)->name, name) != 0)
		p = &(*p)->next;
	return p;
}

static struct mem_xattr *xattr_new(struct mem *mem, const char *name, const void *value, size_t size)
{
	size_t len = strlen(name);
	struct mem_xattr *x;

	if (mem_charge(mem, xattr_cost(len, size)) < 0)
		return NULL;
	x = malloc(sizeof(*x) + len + 1 + size);
	if (!x) {
		mem_uncharge(mem, xattr_cost(len, size));
		return NULL;
	}
	*x = (struct mem_xattr){.size = size, .name_len = len};
	memcpy(x->name, name, len + 1);
	if (size)
		memcpy(x->name + len + 1, value, size);
	return x;
}

static void xattr_free(struct mem *mem, struct mem_xattr *x)
{
	if (!x)
		return;
	mem_uncharge(mem, xattr_cost(x->name_len, x->size));
	free(x);
}

void mem_xattr_fini(struct mem *mem, struct mem_inode *inode)
{
	struct mem_xattr *x;

	while ((x = inode->xattrs)) {
		inode->xattrs = x->next;
		xattr_free(mem, x);
	}
}

/* Copies out what a buffer of `size` can hold; a size of 0 asks how much there is. */
static ssize_t answer(void *buf, size_t size, const void *from, size_t length)
{
	if (size == 0)
		return length;
	if (size < length)
		return -ERANGE;
	memcpy(buf, from, length);
	return length;
}

ssize_t mem_getxattr(struct ls *ls, const struct ls_call *call, struct ls_inode *ls_inode, const char *name,
		     void *buf, size_t size)
{
	struct mem_inode *inode = mem_inode_of(ls_inode);
	const struct mem_xattr *x;
	ssize_t r = ls_xattr_check(inode->type, name);

	if (r < 0)
		return r == -EPERM || r == -EACCES ? -ENODATA : r;
	pthread_mutex_lock(&inode->attr_lock);
	x = *xattr_find(inode, name);
	r = x ? answer(buf, size, xattr_value(x), x->size) : -ENODATA;
	pthread_mutex_unlock(&inode->attr_lock);
	return r;
}

int mem_setxattr(struct ls *ls, const struct ls_call *call, struct ls_inode *ls_inode, const char *name,
		 const void *buf, size_t size, int flags)
{
	struct mem_inode *inode = mem_inode_of(ls_inode);
	struct mem_xattr **place, *x, *old = NULL;
	int r = ls_xattr_check(inode->type, name);

	if (r < 0)
		return r;
	if (size > XATTR_SIZE_MAX)
		return -E2BIG;
	x = xattr_new(mem_of(ls), name, buf, size);
	if (!x)
		return -ENOSPC;
	pthread_mutex_lock(&inode->attr_lock);
	place = xattr_find(inode, name);
	if ((flags & XATTR_CREATE) && *place)
		r = -EEXIST;
	else if ((flags & XATTR_REPLACE) && !*place)
		r = -ENODATA;
	if (r == 0) {
		old = *place;
		x->next = old ? old->next : NULL;
		*place = x;
	}
	pthread_mutex_unlock(&inode->attr_lock);
	xattr_free(mem_of(ls), r == 0 ? old : x);
	if (r == 0)
		mem_inode_touch(inode, LS_CTIME);
	return r;
}

ssize_t mem_listxattr(struct ls *ls, const struct ls_call *call, struct ls_inode *ls_inode, char *buf,
		      size_t size)
{
	struct mem_inode *inode = mem_inode_of(ls_inode);
	ssize_t length = 0;

	pthread_mutex_lock(&inode->attr_lock);
	for (const struct mem_xattr *x = inode->xattrs; x && length >= 0; x = x->next) {
		size_t n = x->name_len + 1;
		if (size && n > size - length) {
			length = -ERANGE;
			break;
		}
		if (size)
			memcpy(buf + length, x->name, n);
		length += n;
	}
	pthread_mutex_unlock(&inode->attr_lock);
	return length > XATTR_LIST_MAX ? -E2BIG : length;
}

int mem_removexattr(struct ls *ls, const struct ls_call *call, struct ls_inode *ls_inode, const char *name)
{
	struct mem_inode *inode = mem_inode_of(ls_inode);
	struct mem_xattr **place, *x;
	int r = ls_xattr_check(inode->type, name);

	if (r < 0)
		return r;
	pthread_mutex_lock(&inode->attr_lock);
	place = xattr_find(inode, name);
	x = *place;
	if (x)
		*place = x->next;
	pthread_mutex_unlock(&inode->attr_lock);
	if (!x)
		return -ENODATA;
	xattr_free(mem_of(ls), x);
	mem_inode_touch(inode, LS_CTIME);
	return 0;
}

ssize_t mem_readlink(struct ls *ls, const struct ls_call *call, struct ls_inode *ls_inode, char *buf,
		     size_t size)
{
	struct mem_inode *inode = mem_inode_of(ls_inode);
	size_t n;

	if (inode->type != S_IFLNK)
		return -EINVAL;
	n = inode->attr.size < size ? inode->attr.size : size;
	memcpy(buf, inode->target, n); /* neither ever changes */
	mem_inode_accessed(inode);
	return n;
}
