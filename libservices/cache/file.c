/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Open files. A file that is opened to write is opened below at once, for the errors that this may have;
 * one that is opened to read only when something has to be read from there.
 *
 * An error of a write-back is for each open file to report once, by fsync: as the kernel has it. One that
 * nobody has seen yet is for those too who open the file later.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "libservices/cache/cache.h"

static struct cfile *cfile_new(struct cinode *c, int flags)
{
	struct cfile *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	f->inode = c;
	f->flags = flags;
	pthread_rwlock_rdlock(&c->lock);
	f->error_seq = c->error && !c->error_seen ? c->error_seq - 1 : c->error_seq;
	pthread_rwlock_unlock(&c->lock);
	__atomic_add_fetch(&c->opens, 1, __ATOMIC_SEQ_CST);
	if ((flags & O_ACCMODE) != O_RDONLY)
		__atomic_add_fetch(&c->writers, 1, __ATOMIC_SEQ_CST);
	__atomic_add_fetch(&c->refs, 1, __ATOMIC_SEQ_CST);
	cinode_hold(c);
	return f;
}

int cache_open(struct ls *ls, const struct ls_call *call, struct ls_inode *inode, int flags,
	       struct ls_file **ret_file)
{
	struct cinode *c = cinode_of(inode);
	struct cfile *f;
	int r;

	if (!c)
		return ls_open(cache_of(ls)->below, call, inode, flags, ret_file);
	if (flags & O_DIRECTORY)
		return -ENOTDIR;
	f = cfile_new(c, flags);
	if (!f)
		return -ENOMEM;
	r = keep_open(c, call);
	if (r == 0 && (flags & O_ACCMODE) != O_RDONLY) {
		if (c->cache->asks && cinode_is_kept(c) && !cinode_may_store(c))
			r = keep_end(c, call);
		r = r < 0 ? r : below_writer(c, call);
	}
	if (r < 0) {
		cache_release(ls, call, handle_of(f));
		return r;
	}
	*ret_file = handle_of(f);
	return 0;
}

void cache_release(struct ls *ls, const struct ls_call *call, struct ls_file *file)
{
	struct cfile *f = cfile_of(file);
	struct cinode *c;

	if (!f) {
		ls_release(cache_of(ls)->below, call, file);
		return;
	}
	c = f->inode;
	if ((f->flags & O_ACCMODE) != O_RDONLY &&
	    (c->cache->asks || __atomic_load_n(&c->cache->flush_on_close, __ATOMIC_RELAXED)) &&
	    !__atomic_load_n(&c->gone, __ATOMIC_RELAXED))
		writeback(c, call);
	if ((f->flags & O_ACCMODE) != O_RDONLY)
		__atomic_sub_fetch(&c->writers, 1, __ATOMIC_SEQ_CST);
	if (__atomic_sub_fetch(&c->opens, 1, __ATOMIC_SEQ_CST) == 0)
		below_settle(c, call);
	cinode_forget(c, call, 1);
	free(f);
}

/* What create and tmpfile below have made. They open it for reading too: pages that are written in part are
 * read. */
struct made {
	struct ls_inode *inode;
	struct ls_attr attr;
	struct ls_file *file;
};

static int made_enter(struct cache *cache, const struct ls_call *call, const struct entry *e, int flags,
		      struct made *m)
{
	struct ls_inode *below = m->inode;
	int r = cinode_enter(cache, call, e, &m->inode, &m->attr);
	struct cinode *c = cinode_of(m->inode);
	struct cfile *f;

	if (r < 0) {
		ls_release(cache->below, call, m->file);
		return r;
	}
	if (m->inode == below)
		return 0;
	below_adopt(c, call, m->file);
	f = cfile_new(c, flags);
	if (!f) {
		cinode_forget(c, call, 1);
		return -ENOMEM;
	}
	m->file = handle_of(f);
	return 0;
}

/* Turns it into ours, if r, the answer from below, is 0, and ends the entry. */
static int made_end(struct cache *cache, const struct ls_call *call, struct entry *e, int r, int flags,
		    struct made *m, struct ls_inode **ret_inode, struct ls_attr *ret_attr,
		    struct ls_file **ret_file)
{
	if (r == 0)
		r = made_enter(cache, call, e, flags, m);
	entry_end(cache, e);
	if (r < 0)
		return r;
	*ret_inode = m->inode;
	*ret_attr = m->attr;
	*ret_file = m->file;
	return 0;
}

static int flags_to_create(const struct cache *cache, int flags)
{
	return cache->off ? flags : (flags & ~O_ACCMODE) | O_RDWR;
}

int cache_create(struct ls *ls, const struct ls_call *call, struct ls_inode *dir, const char *name,
		 mode_t mode, int flags, struct ls_inode **ret_inode, struct ls_attr *ret_attr,
		 struct ls_file **ret_file)
{
	struct cache *cache = cache_of(ls);
	struct entry e = entry_begin(cache);
	struct made m;
	int r = ls_create(cache->below, call, inode_below(dir), name, mode, flags_to_create(cache, flags),
			  &m.inode, &m.attr, &m.file);

	return made_end(cache, call, &e, r, flags, &m, ret_inode, ret_attr, ret_file);
}

int cache_tmpfile(struct ls *ls, const struct ls_call *call, struct ls_inode *dir, mode_t mode, int flags,
		  struct ls_inode **ret_inode, struct ls_attr *ret_attr, struct ls_file **ret_file)
{
	struct cache *cache = cache_of(ls);
	struct entry e = entry_begin(cache);
	struct made m;
	int r = ls_tmpfile(cache->below, call, inode_below(dir), mode, flags_to_create(cache, flags),
			   &m.inode, &m.attr, &m.file);

	r = made_end(cache, call, &e, r, flags, &m, ret_inode, ret_attr, ret_file);
	if (r == 0 && cinode_of(*ret_inode))
		cinode_gone(cinode_of(*ret_inode), call, true);
	return r;
}

/* ---- making it last ------------------------------------------------------------------------------------
 */

/* An error that this open file has not reported. */
static int error_take(struct cfile *f)
{
	struct cinode *c = f->inode;
	int r = 0;

	pthread_rwlock_wrlock(&c->lock);
	if (f->error_seq != c->error_seq) {
		r = c->error;
		f->error_seq = c->error_seq;
		c->error_seen = true;
	}
	pthread_rwlock_unlock(&c->lock);
	return r;
}

int cache_fsync(struct ls *ls, const struct ls_call *call, struct ls_file *file, int datasync)
{
	struct cfile *f = cfile_of(file);
	struct ls *below = cache_of(ls)->below;
	struct ls_file *file_below;
	int r, e;

	if (!f)
		return ls_fsync(below, call, file, datasync);
	r = writeback(f->inode, call);
	e = error_take(f);
	if (r == 0)
		r = e;
	if (r == 0)
		r = below_take(f->inode, call, &file_below);
	if (r < 0)
		return r;
	r = ls_fsync(below, call, file_below, datasync);
	below_unuse(f->inode);
	return r;
}

int cache_sync(struct ls *ls, const struct ls_call *call)
{
	struct cache *cache = cache_of(ls);
	int r = writeback_sync(cache, call), e = ls_sync(cache->below, call);

	return r < 0 ? r : e;
}

/* ---- locks ---- */

/* What was written under a lock is below when it is given up: the next who has it, on whatever host, reads it. */
int cache_lock(struct ls *ls, const struct ls_call *call, struct ls_inode *inode, struct ls_file *file, bool get,
	       struct ls_lock *lock)
{
	struct ls *below = cache_of(ls)->below;
	struct cinode *c = cinode_of(inode);
	struct ls_file *used = NULL;
	int r = 0;

	if (!c)
		return ls_lock(below, call, inode, file, get, lock);
	if (!get && lock->type == F_UNLCK && !__atomic_load_n(&c->gone, __ATOMIC_RELAXED))
		writeback(c, call); /* an error is for fsync to tell */
	if (file)
		r = below_take(c, call, &used);
	if (r == 0)
		r = ls_lock(below, call, c->below, used, get, lock);
	if (used)
		below_unuse(c);
	return r;
}

/* ---- the rest -------------------------------------------------------------------------------------------
 */

int cache_readdir(struct ls *ls, const struct ls_call *call, struct ls_file *file, uint64_t cookie,
		  ls_emit *emit, void *arg)
{
	return cfile_of(file) ? -ENOTDIR : ls_readdir(cache_of(ls)->below, call, file, cookie, emit, arg);
}

/* Clean pages that are not wanted go; dirty ones are written first. Wanted ones come. */
int cache_advise(struct ls *ls, const struct ls_call *call, struct ls_file *file, off_t offset,
		 off_t length, int advice)
{
	struct cfile *f = cfile_of(file);
	uint64_t first, last;
	struct cinode *c;
	int r = 0;

	if (!f)
		return ls_advise(cache_of(ls)->below, call, file, offset, length, advice);
	if (offset < 0 || length < 0)
		return -EINVAL;
	c = f->inode;
	if (advice == LS_ADVISE_CLOSED)
		return c->cache->asks && !__atomic_load_n(&c->gone, __ATOMIC_RELAXED) ? writeback(c, call) : 0;
	if (keep_begin(c, call, false) < 0)
		return 0;
	first = page_index(offset);
	last = length ? page_index(offset + length - 1) : UINT64_MAX / CACHE_PAGE;
	if (advice == POSIX_FADV_WILLNEED) {
		uint64_t most = __atomic_load_n(&c->cache->readahead, __ATOMIC_RELAXED) / CACHE_PAGE;
		last = last - first < most ? last : first + most;
		r = budget_make_room(c->cache, call, (last - first + 1) * CACHE_PAGE);
		r = r < 0 ? r : fill_lock(c, call, first, last, last);
		if (r == 0)
			pthread_rwlock_unlock(&c->lock);
		r = r == KEEP_LOST ? 0 : r;
	} else if (advice == POSIX_FADV_RANDOM) {
		__atomic_store_n(&f->window, 0, __ATOMIC_RELAXED);
	} else if (advice == POSIX_FADV_DONTNEED) {
		cache_forget_pages(c, call, first, last);
	}
	return r;
}

int cache_reserve(struct ls *ls, const struct ls_call *call, struct ls_file *file, off_t offset,
		  off_t length)
{
	struct cfile *f = cfile_of(file);

	if (!f)
		return ls_reserve(cache_of(ls)->below, call, file, offset, length);
	return f->inode->writer ? ls_reserve(cache_of(ls)->below, call, f->inode->writer, offset, length)
				: -EBADF;
}

int cache_statfs(struct ls *ls, const struct ls_call *call, struct ls_statfs *ret)
{
	struct ls *below = cache_of(ls)->below;

	return ls_statfs(below, call, ret);
}
