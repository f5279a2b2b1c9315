/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inodes that somebody refers to, and their numbers.
 *
 * Each has an O_PATH descriptor, which names the host's inode whatever happens to names, and keeps its
 * number from being given to another. descriptor.c may close it for a while; meanwhile the number may go to
 * a new file of the host. The handles tell them apart: then the old one is `gone`, and the new one gets a
 * number from us.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libservices/host/host.h"
#include "libservices/mix.h"

enum { BUCKETS_MIN = 1024 };

/* ---- numbers ------------------------------------------------------------------------------------- */

#define OURS (1ull << 63)

/*
 * The host's number where that will do. On another device of the same directory tree it may not be unique,
 * and 1 belongs to the root of a FUSE mount.
 */
uint64_t host_number(const struct host *h, uint64_t dev, uint64_t ino)
{
	if (!h->root || (dev == h->root->dev && ino == h->root->ino))
		return ino;
	if (dev == h->root->dev && ino != 1 && !(ino & OURS))
		return ino;
	return mix_two(dev, ino) | OURS;
}

static struct host_inode **table_bucket(struct host *h, uint64_t number)
{
	return &h->bucket[mix(number) & (h->bucket_count - 1)];
}

static struct host_inode *table_find(struct host *h, uint64_t dev, uint64_t ino)
{
	struct host_inode *inode = *table_bucket(h, host_number(h, dev, ino));

	while (inode && (inode->dev != dev || inode->ino != ino || inode->gone))
		inode = inode->next;
	return inode;
}

/* If there is no memory for more buckets, the chains get longer. */
static void table_grow(struct host *h)
{
	struct host_inode **old = h->bucket, *inode, **to;
	size_t old_count = h->bucket_count;

	h->bucket = calloc(old_count * 2, sizeof(*h->bucket));
	if (!h->bucket) {
		h->bucket = old;
		return;
	}
	h->bucket_count = old_count * 2;
	for (size_t i = 0; i < old_count; i++)
		while ((inode = old[i])) {
			old[i] = inode->next;
			to = table_bucket(h, host_number(h, inode->dev, inode->ino));
			inode->next = *to;
			*to = inode;
		}
	free(old);
}

static void table_add(struct host *h, struct host_inode *inode)
{
	struct host_inode **to;

	if (h->count == h->bucket_count)
		table_grow(h);
	inode->number = host_number(h, inode->dev, inode->ino);
	to = table_bucket(h, inode->number);
	for (struct host_inode *other = *to; other; other = other->next)
		if (other->number == inode->number) {
			inode->number = mix_two(inode->number, ++h->renumbered) | OURS;
			break;
		}
	inode->next = *to;
	*to = inode;
	h->count++;
}

static struct host_inode *table_find_number(struct host *h, uint64_t number)
{
	struct host_inode *inode = *table_bucket(h, number);

	while (inode && inode->number != number)
		inode = inode->next;
	for (size_t i = 0; !inode && h->renumbered && i < h->bucket_count; i++)
		for (inode = h->bucket[i]; inode && inode->number != number; inode = inode->next)
			;
	return inode;
}

int host_inode_end(struct host *h, struct host_inode *inode)
{
	struct host_inode **p;
	int fd = inode->fd;

	if (inode->refs || inode->pins)
		return -1;
	for (p = table_bucket(h, host_number(h, inode->dev, inode->ino)); *p != inode; p = &(*p)->next)
		;
	*p = inode->next;
	h->count--;
	host_ring_remove(h, inode);
	free(inode->handle);
	free(inode);
	return fd;
}

/* ---- inodes -------------------------------------------------------------------------------------- */

int host_hold(struct host *h, struct host_inode *inode)
{
	int fd;

	pthread_mutex_lock(&h->lock);
	inode->pins++;
	inode->used = true;
	fd = inode->fd;
	pthread_mutex_unlock(&h->lock);
	return fd >= 0 ? fd : host_reopen(h, inode);
}

void host_let_go(struct host *h, struct host_inode *inode)
{
	int fd;

	pthread_mutex_lock(&h->lock);
	inode->pins--;
	fd = host_inode_end(h, inode);
	pthread_mutex_unlock(&h->lock);
	host_close(fd);
}

struct host_inode *host_inode_ref(struct host *h, struct host_inode *inode)
{
	pthread_mutex_lock(&h->lock);
	inode->refs++;
	pthread_mutex_unlock(&h->lock);
	return inode;
}

void host_inode_unref(struct host *h, struct host_inode *inode, uint64_t n)
{
	int fd;

	pthread_mutex_lock(&h->lock);
	inode->refs -= n;
	fd = host_inode_end(h, inode);
	pthread_mutex_unlock(&h->lock);
	host_close(fd);
}

struct host_inode *host_inode_known(struct host *h, const struct statx *sx)
{
	struct host_inode *inode;

	pthread_mutex_lock(&h->lock);
	inode = table_find(h, host_dev(sx), sx->stx_ino);
	if (inode && inode->fd < 0)
		inode = NULL;
	if (inode) {
		inode->refs++;
		inode->used = true;
	}
	pthread_mutex_unlock(&h->lock);
	return inode;
}

/*
 * With the lock held, which it drops meanwhile. The known inode that *fd is a descriptor of, referenced;
 * NULL if there is none. Takes *fd over where the inode had none.
 */
static struct host_inode *enter_known(struct host *h, const struct statx *sx, int *fd)
{
	struct host_inode *inode;
	bool same;

	while ((inode = table_find(h, host_dev(sx), sx->stx_ino)) && inode->fd < 0) {
		inode->pins++;
		pthread_mutex_unlock(&h->lock);
		same = host_handle_is(h, inode->handle, *fd);
		pthread_mutex_lock(&h->lock);
		inode->pins--;
		if (!same) {
			inode->gone = true;
			host_inode_end(h, inode);
		} else if (inode->fd < 0) {
			inode->fd = *fd;
			*fd = -1;
			host_ring_add(h, inode);
		}
	}
	if (inode) {
		inode->refs++;
		inode->used = true;
	}
	return inode;
}

int host_inode_enter(struct host *h, int fd, const struct statx *sx, struct host_inode **ret)
{
	struct host_inode *inode, *fresh = calloc(1, sizeof(*fresh));

	if (!fresh) {
		close(fd);
		return -ENOMEM;
	}
	*fresh = (struct host_inode){.dev = host_dev(sx),
				     .ino = sx->stx_ino,
				     .type = sx->stx_mode & S_IFMT,
				     .refs = 1,
				     .fd = fd,
				     .used = true};
	pthread_mutex_lock(&h->lock);
	inode = enter_known(h, sx, &fd);
	if (!inode) {
		inode = fresh;
		fresh = NULL;
		fd = -1;
		table_add(h, inode);
		host_ring_add(h, inode);
	}
	pthread_mutex_unlock(&h->lock);
	free(fresh);
	host_close(fd);
	host_make_room(h);
	*ret = inode;
	return 0;
}

struct host_inode *host_hold_victim(struct host *h, int dirfd, const char *name)
{
	struct host_inode *inode;
	struct statx sx;
	int fd = -1;

	if (!h->handles || host_statx(dirfd, name, &sx) < 0)
		return NULL;
	pthread_mutex_lock(&h->lock);
	inode = table_find(h, host_dev(&sx), sx.stx_ino);
	if (inode) {
		inode->pins++;
		inode->used = true;
		fd = inode->fd;
	}
	pthread_mutex_unlock(&h->lock);
	if (inode && fd < 0 && host_reopen(h, inode) < 0)
		return NULL; /* not the file of that name any more */
	return inode;
}

int host_resolve(struct ls *ls, const struct ls_call *call, uint64_t ino, struct ls_inode **ret_inode,
		 struct ls_attr *ret_attr)
{
	struct host *h = host_of(ls);
	struct host_inode *inode;
	int r;

	pthread_mutex_lock(&h->lock);
	inode = table_find_number(h, ino);
	if (inode)
		inode->refs++;
	pthread_mutex_unlock(&h->lock);
	if (!inode)
		return -ESTALE;
	r = host_getattr(ls, call, (struct ls_inode *)inode, NULL, ret_attr);
	if (r < 0) {
		host_inode_unref(h, inode, 1);
		return r;
	}
	*ret_inode = (struct ls_inode *)inode;
	return 0;
}

void host_forget(struct ls *ls, const struct ls_call *call, struct ls_inode *inode, uint64_t n)
{
	if (inode != ls->root)
		host_inode_unref(host_of(ls), host_inode_of(inode), n);
}

int host_table_init(struct host *h)
{
	struct statx sx;
	int r = host_statx(h->root_fd, "", &sx);

	if (r < 0)
		return r;
	h->bucket = calloc(BUCKETS_MIN, sizeof(*h->bucket));
	if (!h->bucket)
		return -ENOMEM;
	h->bucket_count = BUCKETS_MIN;
	r = host_inode_enter(h, h->root_fd, &sx, &h->root); /* not in the ring: handles are not known yet */
	if (r < 0)
		h->root_fd = -1;
	else
		h->root->fixed = true;
	host_try_handles(h);
	return r;
}

void host_table_fini(struct host *h)
{
	struct host_inode *inode;

	for (size_t i = 0; i < h->bucket_count; i++)
		while ((inode = h->bucket[i])) {
			h->bucket[i] = inode->next;
			host_close(inode->fd);
			free(inode->handle);
			free(inode);
		}
	for (unsigned i = 1; i < h->mount_count; i++)
		close(h->mount[i].fd);
	free(h->bucket);
}
