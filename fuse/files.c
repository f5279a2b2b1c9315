/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fuse/door-internal.h"
#include "service/lease.h"
#include "service/share.h"

/* While the kernel has it open to write, programs may have it mapped and change it without a message. */
static bool may_be_changed(const struct ofd *ofd)
{
	return ofd->inode->type == S_IFREG && (ofd->flags & O_ACCMODE) != O_RDONLY;
}

static unsigned is_rdwr(const struct ofd *ofd)
{
	return ofd->inode->type == S_IFREG && (ofd->flags & O_ACCMODE) == O_RDWR;
}

/* With the lock held: the index of an empty place, or -1. */
static int place(struct fuse_door *door)
{
	unsigned room = door->file_room ? door->file_room * 2 : 64;
	struct door_file *files;

	for (unsigned n = 0; n < door->file_room; n++) {
		unsigned i = (door->file_hint + n) % door->file_room;
		if (!door->files[i].ofd)
			return i;
	}
	files = realloc(door->files, room * sizeof(*files));
	if (!files)
		return -1;
	memset(files + door->file_room, 0, (room - door->file_room) * sizeof(*files));
	door->files = files;
	door->file_hint = door->file_room;
	door->file_room = room;
	return door->file_hint;
}

uint64_t door_file_new(struct fuse_door *door, struct ofd *ofd)
{
	int i;

	pthread_mutex_lock(&door->files_lock);
	i = place(door);
	if (i >= 0) {
		door->files[i] = (struct door_file){.ofd = ofd};
		door->file_hint = i + 1;
	}
	pthread_mutex_unlock(&door->files_lock);
	if (i < 0) {
		ofd_unref(ofd);
		return 0;
	}
	__atomic_store_n(&ofd->in_kernel, true, __ATOMIC_RELEASE);
	__atomic_add_fetch(&ofd->inode->kernel_opens, 1, __ATOMIC_SEQ_CST);
	__atomic_add_fetch(&ofd->inode->kernel_rdwr, is_rdwr(ofd), __ATOMIC_SEQ_CST);
	share_kernel_opened(ofd->inode);
	if (may_be_changed(ofd))
		lease_hold(ofd->inode);
	return (uint64_t)door->incarnation << 32 | (i + 1);
}

/* With the lock held. */
static struct door_file *find(struct fuse_door *door, uint64_t number)
{
	unsigned i = (uint32_t)(number & ~DOOR_PASSES) - 1;

	return number >> 32 == door->incarnation && i < door->file_room ? &door->files[i] : NULL;
}

uint64_t door_file_passes(struct fuse_door *door, uint64_t number, const struct share_pass *pass)
{
	pthread_mutex_lock(&door->files_lock);
	find(door, number)->pass = *pass;
	pthread_mutex_unlock(&door->files_lock);
	return pass->writes ? number | DOOR_PASSES : number;
}

struct ofd *door_file_get(struct fuse_door *door, uint64_t number)
{
	struct door_file *file;
	struct ofd *ofd;

	pthread_mutex_lock(&door->files_lock);
	file = find(door, number);
	ofd = file && file->ofd ? ofd_ref(file->ofd) : NULL;
	pthread_mutex_unlock(&door->files_lock);
	return ofd;
}

static void file_closed(const struct door_file *file)
{
	struct inode *inode = file->ofd->inode;

	share_kernel_closed(inode, &file->pass);
	__atomic_sub_fetch(&inode->kernel_opens, 1, __ATOMIC_SEQ_CST);
	__atomic_sub_fetch(&inode->kernel_rdwr, is_rdwr(file->ofd), __ATOMIC_SEQ_CST);
	if (may_be_changed(file->ofd))
		lease_release(inode);
}

struct ofd *door_file_take(struct fuse_door *door, uint64_t number)
{
	struct door_file *p, file = {.ofd = NULL};

	pthread_mutex_lock(&door->files_lock);
	p = find(door, number);
	if (p) {
		file = *p;
		p->ofd = NULL;
	}
	pthread_mutex_unlock(&door->files_lock);
	if (file.ofd)
		file_closed(&file);
	return file.ofd;
}
