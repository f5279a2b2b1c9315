/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names are below's. Here is only what they mean for cached files: a regular file that is looked up becomes
 * known, and one that loses its last name must be noticed, so that its pages are not kept for nobody.
 */
#include <errno.h>
#include <linux/fs.h>
#include <sys/stat.h>

#include "libservices/cache/cache.h"

static int entered(struct cache *cache, const struct ls_call *call, const struct entry *e, int r,
		   struct ls_inode *inode, struct ls_attr *attr, struct ls_inode **ret_inode,
		   struct ls_attr *ret_attr)
{
	if (r == 0)
		r = cinode_enter(cache, call, e, &inode, attr);
	entry_end(cache, e);
	if (r < 0)
		return r;
	*ret_inode = inode;
	*ret_attr = *attr;
	return 0;
}

int cache_lookup(struct ls *ls, const struct ls_call *call, struct ls_inode *dir, const char *name,
		 struct ls_inode **ret_inode, struct ls_attr *ret_attr)
{
	struct cache *cache = cache_of(ls);
	struct ls_inode *inode = NULL;
	struct ls_attr attr;
	struct entry e = entry_begin(cache);
	int r = ls_lookup(cache->below, call, inode_below(dir), name, &inode, &attr);

	return entered(cache, call, &e, r, inode, &attr, ret_inode, ret_attr);
}

int cache_resolve(struct ls *ls, const struct ls_call *call, uint64_t ino, struct ls_inode **ret_inode,
		  struct ls_attr *ret_attr)
{
	struct cache *cache = cache_of(ls);
	struct ls_inode *inode = NULL;
	struct ls_attr attr;
	struct entry e = entry_begin(cache);
	int r = ls_resolve(cache->below, call, ino, &inode, &attr);

	return entered(cache, call, &e, r, inode, &attr, ret_inode, ret_attr);
}

void cache_forget(struct ls *ls, const struct ls_call *call, struct ls_inode *inode, uint64_t n)
{
	struct cinode *c = cinode_of(inode);

	if (c)
		cinode_forget(c, call, n);
	else
		ls_forget(cache_of(ls)->below, call, inode, n);
}

int cache_parent(struct ls *ls, const struct ls_call *call, struct ls_inode *dir,
		 struct ls_inode **ret_inode, struct ls_attr *ret_attr)
{
	struct ls *below = cache_of(ls)->below;

	return ls_parent(below, call, inode_below(dir), ret_inode, ret_attr);
}

int cache_mknod(struct ls *ls, const struct ls_call *call, struct ls_inode *dir, const char *name,
		mode_t mode, unsigned major, unsigned minor, struct ls_inode **ret_inode,
		struct ls_attr *ret_attr)
{
	struct cache *cache = cache_of(ls);
	struct ls_inode *inode = NULL;
	struct ls_attr attr;
	struct entry e = entry_begin(cache);
	int r = ls_mknod(cache->below, call, inode_below(dir), name, mode, major, minor, &inode, &attr);

	return entered(cache, call, &e, r, inode, &attr, ret_inode, ret_attr);
}

int cache_mkdir(struct ls *ls, const struct ls_call *call, struct ls_inode *dir, const char *name,
		mode_t mode, struct ls_inode **ret_inode, struct ls_attr *ret_attr)
{
	struct ls *below = cache_of(ls)->below;

	return ls_mkdir(below, call, inode_below(dir), name, mode, ret_inode, ret_attr);
}

int cache_symlink(struct ls *ls, const struct ls_call *call, struct ls_inode *dir, const char *name,
		  const char *target, struct ls_inode **ret_inode, struct ls_attr *ret_attr)
{
	struct ls *below = cache_of(ls)->below;

	return ls_symlink(below, call, inode_below(dir), name, target, ret_inode, ret_attr);
}

int cache_rmdir(struct ls *ls, const struct ls_call *call, struct ls_inode *dir, const char *name)
{
	struct ls *below = cache_of(ls)->below;

	return ls_rmdir(below, call, inode_below(dir), name);
}

int cache_link(struct ls *ls, const struct ls_call *call, struct ls_inode *inode, struct ls_inode *dir,
	       const char *name, struct ls_attr *ret_attr)
{
	struct ls *below = cache_of(ls)->below;
	struct cinode *c = cinode_of(inode);
	int r = ls_link(below, call, inode_below(inode), inode_below(dir), name, ret_attr);

	if (r < 0 || !c)
		return r;
	cinode_gone(c, call, false);
	pthread_rwlock_rdlock(&c->lock);
	cinode_merge(c, ret_attr);
	pthread_rwlock_unlock(&c->lock);
	return 0;
}

/* ---- files that lose a name -----------------------------------------------------------------------------
 */

/*
 * The file that is about to lose the name, if it is one that we know: a reference to what is below. The
 * name may be another's by the time it goes; so the link count is asked for afterwards.
 */
struct victim {
	struct ls_inode *below;
	struct cinode *c;
};

static void victim_find(struct cache *cache, const struct ls_call *call, struct ls_inode *dir,
			const char *name, struct victim *v)
{
	struct ls_attr attr;

	*v = (struct victim){NULL, NULL};
	if (cache->off || ls_lookup(cache->below, call, inode_below(dir), name, &v->below, &attr) < 0)
		return;
	if (S_ISREG(attr.mode))
		v->c = cinode_find(cache, attr.ino);
}

static void victim_end(struct cache *cache, const struct ls_call *call, struct victim *v, bool lost_a_name)
{
	struct ls_attr attr;

	if (v->c && lost_a_name && ls_getattr(cache->below, call, v->below, NULL, &attr) == 0 &&
	    attr.nlink == 0)
		cinode_gone(v->c, call, true);
	if (v->c)
		cinode_put(v->c, call);
	if (v->below)
		ls_forget(cache->below, call, v->below, 1);
}

int cache_unlink(struct ls *ls, const struct ls_call *call, struct ls_inode *dir, const char *name)
{
	struct cache *cache = cache_of(ls);
	struct victim v;
	int r;

	victim_find(cache, call, dir, name, &v);
	r = ls_unlink(cache->below, call, inode_below(dir), name);
	victim_end(cache, call, &v, r == 0);
	return r;
}

int cache_rename(struct ls *ls, const struct ls_call *call, struct ls_inode *dir, const char *name,
		 struct ls_inode *dir2, const char *name2, unsigned flags)
{
	struct cache *cache = cache_of(ls);
	struct victim v;
	int r;

	victim_find(cache, call, dir2, name2, &v);
	r = ls_rename(cache->below, call, inode_below(dir), name, inode_below(dir2), name2, flags);
	victim_end(cache, call, &v, r == 0);
	return r;
}

/* ---- what concerns no bytes
 * ------------------------------------------------------------------------------ */

ssize_t cache_readlink(struct ls *ls, const struct ls_call *call, struct ls_inode *inode, char *buf,
		       size_t size)
{
	struct ls *below = cache_of(ls)->below;

	return ls_readlink(below, call, inode_below(inode), buf, size);
}

ssize_t cache_getxattr(struct ls *ls, const struct ls_call *call, struct ls_inode *inode, const char *name,
		       void *buf, size_t size)
{
	struct ls *below = cache_of(ls)->below;

	return ls_getxattr(below, call, inode_below(inode), name, buf, size);
}

int cache_setxattr(struct ls *ls, const struct ls_call *call, struct ls_inode *inode, const char *name,
		   const void *buf, size_t size, int flags)
{
	struct ls *below = cache_of(ls)->below;

	return ls_setxattr(below, call, inode_below(inode), name, buf, size, flags);
}

ssize_t cache_listxattr(struct ls *ls, const struct ls_call *call, struct ls_inode *inode, char *buf,
			size_t size)
{
	struct ls *below = cache_of(ls)->below;

	return ls_listxattr(below, call, inode_below(inode), buf, size);
}

int cache_removexattr(struct ls *ls, const struct ls_call *call, struct ls_inode *inode, const char *name)
{
	struct ls *below = cache_of(ls)->below;

	return ls_removexattr(below, call, inode_below(inode), name);
}
