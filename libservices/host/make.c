/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making objects in the host's directories, in two steps (see name.c): the kernel makes it, we give it to
 * its owner. If the second step fails, the first is undone.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "libservices/host/name.h"

/* Gives what we just made to its owner. The kernel may have taken set-id bits away, or added one. */
int host_fd_own(struct host *h, const struct ls_call *call, int fd, mode_t mode)
{
	const struct ls_cred *cred = call->cred;
	struct statx sx;
	int r = host_statx(fd, "", &sx);

	if (r == 0 && (sx.stx_uid != cred->uid || sx.stx_gid != cred->gid)) {
		r = fchownat(fd, "", cred->uid, cred->gid, AT_EMPTY_PATH) < 0 ? -errno : 0;
		if (r == 0)
			r = host_statx(fd, "", &sx);
	}
	if (r < 0 || S_ISLNK(sx.stx_mode) || !((sx.stx_mode ^ mode) & 07000))
		return r;
	mode = (sx.stx_mode & 0777) | (mode & 07000);
	return fchmodat(h->self_fd, host_fd_name(fd).text, mode, 0) < 0 ? -errno : 0;
}

/* The second step, for a name that the first step made: r is what that returned. */
static int made(struct host_dir_use *use, const struct ls_call *call, const char *name, mode_t mode, int r,
		struct ls_inode **ret_inode, struct ls_attr *ret_attr)
{
	int fd;

	if (r < 0)
		return -errno;
	fd = host_openat(use->h, use->fd, name, O_PATH | O_NOFOLLOW, 0);
	r = fd < 0 ? fd : host_fd_own(use->h, call, fd, mode);
	if (r < 0) {
		if (fd >= 0)
			close(fd);
		unlinkat(use->fd, name, S_ISDIR(mode) ? AT_REMOVEDIR : 0);
		return r;
	}
	return host_fd_enter(use->h, fd, ret_inode, ret_attr);
}

int host_mknod(struct ls *ls, const struct ls_call *call, struct ls_inode *dir, const char *name,
	       mode_t mode, unsigned major, unsigned minor, struct ls_inode **ret_inode,
	       struct ls_attr *ret_attr)
{
	struct host_dir_use use;
	int r = host_dir_use(&use, ls, dir, name, true);

	if (r < 0)
		return r;
	r = mknodat(use.fd, name, mode, makedev(major, minor));
	r = made(&use, call, name, mode, r, ret_inode, ret_attr);
	host_dir_done(&use);
	return r;
}

int host_mkdir(struct ls *ls, const struct ls_call *call, struct ls_inode *dir, const char *name,
	       mode_t mode, struct ls_inode **ret_inode, struct ls_attr *ret_attr)
{
	struct host_dir_use use;
	int r = host_dir_use(&use, ls, dir, name, true);

	if (r < 0)
		return r;
	r = mkdirat(use.fd, name, mode);
	r = made(&use, call, name, S_IFDIR | mode, r, ret_inode, ret_attr);
	host_dir_done(&use);
	return r;
}

int host_symlink(struct ls *ls, const struct ls_call *call, struct ls_inode *dir, const char *name,
		 const char *target, struct ls_inode **ret_inode, struct ls_attr *ret_attr)
{
	struct host_dir_use use;
	int r = host_dir_use(&use, ls, dir, name, true);

	if (r < 0)
		return r;
	r = symlinkat(target, use.fd, name);
	r = made(&use, call, name, S_IFLNK, r, ret_inode, ret_attr);
	host_dir_done(&use);
	return r;
}

/* ---- files that are open from birth -------------------------------------------------------------- */

/* The descriptor of a file that we just made becomes its inode and its open file, or is closed. */
static int file_made(struct host *h, const struct ls_call *call, int fd, mode_t mode, int flags,
		     struct ls_inode **ret_inode, struct ls_attr *ret_attr, struct ls_file **ret_file)
{
	struct ls_inode *inode;
	struct ls_file *file;
	int path, r = host_fd_own(h, call, fd, mode);

	if (r == 0) {
		path = host_openat(h, h->self_fd, host_fd_name(fd).text, O_PATH, 0);
		r = path < 0 ? path : host_fd_enter(h, path, &inode, ret_attr);
	}
	if (r < 0) {
		close(fd);
		return r;
	}
	r = host_file_new(h, host_inode_of(inode), fd, flags, &file);
	if (r < 0) {
		host_inode_unref(h, host_inode_of(inode), 1);
		return r;
	}
	*ret_inode = inode;
	*ret_file = file;
	return 0;
}

int host_create(struct ls *ls, const struct ls_call *call, struct ls_inode *dir, const char *name,
		mode_t mode, int flags, struct ls_inode **ret_inode, struct ls_attr *ret_attr,
		struct ls_file **ret_file)
{
	struct host_dir_use use;
	int fd, r = host_dir_use(&use, ls, dir, name, true);

	if (r < 0)
		return r;
	fd = host_openat(use.h, use.fd, name, host_open_flags(flags) | O_CREAT | O_EXCL | O_NOFOLLOW,
			 mode & 07777);
	r = fd < 0 ? fd : file_made(use.h, call, fd, mode, flags, ret_inode, ret_attr, ret_file);
	if (fd >= 0 && r < 0)
		unlinkat(use.fd, name, 0);
	host_dir_done(&use);
	return r;
}

int host_tmpfile(struct ls *ls, const struct ls_call *call, struct ls_inode *ls_dir, mode_t mode, int flags,
		 struct ls_inode **ret_inode, struct ls_attr *ret_attr, struct ls_file **ret_file)
{
	struct host_inode *dir = host_inode_of(ls_dir);
	struct host *h = host_of(ls);
	int fd, dirfd;

	if (dir->type != S_IFDIR)
		return -ENOTDIR;
	dirfd = host_hold(h, dir);
	if (dirfd < 0)
		return dirfd;
	fd = host_openat(h, dirfd, ".", host_open_flags(flags) | O_TMPFILE | (flags & O_EXCL),
			 mode & 07777);
	host_let_go(h, dir);
	return fd < 0 ? fd : file_made(h, call, fd, mode, flags, ret_inode, ret_attr, ret_file);
}
