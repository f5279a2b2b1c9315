/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Extended attributes. Those that begin with "ceph." are Ceph's own: quotas, layouts, statistics of directories.
 */
#include <errno.h>
#include <linux/limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "libservices/ceph/ceph.h"

/* The system's attributes, ACLs, are none that libcephfs knows. */
static int name_check(const struct ceph_inode *inode, const char *name)
{
	int r = ls_xattr_check(inode->type, name);

	if (ls_xattr_in(name, "system."))
		return r == -ERANGE ? r : -EOPNOTSUPP;
	return r == -EOPNOTSUPP && ls_xattr_in(name, "ceph.") ? 0 : r;
}

static ssize_t get_run(struct ceph_job *j)
{
	return ceph_ll_getxattr(j->client->mount, j->inode->in, j->name, j->buf, j->length, j->perm);
}

static ssize_t list_run(struct ceph_job *j)
{
	size_t n = 0;
	int r = ceph_ll_listxattr(j->client->mount, j->inode->in, j->buf, j->length, &n, j->perm);

	return r < 0 ? r : (ssize_t)n;
}

/* A job that leaves bytes in its memory, of which the caller asked for `size`, or for how many there are. */
static ssize_t job_get(struct ceph_job *j, void *buf, size_t size)
{
	ssize_t n = ceph_job_room(j, XATTR_SIZE_MAX);

	j->length = XATTR_SIZE_MAX;
	if (n == 0)
		n = ceph_job_do(&j);
	if (n > 0 && size && (size_t)n > size)
		n = -ERANGE;
	if (n > 0 && size)
		memcpy(buf, j->buf, n);
	ceph_job_end(j);
	return n;
}

ssize_t ceph_getxattr_op(struct ls *ls, const struct ls_call *call, struct ls_inode *inode, const char *name, void *buf,
			 size_t size)
{
	struct ceph_job *j;
	int r = name_check(ceph_inode_of(inode), name);

	if (r == 0)
		r = ceph_job_named(ceph_of(ls), call, get_run, inode, name, &j);
	return r < 0 ? r == -EPERM ? -ENODATA : r : job_get(j, buf, size);
}

ssize_t ceph_listxattr_op(struct ls *ls, const struct ls_call *call, struct ls_inode *inode, char *buf, size_t size)
{
	struct ceph_job *j = ceph_job_on(ceph_of(ls), call, list_run, inode);

	return j ? job_get(j, buf, size) : -ENOMEM;
}

static ssize_t set_run(struct ceph_job *j)
{
	return ceph_ll_setxattr(j->client->mount, j->inode->in, j->name, j->buf, j->length, j->flags, j->perm);
}

int ceph_setxattr_op(struct ls *ls, const struct ls_call *call, struct ls_inode *inode, const char *name,
		     const void *buf, size_t size, int flags)
{
	struct ceph_job *j;
	int r = size > XATTR_SIZE_MAX ? -E2BIG : name_check(ceph_inode_of(inode), name);

	if (r == 0)
		r = ceph_job_named(ceph_of(ls), call, set_run, inode, name, &j);
	if (r < 0)
		return r;
	r = ceph_job_room(j, size + 1); /* without memory libcephfs would remove the attribute */
	if (r < 0) {
		ceph_job_end(j);
		return r;
	}
	if (size)
		memcpy(j->buf, buf, size);
	j->length = size;
	j->flags = flags;
	return ceph_job_do_end(j);
}

static ssize_t remove_run(struct ceph_job *j)
{
	return ceph_ll_removexattr(j->client->mount, j->inode->in, j->name, j->perm);
}

int ceph_removexattr_op(struct ls *ls, const struct ls_call *call, struct ls_inode *inode, const char *name)
{
	struct ceph_job *j;
	int r = name_check(ceph_inode_of(inode), name);

	if (r == 0)
		r = ceph_job_named(ceph_of(ls), call, remove_run, inode, name, &j);
	return r < 0 ? r : ceph_job_do_end(j);
}
