/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inodes that somebody refers to, and their descriptors.
 *
 * Each has an O_PATH descriptor, which names the host's inode whatever happens to names, and keeps its number
 * from being given to another. There may be more inodes than descriptors: beyond a limit the ones not used
 * lately are closed, and the file handle that the kernel gives for them is kept to open them again. Such an
 * inode can be lost when its last name goes; so an inode without names keeps its descriptor, and removing a
 * name through this layer holds the inode while it happens.
 *
 * An inode whose descriptor is closed may also lose its number to a new file of the host. The handles tell
 * them apart: then the old one is `gone`, and the new one gets a number of its own from us.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libservices/host/host.h"

enum { ROOM_STEPS = 256, BUCKETS_MIN = 1024 };

struct host_handle {
	int mount_fd;
	struct file_handle fh; /* last: its bytes follow */
};

/* ---- numbers ------------------------------------------------------------------------------------- */

#define OURS (1ull << 63)

static uint64_t mix(uint64_t a, uint64_t b)
{
	uint64_t x = a * 0x9e3779b97f4a7c15u ^ b;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

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
	return mix(dev, ino) | OURS;
}

static struct host_inode **table_bucket(struct host *h, uint64_t number)
{
	return &h->bucket[mix(number, 0) & (h->bucket_count - 1)];
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
			inode->number = mix(inode->number, ++h->renumbered) | OURS;
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

/* ---- the ring of descriptors that may be dropped ------------------------------------------------- */

static void ring_add(struct host *h, struct host_inode *inode)
{
	if (inode->fixed || !h->handles)
		return;
	if (!h->hand) {
		h->hand = inode->newer = inode->older = inode;
	} else { /* behind the hand: it comes by last */
		inode->newer = h->hand;
		inode->older = h->hand->older;
		inode->older->newer = inode->newer->older = inode;
	}
	h->fd_count++;
}

static void ring_remove(struct host *h, struct host_inode *inode)
{
	if (!inode->newer)
		return;
	if (h->hand == inode)
		h->hand = inode->newer == inode ? NULL : inode->newer;
	inode->newer->older = inode->older;
	inode->older->newer = inode->newer;
	inode->newer = inode->older = NULL;
	h->fd_count--;
}

/* One that was not used since the hand last came by, pinned; NULL if there is none soon. */
static struct host_inode *ring_pick(struct host *h)
{
	struct host_inode *inode;

	for (int i = 0; i < ROOM_STEPS && (inode = h->hand); i++) {
		h->hand = inode->newer;
		if (!inode->pins && !inode->used) {
			inode->pins++;
			return inode;
		}
		inode->used = false;
	}
	return NULL;
}

/* With the lock held. If nobody needs the inode any more, frees it and returns a descriptor to close, or -1. */
static int inode_end(struct host *h, struct host_inode *inode)
{
	struct host_inode **p;
	int fd = inode->fd;

	if (inode->refs || inode->pins)
		return -1;
	for (p = table_bucket(h, host_number(h, inode->dev, inode->ino)); *p != inode; p = &(*p)->next)
		;
	*p = inode->next;
	h->count--;
	ring_remove(h, inode);
	free(inode->handle);
	free(inode);
	return fd;
}

static void close_if(int fd)
{
	if (fd >= 0)
		close(fd);
}

/* ---- handles ------------------------------------------------------------------------------------- */

/* A descriptor on the mount, which is not O_PATH; -1 if we have none. */
static int mount_fd(struct host *h, int id, const struct host_inode *inode, int fd)
{
	int found = -1, fresh = -1;

	if (inode->type == S_IFDIR && id != h->mount[0].id)
		fresh = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	pthread_mutex_lock(&h->lock);
	for (unsigned i = 0; i < h->mount_count && found < 0; i++)
		if (h->mount[i].id == id)
			found = h->mount[i].fd;
	if (found < 0 && fresh >= 0 && h->mount_count < HOST_MOUNTS) {
		h->mount[h->mount_count++] = (struct host_mount){id, fresh};
		found = fresh;
		fresh = -1;
	}
	pthread_mutex_unlock(&h->lock);
	close_if(fresh);
	return found;
}

static struct host_handle *handle_get(struct host *h, int fd, int *ret_mount)
{
	struct host_handle *handle = malloc(sizeof(*handle) + MAX_HANDLE_SZ), *smaller;

	if (!handle)
		return NULL;
	handle->fh.handle_bytes = MAX_HANDLE_SZ;
	if (name_to_handle_at(fd, "", &handle->fh, ret_mount, AT_EMPTY_PATH) < 0) {
		free(handle);
		return NULL;
	}
	smaller = realloc(handle, sizeof(*handle) + handle->fh.handle_bytes);
	return smaller ? smaller : handle;
}

/* What it takes to open the inode again when its descriptor is dropped; NULL if that would lose it. */
static struct host_handle *handle_make(struct host *h, const struct host_inode *inode, int fd)
{
	struct host_handle *handle;
	struct statx sx;
	int mount;

	if (host_statx(fd, "", &sx) < 0 || sx.stx_nlink == 0)
		return NULL;
	handle = handle_get(h, fd, &mount);
	if (!handle)
		return NULL;
	handle->mount_fd = mount_fd(h, mount, inode, fd);
	if (handle->mount_fd >= 0)
		return handle;
	free(handle);
	return NULL;
}

static bool handle_is(struct host *h, const struct host_handle *handle, int fd)
{
	int mount;
	struct host_handle *other = handle_get(h, fd, &mount);
	bool same = other && other->fh.handle_type == handle->fh.handle_type &&
		    other->fh.handle_bytes == handle->fh.handle_bytes &&
		    memcmp(other->fh.f_handle, handle->fh.f_handle, handle->fh.handle_bytes) == 0;

	free(other);
	return same;
}

/* Drops one descriptor, if there is one that can be. */
static bool drop_one(struct host *h)
{
	struct host_handle *handle;
	struct host_inode *inode;
	int fd = -1;

	pthread_mutex_lock(&h->lock);
	inode = ring_pick(h);
	pthread_mutex_unlock(&h->lock);
	if (!inode)
		return false;
	/* It is pinned: its descriptor stays. If its last name goes meanwhile, `used` tells. */
	handle = handle_make(h, inode, inode->fd);
	pthread_mutex_lock(&h->lock);
	inode->pins--;
	if (!inode->pins && !inode->used && inode->refs && handle) {
		fd = inode->fd;
		inode->fd = -1;
		free(inode->handle);
		inode->handle = handle;
		handle = NULL;
		ring_remove(h, inode);
	} else if (!handle) {
		inode->fixed = true;
		ring_remove(h, inode);
	}
	if (fd < 0)
		fd = inode_end(h, inode);
	pthread_mutex_unlock(&h->lock);
	free(handle);
	close_if(fd);
	return true;
}

static void make_room(struct host *h)
{
	bool over = true;

	for (int i = 0; i < ROOM_STEPS && over; i++) {
		pthread_mutex_lock(&h->lock);
		over = h->fd_count > h->fd_limit;
		pthread_mutex_unlock(&h->lock);
		over = over && drop_one(h);
	}
}

/* Did a descriptor fail to open for want of room, and is there more room now? */
static bool made_room(struct host *h, int fd)
{
	int reason = errno;
	bool some = false;

	if (fd >= 0 || (reason != EMFILE && reason != ENFILE))
		return false;
	for (int i = 0; i < ROOM_STEPS / 8; i++)
		some |= drop_one(h);
	errno = reason;
	return some;
}

int host_openat(struct host *h, int dirfd, const char *name, int flags, mode_t mode)
{
	int fd = openat(dirfd, name, flags | O_CLOEXEC, mode);

	if (made_room(h, fd))
		fd = openat(dirfd, name, flags | O_CLOEXEC, mode);
	return fd < 0 ? -errno : fd;
}

/* ---- inodes -------------------------------------------------------------------------------------- */

static int handle_open(const struct host_handle *handle)
{
	return open_by_handle_at(handle->mount_fd, (struct file_handle *)&handle->fh,
				 O_PATH | O_NOFOLLOW | O_CLOEXEC);
}

static int inode_reopen(struct host *h, struct host_inode *inode)
{
	int r, fd = handle_open(inode->handle);

	if (made_room(h, fd))
		fd = handle_open(inode->handle);
	if (fd < 0) {
		r = -errno;
		host_let_go(h, inode);
		return r;
	}
	pthread_mutex_lock(&h->lock);
	if (inode->fd < 0) {
		inode->fd = fd;
		ring_add(h, inode);
		fd = -1;
	}
	r = inode->fd;
	pthread_mutex_unlock(&h->lock);
	close_if(fd);
	make_room(h);
	return r;
}

int host_hold(struct host *h, struct host_inode *inode)
{
	int fd;

	pthread_mutex_lock(&h->lock);
	inode->pins++;
	inode->used = true;
	fd = inode->fd;
	pthread_mutex_unlock(&h->lock);
	return fd >= 0 ? fd : inode_reopen(h, inode);
}

void host_let_go(struct host *h, struct host_inode *inode)
{
	int fd;

	pthread_mutex_lock(&h->lock);
	inode->pins--;
	fd = inode_end(h, inode);
	pthread_mutex_unlock(&h->lock);
	close_if(fd);
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
	fd = inode_end(h, inode);
	pthread_mutex_unlock(&h->lock);
	close_if(fd);
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
 * With the lock held, which it drops meanwhile. The known inode that *fd is a descriptor of, referenced; NULL
 * if there is none. Takes *fd over where the inode had none.
 */
static struct host_inode *enter_known(struct host *h, const struct statx *sx, int *fd)
{
	struct host_inode *inode;
	bool same;

	while ((inode = table_find(h, host_dev(sx), sx->stx_ino)) && inode->fd < 0) {
		inode->pins++;
		pthread_mutex_unlock(&h->lock);
		same = handle_is(h, inode->handle, *fd);
		pthread_mutex_lock(&h->lock);
		inode->pins--;
		if (!same) {
			inode->gone = true;
			inode_end(h, inode);
		} else if (inode->fd < 0) {
			inode->fd = *fd;
			*fd = -1;
			ring_add(h, inode);
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
	*fresh = (struct host_inode){.dev = host_dev(sx), .ino = sx->stx_ino, .type = sx->stx_mode & S_IFMT, .refs = 1,
				     .fd = fd, .used = true};
	pthread_mutex_lock(&h->lock);
	inode = enter_known(h, sx, &fd);
	if (!inode) {
		inode = fresh;
		fresh = NULL;
		fd = -1;
		table_add(h, inode);
		ring_add(h, inode);
	}
	pthread_mutex_unlock(&h->lock);
	free(fresh);
	close_if(fd);
	make_room(h);
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
	if (inode && fd < 0 && inode_reopen(h, inode) < 0)
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

/* Can we get the root by its handle? Then all others of its mount too. */
static void table_try_handles(struct host *h)
{
	struct host_handle *handle;
	int mount, fd;

	handle = handle_get(h, h->root_fd, &mount);
	if (!handle)
		return;
	fd = open_by_handle_at(h->sync_fd, &handle->fh, O_PATH | O_CLOEXEC);
	if (fd >= 0) {
		h->handles = true;
		h->mount[h->mount_count++] = (struct host_mount){mount, h->sync_fd};
		close(fd);
	}
	free(handle);
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
	table_try_handles(h);
	return r;
}

void host_table_fini(struct host *h)
{
	struct host_inode *inode;

	for (size_t i = 0; i < h->bucket_count; i++)
		while ((inode = h->bucket[i])) {
			h->bucket[i] = inode->next;
			close_if(inode->fd);
			free(inode->handle);
			free(inode);
		}
	for (unsigned i = 1; i < h->mount_count; i++)
		close(h->mount[i].fd);
	free(h->bucket);
}
