/* SPDX-License-Identifier: Apache-2.0 */
/* Attributes of the host's inodes. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "libservices/host/host.h"

int host_statx(int fd, const char *name, struct statx *ret)
{
	int flags = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | (*name ? 0 : AT_EMPTY_PATH);

	return statx(fd, name, flags, STATX_BASIC_STATS | STATX_BTIME, ret) < 0 ? -errno : 0;
}

uint64_t host_dev(const struct statx *sx)
{
	return (uint64_t)sx->stx_dev_major << 32 | sx->stx_dev_minor;
}

static struct timespec time_of(const struct statx_timestamp *t)
{
	return (struct timespec){t->tv_sec, t->tv_nsec};
}

void host_attr(const struct host_inode *inode, const struct statx *sx, struct ls_attr *ret)
{
	*ret = (struct ls_attr){
		.ino = inode->number,
		.mode = sx->stx_mode,
		.nlink = sx->stx_nlink,
		.uid = sx->stx_uid,
		.gid = sx->stx_gid,
		.rdev_major = sx->stx_rdev_major,
		.rdev_minor = sx->stx_rdev_minor,
		.size = sx->stx_size,
		.blocks = sx->stx_blocks,
		.blksize = sx->stx_blksize,
		.atime = time_of(&sx->stx_atime),
		.mtime = time_of(&sx->stx_mtime),
		.ctime = time_of(&sx->stx_ctime),
		.btime = time_of(&sx->stx_btime),
	};
}

struct host_fd_name host_fd_name(int fd)
{
	struct host_fd_name name;

	snprintf(name.text, sizeof(name.text), "%d", fd);
	return name;
}

static int attr_get(const struct host_inode *inode, int fd, struct ls_attr *ret)
{
	struct statx sx;
	int r = host_statx(fd, "", &sx);

	if (r == 0)
		host_attr(inode, &sx, ret);
	return r;
}

int host_getattr(struct ls *ls, const struct ls_call *call, struct ls_inode *ls_inode, struct ls_file *f,
		 struct ls_attr *ret_attr)
{
	struct host_inode *inode = host_inode_of(ls_inode);
	int r, fd;

	if (f)
		return attr_get(inode, host_file_of(f)->fd, ret_attr);
	fd = host_hold(host_of(ls), inode);
	if (fd < 0)
		return fd;
	r = attr_get(inode, fd, ret_attr);
	host_let_go(host_of(ls), inode);
	return r;
}

static int set_owner(int fd, const struct ls_attr *in, unsigned set)
{
	uid_t uid = set & LS_SET_UID ? in->uid : (uid_t)-1;
	gid_t gid = set & LS_SET_GID ? in->gid : (gid_t)-1;

	return fchownat(fd, "", uid, gid, AT_EMPTY_PATH) < 0 ? -errno : 0;
}

static int set_size(struct host *h, int fd, const struct host_file *f, off_t size)
{
	int writable, r;

	if (f && f->writable)
		return ftruncate(f->fd, size) < 0 ? -errno : 0;
	writable = host_openat(h, h->self_fd, host_fd_name(fd).text, O_WRONLY, 0);
	if (writable < 0)
		return writable;
	r = ftruncate(writable, size) < 0 ? -errno : 0;
	close(writable);
	return r;
}

static struct timespec time_to_set(unsigned set, unsigned given, unsigned now, const struct timespec *t)
{
	if (set & now)
		return (struct timespec){.tv_nsec = UTIME_NOW};
	return set & given ? *t : (struct timespec){.tv_nsec = UTIME_OMIT};
}

static int set_times(int fd, const struct ls_attr *in, unsigned set)
{
	const struct timespec times[2] = {
		time_to_set(set, LS_SET_ATIME, LS_SET_ATIME_NOW, &in->atime),
		time_to_set(set, LS_SET_MTIME, LS_SET_MTIME_NOW, &in->mtime),
	};

	return utimensat(fd, "", times, AT_EMPTY_PATH) < 0 ? -errno : 0;
}

/* The owner first: changing it may take set-id bits away. The times last: changing the size sets them. */
static int attr_set(struct host *h, const struct host_inode *inode, int fd, const struct host_file *f,
		    const struct ls_attr *in, unsigned set)
{
	int r = 0;

	if ((set & LS_SET_SIZE) && inode->type != S_IFREG)
		return inode->type == S_IFDIR ? -EISDIR : -EINVAL;
	if (set & (LS_SET_UID | LS_SET_GID))
		r = set_owner(fd, in, set);
	if (r == 0 && (set & LS_SET_MODE))
		r = fchmodat(h->self_fd, host_fd_name(fd).text, in->mode & 07777, 0) < 0 ? -errno : 0;
	if (r == 0 && (set & LS_SET_SIZE))
		r = set_size(h, fd, f, in->size);
	if (r == 0 && (set & (LS_SET_ATIME | LS_SET_MTIME | LS_SET_ATIME_NOW | LS_SET_MTIME_NOW)))
		r = set_times(fd, in, set);
	return r;
}

int host_setattr(struct ls *ls, const struct ls_call *call, struct ls_inode *ls_inode, struct ls_file *f,
		 const struct ls_attr *in, unsigned set, struct ls_attr *ret_attr)
{
	struct host_inode *inode = host_inode_of(ls_inode);
	int r, fd = host_hold(host_of(ls), inode);

	if (fd < 0)
		return fd;
	r = attr_set(host_of(ls), inode, fd, f ? host_file_of(f) : NULL, in, set);
	if (r == 0)
		r = attr_get(inode, fd, ret_attr);
	host_let_go(host_of(ls), inode);
	return r;
}

ssize_t host_readlink(struct ls *ls, const struct ls_call *call, struct ls_inode *ls_inode, char *buf,
		      size_t size)
{
	struct host_inode *inode = host_inode_of(ls_inode);
	int fd = host_hold(host_of(ls), inode);
	ssize_t n;

	if (fd < 0)
		return fd;
	n = inode->type == S_IFLNK ? readlinkat(fd, "", buf, size) : (errno = EINVAL, -1);
	if (n < 0)
		n = -errno;
	host_let_go(host_of(ls), inode);
	return n;
}
