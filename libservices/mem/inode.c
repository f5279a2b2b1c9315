/* SPDX-License-Identifier: Apache-2.0 */
/* Inodes: their life, their numbers, their attributes. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libservices/mem/mem.h"

enum { ENTRY_SIZE = 20 }; /* what a name adds to its directory's st_size; any number would do */

/* ---- the table, by number ------------------------------------------------------------------------ */

static struct mem_inode **table_bucket(struct mem_table *table, uint64_t ino)
{
	return &table->bucket[(ino * 0x9e3779b97f4a7c15u) >> 32 & (table->bucket_count - 1)];
}

static int table_grow(struct mem_table *table)
{
	struct mem_table bigger = {.bucket_count = table->bucket_count ? table->bucket_count * 2 : 1024};
	struct mem_inode *inode, **to;

	bigger.bucket = calloc(bigger.bucket_count, sizeof(*bigger.bucket));
	if (!bigger.bucket)
		return -ENOMEM;
	for (size_t i = 0; i < table->bucket_count; i++)
		while ((inode = table->bucket[i])) {
			table->bucket[i] = inode->next;
			to = table_bucket(&bigger, inode->attr.ino);
			inode->next = *to;
			*to = inode;
		}
	free(table->bucket);
	table->bucket = bigger.bucket;
	table->bucket_count = bigger.bucket_count;
	return 0;
}

/* Numbers are never used twice. */
static int table_add(struct mem_table *table, struct mem_inode *inode)
{
	struct mem_inode **to;
	int r = 0;

	pthread_mutex_lock(&table->lock);
	if (table->count == table->bucket_count)
		r = table_grow(table);
	if (r == 0 || table->bucket_count) {
		inode->attr.ino = ++table->last_ino;
		to = table_bucket(table, inode->attr.ino);
		inode->next = *to;
		*to = inode;
		table->count++;
		r = 0;
	}
	pthread_mutex_unlock(&table->lock);
	return r;
}

static void table_remove(struct mem_table *table, struct mem_inode *inode)
{
	struct mem_inode **p;

	pthread_mutex_lock(&table->lock);
	for (p = table_bucket(table, inode->attr.ino); *p != inode; p = &(*p)->next)
		;
	*p = inode->next;
	table->count--;
	pthread_mutex_unlock(&table->lock);
}

/* Takes a reference unless the last one has just ended. */
static bool inode_ref_alive(struct mem_inode *inode)
{
	uint64_t refs = __atomic_load_n(&inode->refs, __ATOMIC_RELAXED);

	while (refs && !__atomic_compare_exchange_n(&inode->refs, &refs, refs + 1, true, __ATOMIC_ACQUIRE,
						    __ATOMIC_RELAXED))
		;
	return refs != 0;
}

int mem_resolve(struct ls *ls, const struct ls_call *call, uint64_t ino, struct ls_inode **ret_inode,
		struct ls_attr *ret_attr)
{
	struct mem_table *table = &mem_of(ls)->table;
	struct mem_inode *inode;

	pthread_mutex_lock(&table->lock);
	inode = *table_bucket(table, ino);
	while (inode && inode->attr.ino != ino)
		inode = inode->next;
	if (inode && !inode_ref_alive(inode))
		inode = NULL;
	pthread_mutex_unlock(&table->lock);
	if (!inode)
		return -ESTALE;
	mem_inode_attr(inode, ret_attr);
	*ret_inode = (struct ls_inode *)inode;
	return 0;
}

/* ---- life ---------------------------------------------------------------------------------------- */

static int inode_charge(struct mem *mem)
{
	uint64_t limit = __atomic_load_n(&mem->inode_limit, __ATOMIC_RELAXED);

	if (__atomic_add_fetch(&mem->inode_used, 1, __ATOMIC_RELAXED) <= limit)
		return 0;
	__atomic_sub_fetch(&mem->inode_used, 1, __ATOMIC_RELAXED);
	return -ENOSPC;
}

static int inode_init(struct mem *mem, struct mem_inode *inode, const struct ls_call *call,
		      const struct mem_new *what)
{
	struct ls_attr *a = &inode->attr;

	*a = (struct ls_attr){.mode = what->mode & (S_IFMT | 07777),
			      .nlink = what->nlink,
			      .uid = call->cred->uid,
			      .gid = call->cred->gid,
			      .blksize = MEM_PAGE};
	inode->refs = 1;
	inode->type = what->mode & S_IFMT;
	inode->linkable = what->linkable;
	if (inode->type == S_IFCHR || inode->type == S_IFBLK) {
		a->rdev_major = what->major;
		a->rdev_minor = what->minor;
	} else if (inode->type == S_IFLNK) {
		a->size = strlen(what->target);
		if (mem_charge(mem, a->size) < 0)
			return -ENOSPC;
		inode->target = strdup(what->target);
		if (!inode->target) {
			mem_uncharge(mem, a->size);
			return -ENOMEM;
		}
	} else if (inode->type == S_IFDIR) {
		a->size = 2 * ENTRY_SIZE;
		inode->dir.parent = what->parent ? mem_inode_ref(what->parent) : NULL;
	}
	fair_lock_init(&inode->content);
	pthread_mutex_init(&inode->attr_lock, NULL);
	clock_gettime(CLOCK_REALTIME, &a->btime);
	a->atime = a->mtime = a->ctime = a->btime;
	inode->atime_due = true;
	return 0;
}

static void inode_free(struct mem *mem, struct mem_inode *inode)
{
	if (inode->type == S_IFREG)
		mem_data_fini(mem, &inode->data);
	else if (inode->type == S_IFDIR)
		mem_dir_fini(mem, &inode->dir);
	else if (inode->type == S_IFLNK && inode->target)
		mem_uncharge(mem, inode->attr.size), free(inode->target);
	mem_xattr_fini(mem, inode);
	fair_lock_fini(&inode->content);
	pthread_mutex_destroy(&inode->attr_lock);
	free(inode);
	__atomic_sub_fetch(&mem->inode_used, 1, __ATOMIC_RELAXED);
}

int mem_inode_new(struct mem *mem, const struct ls_call *call, const struct mem_new *what,
		  struct mem_inode **ret)
{
	struct mem_inode *inode;
	int r = inode_charge(mem);

	if (r < 0)
		return r;
	inode = calloc(1, sizeof(*inode));
	r = inode ? inode_init(mem, inode, call, what) : -ENOMEM;
	if (r < 0) {
		free(inode);
		__atomic_sub_fetch(&mem->inode_used, 1, __ATOMIC_RELAXED);
		return r;
	}
	r = table_add(&mem->table, inode);
	if (r < 0) {
		if (what->parent)
			mem_inode_unref(mem, what->parent, 1);
		inode_free(mem, inode);
		return r;
	}
	*ret = inode;
	return 0;
}

struct mem_inode *mem_inode_ref(struct mem_inode *inode)
{
	__atomic_add_fetch(&inode->refs, 1, __ATOMIC_RELAXED);
	return inode;
}

void mem_inode_unref(struct mem *mem, struct mem_inode *inode, uint64_t n)
{
	/* A freed directory ends its reference to its parent, which may be the next to go. */
	while (inode && __atomic_sub_fetch(&inode->refs, n, __ATOMIC_ACQ_REL) == 0) {
		struct mem_inode *parent = inode->type == S_IFDIR ? inode->dir.parent : NULL;
		table_remove(&mem->table, inode);
		inode_free(mem, inode);
		inode = parent;
		n = 1;
	}
}

void mem_forget(struct ls *ls, const struct ls_call *call, struct ls_inode *inode, uint64_t n)
{
	if (inode != ls->root)
		mem_inode_unref(mem_of(ls), mem_inode_of(inode), n);
}

int mem_table_init(struct mem *mem)
{
	return -pthread_mutex_init(&mem->table.lock, NULL);
}

void mem_table_fini(struct mem *mem)
{
	struct mem_table *table = &mem->table;
	struct mem_inode *inode;

	for (size_t i = 0; i < table->bucket_count; i++)
		while ((inode = table->bucket[i])) {
			table->bucket[i] = inode->next;
			inode_free(mem, inode);
		}
	free(table->bucket);
	pthread_mutex_destroy(&table->lock);
}

/* ---- attributes ---------------------------------------------------------------------------------- */

void mem_inode_attr(struct mem_inode *inode, struct ls_attr *ret)
{
	pthread_mutex_lock(&inode->attr_lock);
	*ret = inode->attr;
	pthread_mutex_unlock(&inode->attr_lock);
}

/* With attr_lock held. */
static void inode_decide_atime(struct mem_inode *inode)
{
	__atomic_store_n(&inode->atime_due, ls_atime_due(&inode->attr), __ATOMIC_RELAXED);
}

/* With attr_lock held. */
static void inode_touch(struct mem_inode *inode, unsigned what)
{
	if (!what)
		return;
	ls_attr_touch(&inode->attr, what);
	inode_decide_atime(inode);
}

void mem_inode_touch(struct mem_inode *inode, unsigned what)
{
	pthread_mutex_lock(&inode->attr_lock);
	inode_touch(inode, what);
	pthread_mutex_unlock(&inode->attr_lock);
}

void mem_inode_accessed(struct mem_inode *inode)
{
	if (__atomic_load_n(&inode->atime_due, __ATOMIC_RELAXED))
		mem_inode_touch(inode, LS_ATIME);
}

void mem_inode_links(struct mem_inode *inode, int change, unsigned touch)
{
	pthread_mutex_lock(&inode->attr_lock);
	inode->attr.nlink += change;
	inode_touch(inode, touch);
	pthread_mutex_unlock(&inode->attr_lock);
}

void mem_dir_changed(struct mem_inode *dir)
{
	pthread_mutex_lock(&dir->attr_lock);
	dir->attr.size = (dir->dir.count + 2) * ENTRY_SIZE;
	inode_touch(dir, LS_MTIME | LS_CTIME);
	pthread_mutex_unlock(&dir->attr_lock);
}

int mem_getattr(struct ls *ls, const struct ls_call *call, struct ls_inode *inode, struct ls_file *f,
		struct ls_attr *ret_attr)
{
	mem_inode_attr(mem_inode_of(inode), ret_attr);
	return 0;
}

int mem_setattr(struct ls *ls, const struct ls_call *call, struct ls_inode *ls_inode, struct ls_file *f,
		const struct ls_attr *in, unsigned set, struct ls_attr *ret_attr)
{
	struct mem_inode *inode = mem_inode_of(ls_inode);

	if (set & LS_SET_SIZE) {
		if (inode->type != S_IFREG)
			return inode->type == S_IFDIR ? -EISDIR : -EINVAL;
		if (in->size > (uint64_t)MEM_FILE_MAX)
			return -EFBIG;
		fair_lock_write(&inode->content);
		if (in->size <= inode->attr.size) /* equal: what fallocate put beyond the end goes */
			mem_data_punch(mem_of(ls), &inode->data, in->size, MEM_FILE_MAX - in->size);
	}
	pthread_mutex_lock(&inode->attr_lock);
	if (set & LS_SET_SIZE) {
		inode->attr.size = in->size;
		inode->attr.blocks = inode->data.pages * (MEM_PAGE / 512);
	}
	ls_attr_apply(&inode->attr, in, set);
	inode_decide_atime(inode);
	*ret_attr = inode->attr;
	pthread_mutex_unlock(&inode->attr_lock);
	if (set & LS_SET_SIZE)
		fair_unlock(&inode->content);
	return 0;
}
