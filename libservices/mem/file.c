/* SPDX-License-Identifier: Apache-2.0 */
/* Open files: their bytes, and the listing of directories. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libservices/mem/mem.h"

enum { LISTING = 8192 };

void mem_release(struct ls *ls, const struct ls_call *call, struct ls_file *f)
{
	mem_inode_unref(mem_of(ls), mem_file_of(f)->inode, 1);
	free(f);
}

static void file_accessed(const struct mem_file *file)
{
	if (!(file->flags & O_NOATIME))
		mem_inode_accessed(file->inode);
}

/* The data changed; content is held for writing. */
static void file_changed(struct mem_inode *inode, uint64_t size)
{
	pthread_mutex_lock(&inode->attr_lock);
	inode->attr.size = size;
	inode->attr.blocks = inode->data.pages * (MEM_PAGE / 512);
	pthread_mutex_unlock(&inode->attr_lock);
	mem_inode_touch(inode, LS_MTIME | LS_CTIME);
}

ssize_t mem_read(struct ls *ls, const struct ls_call *call, struct ls_file *f, const struct iovec *iov,
		 int iovcnt, off_t offset)
{
	struct mem_inode *inode = mem_file_of(f)->inode;
	ssize_t done = 0;

	if (inode->type != S_IFREG)
		return inode->type == S_IFDIR ? -EISDIR : -EINVAL;
	if (offset < 0)
		return -EINVAL;
	fair_lock_read(&inode->content);
	for (int i = 0; i < iovcnt && (uint64_t)offset < inode->attr.size; i++) {
		uint64_t left = inode->attr.size - offset,
			 n = iov[i].iov_len < left ? iov[i].iov_len : left;
		mem_data_read(&inode->data, iov[i].iov_base, offset, n);
		offset += n;
		done += n;
	}
	fair_unlock(&inode->content);
	file_accessed(mem_file_of(f));
	return done;
}

/* With content held for writing. */
static ssize_t file_write(struct mem *mem, struct mem_inode *inode, const struct iovec *iov, int iovcnt,
			  uint64_t offset)
{
	ssize_t done = 0;
	int64_t n = 0;

	for (int i = 0; i < iovcnt; i++) {
		uint64_t room = MEM_FILE_MAX - (offset + done),
			 length = iov[i].iov_len < room ? iov[i].iov_len : room;
		if (length < iov[i].iov_len && length == 0) {
			n = -EFBIG;
			break;
		}
		n = mem_data_write(mem, &inode->data, iov[i].iov_base, offset + done, length);
		if (n > 0)
			done += n;
		if (n < (int64_t)iov[i].iov_len)
			break;
	}
	return done ? done : n;
}

ssize_t mem_write(struct ls *ls, const struct ls_call *call, struct ls_file *f, const struct iovec *iov,
		  int iovcnt, off_t offset, unsigned flags, off_t *ret_end)
{
	struct mem_inode *inode = mem_file_of(f)->inode;
	ssize_t n;

	if (inode->type != S_IFREG)
		return inode->type == S_IFDIR ? -EISDIR : -EINVAL;
	if (offset < 0 && !(flags & LS_WRITE_APPEND))
		return -EINVAL;
	if (offset > MEM_FILE_MAX && !(flags & LS_WRITE_APPEND))
		return -EFBIG;
	fair_lock_write(&inode->content);
	if (flags & LS_WRITE_APPEND)
		offset = inode->attr.size;
	n = file_write(mem_of(ls), inode, iov, iovcnt, offset);
	if (n > 0)
		file_changed(inode, offset + n > (off_t)inode->attr.size ? (uint64_t)(offset + n)
									 : inode->attr.size);
	fair_unlock(&inode->content);
	if (n >= 0)
		*ret_end = offset + n;
	return n;
}

static int file_allocate(struct mem *mem, struct mem_inode *inode, int mode, uint64_t offset,
			 uint64_t length)
{
	uint64_t size = inode->attr.size;
	int r = 0;

	if (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))
		mem_data_punch(mem, &inode->data, offset, length);
	if (!(mode & FALLOC_FL_PUNCH_HOLE))
		r = mem_data_reserve(mem, &inode->data, offset, length);
	if (r == 0 && !(mode & FALLOC_FL_KEEP_SIZE) && offset + length > size)
		size = offset + length;
	file_changed(inode, size);
	return r;
}

int mem_fallocate(struct ls *ls, const struct ls_call *call, struct ls_file *f, int mode, off_t offset,
		  off_t length)
{
	struct mem_inode *inode = mem_file_of(f)->inode;
	int r = ls_fallocate_check(inode->type, mode, offset, length);

	if (r < 0)
		return r;
	if (offset > MEM_FILE_MAX || length > MEM_FILE_MAX - offset)
		return -EFBIG;
	fair_lock_write(&inode->content);
	r = file_allocate(mem_of(ls), inode, mode, offset, length);
	fair_unlock(&inode->content);
	return r;
}

off_t mem_seek(struct ls *ls, const struct ls_call *call, struct ls_file *f, off_t offset, int whence)
{
	struct mem_inode *inode = mem_file_of(f)->inode;
	off_t r;

	if (inode->type != S_IFREG || (whence != SEEK_DATA && whence != SEEK_HOLE))
		return -EINVAL;
	fair_lock_read(&inode->content);
	if (offset < 0 || (uint64_t)offset >= inode->attr.size)
		r = -ENXIO;
	else
		r = mem_data_find(&inode->data, offset, inode->attr.size, whence == SEEK_DATA);
	if (whence == SEEK_DATA && r == (off_t)inode->attr.size)
		r = -ENXIO;
	fair_unlock(&inode->content);
	return r;
}

int mem_fsync(struct ls *ls, const struct ls_call *call, struct ls_file *f, int datasync)
{
	return 0;
}

int mem_advise(struct ls *ls, const struct ls_call *call, struct ls_file *f, off_t offset, off_t length,
	       int advice)
{
	return 0;
}

/* ---- listing ------------------------------------------------------------------------------------- */

/*
 * Names are copied while the directory is held and reported when it is not: the one who asked may look them
 * up from inside of emit.
 */
struct listed {
	uint64_t ino, next;
	unsigned type, len;
	char name[];
};

static size_t listed_size(size_t len)
{
	return (sizeof(struct listed) + len + 1 + 7) & ~(size_t)7;
}

static size_t listing_add(char *buf, size_t used, const char *name, size_t len,
			  const struct mem_inode *inode, uint64_t next)
{
	struct listed *l = (struct listed *)(buf + used);

	*l = (struct listed){.ino = inode->attr.ino, .next = next, .type = inode->type >> 12, .len = len};
	memcpy(l->name, name, len);
	l->name[len] = 0;
	return used + listed_size(len);
}

static size_t listing_dots(struct mem_inode *inode, uint64_t cookie, char *buf)
{
	struct mem_inode *parent;
	size_t used = 0;

	if (cookie < 1)
		used = listing_add(buf, used, ".", 1, inode, 1);
	pthread_mutex_lock(&inode->attr_lock);
	parent = inode->dir.parent ? inode->dir.parent : inode;
	if (cookie < 2)
		used = listing_add(buf, used, "..", 2, parent, 2);
	pthread_mutex_unlock(&inode->attr_lock);
	return used;
}

/* How much of buf it filled, or -ENOENT if the directory has been removed. */
static ssize_t listing_fill(struct mem_file *file, uint64_t cookie, char *buf)
{
	struct mem_inode *inode = file->inode;
	const struct mem_dir *dir = &inode->dir;
	size_t used = listing_dots(inode, cookie, buf);
	uint64_t last;
	bool dead;

	fair_lock_read(&inode->content);
	dead = dir->dead;
	if (cookie == 0)
		__atomic_store_n(&file->last_cookie, dir->last_cookie, __ATOMIC_RELAXED);
	last = __atomic_load_n(&file->last_cookie, __ATOMIC_RELAXED);
	for (size_t i = mem_dir_after(dir, cookie); i < dir->place_count; i++) {
		const struct mem_entry *e = dir->place[i].entry;
		if (!e)
			continue;
		if (e->cookie > last || used + listed_size(e->len) > LISTING)
			break;
		used = listing_add(buf, used, e->name, e->len, e->inode, e->cookie);
	}
	fair_unlock(&inode->content);
	return dead ? -ENOENT : (ssize_t)used;
}

int mem_readdir(struct ls *ls, const struct ls_call *call, struct ls_file *f, uint64_t cookie,
		ls_emit *emit, void *arg)
{
	struct mem_inode *inode = mem_file_of(f)->inode;
	_Alignas(struct listed) char buf[LISTING];
	ssize_t used;
	bool go_on = true;

	if (inode->type != S_IFDIR)
		return -ENOTDIR;
	while (go_on && (used = listing_fill(mem_file_of(f), cookie, buf)) != 0) {
		if (used < 0)
			return used;
		for (ssize_t at = 0; go_on && at < used;) {
			const struct listed *l = (const struct listed *)(buf + at);
			go_on = emit(arg, l->name, l->len, l->ino, l->type, l->next) == 0;
			cookie = l->next;
			at += listed_size(l->len);
		}
	}
	file_accessed(mem_file_of(f));
	return 0;
}
