/* SPDX-License-Identifier: Apache-2.0 */
/* Copying to the writable branch what an inode is made of: data (holes stay holes), extended attributes, attributes. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libservices/union/union.h"

enum { COPY_BUFFER = 1 << 20, XATTR_LIST = 65536, XATTR_VALUE = 65536 };

static int write_all(struct union_fs *u, const struct ls_call *call, struct ls_file *to, char *buf, size_t length,
		     off_t offset)
{
	struct iovec iov = {buf, length};
	off_t end;
	ssize_t n;

	while (iov.iov_len > 0) {
		n = ls_write(u->ls->below[0], call, to, &iov, 1, offset, 0, &end);
		if (n <= 0)
			return n < 0 ? n : -EIO;
		iov.iov_base = (char *)iov.iov_base + n;
		iov.iov_len -= n;
		offset += n;
	}
	return 0;
}

/* How much was copied: less than length at the end of the file. */
static ssize_t copy_piece(struct union_fs *u, const struct ls_call *call, struct ls *from, struct ls_file *in,
			  struct ls_file *out, char *buf, off_t offset, size_t length)
{
	struct iovec iov = {buf, length < COPY_BUFFER ? length : COPY_BUFFER};
	ssize_t n = ls_read(from, call, in, &iov, 1, offset);
	int r = n > 0 ? write_all(u, call, out, buf, n, offset) : 0;

	return r < 0 ? r : n;
}

/* The next range with data from offset on, or all that is left where the branch cannot tell. */
static off_t next_data(struct ls *from, const struct ls_call *call, struct ls_file *in, off_t offset, off_t size,
		       off_t *ret_end)
{
	off_t data = ls_seek(from, call, in, offset, SEEK_DATA), end;

	*ret_end = size;
	if (data < 0)
		return data == -ENXIO ? size : offset;
	end = ls_seek(from, call, in, data, SEEK_HOLE);
	if (end > data && end < size)
		*ret_end = end;
	return data;
}

static int copy_file(struct union_fs *u, const struct ls_call *call, struct ls *from, struct ls_file *in,
		     struct ls_file *out, off_t size)
{
	char *buf = malloc(COPY_BUFFER);
	off_t at = 0, end = 0;
	ssize_t n = buf ? 0 : -ENOMEM;

	while (n >= 0 && at < size) {
		if (at == end)
			at = next_data(from, call, in, at, size, &end);
		if (at >= size)
			break;
		n = copy_piece(u, call, from, in, out, buf, at, end - at);
		if (n == 0)
			break;
		at += n > 0 ? n : 0;
		if (n > 0)
			__atomic_add_fetch(&u->copied_bytes, n, __ATOMIC_RELAXED);
	}
	free(buf);
	return n < 0 ? n : 0;
}

int union_copy_data(struct union_fs *u, const struct ls_call *call, const struct union_real *from,
		    struct ls_file *to, uint64_t size)
{
	struct ls *below = u->ls->below[from->branch];
	struct ls_file *in;
	int r = ls_open(below, call, from->inode, O_RDONLY | O_NOATIME, &in);

	if (r < 0)
		return r;
	r = copy_file(u, call, below, in, to, size);
	ls_release(below, call, in);
	return r;
}

static int copy_xattr(struct union_fs *u, const struct ls_call *call, const struct union_real *from,
		      struct ls_inode *to, const char *name, char *buf)
{
	ssize_t n = ls_getxattr(u->ls->below[from->branch], call, from->inode, name, buf, XATTR_VALUE);
	int r;

	if (n < 0)
		return n == -ENODATA ? 0 : n;
	r = ls_setxattr(u->ls->below[0], call, to, name, buf, n, 0);
	/* Nothing but access control lists matters so much that a branch without them could not take the file. */
	return r == -EOPNOTSUPP && strncmp(name, "system.posix_acl", 16) != 0 ? 0 : r;
}

/* Is it a mark that is about the inode's place in its branch? Those that users put there are copied. */
static bool mark_stays(const struct union_fs *u, const char *name)
{
	return union_mark_is(u, name) && strncmp(name + strlen(u->prefix), "overlay.", 8) != 0;
}

int union_copy_xattrs(struct union_fs *u, const struct ls_call *call, const struct union_real *from,
		      struct ls_inode *to)
{
	char *list = malloc(XATTR_LIST + XATTR_VALUE);
	ssize_t n = list ? ls_listxattr(u->ls->below[from->branch], call, from->inode, list, XATTR_LIST) : -ENOMEM;
	int r = n < 0 && n != -EOPNOTSUPP ? n : 0;

	for (ssize_t at = 0; at < n && r == 0; at += strlen(list + at) + 1)
		if (!mark_stays(u, list + at))
			r = copy_xattr(u, call, from, to, list + at, list + XATTR_LIST);
	free(list);
	return r;
}

/* The owner first: a change of owner may take set-id bits away. The times last. */
int union_copy_attr(struct union_fs *u, const struct ls_call *call, const struct ls_attr *attr, struct ls_inode *to)
{
	unsigned set = LS_SET_UID | LS_SET_GID | LS_SET_ATIME | LS_SET_MTIME | (S_ISLNK(attr->mode) ? 0 : LS_SET_MODE);
	struct ls_attr after;

	return ls_setattr(u->ls->below[0], call, to, NULL, attr, set, &after);
}
