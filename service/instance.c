/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "service/instance.h"
#include "service/limit.h"
#include "service/share.h"

static const struct ls_cred self_cred;
static const struct ls_call self_call = {.tenant = "", .cred = &self_cred};

static struct inode **bucket_of(struct instance *fs, uint64_t ino)
{
	return &fs->bucket[(ino * 0x9e3779b97f4a7c15u) >> 52];
}

static struct inode *bucket_find(struct instance *fs, uint64_t ino)
{
	struct inode *inode = *bucket_of(fs, ino);

	while (inode && inode->ino != ino)
		inode = inode->hash_next;
	return inode;
}

int inode_enter(struct instance *fs, struct ls_inode *ls, const struct ls_attr *attr, struct inode **ret)
{
	struct inode *inode, *fresh = calloc(1, sizeof(*fresh));

	if (!fresh) {
		if (ls != fs->stack->root)
			ls_forget(fs->stack, &self_call, ls, 1);
		return -ENOMEM;
	}
	pthread_mutex_lock(&fs->lock);
	inode = bucket_find(fs, attr->ino);
	if (inode) {
		inode->refs++;
	} else {
		struct inode **bucket = bucket_of(fs, attr->ino);
		*fresh = (struct inode){.fs = fs, .hash_next = *bucket, .ino = attr->ino, .ls = ls,
					.type = attr->mode & S_IFMT, .refs = 1};
		lock_table_init(&fresh->locks);
		pthread_mutex_init(&fresh->names, NULL);
		*bucket = inode = fresh;
		fs->inode_count++;
	}
	pthread_mutex_unlock(&fs->lock);
	if (inode != fresh) {
		free(fresh);
		if (ls != fs->stack->root)
			ls_forget(fs->stack, &self_call, ls, 1);
	}
	*ret = inode;
	return 0;
}

static void inode_free(struct inode *inode)
{
	share_inode_free(inode);
	lock_table_fini(&inode->locks);
	pthread_mutex_destroy(&inode->names);
	free(inode);
}

struct inode *inode_ref(struct inode *inode)
{
	pthread_mutex_lock(&inode->fs->lock);
	inode->refs++;
	pthread_mutex_unlock(&inode->fs->lock);
	return inode;
}

/* One inode less. The last of an instance that is closed takes it along. */
static void instance_leave(struct instance *fs)
{
	bool last;

	pthread_mutex_lock(&fs->lock);
	last = --fs->inode_count == 0 && fs->closed;
	pthread_mutex_unlock(&fs->lock);
	if (last)
		instance_free(fs);
}

/* With the table's lock held, which it releases. */
static void inode_drop_if_unused(struct inode *inode)
{
	struct instance *fs = inode->fs;
	struct inode **p;

	if (inode->refs || inode->lookups) {
		pthread_mutex_unlock(&fs->lock);
		return;
	}
	for (p = bucket_of(fs, inode->ino); *p != inode; p = &(*p)->hash_next)
		;
	*p = inode->hash_next;
	pthread_mutex_unlock(&fs->lock);
	if (inode->ls != fs->stack->root)
		ls_forget(fs->stack, &self_call, inode->ls, 1);
	inode_free(inode);
	instance_leave(fs);
}

void inode_unref(struct inode *inode)
{
	if (!inode)
		return;
	pthread_mutex_lock(&inode->fs->lock);
	inode->refs--;
	inode_drop_if_unused(inode);
}

struct inode *inode_find(struct instance *fs, uint64_t ino)
{
	struct inode *inode;

	pthread_mutex_lock(&fs->lock);
	inode = bucket_find(fs, ino);
	if (inode)
		inode->refs++;
	pthread_mutex_unlock(&fs->lock);
	return inode;
}

void inode_lookup_add(struct inode *inode)
{
	pthread_mutex_lock(&inode->fs->lock);
	inode->lookups++;
	pthread_mutex_unlock(&inode->fs->lock);
}

void inode_lookup_forget(struct inode *inode, uint64_t n)
{
	pthread_mutex_lock(&inode->fs->lock);
	inode->lookups -= n < inode->lookups ? n : inode->lookups;
	if (!inode->lookups)
		__atomic_store_n(&inode->watched, 0, __ATOMIC_RELEASE); /* it has nobody watching it, either */
	inode_drop_if_unused(inode);
}

bool inode_is_looked_up(const struct inode *inode)
{
	bool is;

	pthread_mutex_lock(&inode->fs->lock);
	is = inode->lookups > 0;
	pthread_mutex_unlock(&inode->fs->lock);
	return is;
}

static bool instance_keeps_dirty(const struct instance *fs)
{
	if (fs->stack->traits & LS_FLUSHES)
		return false;
	return !fs->flush_interval || __atomic_load_n(fs->flush_interval, __ATOMIC_ACQUIRE);
}

void inode_mark_dirty(struct inode *inode)
{
	struct instance *fs = inode->fs;
	bool first;

	if (!instance_keeps_dirty(fs) || __atomic_exchange_n(&inode->dirty, true, __ATOMIC_ACQ_REL))
		return;
	inode_ref(inode);
	pthread_mutex_lock(&fs->dirty_lock);
	first = !fs->dirty;
	inode->dirty_next = fs->dirty;
	inode->dirty_at = &fs->dirty;
	if (fs->dirty)
		fs->dirty->dirty_at = &inode->dirty_next;
	fs->dirty = inode;
	pthread_mutex_unlock(&fs->dirty_lock);
	if (first && fs->became_dirty)
		fs->became_dirty();
}

void inode_mark_clean(struct inode *inode)
{
	struct instance *fs = inode->fs;
	bool listed;

	pthread_mutex_lock(&fs->dirty_lock);
	listed = inode->dirty_at;
	if (listed) {
		*inode->dirty_at = inode->dirty_next;
		if (inode->dirty_next)
			inode->dirty_next->dirty_at = inode->dirty_at;
		inode->dirty_at = NULL;
		__atomic_store_n(&inode->dirty, false, __ATOMIC_SEQ_CST);
	}
	pthread_mutex_unlock(&fs->dirty_lock);
	if (listed)
		inode_unref(inode);
}

struct inode *instance_take_dirty(struct instance *fs)
{
	struct inode *list;

	pthread_mutex_lock(&fs->dirty_lock);
	list = fs->dirty;
	fs->dirty = NULL;
	for (struct inode *inode = list; inode; inode = inode->dirty_next)
		inode->dirty_at = NULL;
	pthread_mutex_unlock(&fs->dirty_lock);
	return list;
}

static void stack_stays(struct instance *fs)
{
}

int instance_new(struct ls *stack, const char *tenant, const char *path, unsigned index, struct instance **ret)
{
	struct instance *fs = calloc(1, sizeof(*fs));
	int r;

	if (!fs)
		return -ENOMEM;
	*fs = (struct instance){.path = strdup(path), .path_len = strcmp(path, "/") ? strlen(path) : 0,
				.tenant = tenant, .index = index, .stack = stack,
				.shared = stack->traits & LS_SHARED, .delegates = stack->traits & LS_DELEGATES,
				.locks = stack->traits & LS_LOCKS, .rdonly = stack->traits & LS_RDONLY, .root_fd = -1,
				.token_dir = -1, .counted = limit_is_watched(stack)};
	pthread_mutex_init(&fs->lock, NULL);
	pthread_mutex_init(&fs->dirty_lock, NULL);
	for (unsigned i = 0; i < ACL_OF_MAX; i++)
		pthread_mutex_init(&fs->no_acl[i].lock, NULL);
	r = inode_enter(fs, stack->root, &stack->root_attr, &fs->root);
	if (r < 0 || !fs->path) {
		fs->ended = stack_stays;
		instance_free(fs);
		return r < 0 ? r : -ENOMEM;
	}
	*ret = fs;
	return 0;
}

struct instance *instance_free(struct instance *fs)
{
	if (!fs)
		return NULL;
	if (fs->door_end)
		fs->door_end(fs);
	for (size_t i = 0; i < INODE_BUCKETS; i++)
		while (fs->bucket[i]) {
			struct inode *inode = fs->bucket[i];
			fs->bucket[i] = inode->hash_next;
			if (inode->ls != fs->stack->root)
				ls_forget(fs->stack, &self_call, inode->ls, 1);
			inode_free(inode);
		}
	if (fs->ended)
		fs->ended(fs);
	else
		ls_stack_close(fs->stack);
	pthread_mutex_destroy(&fs->lock);
	pthread_mutex_destroy(&fs->dirty_lock);
	free((char *)fs->path);
	free(fs);
	return NULL;
}

/* One that the kernel knows, which it does no more; referenced. NULL: there is none. */
static struct inode *kernel_forgets_one(struct instance *fs, size_t *bucket)
{
	struct inode *inode = NULL;

	pthread_mutex_lock(&fs->lock);
	for (; *bucket < INODE_BUCKETS && !inode; *bucket += !inode)
		for (inode = fs->bucket[*bucket]; inode && !inode->lookups; inode = inode->hash_next)
			;
	if (inode) {
		inode->lookups = 0;
		inode->refs++;
	}
	pthread_mutex_unlock(&fs->lock);
	return inode;
}

void instance_close(struct instance *fs)
{
	struct inode *inode;
	size_t bucket = 0;

	while ((inode = kernel_forgets_one(fs, &bucket)))
		inode_unref(inode);
	pthread_mutex_lock(&fs->lock);
	fs->closed = true;
	pthread_mutex_unlock(&fs->lock);
	inode_unref(fs->root);
}
