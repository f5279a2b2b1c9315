/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Open files. A file below stays below while it is only read, even if it was opened for writing: the first change
 * copies it up. Then every open file of the inode changes to the copy, so all see one file.
 *
 * A file above stays there: its operations take no lock here. A file below is used under inode.content.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "libservices/union/union.h"

int union_file_new(struct union_fs *u, const struct ls_call *call, struct union_inode *inode, struct ls_file *below,
		   unsigned branch, int flags, struct ls_file **ret)
{
	struct union_file *f = calloc(1, sizeof(*f));

	if (!f) {
		if (below)
			ls_release(u->ls->below[branch], call, below);
		return -ENOMEM;
	}
	f->inode = union_inode_ref(u, inode);
	f->below = below;
	f->branch = branch;
	f->flags = flags;
	if (branch > 0 || !u->writable) { /* those that may have to change */
		f->next = inode->files;
		inode->files = f;
	}
	*ret = (struct ls_file *)f;
	return 0;
}

static int dir_open(struct union_fs *u, const struct ls_call *call, struct union_inode *dir, int flags,
		    struct ls_file **ret)
{
	int r;

	if ((flags & O_ACCMODE) != O_RDONLY)
		return -EISDIR;
	r = union_file_new(u, call, dir, NULL, 0, flags, ret);
	if (r < 0)
		return r;
	pthread_mutex_lock(&dir->lock);
	dir->open_count++;
	pthread_mutex_unlock(&dir->lock);
	return 0;
}

static int file_open(struct union_fs *u, const struct ls_call *call, struct union_inode *inode, int flags,
		     struct ls_file **ret)
{
	struct union_real real;
	struct ls_file *f;
	int r, use = flags;

	pthread_rwlock_wrlock(&inode->content);
	real = inode->real;
	if (real.branch > 0)
		use = (flags & ~(O_ACCMODE | O_APPEND)) | O_RDONLY | O_NOATIME;
	r = inode->parts ? union_parts_open(u, call, inode->parts) : 0;
	if (r == 0)
		r = ls_open(u->ls->below[real.branch], call, real.inode, use, &f);
	if (r == 0)
		r = union_file_new(u, call, inode, f, real.branch, flags, ret);
	pthread_rwlock_unlock(&inode->content);
	return r;
}

int union_open(struct ls *ls, const struct ls_call *call, struct ls_inode *ls_inode, int flags,
	       struct ls_file **ret_file)
{
	struct union_inode *inode = union_inode_of(ls_inode);

	if (union_is_dir(inode))
		return dir_open(union_of(ls), call, inode, flags, ret_file);
	if (flags & O_DIRECTORY)
		return -ENOTDIR;
	if (!union_of(ls)->writable && (flags & O_ACCMODE) != O_RDONLY && inode->type == S_IFREG)
		return -EROFS;
	return file_open(union_of(ls), call, inode, flags, ret_file);
}

/* Out of the list of those that may have to change, if it is there. */
static void file_unlist(struct union_file *f)
{
	struct union_file **p = &f->inode->files;

	while (*p && *p != f)
		p = &(*p)->next;
	if (*p)
		*p = f->next;
}

void union_release(struct ls *ls, const struct ls_call *call, struct ls_file *ls_file)
{
	struct union_file *f = union_file_of(ls_file);
	struct union_inode *inode = f->inode;

	if (union_is_dir(inode)) {
		pthread_mutex_lock(&inode->lock);
		inode->open_count--;
		file_unlist(f);
		pthread_mutex_unlock(&inode->lock);
	} else {
		pthread_rwlock_wrlock(&inode->content);
		file_unlist(f);
		pthread_rwlock_unlock(&inode->content);
		ls_release(ls->below[f->branch], call, f->below);
	}
	free(f);
	union_inode_unref(union_of(ls), call, inode, 1);
}

/* The handle below, held where it is until file_done. */
static struct ls_file *file_use(struct ls *ls, struct union_file *f, bool *held, struct ls **below)
{
	*held = !union_is_above(f->inode) || union_is_partial(f->inode);
	if (*held)
		pthread_rwlock_rdlock(&f->inode->content);
	*below = ls->below[f->branch];
	return f->below;
}

static void file_done(struct union_file *f, bool held)
{
	if (held)
		pthread_rwlock_unlock(&f->inode->content);
}

/* Before a change. */
static int file_up(struct ls *ls, const struct ls_call *call, struct union_file *f)
{
	if (union_is_dir(f->inode))
		return -EISDIR;
	if (union_is_above(f->inode))
		return 0;
	return union_of(ls)->writable ? union_up(union_of(ls), call, f->inode) : -EROFS;
}

ssize_t union_read(struct ls *ls, const struct ls_call *call, struct ls_file *ls_file, const struct iovec *iov,
		   int iovcnt, off_t offset)
{
	struct union_file *f = union_file_of(ls_file);
	struct ls *below;
	bool held;
	ssize_t n;

	if (union_is_dir(f->inode))
		return -EISDIR;
	ls_file = file_use(ls, f, &held, &below);
	if (held && f->inode->parts)
		n = union_parts_read(union_of(ls), call, f->inode, iov, iovcnt, offset);
	else
		n = ls_read(below, call, ls_file, iov, iovcnt, offset);
	file_done(f, held);
	return n;
}

ssize_t union_write(struct ls *ls, const struct ls_call *call, struct ls_file *ls_file, const struct iovec *iov,
		    int iovcnt, off_t offset, unsigned flags, off_t *ret_end)
{
	struct union_file *f = union_file_of(ls_file);
	ssize_t n = file_up(ls, call, f);

	if (n < 0)
		return n;
	if (!union_is_partial(f->inode))
		return ls_write(ls->below[0], call, f->below, iov, iovcnt, offset, flags, ret_end);
	pthread_rwlock_wrlock(&f->inode->content);
	if (f->inode->parts)
		n = union_parts_write(union_of(ls), call, f->inode, f->below, iov, iovcnt, offset, flags, ret_end);
	else
		n = ls_write(ls->below[0], call, f->below, iov, iovcnt, offset, flags, ret_end);
	pthread_rwlock_unlock(&f->inode->content);
	return n;
}

/* An operation that parts.c knows nothing of needs the whole file. */
static int file_complete(struct union_fs *u, const struct ls_call *call, struct union_inode *inode)
{
	int r = 0;

	if (!union_is_partial(inode))
		return 0;
	pthread_rwlock_wrlock(&inode->content);
	if (inode->parts)
		r = union_parts_complete(u, call, inode);
	pthread_rwlock_unlock(&inode->content);
	return r;
}

/* What is below was on disk before; a directory's names are the writable branch's. */
int union_fsync(struct ls *ls, const struct ls_call *call, struct ls_file *ls_file, int datasync)
{
	struct union_file *f = union_file_of(ls_file);
	struct ls_inode *above;
	int r;

	if (!union_is_above(f->inode))
		return 0;
	if (!union_is_dir(f->inode))
		return ls_fsync(ls->below[0], call, f->below, datasync);
	pthread_mutex_lock(&f->inode->lock);
	above = union_above(f->inode);
	pthread_mutex_unlock(&f->inode->lock);
	r = ls_open(ls->below[0], call, above, O_RDONLY | O_DIRECTORY, &ls_file);
	if (r < 0)
		return r;
	r = ls_fsync(ls->below[0], call, ls_file, datasync);
	ls_release(ls->below[0], call, ls_file);
	return r;
}

int union_fallocate(struct ls *ls, const struct ls_call *call, struct ls_file *ls_file, int mode, off_t offset,
		    off_t length)
{
	struct union_file *f = union_file_of(ls_file);
	int r = file_up(ls, call, f);

	if (r == 0)
		r = file_complete(union_of(ls), call, f->inode);
	return r < 0 ? r : ls_fallocate(ls->below[0], call, f->below, mode, offset, length);
}

/* It is all data, as a file may be. */
static off_t parts_seek(struct ls *ls, const struct ls_call *call, struct union_inode *inode, off_t offset, int whence)
{
	struct ls_attr attr;
	int r = ls_getattr(ls->below[inode->real.branch], call, inode->real.inode, NULL, &attr);

	if (r < 0)
		return r;
	if (whence != SEEK_DATA && whence != SEEK_HOLE)
		return -EINVAL;
	if (offset < 0 || (uint64_t)offset >= attr.size)
		return -ENXIO;
	return whence == SEEK_DATA ? offset : (off_t)attr.size;
}

off_t union_seek(struct ls *ls, const struct ls_call *call, struct ls_file *ls_file, off_t offset, int whence)
{
	struct union_file *f = union_file_of(ls_file);
	struct ls *below;
	bool held;
	off_t r;

	if (union_is_dir(f->inode))
		return -EINVAL;
	ls_file = file_use(ls, f, &held, &below);
	if (held && f->inode->parts)
		r = parts_seek(ls, call, f->inode, offset, whence);
	else
		r = ls_seek(below, call, ls_file, offset, whence);
	file_done(f, held);
	return r;
}

/* Only inside of the writable branch. */
ssize_t union_copy(struct ls *ls, const struct ls_call *call, struct ls_file *in, off_t in_off, struct ls_file *out,
		   off_t out_off, size_t length)
{
	int r;

	if (union_is_dir(union_file_of(in)->inode) || union_is_dir(union_file_of(out)->inode))
		return -EISDIR;
	r = file_up(ls, call, union_file_of(out));
	if (r < 0)
		return r;
	if (!union_is_above(union_file_of(in)->inode) || union_is_partial(union_file_of(in)->inode) ||
	    union_is_partial(union_file_of(out)->inode))
		return -EOPNOTSUPP;
	return ls_copy(ls->below[0], call, union_file_of(in)->below, in_off, union_file_of(out)->below, out_off,
		       length);
}

int union_advise(struct ls *ls, const struct ls_call *call, struct ls_file *ls_file, off_t offset, off_t length,
		 int advice)
{
	struct union_file *f = union_file_of(ls_file);
	struct ls *below;
	bool held;
	int r;

	if (union_is_dir(f->inode))
		return 0;
	ls_file = file_use(ls, f, &held, &below);
	r = ls_advise(below, call, ls_file, offset, length, advice);
	file_done(f, held);
	return r;
}

int union_reserve(struct ls *ls, const struct ls_call *call, struct ls_file *ls_file, off_t offset, off_t length)
{
	struct union_file *f = union_file_of(ls_file);
	int r = file_up(ls, call, f);

	return r < 0 ? r : ls_reserve(ls->below[0], call, f->below, offset, length);
}

/* ---- of inodes ------------------------------------------------------------------------------------------- */

int union_getattr(struct ls *ls, const struct ls_call *call, struct ls_inode *inode, struct ls_file *f,
		  struct ls_attr *ret_attr)
{
	return union_attr(union_of(ls), call, union_inode_of(inode), f, ret_attr);
}

/* Data that a truncation takes away is not copied first. */
static int setattr_up(struct union_fs *u, const struct ls_call *call, struct union_inode *inode,
		      const struct ls_attr *in, unsigned set)
{
	if (!u->writable)
		return -EROFS;
	if ((set & LS_SET_SIZE) && inode->type != S_IFREG)
		return union_is_dir(inode) ? -EISDIR : -EINVAL;
	return set & LS_SET_SIZE ? union_up_cut(u, call, inode, in->size) : union_up(u, call, inode);
}

int union_setattr(struct ls *ls, const struct ls_call *call, struct ls_inode *ls_inode, struct ls_file *f,
		  const struct ls_attr *in, unsigned set, struct ls_attr *ret_attr)
{
	struct union_inode *inode = union_inode_of(ls_inode);
	int r = setattr_up(union_of(ls), call, inode, in, set);
	struct ls_inode *above;
	struct ls_attr attr;

	if (r < 0)
		return r;
	if (union_is_dir(inode)) {
		pthread_mutex_lock(&inode->lock);
		above = union_above(inode);
		pthread_mutex_unlock(&inode->lock);
		r = ls_setattr(ls->below[0], call, above, NULL, in, set, &attr);
	} else {
		bool cut = (set & LS_SET_SIZE) && union_is_partial(inode);
		if (cut)
			pthread_rwlock_wrlock(&inode->content);
		r = ls_setattr(ls->below[0], call, inode->real.inode, f ? union_file_of(f)->below : NULL, in, set,
			       &attr);
		if (r == 0 && cut && inode->parts)
			r = union_parts_cut(union_of(ls), call, inode, in->size);
		if (cut)
			pthread_rwlock_unlock(&inode->content);
	}
	return r < 0 ? r : union_attr(union_of(ls), call, inode, f, ret_attr);
}

ssize_t union_readlink(struct ls *ls, const struct ls_call *call, struct ls_inode *ls_inode, char *buf, size_t size)
{
	struct union_inode *inode = union_inode_of(ls_inode);
	ssize_t n;

	if (inode->type != S_IFLNK)
		return -EINVAL;
	pthread_rwlock_rdlock(&inode->content);
	n = ls_readlink(ls->below[inode->real.branch], call, inode->real.inode, buf, size);
	pthread_rwlock_unlock(&inode->content);
	return n;
}
