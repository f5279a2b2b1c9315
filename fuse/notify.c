/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeping the kernel's caches right when something changes through another door. Runs in the threads of that
 * other door, never in ours: dropping pages may make the kernel send writes that our threads must answer.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "fuse/door-internal.h"

/* FUSE 7.40 and 7.44; linux/fuse.h of Debian 12 is older */
enum { NOTIFY_RESEND = 7, NOTIFY_INC_EPOCH = 8 };

struct notice { /* struct fuse_out_header of linux/fuse.h */
	uint32_t len;
	int32_t error;
	uint64_t unique;
};

static bool notice_send(struct fuse_door *door, int32_t what)
{
	struct notice notice = {.len = sizeof(notice), .error = what};

	return write(door->fd, &notice, sizeof(notice)) == sizeof(notice);
}

void door_resend(struct fuse_door *door)
{
	notice_send(door, NOTIFY_RESEND);
}

static void attr_changed(void *arg, struct inode *inode)
{
	struct fuse_door *door = arg;

	if (__atomic_exchange_n(&inode->kernel_attr, false, __ATOMIC_SEQ_CST))
		fuse_lowlevel_notify_inval_inode(door->session, node_of(inode), -1, 0);
}

static void data_changed(void *arg, struct inode *inode, off_t offset, off_t length)
{
	struct fuse_door *door = arg;

	/* It has no pages of its own of a file that passes through. */
	if (!__atomic_load_n(&inode->kernel_passes, __ATOMIC_SEQ_CST))
		fuse_lowlevel_notify_inval_inode(door->session, node_of(inode), offset, length);
}

/*
 * There is no notice of a size. Storing a byte at the end sets it; the page that it goes to is dropped right after,
 * by the notice of the change itself.
 */
static void grown(void *arg, struct inode *inode, off_t size, char last)
{
	struct fuse_door *door = arg;
	struct fuse_bufvec buf = FUSE_BUFVEC_INIT(1);

	if (__atomic_load_n(&inode->kernel_passes, __ATOMIC_SEQ_CST))
		return; /* its mappings are of the cached file itself */
	buf.buf[0].mem = &last;
	__atomic_store_n(&inode->kernel_size, size, __ATOMIC_SEQ_CST);
	if (fuse_lowlevel_notify_store(door->session, node_of(inode), size - 1, &buf, 0) == 0)
		data_changed(door, inode, size - 1, 1);
}

/* Messages are read in order, so one of our own comes after those that are on their way. */
static void drain(void *arg)
{
	struct fuse_door *door = arg;
	struct statx st;

	if (door->fs->root_fd >= 0)
		statx(door->fs->root_fd, "", AT_EMPTY_PATH | AT_STATX_FORCE_SYNC, STATX_MTIME, &st);
}

void door_names_changed(struct fuse_door *door)
{
	if (!door->epoch || !__atomic_exchange_n(&door->names_kept, false, __ATOMIC_SEQ_CST))
		return;
	if (!notice_send(door, NOTIFY_INC_EPOCH))
		door->epoch = false;
}

static void entry_changed(void *arg, struct inode *dir, const char *name)
{
	struct fuse_door *door = arg;

	if (!__atomic_load_n(&door->names_kept, __ATOMIC_SEQ_CST))
		return;
	if (door->epoch)
		door_names_changed(door);
	if (!door->epoch)
		fuse_lowlevel_notify_inval_entry(door->session, node_of(dir), name, strlen(name));
}

const struct door_hooks fuse_door_hooks = {
	.attr = attr_changed,
	.data = data_changed,
	.grown = grown,
	.drain = drain,
	.entry = entry_changed,
	.backing = door_backing,
	.backing_end = door_backing_end,
};
