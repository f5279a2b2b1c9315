/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Extended attributes of the host's inodes.
 *
 * There is no system call that takes an O_PATH descriptor for them. /proc/self/fd/N reaches exactly that
 * inode, symbolic links included. Where /proc is not mounted we reach it through our descriptor of that
 * directory, by the *xattrat calls of Linux 6.13.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "libservices/host/host.h"

#ifndef SYS_setxattrat
#define SYS_setxattrat 463
#define SYS_getxattrat 464
#define SYS_listxattrat 465
#define SYS_removexattrat 466
#endif

/* The kernel's struct xattr_args. */
struct at_args {
	_Alignas(8) uint64_t value;
	uint32_t size;
	uint32_t flags;
};

struct fd_path {
	char text[40];
};

static struct fd_path fd_path(int fd)
{
	struct fd_path path;

	snprintf(path.text, sizeof(path.text), "/proc/self/fd/%d", fd);
	return path;
}

static ssize_t fd_get(const struct host *h, int fd, const char *name, void *buf, size_t size)
{
	struct at_args args = {(uintptr_t)buf, size, 0};

	if (!h->xattr_at)
		return getxattr(fd_path(fd).text, name, buf, size);
	return syscall(SYS_getxattrat, h->self_fd, host_fd_name(fd).text, 0, name, &args, sizeof(args));
}

static ssize_t fd_put(const struct host *h, int fd, const char *name, const void *buf, size_t size,
		      int flags)
{
	struct at_args args = {(uintptr_t)buf, size, flags};

	if (!h->xattr_at)
		return setxattr(fd_path(fd).text, name, buf, size, flags);
	return syscall(SYS_setxattrat, h->self_fd, host_fd_name(fd).text, 0, name, &args, sizeof(args));
}

static ssize_t fd_list(const struct host *h, int fd, char *buf, size_t size)
{
	if (!h->xattr_at)
		return listxattr(fd_path(fd).text, buf, size);
	return syscall(SYS_listxattrat, h->self_fd, host_fd_name(fd).text, 0, buf, size);
}

static ssize_t fd_remove(const struct host *h, int fd, const char *name)
{
	if (!h->xattr_at)
		return removexattr(fd_path(fd).text, name);
	return syscall(SYS_removexattrat, h->self_fd, host_fd_name(fd).text, 0, name);
}

/* What the system call returned, in our way, and the inode let go. */
static ssize_t done(struct ls *ls, struct ls_inode *inode, ssize_t r)
{
	r = r < 0 ? -errno : r;
	host_let_go(host_of(ls), host_inode_of(inode));
	return r;
}

ssize_t host_getxattr(struct ls *ls, const struct ls_call *call, struct ls_inode *inode, const char *name,
		      void *buf, size_t size)
{
	int fd = host_hold(host_of(ls), host_inode_of(inode));

	return fd < 0 ? fd : done(ls, inode, fd_get(host_of(ls), fd, name, buf, size));
}

int host_setxattr(struct ls *ls, const struct ls_call *call, struct ls_inode *inode, const char *name,
		  const void *buf, size_t size, int flags)
{
	int fd = host_hold(host_of(ls), host_inode_of(inode));

	return fd < 0 ? fd : done(ls, inode, fd_put(host_of(ls), fd, name, buf, size, flags));
}

ssize_t host_listxattr(struct ls *ls, const struct ls_call *call, struct ls_inode *inode, char *buf,
		       size_t size)
{
	int fd = host_hold(host_of(ls), host_inode_of(inode));

	return fd < 0 ? fd : done(ls, inode, fd_list(host_of(ls), fd, buf, size));
}

int host_removexattr(struct ls *ls, const struct ls_call *call, struct ls_inode *inode, const char *name)
{
	int fd = host_hold(host_of(ls), host_inode_of(inode));

	return fd < 0 ? fd : done(ls, inode, fd_remove(host_of(ls), fd, name));
}
