/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One inode at a time: attributes, opening, data, locks.
 *
 * Data and the kernel's page cache: while a FUSE file is open on an inode, a program may have its pages mapped
 * (a mapping keeps the file open). So a read by another door first has the kernel write back what is dirty in
 * that range, and a write drops the range from the kernel's pages before it is acknowledged.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "service/acl-find.h"
#include "service/acl.h"
#include "service/lease.h"
#include "service/limit.h"
#include "service/perm.h"
#include "service/share.h"
#include "service/token.h"
#include "service/vfs.h"
#include "service/vfs-notify.h"

bool (*vfs_written)(void *arg, struct inode *inode);
void *vfs_written_arg;

static struct ls *stack_of(const struct inode *inode)
{
	return inode->fs->stack;
}

int vfs_getattr(struct caller *c, struct inode *inode, struct ofd *ofd, struct ls_attr *ret)
{
	/* Pages written through a mapping have not changed size or times yet; they may change mtime. */
	return ls_getattr(stack_of(inode), &c->call, inode->ls, ofd ? ofd->file : NULL, ret);
}

/* chmod reaches the access ACL, where there is one. */
static void acl_follow_mode(struct caller *c, struct inode *inode, mode_t mode)
{
	char *value;
	ssize_t n = acl_find(c, inode, ACL_OF_ACCESS, &value);
	mode_t old;

	if (n > 0 && acl_mode(value, n, &old) > ACL_NONE && old != (mode & 0777)) {
		acl_chmod(value, n, mode);
		ls_setxattr(stack_of(inode), &c->call, inode->ls, ACL_ACCESS, value, n, 0);
	}
	free(value);
}

/* Nobody must write it without our seeing. Programs whose writes the kernel passes through stand in the way. */
static int set_id_settle(struct caller *c, struct inode *inode, const struct ls_attr *old, struct ls_attr *ret)
{
	if (inode->type != S_IFREG)
		return 0;
	share_end_writers(inode);
	if (!share_kernel_through(inode))
		return 0;
	ls_setattr(stack_of(inode), &c->call, inode->ls, NULL, old, LS_SET_MODE, ret);
	return -ETXTBSY;
}

/*
 * A program that runs is not written to. The kernel sees to that for those who come through it; here it is known by the
 * files that it opened to execute. It may have said that a program has ended, and we not have heard it yet.
 */
static int vfs_not_running(struct caller *c, struct inode *inode)
{
	enum { ROUNDS = 5 };

	if (c->door == DOOR_FUSE)
		return 0;
	for (int n = 0; __atomic_load_n(&inode->executed, __ATOMIC_SEQ_CST); n++) {
		if (n == ROUNDS)
			return -ETXTBSY;
		if (n)
			nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
		inode->fs->hooks->drain(inode->fs->door);
	}
	return 0;
}

/*
 * Nor does a program run from a file that is open to write. Who has closed it, or ended, may not have been heard; so it is
 * refused only when it stays so. To be asked when the file counts as executed, so that nobody begins meanwhile.
 */
static int vfs_not_written(const struct caller *c, struct inode *inode)
{
	enum { ROUNDS = 30 };

	if (c->door != DOOR_FUSE || !vfs_written)
		return 0;
	for (int n = 0; __atomic_load_n(&inode->handles, __ATOMIC_SEQ_CST) && vfs_written(vfs_written_arg, inode); n++) {
		if (n == ROUNDS)
			return -ETXTBSY;
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	}
	return 0;
}

int vfs_setattr(struct caller *c, struct inode *inode, struct ofd *ofd, const struct ls_attr *in, unsigned set,
		struct ls_attr *ret)
{
	struct ls_attr old, new = *in;
	bool by_fd = ofd && (ofd->flags & O_ACCMODE) != O_RDONLY;
	struct lease_change change;
	int r;

	if (inode->fs->rdonly)
		return -EROFS;
	if (set & LS_SET_SIZE) {
		if (inode->type == S_IFDIR)
			return -EISDIR;
		if (inode->type != S_IFREG || (ofd && !by_fd))
			return -EINVAL;
		if ((int64_t)in->size < 0)
			return -EINVAL;
	}
	r = ls_getattr(stack_of(inode), &c->call, inode->ls, NULL, &old);
	if (r == 0)
		r = perm_setattr(c, inode, &old, &new, &set, by_fd);
	if (r == 0 && (set & LS_SET_SIZE) && !by_fd)
		r = vfs_not_running(c, inode);
	if (r == 0 && (set & LS_SET_SIZE) && new.size < old.size)
		notify_data(c, inode, new.size, 0); /* write back first: what follows must not resurrect it */
	if (r < 0)
		return r;
	share_settle(inode);
	lease_change_one(&change, inode, set & (LS_SET_MODE | LS_SET_UID | LS_SET_GID));
	r = ls_setattr(stack_of(inode), &c->call, inode->ls, by_fd ? ofd->file : NULL, &new, set, ret);
	if (r == 0 && (set & LS_SET_MODE) && (new.mode & (S_ISUID | S_ISGID)))
		r = set_id_settle(c, inode, &old, ret);
	if (r == 0 && (set & LS_SET_MODE) && inode->type != S_IFLNK)
		acl_follow_mode(c, inode, new.mode);
	lease_change_end(&change);
	if (r < 0)
		return r;
	if (set & LS_SET_SIZE) {
		if (new.size > old.size)
			notify_grown(c, inode, new.size, 0);
		notify_data(c, inode, new.size < old.size ? new.size : old.size, 0);
		inode_mark_dirty(inode);
	}
	notify_attr(c, inode);
	return 0;
}

int vfs_access(struct caller *c, struct inode *inode, unsigned may)
{
	struct ls_attr attr;
	int r = ls_getattr(stack_of(inode), &c->call, inode->ls, NULL, &attr);

	if (r < 0)
		return r;
	if ((may & MAY_WRITE) && inode->fs->rdonly &&
	    (inode->type == S_IFREG || inode->type == S_IFDIR || inode->type == S_IFLNK))
		return -EROFS;
	return perm_access(c, inode, &attr, may);
}

ssize_t vfs_readlink(struct caller *c, struct inode *inode, char *buf, size_t size)
{
	ssize_t n;

	if (inode->type != S_IFLNK)
		return -EINVAL;
	n = ls_readlink(stack_of(inode), &c->call, inode->ls, buf, size);
	lease_accessed(c, inode);
	return n;
}

static int truncate_opened(struct caller *c, struct inode *inode, const struct ls_attr *old)
{
	struct ls_attr in = {.size = 0}, after;
	unsigned set = LS_SET_SIZE | LS_SET_MTIME | LS_SET_MTIME_NOW;
	struct lease_change change;
	mode_t mode;
	int r;

	if (perm_write_strips(c, old, &mode)) {
		in.mode = mode;
		set |= LS_SET_MODE;
	}
	share_settle(inode);
	lease_change_one(&change, inode, set & LS_SET_MODE);
	r = ls_setattr(stack_of(inode), &c->call, inode->ls, NULL, &in, set, &after);
	lease_change_end(&change);
	if (r < 0)
		return r;
	notify_data(c, inode, 0, 0);
	notify_attr(c, inode);
	inode_mark_dirty(inode);
	return 0;
}

int vfs_open(struct caller *c, struct inode *inode, int flags, const char *path, struct ofd **ret)
{
	const bool writes = (flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC);
	int keep = flags & ~(O_CREAT | O_EXCL | O_NOFOLLOW | O_TRUNC | O_NOCTTY | OPEN_EXEC);
	struct ls_attr attr;
	struct ls_file *file;
	int r;

	if (inode->type == S_IFLNK)
		return -ELOOP;
	if ((flags & O_DIRECTORY) && inode->type != S_IFDIR)
		return -ENOTDIR;
	r = ls_getattr(stack_of(inode), &c->call, inode->ls, NULL, &attr);
	if (r == 0)
		r = perm_open(c, inode, &attr, flags);
	if (r == 0 && inode->fs->rdonly && writes)
		r = -EROFS;
	if (r == 0 && writes)
		r = vfs_not_running(c, inode);
	if (r == 0)
		r = ls_open(stack_of(inode), &c->call, inode->ls, keep, &file);
	if (r < 0)
		return r;
	if ((flags & O_TRUNC) && inode->type == S_IFREG) {
		r = truncate_opened(c, inode, &attr);
		if (r < 0) {
			ls_release(stack_of(inode), &c->call, file);
			return r;
		}
	}
	r = ofd_new(inode_ref(inode), file, keep, path, ret);
	if (r == 0 && (flags & OPEN_EXEC) && inode->type == S_IFREG) {
		(*ret)->executes = true;
		__atomic_add_fetch(&inode->executed, 1, __ATOMIC_SEQ_CST);
		r = vfs_not_written(c, inode);
		if (r < 0)
			ofd_unref(*ret);
	}
	return r;
}

ssize_t vfs_read(struct caller *c, struct ofd *ofd, const struct iovec *iov, int iovcnt, off_t offset)
{
	ssize_t n;

	if (ofd->inode->type == S_IFDIR)
		return -EISDIR;
	if ((ofd->flags & O_ACCMODE) == O_WRONLY || !ofd->file)
		return -EBADF;
	if (offset < 0)
		return -EINVAL;
	if (__atomic_load_n(&ofd->inode->kernel_opens, __ATOMIC_SEQ_CST)) {
		size_t length = 0;
		for (int i = 0; i < iovcnt; i++)
			length += iov[i].iov_len;
		notify_data(c, ofd->inode, offset, length);
	}
	share_settle(ofd->inode);
	n = ls_read(stack_of(ofd->inode), &c->call, ofd->file, iov, iovcnt, offset);
	if (n > 0 && !ofd->inode->fs->counted)
		limit_moved(c->call.payer, LIMIT_READ_BPS, n);
	if (n > 0 && !(ofd->flags & O_NOATIME))
		lease_accessed(c, ofd->inode);
	return n;
}

/* A write by somebody without privilege takes the set-id bits away, before the data can be run with them. */
static int write_strip(struct caller *c, struct inode *inode)
{
	struct ls_attr attr, in, after;
	struct lease_change change;
	mode_t mode;
	int r;

	if (caller_is_root(c))
		return 0;
	r = ls_getattr(stack_of(inode), &c->call, inode->ls, NULL, &attr);
	if (r < 0 || !perm_write_strips(c, &attr, &mode))
		return r;
	in.mode = mode;
	lease_change_one(&change, inode, true);
	r = ls_setattr(stack_of(inode), &c->call, inode->ls, NULL, &in, LS_SET_MODE, &after);
	lease_change_end(&change);
	return r;
}

/* The last of the first n bytes. */
static char last_byte(const struct iovec *iov, size_t n)
{
	while (n > iov->iov_len)
		n -= iov++->iov_len;
	return ((const char *)iov->iov_base)[n - 1];
}

ssize_t vfs_write(struct caller *c, struct ofd *ofd, const struct iovec *iov, int iovcnt, off_t offset,
		  unsigned flags, off_t *ret_end)
{
	int of = __atomic_load_n(&ofd->flags, __ATOMIC_RELAXED);
	struct lease_change change;
	off_t end = 0;
	ssize_t n;

	if ((of & O_ACCMODE) == O_RDONLY || !ofd->file)
		return -EBADF;
	if (offset < 0 && !((of & O_APPEND) || (flags & LS_WRITE_APPEND)))
		return -EINVAL;
	if (of & O_APPEND)
		flags |= LS_WRITE_APPEND;
	if ((of & O_SYNC) == O_SYNC)
		flags |= LS_WRITE_SYNC;
	else if (of & O_DSYNC)
		flags |= LS_WRITE_DSYNC;
	n = write_strip(c, ofd->inode);
	if (n < 0)
		return n;
	if (flags & LS_WRITE_APPEND)
		notify_data(c, ofd->inode, 0, 0); /* a mapping's dirty last page */
	else if (kernel_may_hold_pages(ofd->inode))
		notify_data(c, ofd->inode, offset, 0);
	share_settle(ofd->inode);
	lease_change_one(&change, ofd->inode, false);
	n = ls_write(stack_of(ofd->inode), &c->call, ofd->file, iov, iovcnt, offset, flags, &end);
	lease_change_end(&change);
	if (n < 0)
		return n;
	if (n > 0) {
		if (notify_grown_wanted(c, ofd->inode, end))
			notify_grown(c, ofd->inode, end, last_byte(iov, n));
		notify_data(c, ofd->inode, end - n, n);
		notify_attr(c, ofd->inode);
		inode_mark_dirty(ofd->inode);
	}
	*ret_end = end;
	return n;
}

int vfs_fsync(struct caller *c, struct ofd *ofd, int datasync)
{
	struct lease_change change;
	int r;

	if (!ofd->file)
		return -EBADF;
	if (__atomic_load_n(&ofd->inode->kernel_opens, __ATOMIC_SEQ_CST))
		notify_data(c, ofd->inode, 0, 0);
	share_kernel_synced(ofd->inode);
	lease_change_one(&change, ofd->inode, false); /* space is found for what was written */
	r = ls_fsync(stack_of(ofd->inode), &c->call, ofd->file, datasync);
	lease_change_end(&change);
	return r;
}

int vfs_sync(struct caller *c, struct instance *fs)
{
	return ls_sync(fs->stack, &c->call);
}

int vfs_fallocate(struct caller *c, struct ofd *ofd, int mode, off_t offset, off_t length)
{
	struct lease_change change;
	int r;

	if ((ofd->flags & O_ACCMODE) == O_RDONLY || !ofd->file)
		return -EBADF;
	if (offset < 0 || length <= 0)
		return -EINVAL;
	if (ofd->inode->type == S_IFDIR)
		return -EISDIR;
	if (ofd->inode->type != S_IFREG)
		return -ENODEV;
	if (offset > INT64_MAX - length)
		return -EFBIG;
	notify_data(c, ofd->inode, offset, 0);
	r = write_strip(c, ofd->inode);
	if (r < 0)
		return r;
	share_settle(ofd->inode);
	lease_change_one(&change, ofd->inode, false);
	r = ls_fallocate(stack_of(ofd->inode), &c->call, ofd->file, mode, offset, length);
	lease_change_end(&change);
	if (r == 0) {
		struct ls_attr attr;
		if (kernel_may_hold_pages(ofd->inode) && vfs_getattr(c, ofd->inode, NULL, &attr) == 0)
			notify_grown(c, ofd->inode, attr.size, 0);
		notify_data(c, ofd->inode, offset, 0);
		notify_attr(c, ofd->inode);
		inode_mark_dirty(ofd->inode);
	}
	return r;
}

off_t vfs_seek(struct caller *c, struct ofd *ofd, off_t offset, int whence)
{
	if (!ofd->file)
		return -EBADF;
	if (whence != SEEK_DATA && whence != SEEK_HOLE)
		return -EINVAL;
	if (offset < 0)
		return -ENXIO;
	share_settle(ofd->inode);
	return ls_seek(stack_of(ofd->inode), &c->call, ofd->file, offset, whence);
}

/* By hand, where the layer has no better way. */
static ssize_t copy_bytes(struct caller *c, struct ofd *in, off_t in_off, struct ofd *out, off_t out_off,
			  size_t length)
{
	enum { CHUNK = 256 * 1024 };
	char *buf = malloc(CHUNK);
	ssize_t total = 0, n = 0;

	if (!buf)
		return -ENOMEM;
	while (length > 0) {
		struct iovec iov = {buf, length < CHUNK ? length : CHUNK};
		off_t end;
		n = ls_read(stack_of(in->inode), &c->call, in->file, &iov, 1, in_off);
		if (n <= 0)
			break;
		iov.iov_len = n;
		n = ls_write(stack_of(out->inode), &c->call, out->file, &iov, 1, out_off, 0, &end);
		if (n <= 0)
			break;
		total += n;
		in_off += n;
		out_off += n;
		length -= n;
	}
	free(buf);
	return total ? total : n;
}

ssize_t vfs_copy(struct caller *c, struct ofd *in, off_t in_off, struct ofd *out, off_t out_off, size_t length)
{
	struct lease_change change;
	ssize_t n;

	if ((in->flags & O_ACCMODE) == O_WRONLY || (out->flags & O_ACCMODE) == O_RDONLY ||
	    (out->flags & O_APPEND) || !in->file || !out->file)
		return -EBADF;
	if (in->inode->type == S_IFDIR || out->inode->type == S_IFDIR)
		return -EISDIR;
	if (in->inode->type != S_IFREG || out->inode->type != S_IFREG || in_off < 0 || out_off < 0)
		return -EINVAL;
	if (in->inode == out->inode && in_off < out_off + (off_t)length && out_off < in_off + (off_t)length)
		return -EINVAL;
	n = write_strip(c, out->inode);
	if (n < 0)
		return n;
	notify_data(c, in->inode, in_off, length);
	notify_data(c, out->inode, out_off, 0);
	share_settle(in->inode);
	share_settle(out->inode);
	lease_change_one(&change, out->inode, false);
	n = in->inode->fs == out->inode->fs ? ls_copy(stack_of(in->inode), &c->call, in->file, in_off, out->file,
						      out_off, length)
					    : -EOPNOTSUPP;
	if (n == -EOPNOTSUPP || n == -EXDEV || n == -ENOSYS)
		n = copy_bytes(c, in, in_off, out, out_off, length);
	lease_change_end(&change);
	lease_accessed(c, in->inode);
	if (n > 0) {
		struct ls_attr attr;
		limit_moved(c->call.payer, LIMIT_WRITE_BPS, n);
		if (!in->inode->fs->counted)
			limit_moved(c->call.payer, LIMIT_READ_BPS, n);
		if (kernel_may_hold_pages(out->inode) && vfs_getattr(c, out->inode, NULL, &attr) == 0)
			notify_grown(c, out->inode, attr.size, 0);
		notify_data(c, out->inode, out_off, n);
		notify_attr(c, out->inode);
		inode_mark_dirty(out->inode);
	}
	return n;
}

int vfs_readdir(struct caller *c, struct ofd *ofd, uint64_t cookie, ls_emit *emit, void *arg)
{
	int r;

	if (ofd->inode->type != S_IFDIR)
		return -ENOTDIR;
	if (!ofd->file)
		return -EBADF;
	pthread_mutex_lock(&ofd->lock);
	r = ls_readdir(stack_of(ofd->inode), &c->call, ofd->file, cookie, emit, arg);
	pthread_mutex_unlock(&ofd->lock);
	if (!(ofd->flags & O_NOATIME))
		lease_accessed(c, ofd->inode);
	return r;
}

int vfs_statfs(struct caller *c, struct inode *inode, struct ls_statfs *ret)
{
	return ls_statfs(stack_of(inode), &c->call, ret);
}

int vfs_advise(struct caller *c, struct ofd *ofd, off_t offset, off_t length, int advice)
{
	if (!ofd->file)
		return -EBADF;
	if (advice < POSIX_FADV_NORMAL || advice > POSIX_FADV_NOREUSE || length < 0)
		return -EINVAL;
	int r = ls_advise(stack_of(ofd->inode), &c->call, ofd->file, offset, length, advice);
	return r == -EOPNOTSUPP ? 0 : r; /* a hint */
}

enum {
	CLOSE_NS = 20000000, /* within that, the kernel has told of a last close */
	CLOSE_LOOK_NS = 300000,
};

void vfs_closed(struct inode *inode)
{
	__atomic_store_n(&inode->closed_at, ls_now(), __ATOMIC_RELAXED);
}

void vfs_flush(struct caller *c, struct ofd *ofd)
{
	if (ofd->inode->fs->shared && ofd->file && (ofd->flags & O_ACCMODE) != O_RDONLY)
		ls_advise(stack_of(ofd->inode), &c->call, ofd->file, 0, 0, LS_ADVISE_CLOSED);
}

static bool closed_just_now(const struct inode *inode)
{
	return ls_now() - __atomic_load_n(&inode->closed_at, __ATOMIC_RELAXED) < CLOSE_NS;
}

/*
 * The kernel tells of a file's last close, which ends its locks, a moment after close(2) has returned; and what it tells
 * later may overtake that in another thread of ours.
 */
int vfs_lock(struct caller *c, struct ofd *ofd, const struct lock_range *range)
{
	const struct instance *fs = ofd->inode->fs;
	int r = hosts_lock(ofd, range);

	if (r == -EAGAIN && c->door == DOOR_PRELOAD && fs->hooks) {
		fs->hooks->drain(fs->door);
		r = hosts_lock(ofd, range);
	} else if (r == -EAGAIN && fs->token_dir >= 0) {
		tokens_reap();
		r = hosts_lock(ofd, range);
	}
	while (r == -EAGAIN && closed_just_now(ofd->inode)) {
		nanosleep(&(struct timespec){.tv_nsec = CLOSE_LOOK_NS}, NULL);
		r = hosts_lock(ofd, range);
	}
	return r;
}

int vfs_flock(struct caller *c, struct ofd *ofd, int operation, struct lock_wait *wait)
{
	struct lock_range range = {.owner = {LOCK_OWNER_OFD, ofd->id}, .flock = true, .start = 0, .end = UINT64_MAX,
				   .pid = c->pid};
	int r;

	switch (operation & ~LOCK_NB) {
	case LOCK_SH:
		range.type = F_RDLCK;
		break;
	case LOCK_EX:
		range.type = F_WRLCK;
		break;
	case LOCK_UN:
		range.type = F_UNLCK;
		break;
	default:
		return -EINVAL;
	}
	ofd->flocked = true;
	r = vfs_lock(c, ofd, &range);
	if (r != -EAGAIN || !wait || (operation & LOCK_NB))
		return r;
	/* Two holders of a shared lock that both want the exclusive one must not wait for each other. */
	hosts_lock_drop(ofd->inode, range.owner, true);
	wait->range = range;
	return hosts_lock_wait(ofd, wait);
}
