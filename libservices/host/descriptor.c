/* SPDX-License-Identifier: Apache-2.0 */
/*
 * More inodes than descriptors.
 *
 * Beyond a limit the descriptors of inodes that were not used lately are closed, and the file handle that
 * the kernel gives for each is kept to open it again. Such an inode can be lost when its last name goes. So
 * an inode without names keeps its descriptor, and removing a name through this layer holds the inode while
 * it happens.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libservices/host/host.h"

enum { ROOM_STEPS = 256 };

struct host_handle {
	int mount_fd;
	struct file_handle fh; /* last: its bytes follow */
};

void host_close(int fd)
{
	if (fd >= 0)
		close(fd);
}

/* ---- the ring of descriptors that may be dropped ------------------------------------------------- */

void host_ring_add(struct host *h, struct host_inode *inode)
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

void host_ring_remove(struct host *h, struct host_inode *inode)
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
	host_close(fresh);
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

bool host_handle_is(struct host *h, const struct host_handle *handle, int fd)
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
		host_ring_remove(h, inode);
	} else if (!handle) {
		inode->fixed = true;
		host_ring_remove(h, inode);
	}
	if (fd < 0)
		fd = host_inode_end(h, inode);
	pthread_mutex_unlock(&h->lock);
	free(handle);
	host_close(fd);
	return true;
}

void host_make_room(struct host *h)
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

static int noted(struct host *h, int fd)
{
	if (fd >= h->fd_top)
		__atomic_store_n(&h->crowded, true, __ATOMIC_RELAXED);
	return fd;
}

/*
 * Is there a number that is not for others? The first that was not is taken; then it is found out before a file is
 * made or opened in vain. If not, errno says the same as if there were none at all.
 */
static bool has_room(struct host *h)
{
	int fd;

	if (!__atomic_load_n(&h->crowded, __ATOMIC_RELAXED))
		return true;
	fd = fcntl(h->root_fd, F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		return false;
	close(fd);
	errno = EMFILE;
	if (fd >= h->fd_top)
		return false;
	__atomic_store_n(&h->crowded, false, __ATOMIC_RELAXED);
	return true;
}

static int name_open(struct host *h, int dirfd, const char *name, int flags, mode_t mode)
{
	return has_room(h) ? noted(h, openat(dirfd, name, flags | O_CLOEXEC, mode)) : -1;
}

int host_openat(struct host *h, int dirfd, const char *name, int flags, mode_t mode)
{
	int fd = name_open(h, dirfd, name, flags, mode);

	if (made_room(h, fd))
		fd = name_open(h, dirfd, name, flags, mode);
	return fd < 0 ? -errno : fd;
}

static int handle_open(struct host *h, const struct host_handle *handle)
{
	return has_room(h) ? noted(h, open_by_handle_at(handle->mount_fd, (struct file_handle *)&handle->fh,
							O_PATH | O_NOFOLLOW | O_CLOEXEC))
			   : -1;
}

int host_reopen(struct host *h, struct host_inode *inode)
{
	int r, fd = handle_open(h, inode->handle);

	if (made_room(h, fd))
		fd = handle_open(h, inode->handle);
	if (fd < 0) {
		r = -errno;
		host_let_go(h, inode);
		return r;
	}
	pthread_mutex_lock(&h->lock);
	if (inode->fd < 0) {
		inode->fd = fd;
		host_ring_add(h, inode);
		fd = -1;
	}
	r = inode->fd;
	pthread_mutex_unlock(&h->lock);
	host_close(fd);
	host_make_room(h);
	return r;
}

/* Can we get the root by its handle? Then all others of its mount too. */
void host_try_handles(struct host *h)
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
