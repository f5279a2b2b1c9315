/* SPDX-License-Identifier: Apache-2.0 */
/* Open files of the host: a descriptor each. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "libservices/host/host.h"

/*
 * What of open(2)'s flags reaches the host. Not O_DIRECT: the caller's buffers arrive here through other
 * memory, which is not aligned. Not O_APPEND: every write says where it goes or that it appends.
 */
int host_open_flags(int flags)
{
	return flags & (O_ACCMODE | O_SYNC | O_DSYNC | O_NOATIME);
}

int host_file_new(struct host *h, struct host_inode *inode, int fd, int flags, struct ls_file **ret)
{
	struct host_file *file = calloc(1, sizeof(*file));

	if (!file) {
		close(fd);
		return -ENOMEM;
	}
	*file = (struct host_file){
		.fd = fd, .inode = host_inode_ref(h, inode), .writable = (flags & O_ACCMODE) != O_RDONLY};
	pthread_mutex_init(&file->lock, NULL);
	*ret = (struct ls_file *)file;
	return 0;
}

int host_open(struct ls *ls, const struct ls_call *call, struct ls_inode *ls_inode, int flags,
	      struct ls_file **ret_file)
{
	struct host_inode *inode = host_inode_of(ls_inode);
	struct host *h = host_of(ls);
	int fd, path;

	if (inode->type == S_IFLNK)
		return -ELOOP;
	/* A device or a FIFO of the host acts on who opens it: that is not ours to do. */
	if (inode->type != S_IFREG && inode->type != S_IFDIR)
		return -ENXIO;
	path = host_hold(h, inode);
	if (path < 0)
		return path;
	if (inode->type == S_IFDIR)
		fd = host_openat(h, path, ".", host_open_flags(flags) | O_DIRECTORY, 0);
	else
		fd = host_openat(h, h->self_fd, host_fd_name(path).text, host_open_flags(flags), 0);
	host_let_go(h, inode);
	return fd < 0 ? fd : host_file_new(h, inode, fd, flags, ret_file);
}

void host_release(struct ls *ls, const struct ls_call *call, struct ls_file *f)
{
	struct host_file *file = host_file_of(f);

	close(file->fd);
	host_inode_unref(host_of(ls), file->inode, 1);
	pthread_mutex_destroy(&file->lock);
	free(file->listing);
	free(file);
}

/* ---- data ---------------------------------------------------------------------------------------- */

ssize_t host_read(struct ls *ls, const struct ls_call *call, struct ls_file *f, const struct iovec *iov,
		  int iovcnt, off_t offset)
{
	ssize_t n = preadv(host_file_of(f)->fd, iov, iovcnt, offset);

	return n < 0 ? -errno : n;
}

static int write_flags(unsigned flags)
{
	return (flags & LS_WRITE_DSYNC ? RWF_DSYNC : 0) | (flags & LS_WRITE_SYNC ? RWF_SYNC : 0) |
	       (flags & LS_WRITE_NOWAIT ? RWF_NOWAIT : 0);
}

/* The kernel finds the end and the write in one step; the descriptor's offset then tells where it was. */
static ssize_t file_append(struct host_file *file, const struct iovec *iov, int iovcnt, int flags,
			   off_t *ret_end)
{
	ssize_t n;

	pthread_mutex_lock(&file->lock);
	n = pwritev2(file->fd, iov, iovcnt, -1, flags | RWF_APPEND);
	if (n < 0)
		n = -errno;
	else
		*ret_end = lseek(file->fd, 0, SEEK_CUR);
	pthread_mutex_unlock(&file->lock);
	return n;
}

ssize_t host_write(struct ls *ls, const struct ls_call *call, struct ls_file *f, const struct iovec *iov,
		   int iovcnt, off_t offset, unsigned flags, off_t *ret_end)
{
	ssize_t n;

	if (flags & LS_WRITE_APPEND)
		return file_append(host_file_of(f), iov, iovcnt, write_flags(flags), ret_end);
	if (offset < 0)
		return -EINVAL;
	n = pwritev2(host_file_of(f)->fd, iov, iovcnt, offset, write_flags(flags));
	if (n < 0)
		return -errno;
	*ret_end = offset + n;
	return n;
}

int host_fsync(struct ls *ls, const struct ls_call *call, struct ls_file *f, int datasync)
{
	int fd = host_file_of(f)->fd;

	return (datasync ? fdatasync(fd) : fsync(fd)) < 0 ? -errno : 0;
}

int host_fallocate(struct ls *ls, const struct ls_call *call, struct ls_file *f, int mode, off_t offset,
		   off_t length)
{
	return fallocate(host_file_of(f)->fd, mode, offset, length) < 0 ? -errno : 0;
}

off_t host_seek(struct ls *ls, const struct ls_call *call, struct ls_file *f, off_t offset, int whence)
{
	struct host_file *file = host_file_of(f);
	off_t r;

	if (whence != SEEK_DATA && whence != SEEK_HOLE)
		return -EINVAL;
	pthread_mutex_lock(&file->lock);
	r = lseek(file->fd, offset, whence);
	if (r < 0)
		r = -errno;
	pthread_mutex_unlock(&file->lock);
	return r;
}

ssize_t host_copy(struct ls *ls, const struct ls_call *call, struct ls_file *in, off_t in_off,
		  struct ls_file *out, off_t out_off, size_t length)
{
	ssize_t n =
		copy_file_range(host_file_of(in)->fd, &in_off, host_file_of(out)->fd, &out_off, length, 0);

	if (n < 0)
		return errno == EXDEV || errno == ENOSYS ? -EOPNOTSUPP : -errno;
	return n;
}

int host_advise(struct ls *ls, const struct ls_call *call, struct ls_file *f, off_t offset, off_t length,
		int advice)
{
	return -posix_fadvise(host_file_of(f)->fd, offset, length, advice);
}

/* ---- listing ------------------------------------------------------------------------------------- */

/*
 * The kernel's entries are kept until the next call: it usually goes on where the one who asked stopped, in
 * the middle of them. An entry's d_off is the cookie after it.
 */
static struct dirent64 *listing_at(const struct host_file *file, size_t at)
{
	return (struct dirent64 *)(file->listing + at);
}

/* Where the entries after the cookie start; listing_size if they are not among those that we have. */
static size_t listing_find(const struct host_file *file, uint64_t cookie)
{
	size_t at = 0;

	while (at < file->listing_size) {
		const struct dirent64 *d = listing_at(file, at);
		at += d->d_reclen;
		if ((uint64_t)d->d_off == cookie)
			break;
	}
	return at;
}

static int listing_fill(struct host_file *file)
{
	ssize_t n;

	if (!file->listing && !(file->listing = malloc(HOST_LISTING)))
		return -ENOMEM;
	n = syscall(SYS_getdents64, file->fd, file->listing, HOST_LISTING);
	file->listing_size = n < 0 ? 0 : n;
	for (size_t at = 0; at < file->listing_size; at += listing_at(file, at)->d_reclen)
		file->listing_end = listing_at(file, at)->d_off;
	return n < 0 ? -errno : 0;
}

/* Places the listing so that it goes on after the cookie. Returns where in it. */
static ssize_t listing_start(struct host_file *file, uint64_t cookie)
{
	size_t at = cookie ? listing_find(file, cookie) : file->listing_size;
	int r;

	if (cookie && at < file->listing_size)
		return at;
	if ((!cookie || cookie != file->listing_end) && lseek(file->fd, cookie, SEEK_SET) < 0)
		return -errno;
	file->listing_end = cookie;
	r = listing_fill(file);
	return r < 0 ? r : 0;
}

static uint64_t entry_number(const struct host *h, const struct host_inode *dir, const struct dirent64 *d)
{
	bool dot = strcmp(d->d_name, ".") == 0, up = strcmp(d->d_name, "..") == 0;

	if (dot || (up && dir == h->root))
		return dir->number;
	return host_number(h, dir->dev, d->d_ino);
}

static int file_list(const struct host *h, struct host_file *file, uint64_t cookie, ls_emit *emit,
		     void *arg)
{
	ssize_t at = listing_start(file, cookie);
	int r;

	while (at >= 0 && file->listing_size) {
		while ((size_t)at < file->listing_size) {
			const struct dirent64 *d = listing_at(file, at);
			if (emit(arg, d->d_name, strlen(d->d_name), entry_number(h, file->inode, d),
				 d->d_type, d->d_off))
				return 0;
			at += d->d_reclen;
		}
		r = listing_fill(file);
		at = r < 0 ? r : 0;
	}
	return at < 0 ? at : 0;
}

int host_readdir(struct ls *ls, const struct ls_call *call, struct ls_file *f, uint64_t cookie,
		 ls_emit *emit, void *arg)
{
	struct host_file *file = host_file_of(f);
	int r;

	if (file->inode->type != S_IFDIR)
		return -ENOTDIR;
	pthread_mutex_lock(&file->lock);
	r = file_list(host_of(ls), file, cookie, emit, arg);
	pthread_mutex_unlock(&file->lock);
	return r;
}
